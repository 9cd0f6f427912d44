"""Who gets in, what they may do there, and who is kept out: against a real server."""

import asyncio
import contextlib
import gc
import json
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from nats.aio.client import Client

from hubs import PATIENCE_S, answering, connected, free_port, hub_at, running, site_of, until
from huizhen import canonical
from huizhen.errors import CallerError, FederationError, MachineError
from huizhen.federation.wire.access import Access, connect, renewed, settled, trouble_of
from huizhen.federation.wire.certificates import new_authority
from huizhen.federation.wire.guest import ask_to_join, guest_access
from huizhen.federation.wire.invitations import join_body, read_code
from huizhen.federation.wire.nkeys import new_pair
from huizhen.federation.wire.subjects import Permissions, inbox, permissions, subject_from, subject_to
from huizhen.federation.wire.tokens import user_token
from huizhen.site.joining import begin, join, renewal_due

AUTHORITY = new_authority("h", datetime.now(UTC)).certificate

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def forgotten():
    """asyncio forgets a socket that is given up before its handshake: it is the story's that gave it up, and not the next one's."""
    yield
    gc.collect()


@pytest.fixture
def hub(tmp_path):
    with hub_at(tmp_path / "hub") as made, running(made):
        yield made


@pytest.fixture
def east(hub, tmp_path):
    return site_of(hub, "east", tmp_path / "east")


def token_for(hub, pair, *, signer=None, lasts=timedelta(hours=1), allowed=None, name="east"):
    now = hub.clock.now()
    allowed = allowed or permissions("site", pair.public)
    signer = signer or hub.folder.pair("account")
    return user_token(signer, pair.public, name=name, now=now, expires=now + lasts, allowed=allowed)


def refused(access, word):
    with pytest.raises(FederationError) as told:
        asyncio.run(connect(access, timeout_s=PATIENCE_S))
    assert word in str(told.value)
    assert not access.token or access.token not in str(told.value)
    assert access.pair.seed() not in str(told.value)


def test_an_admitted_site_comes_in(hub, east):
    async def story():
        async with connected(east.access()) as client:
            assert client.is_connected

    asyncio.run(story())


def test_a_key_that_the_hub_does_not_know_is_refused(hub, east):
    stranger = new_pair("user")
    own = replace(east.access(), pair=stranger)
    refused(own, "does not know this key")  # another's token
    refused(own.with_token(token_for(hub, stranger, signer=new_pair("account"))), "does not know this key")  # vouched for by itself
    refused(own.with_token(""), "does not know this key")


def test_permissions_that_somebody_wrote_for_itself_are_refused(hub, east):
    wide = Permissions(("hz.>",), ("hz.>",))
    refused(east.access().with_token(token_for(hub, east.pair, signer=new_pair("account"), allowed=wide)), "does not know this key")


def test_an_expired_token_is_refused(hub, east):
    refused(east.access().with_token(token_for(hub, east.pair, lasts=timedelta(seconds=-1))), "refuses its token")


def test_a_connection_ends_when_its_token_does(hub, east):
    async def story():
        codes, closed = [], []
        short = east.access().with_token(token_for(hub, east.pair, lasts=timedelta(seconds=2)))
        async with connected(short, trouble=codes.append, closed=closed.append):
            await until(lambda: closed)
        assert closed == ["expired"]
        assert "expired" in codes

    asyncio.run(story())


def test_a_site_refuses_a_server_of_another_authority(hub, east):
    refused(replace(east.access(), authority=new_authority("huizhen hub", hub.clock.now()).certificate), "certificate")


def test_a_site_refuses_a_server_of_another_name(tmp_path):
    with hub_at(tmp_path / "hub", listen="0.0.0.0") as hub, running(hub):
        east = site_of(hub, "east", tmp_path / "east")
        refused(replace(east.access(), addresses=(f"tls://127.0.0.2:{hub.folder.settings.port}",)), "certificate")


def test_a_server_that_nobody_runs_is_told_within_the_time(hub, east):
    with pytest.raises(FederationError, match="no answer"):
        asyncio.run(connect(replace(east.access(), addresses=("tls://localhost:1",)), timeout_s=0.2))


def test_addresses_without_tls_are_refused(east):
    with pytest.raises(CallerError, match="tls://"):
        asyncio.run(connect(replace(east.access(), addresses=("nats://localhost:4222",))))


