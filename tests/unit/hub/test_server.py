"""The hub's server: it answers, comes back when killed, leaves nothing behind, and tells why it cannot run."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import types
from datetime import timedelta

import pytest

from hubs import PATIENCE_S, connected, free_port, hub_at, need_nats_server, running, site_of, until
from huizhen.errors import CallerError, FederationError, MachineError
from huizhen.federation.wire.access import connect, settled
from huizhen.federation.wire.certificates import Certified, new_server_certificate
from huizhen.hub.configuration import advisory, configuration
from huizhen.hub.server import Server


@pytest.fixture
def hub(tmp_path):
    with hub_at(tmp_path / "hub") as made:
        yield made


async def echoing(client, key):
    async def answer(message):
        await client.publish(f"hz.to.{key}.echo", message.data)

    await client.subscribe(f"hz.from.{key}.echo", cb=answer)
    await settled(client)


async def says(client, key, heard, word):
    """Say a word until it comes back, as everything is asked again until it is answered."""

    async with asyncio.timeout(PATIENCE_S):
        while word not in heard:
            await client.publish(f"hz.from.{key}.echo", word)
            await asyncio.sleep(0.02)


def test_a_killed_server_is_started_again_and_clients_come_back(hub, tmp_path):
    site = site_of(hub, "east", tmp_path / "east")
    key = site.pair.public

    async def story():
        heard = set()

        async def hear(message):
            heard.add(message.data)

        lost, back = [], []
        async with connected(hub.folder.hub_access(hub.clock.now())) as own:
            await echoing(own, key)
            async with connected(site.access(), lost=lambda: lost.append(1), back=lambda: back.append(1)) as client:
                await client.subscribe(f"hz.to.{key}.>", cb=hear)
                await says(client, key, heard, b"before")
                first = hub.server.pid
                os.kill(first, signal.SIGKILL)
                await until(lambda: back)
                await says(client, key, heard, b"after")
                assert hub.server.pid not in (0, first)
                assert lost

    with running(hub):
        asyncio.run(story())
    assert any("died" in said for said in hub.said)


def test_nothing_is_left_when_the_hub_leaves(hub):
    with running(hub):
        pid = hub.server.pid
        assert pid
    assert hub.server.pid == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (hub.folder.nats / "nats.pid").exists()


def test_the_server_that_a_killed_hub_left_behind_is_stopped_first(hub):
    need_nats_server()
    with running(hub):
        orphan = hub.server.pid
        second = Server(hub.folder, hub.joining.account_token, hub.clock, hub.said.append)
        with pytest.raises(CallerError, match="runs already"):
            second.__enter__()
        assert hub.server.pid == orphan
        hub.server._leaving.set()  # the first hub is dead: it starts nothing again, and its lock is gone
        os.close(hub.server._claim)
        hub.server._claim = None
        with second:
            assert second.pid not in (0, orphan)
            assert any("left behind" in said for said in hub.said)


def test_a_port_of_another_program_is_left_alone(hub):
    need_nats_server()
    with socket.create_server(("127.0.0.1", hub.folder.settings.port)), pytest.raises(MachineError, match="in use"):
        Server(hub.folder, hub.joining.account_token, hub.clock).__enter__()


def test_a_port_of_another_hub_is_named(hub, tmp_path):
    with hub_at(tmp_path / "other", port=hub.folder.settings.port) as other, running(hub):
        with pytest.raises(MachineError, match="another hub's server"):
            Server(other.folder, other.joining.account_token, other.clock).__enter__()
        assert hub.server.pid


def test_a_missing_program_is_told_with_the_command_that_installs_it(tmp_path):
    with hub_at(tmp_path / "hub", program="no-such-nats-server") as hub, pytest.raises(MachineError, match="apt-get install"):
        Server(hub.folder, hub.joining.account_token, hub.clock).__enter__()


def test_a_server_that_refuses_its_configuration_is_told_with_its_last_words(hub, monkeypatch):
    need_nats_server()
    certificate = new_server_certificate(_authority(hub), hub.folder.settings.hosts, hub.clock.now()).certificate
    hub.folder.server_certificate.write_bytes(certificate)  # its key is missing
    hub.folder.server_certificate.chmod(0o600)
    with pytest.raises(MachineError, match="does not come up"):
        Server(hub.folder, hub.joining.account_token, hub.clock).__enter__()


def test_an_expired_certificate_is_made_anew_before_the_server_starts(hub, tmp_path):
    _expire(hub)
    with running(hub):
        asyncio.run(_comes_in(hub.folder.hub_access(hub.clock.now())))


def test_a_site_refuses_a_server_whose_certificate_has_expired(hub, tmp_path):
    site = site_of(hub, "east", tmp_path / "east")
    with running(hub):
        asyncio.run(_comes_in(site.access()))
        _expire(hub)
        later = hub.clock.now() + timedelta(days=1)
        hub.server._clock = types.SimpleNamespace(now=lambda: later, seconds=hub.clock.seconds)
        hub.server.reload()
        asyncio.run(_sees(hub, "expired"))
        with pytest.raises(FederationError, match="certificate"):
            asyncio.run(connect(site.access()))


def test_half_open_connections_do_not_keep_a_site_out(hub, tmp_path):
    site = site_of(hub, "east", tmp_path / "east")
    place = ("127.0.0.1", hub.folder.settings.port)
    with running(hub):
        half_open = [socket.create_connection(place) for _ in range(300)]
        hello = bytes.fromhex("160301020001")  # the first bytes of a TLS handshake, and never the rest
        for line in half_open[::2]:
            line.sendall(hello)
        try:
            asyncio.run(_comes_in(site.access()))
            for line in half_open:
                line.settimeout(PATIENCE_S)
                while line.recv(65_536):  # the greeting, and then the end: the server closed it
                    pass
        except ConnectionResetError:
            pass
        finally:
            for line in half_open:
                line.close()


def test_the_websocket_port_speaks_tls(tmp_path):
    with hub_at(tmp_path / "hub", websocket_port=free_port()) as hub, running(hub):
        context = ssl.create_default_context(cadata=hub.folder.authority.decode())
        place = ("127.0.0.1", hub.folder.settings.websocket_port)
        with socket.create_connection(place) as line, context.wrap_socket(line, server_hostname="localhost") as secure:
            secure.sendall(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert secure.recv(100).startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize(
    ("version", "open_"),
    [
        ("nats-server: v2.9.10", True),
        ("v2.10.26", True),
        ("2.10.27", False),
        ("2.11.0", True),
        ("2.11.1", False),
        ("2.12.0", False),
        ("?", True),
    ],
)
def test_releases_with_an_open_advisory_are_named(version, open_):
    assert (advisory(version) is not None) == open_


def test_a_path_that_could_end_a_value_of_the_configuration_is_refused(tmp_path):
    with hub_at(tmp_path / 'a"b') as hub, pytest.raises(CallerError, match="quotation mark"):
        configuration(hub.folder, hub.joining.account_token(), hub.clock.now())


def test_a_folder_with_a_chinese_name_and_blanks_runs(tmp_path):
    with hub_at(tmp_path / "会诊 中心") as hub, running(hub):
        asyncio.run(_comes_in(hub.folder.hub_access(hub.clock.now())))


async def _comes_in(access):
    async with connected(access) as client:
        assert client.is_connected


async def _sees(hub, word):
    """Wait until the server shows the certificate that it was told to read again."""
    context = ssl.create_default_context(cadata=hub.folder.authority.decode())

    def shown():
        try:
            with socket.create_connection(("127.0.0.1", hub.folder.settings.port)) as line:
                line.recv(65_536)
                context.wrap_socket(line, server_hostname="localhost").close()
        except ssl.SSLCertVerificationError as error:
            return word in str(error)
        return False

    await until(shown)


def _expire(hub):
    long_ago = hub.clock.now() - timedelta(days=30)
    old = new_server_certificate(_authority(hub), hub.folder.settings.hosts, long_ago, lasts=timedelta(days=10))
    hub.folder.server_certificate.write_bytes(old.certificate + old.key)


def _authority(hub):
    return Certified(hub.folder.authority, (hub.folder.root / "tls/authority.key").read_bytes())


def test_the_program_is_found_where_it_is_installed_even_outside_the_path(hub, monkeypatch):
    need_nats_server()
    if shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin:/usr/local/bin") is None:
        pytest.skip("nats-server is installed elsewhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with running(hub):
        assert hub.server.pid
