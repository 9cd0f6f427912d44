"""Joining: once, in time, for one name, by whoever holds the code; a person admits; a revoked key never comes back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubs import hub_at
from huizhen import canonical
from huizhen.clock import ManualClock
from huizhen.errors import CallerError, MachineError
from huizhen.federation.wire.invitations import join_body, read_code
from huizhen.federation.wire.nkeys import new_pair
from huizhen.federation.wire.subjects import permissions
from huizhen.federation.wire.tokens import FOR_EVER, check_user_token, read_token
from huizhen.hub.actorsdb import ActorStore
from huizhen.hub.joining import Joining, named
from huizhen.ledger.keys import new_key

REFUSED = {"state": "refused", "token": ""}


@pytest.fixture
def hub(tmp_path):
    with hub_at(tmp_path / "hub", clock=ManualClock()) as made:
        yield made


class Guest:
    """Whoever holds a code, with keys of its own."""

    def __init__(self, hub, code, *, pair=None, identity=None):
        self.hub, self.invitation = hub, read_code(code)
        self.pair, self.identity = pair or new_pair("user"), identity or new_key()
        self.body = join_body(self.invitation, self.pair, self.identity)

    def ask(self, **changed):
        return self.hub.joining.join(self.invitation.id, {**self.body, **changed})


def test_an_invited_guest_waits_until_it_is_admitted(hub):
    guest = Guest(hub, hub.joining.invite("East"))
    assert guest.ask() == guest.ask() == {"state": "pending", "token": ""}
    assert [actor.name for actor in hub.joining.pending()] == ["east"]
    hub.joining.admit("East")
    answer = guest.ask()
    allowed = permissions("site", guest.pair.public)
    token = check_user_token(
        answer["token"], account=guest.invitation.account, user=guest.pair.public, allowed=allowed, now=hub.clock.now()
    )
    assert token.expires - token.issued == timedelta(days=90).total_seconds()
    assert hub.joining.pending() == ()


def test_an_invitation_is_used_once(hub):
    code = hub.joining.invite("east")
    first, second = Guest(hub, code), Guest(hub, code)
    assert first.ask()["state"] == "pending"
    assert second.ask() == REFUSED
    assert [actor.nkey for actor in hub.joining.pending()] == [first.pair.public]
    half = Guest(hub, code, pair=first.pair)
    assert half.ask() == REFUSED, "the same connection with another identity is another actor"


def test_of_two_guests_who_ask_at_once_one_is_kept(hub):
    code = hub.joining.invite("east")
    guests = [Guest(hub, code) for _ in range(8)]
    together = threading.Barrier(len(guests))

    def ask(guest):
        together.wait()
        return guest.ask()["state"]

    with ThreadPoolExecutor(len(guests)) as pool:
        assert sorted(pool.map(ask, guests)) == ["pending"] + ["refused"] * 7


def test_an_invitation_ends_after_72_hours(hub):
    guest = Guest(hub, hub.joining.invite("east"))
    hub.clock.advance(72 * 3600 - 1)
    assert guest.ask()["state"] == "pending"
    hub.clock.advance(1)
    assert guest.ask() == REFUSED


def test_an_invitation_for_another_name_or_of_another_id_is_refused(hub):
    east, west = (Guest(hub, hub.joining.invite(name)) for name in ("east", "west"))
    assert hub.joining.join(west.invitation.id, east.body) == REFUSED
    assert hub.joining.join("unknown", east.body) == REFUSED
    assert east.ask(name="west") == REFUSED
    assert hub.joining.pending() == ()


def test_a_key_that_belongs_to_somebody_cannot_join_again(hub):
    first = Guest(hub, hub.joining.invite("east"))
    first.ask()
    code = hub.joining.invite("west")
    assert Guest(hub, code, pair=first.pair).ask() == REFUSED
    assert Guest(hub, code, identity=first.identity).ask() == REFUSED
    assert Guest(hub, code).ask()["state"] == "pending"


def test_a_newer_code_makes_the_older_one_void_and_shuts_its_guest_out(hub):
    old, new = (Guest(hub, hub.joining.invite("east")) for _ in range(2))
    assert old.ask() == REFUSED
    assert new.ask()["state"] == "pending"
    assert len(read_token(hub.joining.account_token()).revoked) == 1


def test_a_name_that_is_taken_is_not_invited_again(hub):
    Guest(hub, hub.joining.invite("East")).ask()
    with pytest.raises(CallerError, match="taken"):
        hub.joining.invite("east")


def test_both_sides_see_the_same_fingerprint_and_others_see_another(hub, tmp_path):
    from huizhen.site.joining import begin

    code = hub.joining.invite("east")
    folder = begin(code, tmp_path / "site")
    invitation = read_code(code)
    hub.joining.join(invitation.id, join_body(invitation, folder.pair, folder.identity))
    (actor,) = hub.joining.pending()
    assert folder.fingerprint() == hub.joining.fingerprint(actor)
    other = begin(code, tmp_path / "thief")
    assert other.fingerprint() != folder.fingerprint()


def test_only_who_waits_is_admitted_and_once(hub):
    with pytest.raises(CallerError, match="no such actor"):
        hub.joining.admit("east")
    Guest(hub, hub.joining.invite("east")).ask()
    hub.joining.admit("east")
    with pytest.raises(CallerError, match="waits"):
        hub.joining.admit("east")


def test_a_revoked_actor_is_in_the_account_for_ever_and_its_name_may_be_invited_anew(hub):
    guest = Guest(hub, hub.joining.invite("east"))
    guest.ask()
    hub.joining.admit("east")
    assert hub.joining.revoke("East").state == "revoked"
    assert read_token(hub.joining.account_token()).revoked[guest.pair.public] == FOR_EVER
    assert guest.ask() == REFUSED
    assert hub.joining.renew(guest.pair.public, {"key": guest.pair.public}) == REFUSED
    again = hub.joining.invite("east")
    assert Guest(hub, again, pair=guest.pair).ask() == REFUSED
    assert Guest(hub, again).ask()["state"] == "pending"
    assert guest.pair.public in read_token(hub.joining.account_token()).revoked


def test_the_account_is_newer_each_time_even_if_the_clock_goes_back(hub, tmp_path):
    first = read_token(hub.joining.account_token()).issued
    yesterday = Joining(hub.folder, hub.store, ManualClock(hub.clock.now() - timedelta(days=1)))
    assert read_token(yesterday.account_token()).issued > first


def test_a_token_is_renewed_for_the_same_key_when_a_third_of_its_life_is_over(hub):
    guest = Guest(hub, hub.joining.invite("east"))
    guest.ask()
    first = hub.joining.admit("east").token
    key = guest.pair.public
    assert hub.joining.renew(key, {"key": key}) == {"state": "admitted", "token": first}
    hub.clock.advance(31 * 86_400)
    fresh = hub.joining.renew(key, {"key": key})["token"]
    assert fresh != first
    assert read_token(fresh).subject == key
    assert read_token(fresh).expires - read_token(first).expires == 31 * 86_400
    assert hub.joining.renew(key, {"key": key})["token"] == fresh


def test_only_an_admitted_actor_renews_and_only_its_own_token(hub):
    guest = Guest(hub, hub.joining.invite("east"))
    guest.ask()
    key, other = guest.pair.public, new_pair("user").public
    assert hub.joining.renew(key, {"key": key}) == REFUSED
    hub.joining.admit("east")
    assert hub.joining.renew(key, {"key": other}) == REFUSED
    assert hub.joining.renew(other, {"key": key}) == REFUSED
    assert hub.joining.renew(key, {}) == REFUSED


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5) | st.binary(max_size=80) | st.just(np.arange(3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("version", "invitation", "name", "nkey", "identity", "nkey_signature", "identity_signature", "binding", "key", "more")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_whatever_values_a_message_holds_it_is_refused_without_an_error(hub, changed):
    if not hub.store.actors():
        hub.guest = Guest(hub, hub.joining.invite("east"))
        hub.guest.ask()
        hub.joining.admit("east")
    body = {**hub.guest.body, **changed}
    if any(key != "version" for key in changed):
        assert hub.joining.join(hub.guest.invitation.id, body) == REFUSED
        assert hub.joining.join(hub.guest.invitation.id, changed) == REFUSED
    assert hub.joining.renew(hub.guest.pair.public, changed) == REFUSED


def test_an_actor_and_a_guest_may_subscribe_to_so_much_and_no_more(hub):
    guest = Guest(hub, hub.joining.invite("east"))
    guest.ask()
    assert read_token(hub.joining.admit("east").token).nats["subs"] == 1000
    assert read_token(guest.invitation.token).nats["subs"] == 10


@pytest.mark.parametrize("content", [b"", b"\x9f" * 3000, b"\xa1\x61a", canonical.encode([1]), canonical.encode({}), b"x" * 10_000])
def test_a_message_that_is_no_request_is_refused(hub, content):
    guest = Guest(hub, hub.joining.invite("east"))
    answer = hub.joining.answer_guest(f"hz.join.{guest.invitation.id}", content)
    assert canonical.decode(answer) == REFUSED
    sound = hub.joining.answer_guest(f"hz.join.{guest.invitation.id}", canonical.encode(guest.body))
    assert canonical.decode(sound)["state"] == "pending"


def test_a_command_beside_the_hub_writes_the_same_file(hub):
    with ActorStore(hub.folder.actors) as other:
        beside = Joining(hub.folder, other, hub.clock)
        before = hub.store.changes()
        Guest(hub, beside.invite("east")).ask()
        beside.admit("east")
        beside.revoke("east")
        assert hub.store.changes() > before
        assert hub.store.actor("east").state == "revoked"


def test_the_hub_keeps_no_secret_of_an_invitation(hub):
    invitation = read_code(hub.joining.invite("east"))
    hub.store.close()
    content = b"".join(path.read_bytes() for path in hub.folder.root.glob("actors.sqlite*"))
    assert invitation.id.encode() in content
    assert invitation.secret not in content


def test_a_file_of_another_program_is_not_taken_for_actors(tmp_path):
    import sqlite3

    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE x (y)")
    other.commit()
    other.close()
    with pytest.raises(MachineError, match="no actors"):
        ActorStore(path)
    (tmp_path / "text").write_text("no database, but long enough to be read as one" * 50)
    with pytest.raises(MachineError, match="cannot be used"):
        ActorStore(tmp_path / "text")


@pytest.mark.parametrize(
    ("text", "name"),
    [("West Lake Hospital", "west-lake-hospital"), ("西湖医院", "西湖医院"), (" A/B: c ", "a-b-c"), ("Ｗｅｓｔ", "west")],
)
def test_a_name_is_made_of_what_people_say(text, name):
    assert named(text) == named(name) == name


@pytest.mark.parametrize("text", ["", "---", "..", "x" * 65, "*"])
def test_a_name_of_nothing_is_refused(text):
    with pytest.raises(CallerError, match="name"):
        named(text)