def test_a_proxy_is_not_left_out_in_silence(east):
    with pytest.raises(CallerError, match="no address for the proxy"):
        asyncio.run(connect(replace(east.access("http://127.0.0.1:1"), addresses=("wss://localhost:1",))))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # nats-py names aiohttp's timeout by its old name
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # asyncio forgets a socket given up before its handshake
def test_a_site_comes_in_over_websocket_where_aiohttp_is_installed(tmp_path):
    pytest.importorskip("aiohttp", reason="install huizhen[websocket]")
    port = free_port()
    with hub_at(tmp_path / "hub", websocket_port=port, addresses=(f"wss://localhost:{port}",)) as hub, running(hub):
        east = site_of(hub, "east", tmp_path / "east")

        async def story():
            async with connected(east.access()) as client:
                await settled(client)

        asyncio.run(story())
        refused(replace(east.access(), authority=AUTHORITY), "certificate")


def test_without_aiohttp_a_websocket_address_names_what_to_install(east, monkeypatch):
    monkeypatch.setattr("huizhen.federation.wire.access.find_spec", lambda name: None)
    with pytest.raises(MachineError, match="websocket"):
        asyncio.run(connect(replace(east.access(), addresses=("wss://localhost:1",))))


@pytest.mark.parametrize("claims", [{}, {"auth_required": True}, {"tls_required": False, "nonce": "abc"}])
def test_nothing_is_sent_to_a_server_that_offers_no_tls(claims, tmp_path):
    heard = []

    async def story():
        async def greet(reader, writer):
            greeting = {"server_id": "x", "version": "2.9.10", "max_payload": 1000, "headers": True, **claims}
            writer.write(b"INFO " + json.dumps(greeting).encode() + b"\r\n")
            heard.append(await reader.read())
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pair = new_pair("user")
        access = Access((f"tls://127.0.0.1:{port}",), AUTHORITY, pair, "token", "east", inbox(pair.public))
        with pytest.raises(FederationError, match="without TLS"):
            await connect(access, timeout_s=PATIENCE_S)
        await until(lambda: heard)
        server.close()
        await server.wait_closed()

    asyncio.run(story())
    assert set(heard) == {b""}


def test_a_revoked_key_is_cut_within_a_second_and_stays_out_when_the_server_restarts(hub, east):
    async def story():
        codes, closed = [], []
        async with connected(east.access(), trouble=codes.append, closed=lambda code: closed.append((monotonic(), code))) as client:
            await settled(client)
            began = monotonic()
            hub.joining.revoke("east")
            await until(lambda: closed)
            (at, code) = closed[0]
            assert code == "revoked"
            assert "revoked" in codes
            assert at - began < 1.0

    asyncio.run(story())
    refused(east.access(), "does not know this key")
    hub.server.__exit__(None, None, None)
    from huizhen.hub.server import Server

    with Server(hub.folder, hub.joining.account_token, hub.clock):
        refused(east.access(), "does not know this key")


def test_others_stay_connected_when_one_is_revoked(hub, east, tmp_path):
    west = site_of(hub, "west", tmp_path / "west")

    async def story():
        lost, closed = [], []
        async with (
            connected(west.access(), lost=lambda: lost.append(1)) as other,
            connected(east.access(), closed=closed.append),
        ):
            hub.joining.revoke("east")
            await until(lambda: closed)
            await settled(other)
            assert not lost

    asyncio.run(story())


def test_a_site_cannot_read_or_write_anothers_subjects(hub, east, tmp_path):
    west = site_of(hub, "west", tmp_path / "west")
    a, b = east.pair.public, west.pair.public

    async def story():
        codes, overheard, said = [], [], []

        async def overhear(message):
            overheard.append(message.subject)

        async def hear(message):
            said.append(message.subject)

        async with (
            connected(hub.folder.hub_access(hub.clock.now())) as own,
            connected(west.access()) as victim,
            connected(east.access(), trouble=codes.append) as attacker,
        ):
            await own.subscribe("hz.from.>", cb=hear)
            await victim.subscribe(subject_to(b, ">"), cb=hear)
            listening = (subject_to(b, ">"), "hz.to.>", "hz.from.>", ">", "hz.hub.>", "hz.join.*", "$SYS.>", f"hz.*.{b}.>")
            for subject in listening:
                await attacker.subscribe(subject, cb=overhear)
            speaking = (subject_from(b, "renew"), subject_to(b, "ask"), subject_to(a, "ask"), "hz.hub.inbox.x", "hz.joined.x.y")
            for subject in (*speaking, "$JS.API.INFO", "$SYS.REQ.CLAIMS.UPDATE"):
                await attacker.publish(subject, b"forged")
            await settled(attacker)
            assert codes == ["forbidden"] * (len(listening) + len(speaking) + 2)
            await own.publish(subject_to(b, "ask"), b"for west alone")
            await victim.publish(subject_from(b, "answer"), b"from west")
            await attacker.publish(subject_from(a, "answer"), b"from east")
            await asyncio.gather(settled(own), settled(victim), settled(attacker))
            await until(lambda: len(said) == 3)
            assert sorted(said) == sorted([subject_to(b, "ask"), subject_from(b, "answer"), subject_from(a, "answer")])
            assert overheard == []

    asyncio.run(story())


