"""A site's inbox: rules or people decide; what runs is exactly what was accepted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from huizhen import canonical
from huizhen.clock import ManualClock, written
from huizhen.errors import CallerError, PolicyError, SiteError
from huizhen.federation.consent import Consent
from huizhen.federation.proposal import Initiator, Party, Proposal
from huizhen.federation.study import Study
from huizhen.ledger.keys import new_key, public_hex
from huizhen.ledger.store import MemoryLedger
from huizhen.site.db import SiteStore
from huizhen.site.inbox import Inbox
from huizhen.site.settings import parse_settings

KEYS = {name: new_key() for name in ("east", "west", "north")}
STUDY = {"method": {"summary": {"variables": ["age"]}}}
MASKED = {
    "variables": {"sex": {"type": "category", "levels": ["f", "m"]}},
    "method": {"tabulate": {"rows": "sex"}},
    "protection": {"sum": "masked"},
}
AUTOMATIC = {"fitting": "accept", "unfitting": "decline"}


def configured(tmp_path, **tables):
    return parse_settings({"site": {"name": "east"}, "source": {"main": {"path": "t.csv"}}, **tables}, tmp_path)


def propose(study=STUDY, clock=None, hours=72, id="study-1", **changed):
    now = (clock or ManualClock()).now()
    parties = [Party(name=name, key=public_hex(key.public)) for name, key in KEYS.items()]
    said = {"initiator": Initiator(name="li", key="ULI"), "participants": parties, "created": now}
    return Proposal.of(Study.parse(study), id=id, **{**said, "expires": now + timedelta(hours=hours), **changed})


def told(*proposals, now=None, states=None):
    suggestions = [{"proposal": getattr(one, "content", one), "state": "proposed"} for one in proposals]
    sent = {"now": written(now or ManualClock().now()), "suggestions": suggestions, "states": states or {}}
    return canonical.decode(canonical.encode(sent))


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(tmp_path):
    with SiteStore(tmp_path / "site.sqlite") as opened:
        yield opened


@pytest.fixture
def make(tmp_path, store, clock):
    def inbox(count=None, **tables):
        key = KEYS["east"]
        return Inbox("east", configured(tmp_path, **tables), store, key, public_hex(key.public), clock, count)

    return inbox


def standing(inbox, proposal):
    return inbox.find(proposal.digest).standing


def test_a_suggestion_waits_for_a_person_who_accepts_it(make):
    inbox, proposal = make(), propose()
    assert inbox.take(told(proposal)).new == (proposal.digest,)
    assert inbox.pending() == ()
    with pytest.raises(PolicyError, match="open here"):
        inbox.accepted(proposal.digest)
    consent = inbox.accept("study-1", decider="dr-chen")
    assert consent.is_signed_by(KEYS["east"].public)
    assert consent.policy["min_cell_count"] == 5
    may_run = inbox.accepted(proposal.digest)
    assert (may_run.proposal, may_run.source, may_run.decider) == (proposal, "main", "dr-chen")


def test_a_suggestion_is_accepted_by_rule(make):
    inbox, proposal = make(accept=AUTOMATIC), propose(MASKED)
    inbox.take(told(proposal))
    assert inbox.accepted(proposal.digest).decider == "rules"
    assert [one.choice for one in inbox.pending()] == ["accept"]


def test_a_suggestion_that_does_not_fit_is_declined_by_rule_with_its_reason(make):
    inbox, proposal = make(accept=AUTOMATIC), propose()
    inbox.take(told(proposal))
    assert standing(inbox, proposal) == "declined"
    assert inbox.pending()[0].consent["reason"] == "accept.sums does not name plain"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({"who": ["wang"]}, "accept.who does not name li"),
        ({"methods": ["cox"]}, "accept.methods does not name tabulate"),
        ({"min_participants": 4}, "accept.min_participants is 4, and 3 sites take part"),
    ],
)
def test_every_rule_can_make_a_suggestion_wait(make, rules, found):
    inbox, proposal = make(accept={"fitting": "accept", **rules}), propose(MASKED)
    inbox.take(told(proposal))
    kept = inbox.find(proposal.digest)
    assert (kept.standing, kept.notes) == ("open", (found,))
    inbox.accept("study-1", decider="dr-chen")  # a person may accept it all the same
    assert standing(inbox, proposal) == "accepted"


def test_rounds_and_values_of_one_site_are_bounded_by_rule(make):
    network = {"network": "logistic", "outcome": "died", "covariates": ["age"], "rounds": 50, "order": "cyclic"}
    inbox = make(accept={"fitting": "accept", "max_rounds": 20, "sums": ["plain"]}, policy={"allow_individual": True})
    proposal = propose({"method": {"averaging": network}})
    inbox.take(told(proposal))
    assert inbox.find(proposal.digest).notes == (
        "accept.individual is false, and averaging asks for values of this site alone",
        "accept.max_rounds is 20, and the study may ask 50 times",
    )


def test_what_the_configuration_forbids_is_accepted_by_nobody(make):
    inbox, proposal = make(policy={"lanes": ["masked"], "denied_variables": ["age"]}), propose()
    inbox.take(told(proposal))
    with pytest.raises(PolicyError) as caught:
        inbox.accept("study-1", decider="dr-chen")
    assert {problem.where for problem in caught.value.problems} == {"lanes", "denied_variables"}
    assert standing(inbox, proposal) == "open"


def test_exact_answers_are_not_accepted_beside_a_privacy_budget(make):
    inbox = make(policy={"budget": {"epsilon": 1.0, "delta": 1e-6}})
    inbox.take(told(propose()))
    with pytest.raises(PolicyError, match="carry no noise"):
        inbox.accept("study-1", decider="dr-chen")


def test_a_method_that_is_not_enabled_is_not_even_loaded(make):
    inbox, proposal = make(enabled={"methods": ["cox"]}), propose()
    looked = inbox.take(told(proposal))
    assert looked.new == ()
    assert "enabled.methods: found summary" in looked.unreadable[0]
    with pytest.raises(PolicyError, match="methods that are enabled"):
        inbox.accept("study-1", decider="dr-chen")
    assert inbox.decline("study-1", decider="dr-chen", why="not here").proposal == proposal.digest


def test_a_person_declines_with_a_reason(make):
    inbox, proposal = make(), propose()
    inbox.take(told(proposal))
    assert inbox.decline("study-1", decider="dr-chen", why="no time").reason == "no time"
    with pytest.raises(CallerError, match="a suggestion that is declined"):
        inbox.accept("study-1", decider="dr-chen")


def test_a_suggestion_expires(make, clock):
    inbox, proposal = make(), propose(hours=2)
    inbox.take(told(proposal))
    clock.advance(7200)
    with pytest.raises(CallerError, match="expired"):
        inbox.accept("study-1", decider="dr-chen")
    assert inbox.expire() == (proposal.digest,)
    assert standing(inbox, proposal) == "expired"


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_off_by_a_day_lets_nothing_expire_early_or_stay_open(make, clock, days):
    hub_now = clock.now() - timedelta(days=days)
    proposal = propose(hours=2, created=hub_now, expires=hub_now + timedelta(hours=2))
    inbox = make()
    assert inbox.take(told(proposal, now=hub_now)).clock_off_s == days * 86_400
    clock.advance(7199)
    assert inbox.expire() == ()
    clock.advance(1)
    assert inbox.expire() == (proposal.digest,)


def test_a_site_withdraws_and_answers_nothing_any_more(make):
    inbox, proposal = make(), propose()
    inbox.take(told(proposal))
    inbox.accept("study-1", decider="dr-chen")
    inbox.withdraw("study-1", decider="dr-li", why="audit")
    with pytest.raises(PolicyError, match="withdrawn here"):
        inbox.accepted(proposal.digest)
    assert [one.choice for one in inbox.pending()] == ["accept", "withdraw"]
    with pytest.raises(CallerError, match="withdrawn"):
        inbox.withdraw("study-1", decider="dr-li")


def test_a_study_that_was_changed_after_consent_is_not_run(make):
    inbox, proposal = make(), propose()
    inbox.take(told(proposal))
    inbox.accept("study-1", decider="dr-chen")
    changed = propose({"method": {"summary": {"variables": ["age", "postcode"]}}})
    inbox.take(told(changed))
    with pytest.raises(PolicyError, match="open here"):
        inbox.accepted(changed.digest)
    assert inbox.accepted(proposal.digest).proposal.study == proposal.study
    for strange in ("ff" * 32, "", None, b"x", proposal.digest[:12]):
        with pytest.raises(PolicyError, match="does not know"):
            inbox.accepted(strange)


def test_a_suggestion_in_which_this_site_has_another_key_is_never_accepted(make):
    parties = [Party(name=name, key=public_hex(new_key().public)) for name in KEYS]
    inbox = make(accept=AUTOMATIC)
    forged = propose(MASKED, participants=parties)
    assert "another key" in inbox.take(told(forged)).unreadable[0]
    with pytest.raises(PolicyError):
        inbox.accepted(forged.digest)


def test_one_broken_suggestion_does_not_hide_the_others(make):
    inbox, good = make(), propose()
    bad = {**propose(id="study-2").content, "priority": 99}
    looked = inbox.take(told(bad, good, {"id": "../etc"}))
    assert looked.new == (good.digest,)
    assert len(looked.unreadable) == 2
    assert [one.study for one in inbox.entries()] == ["study-2", "study-1"]


@pytest.mark.parametrize(
    "answer", [None, {}, {"now": "noon", "suggestions": [], "states": {}}, {"now": 1, "suggestions": 2, "states": 3}]
)
def test_an_answer_of_the_hub_that_is_none_is_not_taken(make, answer):
    with pytest.raises(CallerError, match="cannot be read"):
        make().take(answer)


def test_the_same_suggestion_told_again_is_one(make):
    inbox, proposal = make(), propose()
    inbox.take(told(proposal))
    assert inbox.wish == {"known": [proposal.digest]}
    inbox.decline("study-1", decider="dr-chen")
    assert inbox.take(told(proposal)).new == ()
    assert standing(inbox, proposal) == "declined"


def test_a_study_that_is_over_at_the_hub_is_over_here(make):
    inbox, proposal = make(), propose()
    inbox.take(told(proposal))
    inbox.accept("study-1", decider="dr-chen")
    inbox.take(told(states={proposal.digest: "cancelled", "ff" * 32: "done"}))
    kept = inbox.find("study-1")
    assert inbox.wish == {"known": []}
    assert (kept.standing, kept.state) == ("over", "cancelled")
    with pytest.raises(PolicyError, match="over here"):
        inbox.accepted(proposal.digest)


def test_rows_are_counted_before_a_study_that_sets_a_number_is_accepted(make):
    study = {**STUDY, "participants": {"min_rows": 100}, "start": {"joint_rows": 1000}}
    with pytest.raises(CallerError, match="were not counted"):
        _accepting(make(), study)
    with pytest.raises(PolicyError, match="at least 100 rows") as caught:
        _accepting(make(count=lambda proposal, source: 99), study)
    assert "99" not in str(caught.value)
    assert _accepting(make(count=lambda proposal, source: 1287), study).rows == 1200


def test_what_a_rule_cannot_accept_waits_for_a_person_and_says_why(make):
    inbox = make(accept={"fitting": "accept"})
    proposal = propose({**MASKED, "participants": {"min_rows": 100}})
    inbox.take(told(proposal))
    kept = inbox.find(proposal.digest)
    assert kept.standing == "open"
    assert "were not counted" in kept.notes[0]


def _accepting(inbox, study):
    inbox.take(told(propose(study)))
    return inbox.accept("study-1", decider="dr-chen")


def test_a_site_without_a_source_accepts_nothing(make, tmp_path):
    inbox = make()
    inbox.take(told(propose()))
    bare = replace(inbox, settings=replace(inbox.settings, sources={}))
    with pytest.raises(CallerError, match="no source"):
        bare.accept("study-1", decider="dr-chen")
    with pytest.raises(CallerError, match="no such source"):
        inbox.accept("study-1", decider="dr-chen", source="elsewhere")


def test_a_decision_is_kept_until_the_hub_has_confirmed_it(make, tmp_path):
    inbox = make()
    inbox.take(told(propose()))
    sent = inbox.accept("study-1", decider="dr-chen")
    inbox.store.close()  # the agent is killed before it has sent anything
    with SiteStore(tmp_path / "site.sqlite") as store:
        again = replace(inbox, store=store)
        (waiting,) = again.pending()
        assert Consent.parse(waiting.consent) == sent
        ledger = MemoryLedger(KEYS["east"])
        again.record(waiting, ledger)
        again.delivered(waiting)
        assert again.pending() == ()
        (entry,) = ledger.entries()
        assert (entry.kind, entry.payload["choice"], entry.payload["decider"]) == ("consented", "accept", "dr-chen")


def test_two_terminals_that_decide_at_once_make_one_decision(make, tmp_path):
    inbox = make()
    inbox.take(told(propose()))
    with SiteStore(tmp_path / "site.sqlite") as other:
        elsewhere = replace(inbox, store=other)
        inbox.accept("study-1", decider="dr-chen")
        with pytest.raises(CallerError, match="a suggestion that is accepted"):
            elsewhere.decline("study-1", decider="dr-li")
    assert len(inbox.pending()) == 1


def test_one_agent_runs_on_a_folder(store, tmp_path):
    with store.alone(), SiteStore(tmp_path / "site.sqlite") as other:
        with pytest.raises(SiteError, match="in use"), other.alone():
            pass
        other.told("x", "done")  # commands may write meanwhile
    with store.alone():
        pass


def test_what_a_run_was_prepared_with_is_kept(store):
    store.prepare("ab" * 32, "run-1", {"variables": {"age": "number"}})
    store.prepare("ab" * 32, "run-1", {"variables": {"age": "category"}})
    assert store.prepared("ab" * 32, "run-1") == {"variables": {"age": "category"}}
    assert store.prepared("ab" * 32, "run-2") is None
