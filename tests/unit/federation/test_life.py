"""A study's life: what may happen when, and that nothing else can."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen import canonical
from huizhen.errors import FederationError
from huizhen.federation.life import (
    FINAL,
    Life,
    LifeEvent,
    Mistake,
    begun,
    event_content,
    fold,
    hopeless,
    read_event,
    ready,
    step,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = "ab" * 32
SITES = ("east", "west", "north")


def facts(**changed):
    return {
        "proposal": DIGEST,
        "parties": list(SITES),
        "providers": [],
        "needed": 0,
        "at": "",
        "joint_rows": 0,
        "expires": (NOON + timedelta(hours=72)).isoformat(),
        **changed,
    }


def event(kind, by="", when=NOON, **said):
    return LifeEvent(kind, when, by, said.pop("reason", ""), said)


def proposed(**changed):
    return lived(event("drafted", "li"), event("proposed", "li", **facts(**changed)))


def lived(*events, start=None):
    life = start
    for one in events:
        life = begun(one) if life is None else step(life, one)
        assert isinstance(life, Life), life
    return life


def accept(site, **said):
    return event("accepted", site, proposal=DIGEST, **said)


def rule(life, one):
    answer = step(life, one)
    assert isinstance(answer, Mistake)
    return answer.rule


def test_a_study_goes_from_draft_to_done():
    life = proposed()
    assert life.state == "proposed"
    life = lived(*map(accept, SITES), start=life)
    assert life.state == "waiting"
    assert ready(life, NOON)
    life = lived(event("started", run="run-1", roster=list(SITES)), start=life)
    assert (life.state, life.roster) == ("running", SITES)
    life = lived(event("closing"), event("done", result="cd" * 32), start=life)
    assert (life.state, life.result, life.events) == ("done", "cd" * 32, 8)


def test_it_waits_for_every_participant_unless_enough_is_said():
    assert lived(accept("east"), accept("west"), start=proposed()).state == "proposed"
    assert lived(accept("east"), accept("west"), start=proposed(needed=2)).state == "waiting"


def test_a_compute_provider_is_not_counted_among_the_sites_that_must_accept():
    life = lived(accept("north"), accept("east"), start=proposed(needed=2, providers=["north"]))
    assert life.state == "proposed"
    assert lived(accept("west"), start=life).state == "waiting"


def test_it_does_not_start_before_its_time():
    life = lived(*map(accept, SITES), start=proposed(at=(NOON + timedelta(hours=1)).isoformat()))
    assert not ready(life, NOON)
    assert rule(life, event("started", run="run-1", roster=list(SITES))) == "not-ready"
    assert ready(life, NOON + timedelta(hours=1))


def test_it_waits_for_rows_and_ends_where_they_cannot_be_reached():
    life = lived(accept("east", rows=400), accept("west", rows=500), start=proposed(joint_rows=1000))
    assert (life.state, hopeless(life)) == ("proposed", "")
    assert lived(accept("north", rows=100), start=life).state == "waiting"  # 400 + 500 + 100
    short = lived(accept("north", rows=90), start=life)
    assert (short.state, hopeless(short)) == ("proposed", "the sites that accept hold fewer than 1000 rows together")


def test_one_that_declines_ends_the_hope_of_all_but_not_of_enough():
    declined = event("declined", "west", proposal=DIGEST, reason="no time")
    assert hopeless(lived(declined, start=proposed())) == "not every participant accepts: west"
    assert hopeless(lived(declined, start=proposed(needed=2))) == ""
    assert hopeless(lived(declined, start=proposed(needed=3))) == "2 sites are left, and 3 must accept"


def test_a_site_decides_once():
    life = lived(accept("east"), start=proposed())
    assert rule(life, accept("east")) == "decided"
    assert rule(life, event("declined", "east", proposal=DIGEST)) == "decided"
    gone = lived(event("withdrawn", "east", proposal=DIGEST), start=life)
    assert rule(gone, accept("east")) == "decided"
    assert rule(gone, event("withdrawn", "east", proposal=DIGEST)) == "decided"


def test_withdrawing_before_the_start_is_as_declining():
    life = lived(*map(accept, SITES), event("withdrawn", "west", proposal=DIGEST), start=proposed())
    assert life.state == "proposed"
    assert hopeless(life) == "not every participant accepts: west"
    assert life.accepted == ("east", "north")


def test_a_site_that_withdraws_in_mid_run_is_lost_and_the_study_goes_on():
    life = lived(*map(accept, SITES), event("started", run="r", roster=list(SITES)), start=proposed())
    life = lived(event("withdrawn", "west", proposal=DIGEST), start=life)
    assert (life.state, life.lost, life.stances["west"]) == ("running", ("west",), "withdrawn")


def test_a_decision_of_a_stranger_or_on_another_proposal_counts_for_nothing():
    assert rule(proposed(), accept("south")) == "nobody-asked"
    assert rule(proposed(), LifeEvent("accepted", NOON, "east", facts={"proposal": "cd" * 32})) == "another-proposal"
    assert rule(proposed(), LifeEvent("accepted", NOON, "east")) == "another-proposal"


def test_nobody_accepts_after_the_expiry_and_nothing_expires_before():
    late = NOON + timedelta(hours=72)
    assert rule(proposed(), LifeEvent("accepted", late, "east", facts={"proposal": DIGEST})) == "too-late"
    assert rule(proposed(), event("expired")) == "too-early"
    assert lived(event("expired", when=late), start=proposed()).state == "failed"


def test_a_study_starts_with_exactly_those_that_have_accepted():
    life = lived(accept("east"), accept("north"), start=proposed(needed=2))
    for roster in (list(SITES), ["east"], ["north", "east"], "east"):
        assert rule(life, event("started", run="r", roster=roster)) in ("other-roster", "malformed")
    assert rule(life, event("started", roster=["east", "north"])) == "malformed"
    assert lived(event("started", run="r", roster=["east", "north"]), start=life).roster == ("east", "north")


def test_it_is_too_late_to_cancel_once_the_result_is_being_kept():
    life = lived(*map(accept, SITES), event("started", run="r", roster=list(SITES)), event("closing"), start=proposed())
    assert rule(life, event("cancelled", "li")) == "too-late"


def test_a_clock_that_is_set_back_undoes_nothing():
    day = timedelta(days=1)
    life = lived(accept("east"), event("declined", "west", when=NOON - day, proposal=DIGEST), start=proposed(needed=1))
    assert life.stances == {"east": "accepted", "west": "declined", "north": "asked"}


@pytest.mark.parametrize(
    "changed",
    [
        {"parties": ["a", "a"]},
        {"parties": []},
        {"providers": ["stranger"]},
        {"needed": -1},
        {"at": "noon"},
        {"expires": "2026-01-01"},
        {"joint_rows": "many"},
    ],
)
def test_a_proposal_whose_facts_make_no_sense_is_refused(changed):
    assert rule(lived(event("drafted", "li")), event("proposed", "li", **facts(**changed))) == "malformed"


def test_events_that_are_no_life_are_not_folded():
    with pytest.raises(FederationError, match="no event"):
        fold([])
    with pytest.raises(FederationError, match="begins by being drafted"):
        fold([event("closing")])
    with pytest.raises(FederationError, match="is drafted"):
        fold([event("drafted"), event("closing")])
    for broken in (None, {}, {"kind": "born"}, {**event_content(event("closing")), "at": "noon"}):
        with pytest.raises(FederationError, match="cannot be understood"):
            read_event(broken)


KINDS = ["drafted", "proposed", "accepted", "declined", "withdrawn", "expired", "started", "closing", "done", "failed", "cancelled"]
ROSTERS = [list(SITES), ["east"], ["east", "west"], ["west", "north"]]


@st.composite
def events(draw):
    kind = draw(st.sampled_from(KINDS))
    by = draw(st.sampled_from([*SITES, "stranger"]))
    at = NOON + timedelta(hours=draw(st.sampled_from([-24, 0, 1, 71, 72, 96])))
    said = {"proposal": draw(st.sampled_from([DIGEST, DIGEST, DIGEST, "cd" * 32])), "rows": draw(st.sampled_from([0, 10, 500]))}
    if kind == "started":
        said = {"run": "run-1", "roster": draw(st.sampled_from(ROSTERS))}
    if kind == "proposed":
        said = facts(needed=draw(st.integers(0, 3)), joint_rows=draw(st.sampled_from([0, 0, 500])))
    return LifeEvent(kind, at, by, "", said)


@settings(deadline=None, max_examples=300)
@given(st.lists(events(), max_size=40))
def test_no_sequence_of_events_reaches_an_undefined_state(sequence):
    life, happened = begun(LifeEvent("drafted", NOON, "li")), [LifeEvent("drafted", NOON, "li")]
    for one in sequence:
        after = step(life, one)
        if isinstance(after, Mistake):
            assert after.problem.found
            continue
        assert life.state not in FINAL, "what is over stays so"
        assert set(after.lost) <= set(after.roster) <= set(SITES)
        assert set(after.accepted) <= set(after.stances)
        if after.state in ("running", "closing", "done"):
            assert after.roster
            assert after.run
        life, happened = after, [*happened, one]
    stored = canonical.decode(canonical.encode([event_content(one) for one in happened]))
    assert fold(map(read_event, stored)) == life
    assert life.events == len(happened)
