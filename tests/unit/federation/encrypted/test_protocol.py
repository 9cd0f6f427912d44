"""The protocol of encrypted sums under drop-outs at every stage, and against a hub, a site or a wire that lies."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from huizhen.errors import FederationError, SiteError
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.encrypted.keeping import Held
from huizhen.federation.encrypted.scheme import EncryptedSum
from huizhen.federation.rounds import Answered, Ask, Box
from huizhen.federation.scheme import ONLY, SiteSide, SiteTurn
from huizhen.ledger.keys import new_key
from huizhen.privacy.masking.short import levels
from huizhen.privacy.paillier.cipher import add
from huizhen.privacy.paillier.holder import KeyHolder
from huizhen.privacy.paillier.keys import make_key
from huizhen.privacy.paillier.obfuscators import Pool, Table
from huizhen.privacy.paillier.wide import WideSlots
from huizhen.privacy.release import Answer, Part, Question

STAGES = ("advertise", "entrust", "encrypt", "confirm", "open")
KEYS = {f"site-{place}": new_key() for place in range(6)}
PRIVATE = make_key(2048, random.Random(370).randbytes)  # a seed that meets primes early
ANOTHER = make_key(2048, random.Random(64).randbytes)
TABLE = Table.of(PRIVATE.public)


def answer_of(place: int) -> Answer:
    rng = np.random.default_rng(place)
    parts = {
        "sums": Part(rng.normal(size=4) * 1e6, 20 + place),
        "counts": Part(rng.integers(5, 90, 5), 20 + place, cells=True),
    }
    return Answer({**parts, "change": Part(rng.normal(size=130).astype(np.float32), 20 + place)}, 20 + place)


@dataclass
class Play:
    """Sites and a hub, stage by stage, with what goes over the wire in the open so that a story can change it.

    The key and the table were made before, as if in an earlier epoch: they take long.
    """

    count: int
    exact: bool = False
    key_holder: str = ""
    number: int = 1
    private: Any = PRIVATE
    revealed: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.roster = tuple(KEYS)[: self.count]
        self.holder = self.key_holder or self.roster[0]
        peers = {site: KEYS[site].public for site in self.roster}
        self.schemes = {
            site: EncryptedSum(secrets.token_bytes, SiteIdentity(KEYS[site], peers, secrets.token_bytes), self.key_holder)
            for site in self.roster
        }
        self.hub = EncryptedSum(secrets.token_bytes, key_holder=self.key_holder).at_hub(self.roster)
        self.kept: dict[str, dict[str, Any]] = {
            site: {"pool": Pool(TABLE, secrets.token_bytes, process=os.getpid)} for site in self.roster
        }
        self.kept[self.holder]["key"] = Held(self.private.public, KeyHolder(self.private))
        self.answers = {site: answer_of(place) for place, site in enumerate(self.roster)}
        self.question = Question("mean", "sums")
        self.boxes: list[Box] = []

    def turn(
        self, stage: str, site: str, notice: Mapping[str, Any], *, boxes: list[Box] | None = None, question: Question | None = None
    ) -> SiteTurn:
        told = {**{name: value for name, value in notice.items() if name != ONLY}, **notice.get(ONLY, {}).get(site, {})}
        mine = tuple(box for box in (self.boxes if boxes is None else boxes) if box.receiver == site)
        asked = question or self.question
        ask = Ask("study", "run", "mean", self.number, stage, asked, self.roster, "masked", "scope", mine, told)
        side = SiteSide(
            site=site,
            exact=self.exact,
            answer=lambda: self.answers[site],
            reveal=lambda roster: self.revealed.setdefault(site, []).append(roster),
            kept=self.kept[site],
            lasting={},
        )
        return self.schemes[site].at_site(ask, side)

    def stage(self, stage: str, present: tuple[str, ...]) -> dict[str, Answered]:
        notice = self.hub.notice(stage)
        turns = {site: self.turn(stage, site, notice) for site in present}
        self.boxes = [box for turn in turns.values() for box in turn.boxes]
        return {site: Answered(turn.answer, turn.boxes, turn.packet) for site, turn in turns.items()}

    def round(self, silent: Mapping[str, tuple[str, ...]] | None = None, until: str = "", change=None) -> tuple[str, ...]:
        """One round; `silent` names the sites that do not answer in a stage. Gives who was there at the end."""
        present = self.roster
        for stage in self.hub.stages("sums"):
            present = tuple(site for site in present if site not in (silent or {}).get(stage, ()))
            replies = self.stage(stage, present)
            if change is not None:
                replies = change(stage, replies)
            unfit = self.hub.take(stage, replies.items())
            present = tuple(site for site in present if site not in unfit)
            if stage == until:
                return present
        self.number += 1
        return present

    def total_of(self, sites: tuple[str, ...]) -> dict[str, Any]:
        each = [self.answers[site] for site in sites]
        return {name: sum(np.asarray(one.parts[name].values, np.float64) for one in each) for name in each[0].parts}


def right(play: Play, sites: tuple[str, ...]) -> None:
    total, expected = play.hub.summed().total, play.total_of(sites)
    assert total.roster == sites
    assert (total.sums["counts"] == expected["counts"]).all()
    assert total.sums["sums"] == pytest.approx(expected["sums"], rel=1e-13)
    step = 2.0**4 / levels(16, play.count)
    assert np.abs(total.sums["change"] - expected["change"]).max() < len(sites) * step / 2 + 1e-4
    assert total.rows == sum(play.answers[site].rows for site in sites)


def prepared(count: int = 5, *, until: str, exact: bool = False, **silent: tuple[str, ...]) -> Play:
    play = Play(count, exact=exact)
    play.round(silent, until=until)
    return play


@pytest.mark.parametrize(("count", "key_holder"), [(3, ""), (5, "site-2")])
def test_rounds_of_one_epoch_give_the_sum(count, key_holder):
    play = Play(count, key_holder=key_holder)
    assert play.hub.stages("sums") == STAGES
    play = Play(count, key_holder=key_holder)
    for _ in range(3):
        play.round()
        right(play, play.roster)
    assert play.hub.stages("sums") == STAGES[2:], "keys are made once for some rounds"
    assert play.revealed == dict.fromkeys(play.roster, [play.roster] * 3), "every gate has agreed to every total, the holder's too"


def test_the_key_is_made_by_its_holder_and_its_private_half_is_nowhere_else():
    play = Play(3)
    play.kept[play.holder].pop("key")
    play.schemes[play.holder] = replace(
        play.schemes[play.holder], identity=replace(play.schemes[play.holder].identity, entropy=random.Random(370).randbytes)
    )
    play.round()
    right(play, play.roster)
    assert play.kept["site-0"]["key"].public == PRIVATE.public
    assert "key" not in play.kept["site-1"]
    p = PRIVATE.canonical()["p"]
    assert p not in repr(play.kept["site-1"]).encode()


def test_one_of_five_may_be_silent_at_any_stage():
    play = Play(5)
    for place, stage in enumerate(STAGES):
        play.hub = EncryptedSum(secrets.token_bytes).at_hub(play.roster)
        play.round({stage: ("site-2",)})
        gone = ("site-2",) if stage in STAGES[:3] else ()
        right(play, tuple(site for site in play.roster if site not in gone))
        play.round()
        right(play, play.roster)
        assert len(play.kept["site-0"]["epochs"]) == 2 * (place + 1), f"a loss while {stage} ends the epoch"
    assert play.kept["site-0"]["key"].public == PRIVATE.public, "and not the key"


@pytest.mark.parametrize("stage", STAGES)
def test_without_the_key_holder_there_is_no_sum_and_the_reason_says_so(stage):
    with pytest.raises(FederationError, match="found key holder site-0: no reply"):
        Play(5).round({stage: ("site-0",)})


def test_a_key_holder_outside_the_roster_is_named():
    play = Play(3)
    hub = EncryptedSum(secrets.token_bytes, key_holder="site-5").at_hub(play.roster)
    hub.stages("sums")
    play.schemes = {site: replace(scheme, key_holder="site-5") for site, scheme in play.schemes.items()}
    with pytest.raises(SiteError, match="a roster without the key holder site-5"):
        play.turn("advertise", "site-1", hub.notice("advertise"))


def test_a_sum_of_two_is_never_made():
    for stage in ("encrypt", "confirm"):
        with pytest.raises(FederationError, match="at least 3"):
            Play(3).round({stage: ("site-1",)})


def test_obfuscators_are_made_ahead_once_a_step_has_been_seen():
    play = Play(3)
    late = []
    for _ in range(4):
        before = play.schemes["site-1"].tally.late
        play.round()
        late.append(play.schemes["site-1"].tally.late - before)
    used = play.schemes["site-1"].tally.used
    assert late[0] > 0, "of an answer that was never seen"
    assert late[3] == 0, f"all of {used} were ready"
    assert len(play.kept["site-1"]["pool"]) > 0


# --- a hub that lies -----------------------------------------------------------------------------------------------------


def test_a_hub_cannot_put_its_own_key_in_the_place_of_the_holders():
    play = prepared(until="advertise")
    for forged in ({"key": ANOTHER.public.canonical()}, {"key_signature": bytes(64)}, {"key_signature": None}):
        with pytest.raises(SiteError, match="a key that does not verify, of site-0"):
            play.turn("entrust", "site-1", {**play.hub.notice("entrust"), **forged})
    for forged in ({"key": {"n": b"", "h": b""}}, {"key": None}):
        with pytest.raises(FederationError, match="key"):
            play.turn("entrust", "site-1", {**play.hub.notice("entrust"), **forged})


def test_a_key_of_an_earlier_epoch_does_not_count_again():
    """Signed by the right site; what its private half has opened before, it would not notice."""
    old, play = prepared(until="advertise").hub.notice("entrust"), prepared(until="advertise")
    with pytest.raises(SiteError, match="a key that does not verify, of site-0"):
        play.turn("entrust", "site-1", {**play.hub.notice("entrust"), "key_signature": old["key_signature"]})


@pytest.mark.parametrize("whose", ["site-0", "site-3"])
def test_an_old_advert_does_not_count_again(whose):
    old, play = prepared(until="advertise").hub.notice("entrust"), prepared(until="advertise")
    notice = play.hub.notice("entrust")
    adverts = {**notice["adverts"], whose: old["adverts"][whose]}
    with pytest.raises(SiteError, match=f"do not verify, of {whose}"):
        play.turn("entrust", "site-1", {**notice, "adverts": adverts})


def test_a_key_shorter_than_the_study_says_is_refused():
    play = prepared(until="advertise")
    play.schemes["site-1"] = replace(play.schemes["site-1"], key_bits=3072)
    with pytest.raises(SiteError, match="a key of 3072 bits"):
        play.turn("entrust", "site-1", play.hub.notice("entrust"))


def test_an_epoch_is_entered_entrusted_and_encrypted_for_once():
    play = Play(3)
    for stage, refused in (("advertise", "entered before"), ("entrust", "entrusted already"), ("encrypt", "encrypted for already")):
        present = play.roster
        if stage == "advertise":
            play.hub.stages("sums")
        play.hub.take(stage, play.stage(stage, present).items())
        with pytest.raises(SiteError, match=refused):
            play.turn(stage, "site-1", play.hub.notice(stage))


@pytest.mark.parametrize("members", [["site-1"], ["site-1", "site-2", "site-3"], ["site-0", "site-2", "site-3"], "all", None])
def test_members_that_are_too_few_or_lack_this_site_or_the_holder_are_refused(members):
    play = prepared(until="entrust")
    with pytest.raises(SiteError, match="list of members"):
        play.turn("encrypt", "site-1", {**play.hub.notice("encrypt"), "members": members})


@pytest.mark.parametrize(
    "survivors",
    [
        ["site-0", "site-1"],
        ["site-1", "site-2", "site-3"],
        ["site-0", "site-2", "site-3"],
        ["site-0", "site-1", "site-1"],
        [],
        None,
    ],
)
def test_a_list_of_survivors_that_is_unsound_is_not_signed(survivors):
    play = prepared(until="encrypt")
    with pytest.raises(SiteError, match="survivors"):
        play.turn("confirm", "site-1", {"place": 0, "survivors": survivors})
    assert play.revealed == {}


def test_a_site_signs_one_list_for_a_place():
    play = prepared(until="encrypt")
    play.turn("confirm", "site-1", {"place": 0, "survivors": [site for site in play.roster if site != "site-4"]})
    with pytest.raises(SiteError, match="second one"):
        play.turn("confirm", "site-1", {"place": 0, "survivors": [site for site in play.roster if site != "site-3"]})


def test_no_total_is_opened_before_enough_have_signed_the_holders_list():
    play = prepared(until="encrypt")
    four = [site for site in play.roster if site != "site-4"]
    lists = dict.fromkeys(play.roster[:4], four) | {"site-0": list(play.roster)}
    signatures = {
        site: play.turn("confirm", site, {"place": 0, "survivors": survivors}).packet["signature"]
        for site, survivors in lists.items()
    }
    for told in (signatures, {}, {"site-1": b"no signature"}, None):
        with pytest.raises(SiteError, match="1 sound signatures"):
            play.turn("open", "site-0", {"place": 0, "signatures": told, "totals": {}})


def test_of_an_exact_method_all_sign_and_no_sum_of_fewer_sites_is_opened():
    play = prepared(until="encrypt", exact=True)
    with pytest.raises(SiteError, match="all of them"):
        play.turn("confirm", "site-1", {"place": 0, "survivors": list(play.roster[:4])})
    play.hub.take("confirm", play.stage("confirm", play.roster[:4]).items())
    with pytest.raises(SiteError, match="4 sound signatures of the list of survivors, expected at least 5"):
        play.turn("open", "site-0", play.hub.notice("open"))
    play = prepared(until="entrust", exact=True)
    with pytest.raises(SiteError, match="whole roster"):
        play.turn("encrypt", "site-1", {**play.hub.notice("encrypt"), "members": list(play.roster[:4])})


def sums_of(play: Play) -> dict[str, dict[str, bytes]]:
    """What each site encrypts in the first round, by site and bundle."""
    seen: dict[str, dict[str, bytes]] = {}

    def remember(stage, replies):
        if stage == "encrypt":
            seen.update({site: reply.packet["sums"] for site, reply in replies.items()})
        return replies

    play.round(until="confirm", change=remember)
    return seen


def forged(sums: dict[str, dict[str, bytes]], sites: tuple[str, ...]) -> dict[str, bytes]:
    """A total of the counts of these sites, one as often as it is named, said to be of three."""
    slots = WideSlots(64, 3, 2048)
    return {"whole": add({f"{place}": sums[site]["whole"] for place, site in enumerate(sites)}, PRIVATE.public, slots)}


@pytest.mark.parametrize("sites", [("site-1",) * 3, ("site-0", "site-1", "site-1")])
def test_one_sites_answer_is_not_opened_as_if_it_were_a_sum(sites):
    play = Play(3)
    sums = sums_of(play)
    told = dict(play.hub.notice("open")[ONLY]["site-0"])
    told["totals"] = {**told["totals"], **forged(sums, sites)}
    with pytest.raises(FederationError, match="not the sum"):
        play.turn("open", "site-0", {"place": 0, **told})
    with pytest.raises(SiteError, match="a second total"):
        play.turn("open", "site-0", play.hub.notice("open"))


@pytest.mark.parametrize("totals", [None, {}, {"whole": b""}, "without one", "one too many"])
def test_totals_of_other_parts_are_not_opened(totals):
    play = prepared(3, until="confirm")
    sound = play.hub.notice("open")[ONLY]["site-0"]
    if totals == "without one":
        totals = {name: one for name, one in sound["totals"].items() if name != "real"}
    elif totals == "one too many":
        totals = {**sound["totals"], "more": b""}
    with pytest.raises(SiteError, match="totals of other parts"):
        play.turn("open", "site-0", {"place": 0, **sound, "totals": totals})


def test_a_total_is_told_to_the_key_holder_alone_and_opened_once():
    play = prepared(3, until="confirm")
    notice = play.hub.notice("open")
    assert set(notice) == {"place", ONLY}
    assert set(notice[ONLY]) == {"site-0"}
    assert play.turn("open", "site-1", notice).packet == {}
    play.turn("open", "site-0", notice)
    with pytest.raises(SiteError, match="a second total"):
        play.turn("open", "site-0", notice)


@pytest.mark.parametrize("lie", ["another question", "other scales"])
def test_a_hub_that_asks_one_site_something_else_gets_no_total(lie):
    """Were the others asked for what is 0, or told scales at which theirs vanish, the sum would be that one site's answer."""
    play = Play(3)
    play.round()
    play.hub.summed()  # so that scales are known
    play.hub.stages("sums")
    notice = play.hub.notice("encrypt")
    change = {"question": Question("mean", "sums", {"of": "something else"})} if lie == "another question" else {}
    scales = {"heights": {"change": notice["heights"]["change"] + np.int8(9)}} if lie == "other scales" else {}
    turns = {site: play.turn("encrypt", site, notice) for site in play.roster[:2]}
    turns["site-2"] = play.turn("encrypt", "site-2", {**notice, **scales}, **change)
    play.hub.take("encrypt", {site: Answered(None, (), turn.packet) for site, turn in turns.items()}.items())
    play.hub.take("confirm", play.stage("confirm", play.roster).items())
    with pytest.raises(SiteError, match="2 sound signatures"):  # the third has signed for what it was told
        play.turn("open", "site-0", play.hub.notice("open"))


