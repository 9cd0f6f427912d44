"""Foul play against the programs as they run: by the hub, a site, a researcher; what of it is refused and by whom.

Attacks on the door (keys, certificates, subjects, half-open connections) stand beside the door, in `tests/unit/federation/wire` and
`tests/unit/hub`; those on a worker in `tests/unit/site/test_worker_process.py`.
"""

from __future__ import annotations

import ast
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import huizhen
from federations import FoulHub, federation, until
from huizhen.canonical import digest
from huizhen.errors import FederationError
from huizhen.federation.consent import Consent
from huizhen.federation.proposal import Initiator, Party, Proposal
from huizhen.federation.reading import settled
from huizhen.federation.rounds import Answered, Ask, Box, Failed, Refused
from huizhen.federation.selection import MUSTER, muster, muster_question, scope_of
from huizhen.federation.study import Study
from huizhen.federation.wire.agreements import Preparation
from huizhen.federation.wire.carried import ask_to, reply_from, reply_to
from huizhen.federation.wire.pulling import NoReply
from huizhen.hub import usecases
from huizhen.ledger.keys import public_hex
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.privacy.release import Answer, Part, Question, Variable
from huizhen.site import running

SITES = ("west", "east", "south")
TABLE = {"age": [40.0 + number for number in range(60)], "sex": ["f", "m"] * 30}
AGE = {"variables": {"age": {"type": "number", "range": [18, 110]}}, "method": {"summary": {"variables": ["age"]}}}
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOOSE = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One site's program, and the hub's keys in foul hands; of the other two sites only their keys are needed."""
    tables = {"west": TABLE, "east": None, "south": None}
    with federation(tmp_path_factory.mktemp("foul"), tables, policies={"west": {"min_cell_count": 1}}, run=False) as programs:
        programs.foul = FoulHub(programs)
        yield programs


@pytest.fixture
def foul(place):
    return place.foul


@pytest.fixture
def west(place):
    return place.sites["west"]


def study(**more):
    return Study.parse(
        {"study": {"title": secrets.token_hex(4)}, "participants": {"sites": list(SITES), "quorum": 2}, **AGE, **more}
    )


def proposed(place, content, id=None):
    parties = [Party(name=name, key=public_hex(place.folders[name].identity.public)) for name in SITES]
    asker, until_ = Initiator(name="li", key="ULI"), NOW + timedelta(days=30_000)
    id = id or f"study-{secrets.token_hex(8)}"
    return Proposal.of(content, id=id, initiator=asker, participants=parties, created=NOW, expires=until_)


def accepted(place, **more):
    """A proposal that the site has accepted by its rules."""
    return place.foul.suggest(proposed(place, study(**more)), "west")


def preparation(proposal, **other):
    read = settled(proposal.study, [], {})
    return replace(Preparation(proposal.digest, f"run-{secrets.token_hex(8)}", SITES, read), **other)


def prepared(place, proposal, **other):
    """A run that the site has made itself ready for."""
    told = preparation(proposal, **other)
    assert place.foul.tell("west", "prepare", **told.content) == {"ready": True}
    return told


def ask(proposal, told, *, question=None, **other):
    """The first ask of a run, or another one."""
    (analysis, *_) = proposal.study.analyses
    question = question or muster_question(proposal.study, analysis)
    lane = "plain" if proposal.study.protection.sum == "plain" else "masked"
    scope = scope_of(proposal.study, analysis)
    asked = Ask(proposal.study.digest, told.run, analysis.label, 1, "answer", question, SITES, lane, scope)
    return replace(asked, **other)


def reply(place, asked):
    return reply_from(place.foul.tell("west", "ask", **ask_to(asked)))


MOMENTS = Question("summary", "moments", {"variables": ["age"]}, ("age",))


def test_what_was_accepted_is_answered(place):
    """So that the refusals below are not refusals of everything."""
    proposal = accepted(place)
    told = prepared(place, proposal)
    answered = reply(place, ask(proposal, told))
    assert isinstance(answered, Answered)
    assert answered.answer.rows == len(TABLE["age"])


# --- a foul hub: what it has a site prepare -------------------------------------------------------------------------------------


def test_nothing_is_prepared_that_was_not_accepted(place, foul):
    with pytest.raises(FederationError, match="has not accepted this study"):
        foul.tell("west", "prepare", **preparation(proposed(place, study())).content)


def test_a_study_that_was_changed_after_consent_is_another_and_not_run(place, foul):
    proposal = accepted(place)
    changed = Study.parse({**proposal.study.content, "method": {"summary": {"variables": ["age", "sex"]}}})
    with pytest.raises(FederationError, match="has not accepted this study"):
        foul.tell("west", "prepare", **preparation(proposed(place, changed, id=proposal.id)).content)
    told = prepared(place, proposal)
    reply_to_changed = reply(place, ask(proposal, told, study=changed.digest))
    assert isinstance(reply_to_changed, Refused)
    assert "digest" in reply_to_changed.reasons[0]


@pytest.mark.parametrize(
    "roster",
    [("west",), ("west", "north"), ("east", "south"), ("west", "west"), ("west", "east", "east"), ()],
    ids=["alone", "with a stranger", "without it", "twice itself", "twice another", "nobody"],
)
def test_a_run_has_a_roster_of_the_proposal_and_not_fewer_than_the_study_asks_for(place, foul, roster):
    with pytest.raises(FederationError, match="not what this site has accepted"):
        foul.tell("west", "prepare", **preparation(accepted(place), roster=roster).content)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"age": Variable("number", range=(18.0, 110.0)), "sex": Variable("category")},
        {"age": Variable("category", range=(18.0, 110.0))},
        {"age": Variable("number")},
        {"age": Variable("number", range=(18.0, 19.0))},
        {"age": Variable("number", range=(18.0, 110.0), levels=("40",))},
        {"age": Variable("number", unit="d", range=(18.0, 110.0))},
        {"age": Variable("image", range=(18.0, 110.0), shape=(1, 8, 8))},
    ],
    ids=["none", "another one", "as a category", "no range", "another range", "levels", "unit", "image"],
)
def test_variables_are_read_as_the_study_declares_them_whatever_the_hub_says(place, foul, variables):
    with pytest.raises(FederationError, match="not what this site has accepted"):
        foul.tell("west", "prepare", **preparation(accepted(place), variables=variables).content)


def test_one_acceptance_is_one_run_and_a_flood_of_runs_starts_no_workers(place, foul, west):
    proposal = accepted(place)
    first = prepared(place, proposal)
    workers, entries = set(west.runs._running), west.ledger.head.entries
    for _ in range(20):
        with pytest.raises(FederationError, match="another run of what was accepted"):
            foul.tell("west", "prepare", **preparation(proposal).content)
    assert set(west.runs._running) == workers
    assert west.ledger.head.entries == entries
    assert foul.tell("west", "prepare", **first.content) == {"ready": True}, "the same again is no flood"


def test_a_run_keeps_what_it_began_with_after_it_was_closed_too(place, foul):
    proposal = accepted(place)
    told = prepared(place, proposal)
    foul.tell("west", "close", proposal=proposal.digest, run=told.run, failed=False)
    with pytest.raises(FederationError, match="than this run began with"):
        foul.tell("west", "prepare", **replace(told, roster=("west", "east")).content)


def test_the_run_of_another_study_is_not_taken_over(place, foul):
    told = prepared(place, accepted(place))
    with pytest.raises(FederationError, match="a run of another study"):
        foul.tell("west", "prepare", **preparation(accepted(place), run=told.run).content)


@pytest.mark.parametrize("run", ["../../escaped", "a/b", "..", ".", "", "a\0b", "x" * 65, "run\n", "C:\\x", "/etc/x", 5, None])
def test_a_run_whose_name_leads_elsewhere_writes_no_file(place, foul, run):
    content = {**preparation(accepted(place)).content, "run": run}
    before = sorted(str(path) for path in place.root.rglob("*") if path.is_dir())
    with pytest.raises(FederationError, match="cannot be read"):
        foul.tell("west", "prepare", **content)
    assert sorted(str(path) for path in place.root.rglob("*") if path.is_dir()) == before


# --- a foul hub: what it asks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"run": "run-0123456789abcdef"}, "not prepared for this run"),
        ({"run": "../west/identity"}, "not prepared for this run"),
        ({"analysis": "glm"}, "an analysis that the study does not have"),
        ({"analysis": "../../x"}, "an analysis that the study does not have"),
        ({"question": Question("glm", "irls", {}, ("age",))}, "method 'glm'"),
        ({"question": Question("tabulate", "cells", {"by": ["sex"]}, ("sex",))}, "method 'tabulate'"),
        ({"lane": "masked"}, "the lane 'masked'"),
        ({"lane": "embedded"}, "the lane 'embedded'"),
        ({"scope": "all patients"}, "another cohort"),
        ({"roster": ("west", "north")}, "a roster with other sites"),
        ({"roster": ("west",), "question": MOMENTS, "round": 2}, "a roster of 1 sites"),
        ({"lineage": "before"}, "a muster within a course"),
    ],
    ids=[
        "run",
        "run elsewhere",
        "analysis",
        "label elsewhere",
        "method",
        "table",
        "masked",
        "lane",
        "scope",
        "roster",
        "alone",
        "lineage",
    ],
)
def test_what_the_study_does_not_say_is_not_answered(place, other, found):
    proposal = accepted(place)
    told = prepared(place, proposal)
    refused = reply(place, ask(proposal, told, **other))
    assert isinstance(refused, Failed)
    assert found in refused.reason


def test_a_masked_study_has_no_sum_in_the_plain_lane(place):
    proposal = accepted(place, protection={"sum": "masked"})
    told = prepared(place, proposal)
    assert isinstance(reply(place, ask(proposal, told)), Answered)
    refused = reply(place, ask(proposal, told, lane="plain", question=MOMENTS, round=2, lineage="a"))
    assert isinstance(refused, Failed)
    assert "the lane 'plain'" in refused.reason


def test_a_second_question_in_a_round_is_not_answered(place):
    proposal = accepted(place, method={"quantile": {"variables": ["age"]}})
    told = prepared(place, proposal)
    assert isinstance(reply(place, ask(proposal, told)), Answered)
    first = Question("quantile", "below", {"at": {"age": [50.0]}}, ("age",))
    steps = [reply(place, ask(proposal, told, question=first, round=2, lineage="a"))]
    steps.append(reply(place, ask(proposal, told, question=replace(first, step="another"), round=2, lineage="a")))
    assert not isinstance(steps[1], Answered)


def test_a_run_is_asked_so_many_questions_and_no_more(place, monkeypatch):
    monkeypatch.setattr(running, "FEW", 6)
    proposal = accepted(place)
    told = prepared(place, proposal)
    replies = [reply(place, ask(proposal, told, round=number)) for number in range(1, 9)]
    assert [isinstance(one, Answered) for one in replies] == 6 * [True] + 2 * [False]
    assert "more questions than the study can need" in replies[-1].reason


def test_nothing_is_answered_once_the_site_has_withdrawn(place, west):
    proposal = accepted(place)
    told = prepared(place, proposal)
    west.inbox.withdraw(proposal.id, decider="Dr. Wu")
    assert reply(place, ask(proposal, told)) == Failed("this site has withdrawn")
    with pytest.raises(FederationError, match="has not accepted this study"):
        place.foul.tell("west", "prepare", **told.content)


def test_what_a_study_reserved_is_free_again_when_the_site_withdraws_whatever_the_hub_does(tmp_path):
    """Three studies of epsilon 3 each in a budget of 4: each has room once the one before was withdrawn from."""
    noisy = {
        "method": {"tabulate": {"rows": "sex"}},
        "variables": {"sex": {"type": "category", "levels": ["f", "m"]}},
        "protection": {"sum": "masked", "noise": {"epsilon": 3.0, "delta": 1e-6}},
    }
    tables, budget = {"west": TABLE, "east": None, "south": None}, {"budget": {"epsilon": 4.0, "delta": 1e-6}}
    with federation(tmp_path, tables, policies={"west": budget}, run=False) as programs:
        programs.foul = FoulHub(programs)
        for again in range(3):
            proposal = accepted(programs, **noisy)
            told = prepared(programs, proposal)
            if not again:
                with pytest.raises(FederationError, match="budget"):
                    programs.foul.tell("west", "prepare", **preparation(accepted(programs, **noisy)).content)
            programs.sites["west"].inbox.withdraw(proposal.id, decider="Dr. Wu")
            until(lambda run=told.run: run not in programs.sites["west"].runs._running, "the end of the run")


def test_workers_do_not_grow_with_the_studies_that_are_prepared(place, west):
    for _ in range(running.AT_ONCE + 2):
        prepared(place, accepted(place))
    assert len(west.runs._running) == running.AT_ONCE


# --- a foul hub: what it sends ---------------------------------------------------------------------------------------------------

leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
bodies = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=10
)
VERBS = ("ask", "prepare", "close", "news", "inbox", "", "no such verb")


def said_by(asking):
    """What a program says, or why not; fails where it is silent, or stumbled."""
    try:
        return asking()
    except NoReply:
        pytest.fail("a program that is silent has broken")
    except FederationError as error:
        return pytest.fail(str(error)) if "broke" in error.message else error


def publish(bus, subject, payload):
    async def send():
        await bus._client.publish(subject, payload)
        await bus._client.flush()

    bus.loop.run(send())


@settings(max_examples=40, **LOOSE)
@given(verb=st.sampled_from(VERBS), body=st.dictionaries(st.text(max_size=8), bodies, max_size=4))
def test_whatever_a_body_holds_the_site_says_why_not_and_goes_on(place, foul, verb, body):
    told = said_by(lambda: foul.bus.ask(verb, body, peer=place.folders["west"].pair.public))
    assert verb == "news" or isinstance(told, FederationError) or told.get("reply") in ("failed", "untold")


@settings(max_examples=40, **LOOSE)
@given(tail=st.sampled_from(["ask", "reply", "want.ask", "piece.reply", "done.reply", "working"]), noise=st.binary(max_size=200))
def test_bytes_that_are_no_message_are_dropped(place, foul, tail, noise):
    key, head, *kind = place.folders["west"].pair.public, *tail.split(".")
    place_ = f"hz.to.{key}.{'.'.join([head, *kind, 'f' * 32])}{'.0' if head in ('want', 'piece') else ''}"
    publish(foul.bus, place_, noise)
    assert foul.tell("west", "news") == {}


@pytest.mark.parametrize("field", ["proposal", "run", "roster", "variables"])
@settings(max_examples=15, **LOOSE)
@given(value=bodies)
def test_a_preparation_with_a_field_of_anything_else_is_refused(place, foul, field, value):
    content = preparation(proposed(place, study())).content
    with pytest.raises(FederationError):
        foul.tell("west", "prepare", **{**content, field: value})


def test_an_inbox_of_nonsense_or_of_very_much_does_not_hide_what_comes_after(place, foul, west):
    sound, told = foul._inbox, {"now": NOW.isoformat(), "suggestions": [], "states": {}}
    answers = [
        {"now": "yesterday", "suggestions": 5, "states": {"": []}},
        {**told, "suggestions": 10_001 * [{"proposal": {}, "state": ""}]},
        {"error": 5},
        {**told, "suggestions": [{"proposal": {"id": "../x"}, "state": "x"}]},
    ]
    foul.bus._verbs["inbox"] = lambda peer, body: answers.pop(0) if answers else sound(peer, body)
    try:
        while answers:
            foul.tell("west", "news")
        until(lambda: not answers, "a look")
        until(lambda: any("suggestion that cannot be read here" in told for told in place.said), "a word to the operator")
        assert any("inbox.suggestions" in told for told in place.said)
        proposal = accepted(place)
        assert isinstance(reply(place, ask(proposal, prepared(place, proposal))), Answered)
    finally:
        foul.bus._verbs["inbox"] = sound


# --- foul sites and researchers --------------------------------------------------------------------------------------------------


class FoulSite:
    """An admitted site that accepts everything over its own connection, and answers as a story says."""

    def __init__(self, programs, name, answer=lambda asked: {}) -> None:
        self.programs, self.name, self.answer, self.asked = programs, name, answer, []
        ready = {"ready": True}
        verbs = {"prepare": lambda *_: ready, "news": lambda *_: {}, "close": lambda *_: self.close(), "ask": self._ask}
        self.bus = programs.bus(name, verbs)
        self.key = programs.folders[name].identity

    def close(self):
        return {"entries": "many", "head": 5}

    def _ask(self, _peer, body):
        self.asked.append(body)
        return self.answer(body)

    def consent(self, id, choice="accept", *, name=None, key=None, **changed):
        (told,) = (one["proposal"] for one in self.bus.ask("inbox", {"known": []})["suggestions"] if one["proposal"]["id"] == id)
        policy = DisclosurePolicy(min_cell_count=1).model_dump(mode="json")
        said = Consent(digest(told), id, name or self.name, choice, "", NOW.isoformat(), policy=policy, **changed)
        return said.signed(key or self.key).content

    def accept(self, id, **changed):
        return self.bus.ask("consent", self.consent(id, **changed))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub's program, two honest sites, and a third in foul hands; a researcher, and one who means no good."""
    tables = {"west": TABLE, "east": TABLE, "foul": None}
    policies = {"west": {"min_cell_count": 1}, "east": {"min_cell_count": 1}}
    with federation(tmp_path_factory.mktemp("hub"), tables, policies=policies, people=("li", "mallory")) as programs:
        programs.bad = FoulSite(programs, "foul")
        yield programs