def test_a_guest_can_use_its_invitation_and_see_nothing_else(hub, east):
    one, other = (read_code(hub.joining.invite(name)) for name in ("north", "south"))

    async def story():
        codes, overheard, asked = [], [], []

        async def overhear(message):
            overheard.append(message.subject)

        async def hear(message):
            asked.append(message.subject)

        async with (
            connected(hub.folder.hub_access(hub.clock.now())) as own,
            connected(guest_access(one), trouble=codes.append) as guest,
        ):
            await own.subscribe("hz.join.*", cb=hear)
            await settled(own)
            for subject in (f"hz.joined.{other.id}.>", "hz.joined.>", "hz.to.>", "hz.from.>", ">", f"hz.join.{one.id}"):
                await guest.subscribe(subject, cb=overhear)
            for subject in (f"hz.join.{other.id}", subject_from(east.pair.public, "renew"), "hz.joined.x.y"):
                await guest.publish(subject, b"x")
            await guest.publish(f"hz.join.{one.id}", b"mine")
            await settled(guest)
            await until(lambda: asked)
            assert asked == [f"hz.join.{one.id}"]
            assert codes == ["forbidden"] * 9
            await own.publish(f"hz.joined.{other.id}.x", b"for another guest")
            await own.publish(subject_to(east.pair.public, "ask"), b"for a site")
            await settled(own)
            await settled(guest)
            assert overheard == []

    asyncio.run(story())


def test_a_guest_cannot_send_much(hub):
    invitation = read_code(hub.joining.invite("north"))

    async def story():
        ended = []
        async with connected(guest_access(invitation), lost=lambda: ended.append("lost"), closed=ended.append) as guest:
            await guest.publish(f"hz.join.{invitation.id}", b"x" * 5000)
            await until(lambda: ended)

    asyncio.run(story())


def test_a_void_invitation_lets_nobody_in(hub):
    old = read_code(hub.joining.invite("north"))
    hub.joining.invite("north")

    async def tried():
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    client = await connect(guest_access(old))
                except FederationError:
                    return
                await client.close()

    asyncio.run(tried())


def test_a_site_joins_over_the_network_when_a_person_admits_it(hub, tmp_path):
    code = hub.joining.invite("North Hospital")
    shown = []

    def show(folder):
        shown.append(folder.fingerprint())

    with answering(hub):
        assert join(code, tmp_path / "north", clock=hub.clock, wait_s=0, shown=show) == "pending"
        (actor,) = hub.joining.pending()
        assert shown == [hub.joining.fingerprint(actor)]
        hub.joining.admit("North Hospital")
        assert join(code, tmp_path / "north", clock=hub.clock, wait_s=PATIENCE_S, shown=show) == "admitted"
        folder = begin(code, tmp_path / "north")
        assert shown[0] == shown[1] == folder.fingerprint()
        assert not renewal_due(folder, hub.clock.now())
        assert renewal_due(folder, hub.clock.now() + timedelta(days=31))
        with pytest.raises(FederationError, match="does not let this site join"):
            join(code, tmp_path / "thief", clock=hub.clock, wait_s=0)

    async def story():
        async with connected(folder.access()) as client:
            assert client.is_connected

    asyncio.run(story())


def test_a_tampered_request_is_refused_and_a_hub_that_is_away_is_silent(hub, tmp_path):
    code = hub.joining.invite("north")
    folder = begin(code, tmp_path / "north")
    invitation = read_code(code)
    body = join_body(invitation, folder.pair, folder.identity)
    assert asyncio.run(ask_to_join(invitation, body, wait_s=0)) == ("silent", "")
    with answering(hub):
        forged = {**body, "nkey": new_pair("user").public}
        assert asyncio.run(ask_to_join(invitation, forged, wait_s=0)) == ("refused", "")
        assert asyncio.run(ask_to_join(invitation, body, wait_s=0)) == ("pending", "")