def test_the_late_packet_of_another_round_makes_no_total():
    play = Play(3)
    late: dict[str, Any] = {}

    def hold_back(stage, replies):
        if stage == "encrypt":
            if late:
                packet = {**replies["site-1"].packet, "sums": {**replies["site-1"].packet["sums"], "whole": late["whole"]}}
                replies["site-1"] = replace(replies["site-1"], packet=packet)
            else:
                late.update(replies["site-1"].packet["sums"])
        return replies

    play.round(change=hold_back)
    with pytest.raises(FederationError, match="not the sum"):
        play.round(change=hold_back)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"bits": 8}, "coding"),
        ({"heights": {"change": np.zeros(7)}}, "scales"),
        ({"heights": {"change": np.full(2, 100, np.int8)}}, "scales"),
        ({"place": 99}, "outside the epoch"),
        ({"place": "0"}, "outside the epoch"),
    ],
)
def test_a_coding_that_does_not_fit_is_refused(change, match):
    play = prepared(3, until="entrust")
    with pytest.raises(SiteError, match=match):
        play.turn("encrypt", "site-1", {**play.hub.notice("encrypt"), **change})


def test_a_stage_without_keys_says_what_to_do():
    play = prepared(3, until="entrust")
    play.kept["site-1"].clear()  # the site's program was restarted
    with pytest.raises(SiteError, match="a restart forgets them"):
        play.turn("encrypt", "site-1", play.hub.notice("encrypt"))