def three(**more):
    return {
        "study": {"title": "Age"},
        "participants": {"sites": ["west", "east", "foul"], "round_deadline": "5 s", "patience": 0},
        **AGE,
        **more,
    }


def with_part(**changed):
    return reply_to(Answered(Answer({"rows": replace(Part(np.array([60]), 60), **changed)}, changed.get("rows", 60))))


LIES = {
    "nothing": {},
    "a word": {"reply": "answered"},
    "no array": {
        "reply": "answered",
        "answer": {"rows": 60, "parts": {"rows": {"values": [60], "rows": 60}}},
        "boxes": [],
        "packet": {},
    },
    "another part": reply_to(Answered(Answer({"secret": Part(np.ones(3), 60)}, 60))),
    "another shape": with_part(values=np.ones((7, 7))),
    "not a number": with_part(values=np.array([np.nan])),
    "fewer than none": with_part(values=np.array([-60]), rows=0),
    "a single site's": with_part(kind="individual"),
    "labels": with_part(keys=("../../x",)),
    "boxes of others": reply_to(Answered(None, (Box("west", "east", b"x"),))),
    "a refusal of a million": {"reply": "refused", "reasons": ["x"] * 1_000_000, "clauses": []},
    "a reason of a million": {"reply": "failed", "reason": "x" * 1_000_000},
    "a code for a terminal": {"reply": "failed", "reason": "\x1b]0;owned\x07"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_site_that_answers_anything_else_is_left_out_by_name_and_the_rest_is_true(hub, lie):
    hub.bad.answer = lambda asked: LIES[lie]
    id = hub.li.submit(three())
    hub.bad.accept(id)
    (told,) = hub.li.found(id).outcomes
    if told.result.failure:
        assert "foul" in told.result.failure
    else:
        assert told.roster == ("west", "east")
        assert told.result.tables["numbers"].columns["mean"][0] == pytest.approx(np.mean(TABLE["age"]))


def test_a_broken_consent_is_refused_and_the_hub_leads_on(hub):
    id = hub.li.submit(three())
    for changed in ({"reads": {"age": {"kind": 5}}}, {"name": "west"}, {"key": hub.folders["west"].identity, "name": "west"}):
        if "reads" not in changed:
            with pytest.raises(FederationError, match="not the site's own"):
                hub.bad.bus.ask("consent", hub.bad.consent(id, **changed))
    with pytest.raises(FederationError, match="cannot be read"):
        hub.bad.bus.ask("consent", {**hub.bad.consent(id), "reads": {"age": 5}})
    hub.bad.answer = lambda asked: {}
    hub.bad.accept(id, reads={"age": {"kind": 5, "shape": "large"}})
    assert hub.li.ended(id)["state"] == "done"


def test_what_makes_the_hubs_own_program_stumble_ends_that_study_alone(hub, monkeypatch):
    def stumble(*_):
        raise RuntimeError("a patient's value")

    monkeypatch.setattr("huizhen.hub.conducting.terms_of", stumble)
    monkeypatch.setattr("huizhen.hub.conducting.plan_of", stumble)
    two = {**three(), "participants": {"sites": ["west", "east"]}}
    told = hub.li.ended(hub.li.submit(two))
    assert told["state"] == "failed"
    assert "RuntimeError" in told["reason"]
    assert "patient" not in told["reason"]
    monkeypatch.undo()
    assert hub.li.ended(hub.li.submit(two))["state"] == "done"


def test_a_site_that_is_shut_out_in_mid_study_is_out_of_the_rest_of_it(tmp_path):
    """Its key is revoked while it is asked; the study goes on without it, and it can say nothing more."""
    tables = {"west": TABLE, "east": TABLE, "foul": None}
    policies = {"west": {"min_cell_count": 1}, "east": {"min_cell_count": 1}}
    with federation(tmp_path, tables, policies=policies) as programs:

        def answer(asked):
            if asked["question"]["step"] == MUSTER:
                return reply_to(Answered(muster(60)))
            programs.hub._joining.revoke("foul")
            return {}

        bad = FoulSite(programs, "foul", answer)
        id = programs.li.submit(three())
        bad.accept(id)
        (told,) = programs.li.found(id).outcomes
        assert told.roster == ("west", "east")
        assert told.losses[-1].site == "foul"
        asked = len(bad.asked)
        until(lambda: not bad.bus.is_connected, "the end of its connection", 5)
        with pytest.raises(NoReply):
            bad.bus.ask("studies", {}, timeout_s=0.5)
        two = {**three(), "participants": {"sites": ["west", "east"]}}
        assert programs.li.ended(programs.li.submit(two))["state"] == "done"
        assert len(bad.asked) == asked


def test_a_bomb_of_shared_values_costs_the_hub_nothing(hub):
    bomb = b"\x98\xc8" + b"\xd8\x1c\x82\x00\x00" + b"".join(b"\xd8\x1c\x82" + 2 * bytes([0xD8, 0x1D, 0x18, n]) for n in range(199))
    head = b"\xa2\x64verb\x66submit\x64body" + bomb
    whole = b"HZ\x01\x00" + len(head).to_bytes(4, "little") + head + bytes(-len(head) % 8)
    key = hub.folders["mallory"].pair.public
    for number in range(100):
        publish(hub.mallory.bus, f"hz.from.{key}.ask.{number:032x}", whole)
    assert hub.li.ask("studies")["studies"] is not None


@settings(max_examples=60, **LOOSE)
@given(
    verb=st.sampled_from(
        sorted(["submit", "propose", "status", "studies", "cancel", "result", "inbox", "consent", "renew", "events"])
    ),
    body=st.dictionaries(st.sampled_from(["id", "study", "known", "since", "nonce", "key", "proposal", "x"]), bodies, max_size=4),
)
def test_whatever_a_researcher_asks_the_hub_says_why_not_and_goes_on(hub, verb, body):
    told = said_by(lambda: hub.mallory.bus.ask(verb, body))
    assert isinstance(told, FederationError) or (verb in ("studies", "renew") and not told.get("studies"))


@pytest.mark.parametrize("id", ["../../etc/passwd", "study-0", "", "a" * 65, "a/b", "\0"])
@pytest.mark.parametrize("verb", ["status", "cancel", "result", "propose", "events"])
def test_an_id_that_leads_elsewhere_is_no_study(hub, verb, id):
    with pytest.raises(FederationError, match=r"no such study|cannot be read"):
        hub.mallory.ask(verb, id=id, **({"since": 0} if verb == "events" else {}))


def test_a_flood_of_studies_is_stopped_and_leaves_room_for_others(hub, monkeypatch):
    monkeypatch.setattr(usecases, "OPEN_AT_MOST", 3)
    waits = {**three(), "start": {"at": "2100-01-01T00:00:00+00:00"}}
    ids = [hub.mallory.submit(waits) for _ in range(3)]
    with pytest.raises(FederationError, match="cannot be proposed"):
        hub.mallory.submit(waits)
    other = hub.li.submit(waits)
    for id in ids:
        hub.mallory.ask("cancel", id=id)
    hub.li.ask("cancel", id=other)
    hub.mallory.ask("cancel", id=hub.mallory.submit(waits))


def test_a_site_has_a_full_inbox_in_several_answers(hub, monkeypatch):
    monkeypatch.setattr(usecases, "AT_A_TIME", 2)
    waits = {**three(), "start": {"at": "2100-01-01T00:00:00+00:00"}}
    ids = [hub.li.submit(waits) for _ in range(5)]
    west = hub.sites["west"]
    until(lambda: {one.study for one in west.inbox.entries()} >= set(ids), "all five suggestions", 10)
    for id in ids:
        hub.li.ask("cancel", id=id)


# --- what is not there cannot be attacked ----------------------------------------------------------------------------------------

FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "gzip", "lzma", "bz2", "zipfile", "tarfile"}


def test_nothing_between_hub_and_site_unpickles_or_decompresses():
    """`zlib` is there for its checksum of a checkpoint alone."""
    root = Path(huizhen.__file__).parent
    for path in [path for room in ("federation", "hub", "site") for path in (root / room).rglob("*.py")] + [root / "canonical.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            named |= {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
            named |= {node.attr} if isinstance(node, ast.Attribute) else set()
            assert not named & (FORBIDDEN | {"decompress", "decompressobj"}), path
            assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", True)), path
