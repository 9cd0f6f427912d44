"""Plays: events and arrays agree, time is conserved, and what cannot matter does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import CallerError
from huizhen.federation.rounds import Silent
from huizhen.twin.quantity import exactly
from huizhen.twin.simulate.models import Models, by_rates, by_size, own_lines, plain_models
from huizhen.twin.simulate.play import enact, play
from huizhen.twin.simulate.rehearsal import rehearse, rehearsed
from mirrors import mirror, names, standins, training

MODELS = plain_models(jitter=0.3)


@dataclass(frozen=True)
class OneLine:
    """A hub's line that all share alike, first come first served; rates of the sites do not matter."""

    rate: float

    def together(self, way, begins, sizes):
        order = np.argsort(begins, axis=1, kind="stable")
        took = np.where(np.isfinite(begins), sizes, 0.0) / self.rate
        ends, free = np.empty_like(begins), np.zeros(len(begins))
        for place in order.T:
            rows = np.arange(len(begins))
            free = np.maximum(free, begins[rows, place]) + took[rows, place]
            ends[rows, place] = free
        return ends

    def alone(self, way, sizes):
        return sizes / self.rate


def shared_line(rate):
    return Models(by_rates, by_size, lambda mirror, roster: OneLine(rate * mirror.links[f"to {roster[0]}"].there.value))


@settings(max_examples=40, deadline=None)
@given(
    up=st.sampled_from([3_000, 900_000, 3_000_000, 10_000_000, 50_000_000]),
    deadline_s=st.sampled_from([8.0, 20.0, 60.0]),
    silent=st.sampled_from([0.0, 0.05]),
    add=st.sampled_from([1e3, 1e9, 3e10]),
    keeps=st.booleans(),
    patience=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_events_and_arrays_agree(up, deadline_s, silent, add, keeps, patience, seed):
    course = training(8, up, deadline_s=deadline_s, add=add, keeps=keeps, patience=patience, quorum=3)
    here = mirror(course.roster, silent=silent, faster=8, spread=1.5)
    many = play(course, here, MODELS, seed=seed, draws=4)
    for draw in range(4):
        one = enact(course, here, MODELS, seed=seed, draw=draw)
        assert one.seconds == pytest.approx(many.seconds[draw], abs=1e-9)
        assert one.bytes == pytest.approx(many.bytes[draw])
        assert one.rounds == many.rounds[draw]
        for name, seconds in one.parts.items():
            assert seconds == pytest.approx(many.parts[name][draw], abs=1e-9), name


@settings(max_examples=25, deadline=None)
@given(up=st.sampled_from([3_000, 3_000_000, 30_000_000]), silent=st.sampled_from([0.0, 0.1]), seed=st.integers(0, 99))
def test_time_is_conserved_over_the_parts(up, silent, seed):
    course = training(6, up, deadline_s=30.0, quorum=2)
    here = mirror(course.roster, silent=silent, faster=8)
    many = play(course, here, MODELS, seed=seed, draws=5)
    assert sum(many.parts.values()) == pytest.approx(many.seconds)
    assert min(values.min() for values in many.parts.values()) >= -1e-9
    one = enact(course, here, MODELS, seed=seed, draw=1)
    for site in {one.site for one in one.happenings if one.round == 1 and one.kind == "answered"}:
        mine = sorted((span.begins_s, span.ends_s) for span in one.spans if span.site == site)
        assert all(begins == pytest.approx(ends) for (_, ends), (begins, _) in pairwise(mine)), "nothing overlaps"
        assert sum(ends - begins for begins, ends in mine) == pytest.approx(one.seconds), "and nothing is left out"


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(1.0, 50.0), up=st.sampled_from([3_000, 3_000_000, 30_000_000]), seed=st.integers(0, 99))
@pytest.mark.parametrize("shared", [False, True])
def test_faster_links_all_over_never_lengthen_a_round_without_deadline(shared, factor, up, seed):
    course = training(6, up)
    models = shared_line(1.0) if shared else MODELS
    slow = play(course, mirror(course.roster), models, seed=seed, draws=4)
    fast = play(course, mirror(course.roster, faster=factor), models, seed=seed, draws=4)
    assert (fast.seconds <= slow.seconds + 1e-9).all()


def test_a_site_that_is_not_asked_changes_nothing():
    course = training(6, 3_000_000)
    small, large = mirror(course.roster), mirror(names(9))
    assert (play(course, small, MODELS, seed=2, draws=20).seconds == play(course, large, MODELS, seed=2, draws=20).seconds).all()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others():
    course, seeds = training(6, 30_000), (5, 5, 6)
    one, same, other = (play(course, mirror(course.roster), MODELS, seed=seed, draws=30) for seed in seeds)
    assert one.seconds.tobytes() == same.seconds.tobytes()
    assert one.seconds.tobytes() != other.seconds.tobytes()
    more = play(course, mirror(course.roster), MODELS, seed=5, draws=60)
    assert one.seconds.tobytes() == more.seconds[:30].tobytes(), "more draws do not change the first ones"