def test_a_renewed_connection_loses_no_message(hub, east):
    key = east.pair.public

    async def story():
        answered, sent, stop = set(), [], asyncio.Event()

        async def ask(own):
            while not stop.is_set():
                sent.append(str(len(sent)).encode())
                await own.publish(subject_to(key, "ask"), sent[-1])
                await asyncio.sleep(0.001)

        async def heard(message):
            answered.add(message.data)

        async def subscribe(client):
            async def answer(message):
                await client.publish(subject_from(key, "answer"), message.data)

            await client.subscribe(subject_to(key, "ask"), cb=answer)

        async with connected(hub.folder.hub_access(hub.clock.now())) as own:
            await own.subscribe("hz.from.*.answer", cb=heard)
            old = await connect(east.access())
            await subscribe(old)
            await settled(old)
            asking = asyncio.create_task(ask(own))
            await until(lambda: len(answered) > 20)
            new = await renewed(old, east.access().with_token(token_for(hub, east.pair)), subscribe)
            await until(lambda: len(answered) > len(sent) / 2 + 20)
            assert old.is_closed
            stop.set()
            await asking
            await until(lambda: answered == set(sent))
            await new.close()

    asyncio.run(story())


def test_a_renewal_that_is_refused_leaves_the_old_connection(hub, east):
    async def story():
        async def nothing(client):
            raise AssertionError

        async with connected(east.access()) as old:
            with pytest.raises(FederationError):
                await renewed(old, east.access().with_token(token_for(hub, east.pair, lasts=timedelta(seconds=-1))), nothing)
            await settled(old)

    asyncio.run(story())


def test_an_actor_renews_over_its_own_subject(hub, east):
    async def story():
        async with connected(east.access()) as client:
            key = east.pair.public
            return await client.request(subject_from(key, "renew"), canonical.encode({"key": key}), timeout=PATIENCE_S)

    with answering(hub):
        answer = canonical.decode(asyncio.run(story()).data)
    assert answer["state"] == "admitted"
    east.keep_token(answer["token"], hub.clock.now())


def test_a_site_comes_in_through_an_http_proxy_that_sees_nothing_of_what_is_said(hub, east):
    passed = []

    async def pipe(reader, writer):
        with contextlib.suppress(ConnectionError):
            while content := await reader.read(65_536):
                passed.append(content)
                writer.write(content)
        writer.close()

    async def story(answer):
        tasks = []

        async def proxy(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            passed.append(head.split(b"\r\n")[0])
            writer.write(answer)
            if b" 200 " in answer:
                host, port = head.split(b" ")[1].decode().rsplit(":", 1)
                there, back = await asyncio.open_connection(host, int(port))
                tasks.extend([asyncio.create_task(pipe(reader, back)), asyncio.create_task(pipe(there, writer))])
            else:
                writer.close()

        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        try:
            async with connected(east.access(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")) as client:
                await client.publish(subject_from(east.pair.public, "x"), b"a secret word")
                await settled(client)
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)
        finally:
            server.close()

    asyncio.run(story(b"HTTP/1.1 200 Connection established\r\n\r\n"))
    assert passed[0] == f"CONNECT localhost:{hub.folder.settings.port} HTTP/1.1".encode()
    assert b"a secret word" not in b"".join(passed)
    with pytest.raises(FederationError, match="proxy"):
        asyncio.run(asyncio.wait_for(connect_through_refusing(east, story), PATIENCE_S))


async def connect_through_refusing(east, story):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        await connect(east.access(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), timeout_s=0.3)
    finally:
        server.close()


def test_trouble_is_a_code_and_never_the_words_of_the_error():
    codes = {
        trouble_of(error)
        for error in (OSError("/secret"), ValueError("secret"), ssl.SSLCertVerificationError(1, "secret"), TimeoutError())
    }
    assert codes == {"unreachable", "protocol", "certificate"}


def test_an_access_shows_neither_seed_nor_token(east):
    shown = repr(east.access())
    assert east.access().token not in shown
    assert east.pair.seed() not in shown


def test_an_attempt_that_swallows_its_cancellation_is_given_up_all_the_same(monkeypatch):
    async def stubborn(self, *_, **__):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def nothing(self):
        pass

    monkeypatch.setattr(Client, "connect", stubborn)
    monkeypatch.setattr(Client, "close", nothing)
    access = Access(("tls://127.0.0.1:1",), AUTHORITY, new_pair("user"), "token", "east", "hz.inbox")

    async def story():
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(FederationError, match="cannot be reached"):
                await connect(access, timeout_s=0.05)

    asyncio.run(story())
