"""What a site answers, whatever a hub says: one question in a round, of its own study, judged by what it reads."""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
import pytest

from huizhen import Study
from huizhen.clock import ManualClock
from huizhen.data.examples import Examples, Numbers
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.participant import Participant
from huizhen.federation.rounds import Answered, Ask, Failed, QuestionIdentity, Refused
from huizhen.federation.scheme import PlainSum
from huizhen.federation.selection import muster_question, scope_of
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.policy.gate import Gate
from huizhen.privacy.masking import wide
from huizhen.privacy.release import Terms, Variable

STUDY = Study.parse({"method": {"summary": {"variables": ["age"]}}})
ROSTER = ("east", "north", "south", "west")
KEYS = {site: new_key() for site in ROSTER}
AGES = np.random.default_rng(4).normal(60, 9, 40)


def site_of(name="east", *, scheme=None, policy=None, study=STUDY, ledger=None):
    rows = Examples({"age": Numbers(AGES), "hiv": Numbers(np.ones(40))}, 40)
    gate = Gate(name, policy or DisclosurePolicy(), ledger or MemoryLedger(KEYS[name]), ManualClock())
    return Participant(name, study, rows, gate=gate, scheme=scheme or PlainSum("embedded"))


def first_ask(study=STUDY, **more) -> Ask:
    """The first question of the study's analysis, in a round of its own."""
    analysis = study.analyses[0]
    terms = Terms(variables={name: Variable("number") for name in ("age", "hiv")}, roster=ROSTER)
    question = analysis.method.ask(analysis.method.begin(analysis.spec, terms))
    ask = Ask(
        study.digest, "run", analysis.label, 2, "answer", question, ROSTER, "embedded", scope_of(study, analysis), lineage="c1"
    )
    return replace(ask, **more)


def test_an_answer_is_given_to_the_question_that_was_put():
    site, ask = site_of(), first_ask()
    assert isinstance(site.respond(ask), Answered)
    assert isinstance(site.respond(ask), Answered), "the same may be asked again"


def test_a_second_question_or_roster_in_a_round_is_not_answered():
    site, ask = site_of(), first_ask()
    site.respond(ask)
    other = replace(ask.question, facts={**ask.question.facts, "more": 1})
    for changed in (replace(ask, question=other), replace(ask, roster=ROSTER[:3])):
        reply = site.respond(changed)
        assert isinstance(reply, Failed)
        assert "one question in a round" in reply.reason


def test_a_muster_is_no_way_to_an_answer_that_was_masked():
    """The rows are told in the clear; what was computed for another question in the same round is not."""
    peers = {site: key.public for site, key in KEYS.items()}
    masked = {site: MaskedSum(secrets.token_bytes, SiteIdentity(KEYS[site], peers, secrets.token_bytes)) for site in ROSTER}
    sites = {name: site_of(name, scheme=masked[name]) for name in ROSTER}
    hub = MaskedSum(secrets.token_bytes).at_hub(ROSTER)
    boxes, sent = [], {}
    for stage in hub.stages("sums")[:3]:
        notice = hub.notice(stage)
        asks = {
            name: first_ask(stage=stage, lane="masked", notice=notice, boxes=tuple(b for b in boxes if b.receiver == name))
            for name in ROSTER
        }
        replies = {name: site.respond(asks[name]) for name, site in sites.items()}
        assert all(isinstance(reply, Answered) for reply in replies.values()), replies
        boxes = [box for reply in replies.values() for box in reply.boxes]
        hub.take(stage, replies.items())
        sent = replies
    assert (np.abs(wide.decode(sent["east"].packet["words"]["real"])) > 1e9).all()
    muster = muster_question(STUDY, STUDY.analyses[0])
    reply = sites["east"].respond(first_ask(question=muster, lane="masked"))
    assert isinstance(reply, Failed)
    reply = sites["east"].respond(first_ask(question=muster, lane="masked", lineage=""))
    assert isinstance(reply, Answered)
    assert set(reply.answer.parts) == {"rows"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"lane": "plain"}, "the lane 'plain'"),
        ({"scope": "another"}, "another cohort"),
        ({"analysis": "other"}, "an analysis that the study does not have"),
    ],
)
def test_what_the_hub_says_beside_the_study_is_not_believed(change, found):
    reply = site_of().respond(first_ask(**change))
    assert isinstance(reply, Failed)
    assert found in reply.reason


def test_the_policy_judges_the_method_that_runs_and_not_the_one_that_is_named():
    site, ask = site_of(policy=DisclosurePolicy(methods=("glm",))), first_ask()
    reply = site.respond(replace(ask, question=replace(ask.question, method="glm")))
    assert isinstance(reply, Failed)
    assert "method 'glm'" in reply.reason
    assert isinstance(site.respond(ask), Refused)


def test_a_variable_that_the_hub_does_not_name_is_judged_all_the_same():
    study = Study.parse({"method": {"summary": {"variables": ["hiv"]}}})
    site = site_of(study=study, policy=DisclosurePolicy(denied_variables=("hiv",)))
    analysis = study.analyses[0]
    question = analysis.method.ask(
        analysis.method.begin(analysis.spec, Terms(variables={"hiv": Variable("number")}, roster=ROSTER))
    )
    reply = site.respond(first_ask(study, question=replace(question, variables=())))
    assert isinstance(reply, Refused)
    assert "denied_variables" in reply.clauses


def test_a_site_computes_for_itself_what_makes_a_question_the_same():
    ledger = MemoryLedger(KEYS["east"])
    ask = first_ask(identity=QuestionIdentity("made-up", "made-up"))
    site_of(ledger=ledger).respond(ask)
    (entry,) = ledger.entries()
    assert entry.payload["question"] != "made-up"
    assert entry.payload["question_key"] != "made-up"


def test_all_questions_of_an_exact_method_are_one_where_rosters_are_compared():
    """One fact more, or a coefficient a hair's breadth off, would tell as much by subtraction."""
    ledger, site = MemoryLedger(KEYS["east"]), None
    for number, facts in enumerate(({}, {"more": 1})):
        site = site_of(ledger=ledger)
        ask = first_ask(round=number + 2)
        site.respond(replace(ask, question=replace(ask.question, facts={**ask.question.facts, **facts})))
    keys = {entry.payload["question_key"] for entry in ledger.entries()}
    assert len(keys) == 1
    assert len({entry.payload["question"] for entry in ledger.entries()}) == 2


def test_a_roster_outside_the_study_or_below_its_quorum_is_refused():
    study = Study.parse({"method": {"summary": {"variables": ["age"]}}, "participants": {"sites": list(ROSTER), "quorum": 4}})
    site = site_of(study=study)
    assert isinstance(site.respond(first_ask(study)), Answered)
    for roster in (ROSTER[:3], (*ROSTER, "elsewhere")):
        reply = site_of(study=study).respond(first_ask(study, roster=roster))
        assert isinstance(reply, Failed)
        assert "a roster of" in reply.reason