def test_a_play_goes_through_the_states_of_a_rehearsal_in_which_the_same_site_is_lost():
    """In the play by its line, in the rehearsal by its program."""

    class Lost:
        def __init__(self, respondent):
            self._respondent, self._turn = respondent, 0

        def respond(self, ask):
            self._turn += 1
            return Silent() if self._turn > 1 else self._respondent.respond(ask)

    said = {"patience": 1, "round_deadline": "5 s"}
    lost = rehearsed(standins(4, participants=said, wrap=lambda site, one: Lost(one) if site == "site-002" else one))
    course = rehearse(standins(4, participants=said))
    here = mirror(course.roster)
    rounds = tuple(replace(one, times=exactly(round(one.times.value), "count")) for one in course.rounds)
    played = enact(replace(course, rounds=rounds), here, _once_mustered(MODELS), draw=0)
    told = [(one.kind, one.site) for one in played.happenings]
    first = [(event.kind, event.site) for event in lost.events]
    until = first.index(("restarted", "")) + 1
    assert told[:until] == first[:until]
    assert told[-1] == first[-1] == ("finished", "")
    assert played.restarts == 1


def _once_mustered(models):
    """A line of one site that takes for ever to bring anything large: the muster is answered, the rounds after it are not."""

    class Narrow:
        def __init__(self, inner):
            self._inner = inner

        def together(self, way, begins, sizes):
            ends = self._inner.together(way, begins, sizes)
            ends[:, 2] += np.where((way == "up") & (sizes[:, 2] > 260), 1e6, 0.0)
            return ends

        def alone(self, way, sizes):
            return self._inner.alone(way, sizes)

    return replace(models, jitter=0.0, transfers=lambda mirror, roster: Narrow(own_lines(mirror, roster)))


# --- losses ----------------------------------------------------------------------------------------------------------------


def test_a_straggler_beyond_the_deadline_costs_the_deadline():
    course = training(4, 3_000, deadline_s=7.0, times=1)
    slow = replace(course, rounds=(course.rounds[0], _with_work(course.rounds[1], "site-003", 1e13)))
    one = enact(slow, mirror(course.roster), plain_models())
    assert one.late
    assert one.parts["wait"] == pytest.approx(7.0)
    assert [each.site for each in one.happenings if each.kind == "silent"] == ["site-003"]


def _with_work(round_, site, flop):
    stage = round_.stages[0]
    heavy = replace(stage.work[site], operations=tuple(replace(one, flop=flop) for one in stage.work[site].operations))
    return replace(round_, stages=(replace(stage, work={**stage.work, site: heavy}),))


def test_an_exact_roster_restarts_without_a_lost_site_and_says_how_often():
    course = training(8, 3_000, deadline_s=5.0, keeps=True, times=8)
    many = play(course, mirror(course.roster, silent=0.005), plain_models(), seed=1, draws=60)
    assert 0 < np.mean(many.restarts > 0) < 1
    assert many.seconds[many.restarts > 0].min() > many.seconds[many.restarts == 0].max()
    assert many.ends == 1.0


def test_too_few_sites_end_a_study_and_the_reason_is_told():
    course = training(3, 3_000, deadline_s=5.0, quorum=3, times=10)
    many = play(course, mirror(course.roster, silent=0.1), plain_models(), seed=1, draws=40)
    assert many.ends < 0.5
    assert all("the quorum is 3" in reason for reason in many.why)
    assert many.late == pytest.approx(1 - many.ends)


def test_an_exact_method_that_waits_ends_where_a_site_is_lost():
    course = replace(training(4, 3_000, deadline_s=5.0, keeps=True, times=20), on_loss="wait")
    many = play(course, mirror(course.roster, silent=0.05), plain_models(), seed=1, draws=30)
    assert many.ends < 0.2
    assert not many.restarts.any()


def test_large_replies_are_pulled_one_after_the_other_and_small_ones_are_not():
    """Twelve sites of the same line: 40 MB each take the time of twelve, 30 kB each the time of one."""
    lines = replace(plain_models(), transfers=lambda mirror, roster: OneRate())
    for up, expected in ((30_000, 1.0), (40_000_000, 12.0)):
        course = training(12, up, add=0, work=0, times=1)
        one = enact(course, mirror(course.roster), lines)
        assert one.parts["upload"] / (up / 1e6) == pytest.approx(expected, rel=0.01)


class OneRate:
    def together(self, way, begins, sizes):
        return begins + self.alone(way, sizes)

    def alone(self, way, sizes):
        return sizes / 1e6


# --- what is told ------------------------------------------------------------------------------------------------------------


def test_a_forecast_has_an_interval_parts_that_add_up_and_a_share_in_time():
    course = training(5, 300_000)
    many = play(course, mirror(course.roster), MODELS, seed=3, draws=200)
    told = many.prediction
    assert sum(one.value for one in told.parts.values()) == pytest.approx(told.total.value)
    assert told.total.low < told.total.value < told.total.high
    assert many.within(many.quantile(0.8)) == pytest.approx(0.8, abs=0.01)
    assert many.median is not None
    assert many.median.seconds == pytest.approx(many.seconds[0])


def test_sites_that_the_mirror_does_not_know_are_all_named():
    course = training(4, 100)
    with pytest.raises(CallerError) as error:
        play(course, mirror(names(2)), MODELS)
    assert [problem.where for problem in error.value.problems] == ["site site-002", "site site-003"]


def test_nothing_to_draw_is_a_mistake():
    course = training(2, 100)
    with pytest.raises(CallerError, match="cannot be played"):
        play(course, mirror(course.roster), MODELS, draws=0)