# --- a site or a wire that lies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sender", "receiver"), [("site-2", "site-0"), ("site-0", "site-2")])
def test_a_box_that_was_changed_on_the_way_is_named(sender, receiver):
    play = prepared(3, until="entrust")
    for spoil in (lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]), lambda sealed: b"", lambda sealed: bytes(len(sealed))):
        boxes = [replace(box, sealed=spoil(box.sealed)) if box.sender == sender else box for box in play.boxes]
        with pytest.raises(SiteError, match=f"no box that opens, of {sender}"):
            play.turn("encrypt", receiver, play.hub.notice("encrypt"), boxes=boxes)


def first(sums: Mapping[str, bytes]) -> bytes:
    return sums["whole"]


@pytest.mark.parametrize(
    ("stage", "packet"),
    [
        ("advertise", {"advert": None}),
        ("advertise", {"advert": {"agreement": b"", "encapsulation": b"", "signature": b""}}),
        ("entrust", {"more": 1}),
        ("encrypt", {"sums": None}),
        ("encrypt", {"sums": {}}),
        ("encrypt", {"sums": lambda sums: {**sums, "whole": None}}),
        ("encrypt", {"sums": lambda sums: {**sums, "whole": first(sums)[:-1]}}),
        ("encrypt", {"sums": lambda sums: {**sums, "whole": first(sums)[:36] + bytes(len(first(sums)) - 36)}}),
        ("encrypt", {"sums": lambda sums: {**sums, "whole": first(sums)[:36] + b"\xff" * (len(first(sums)) - 36)}}),
        ("encrypt", {"sums": lambda sums: {**sums, "whole": sums["real"]}}),
        ("encrypt", {"sums": lambda sums: {**sums, "whole": first(sums)[:34] + b"\x02\x00" + first(sums)[36:]}}),
        ("encrypt", {"outline": [["sums", "addend", "float64", [6], False]]}),
        ("encrypt", {"individual": 5}),
        ("confirm", {"signature": "text"}),
    ],
)
def test_a_packet_that_does_not_fit_leaves_its_site_out_of_the_stage(stage, packet):
    play = Play(4)
    left: dict[str, tuple[str, ...]] = {}
    present = play.roster
    for each in play.hub.stages("sums"):
        replies = play.stage(each, present)
        if each == stage:
            was = replies["site-3"].packet
            changed = {name: value(was[name]) if callable(value) else value for name, value in packet.items()}
            replies["site-3"] = replace(replies["site-3"], packet={**was, **changed})
        left[each] = tuple(play.hub.take(each, replies.items()))
        present = tuple(site for site in present if site not in left[each])
    assert left[stage] == ("site-3",)
    right(play, play.roster[:3] if stage in STAGES[:3] else play.roster)


@pytest.mark.parametrize(("stage", "packet"), [("advertise", {"key": {"n": b"\x04", "h": b"\x02"}}), ("open", {"opened": None})])
def test_what_the_key_holder_sends_has_to_fit_as_well(stage, packet):
    def change(at, replies):
        if at == stage:
            replies["site-0"] = replace(replies["site-0"], packet={**replies["site-0"].packet, **packet})
        return replies

    with pytest.raises(FederationError, match="key holder site-0: what it sent does not fit"):
        Play(3).round(change=change)


def test_numbers_out_of_range_are_seen_in_the_sum():
    play = Play(3)
    huge = Part(np.full(5, -10_000), 20, cells=True)
    play.answers["site-1"] = replace(play.answers["site-1"], parts={**play.answers["site-1"].parts, "counts": huge})
    play.round()
    with pytest.raises(FederationError, match="out of range"):
        play.hub.summed()
