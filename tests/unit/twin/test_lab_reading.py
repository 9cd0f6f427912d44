"""From event logs to observations, and from observations to error cards."""

import tomllib
from datetime import UTC, datetime

import pytest

from huizhen.errors import CallerError
from huizhen.federation.study import Study
from huizhen.twin.functional import Prediction
from huizhen.twin.lab.forecasters import Naive, fitted
from huizhen.twin.lab.judging import Asked, judged, split
from huizhen.twin.lab.observations import Observation, line_of, observations, of_study
from huizhen.twin.lab.plan import read_plan
from huizhen.twin.lab.readings import makespan, read_events, rounds_of
from huizhen.twin.lab.tables import site_file, study_file, table
from huizhen.twin.quantity import exactly

AT = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = """
[site.east]
[site.west]
[line.a]
up_mbit_s = 8
down_mbit_s = 8
[line.b]
up_mbit_s = 4
down_mbit_s = 4
[line.c]
up_mbit_s = 2
down_mbit_s = 2
[study.mean]
numbers = 125000
method = {summary = {variables = ["age"]}}
[[configuration]]
study = "mean"
line = ["a", "b"]
held_out = false
[[configuration]]
study = "mean"
line = "c"
"""


def plan():
    return read_plan(PLAN.encode())


def line(event, round_, at, site="", **more):
    return {"event": event, "analysis": "m", "round": round_, "at_s": at, "site": site, "step": "sums", **more}


EVENTS = [
    line("asked", 1, 1.0),
    line("passed", 1, 1.2, "east"),
    line("passed", 1, 1.5, "west"),
    line("answered", 1, 1.9, "west", cpu_s=0.2, bytes=8),
    line("answered", 1, 2.0, "east", cpu_s=0.1, bytes=8),
    line("folded", 1, 2.25),
    line("asked", 2, 2.25),
    line("answered", 2, 3.0, "east", cpu_s=0.3, bytes=16),
    line("folded", 2, 3.25),
    line("finished", 2, 3.5),
]


def test_a_round_lasts_from_its_question_to_its_fold_and_a_stage_to_its_last_reply():
    first, second = rounds_of(EVENTS)
    assert (first.took, first.stages, first.cpu) == (1.25, (0.5, 0.5), {"east": 0.1, "west": 0.2})
    assert (second.round, second.took, second.bytes) == (2, 1.0, {"east": 16})
    assert makespan(EVENTS) == 2.5


def test_a_round_that_is_asked_again_before_it_closed_is_not_counted_twice():
    again = [EVENTS[0], EVENTS[1], *EVENTS[6:]]
    assert [each.round for each in rounds_of(again)] == [2]


def test_a_line_that_is_being_written_is_left_for_later():
    assert read_events('{"event": "asked"}\n{"event": "ans') == [{"event": "asked"}]


def test_bytes_of_a_run_are_the_sum_over_its_lines_both_ways():
    one = plan().configurations[0]
    seen = of_study("d", one, 0, EVENTS, {"east": (10, 20), "west": (30, 40), "other": (5, 5)}, {"hub": 0.5}, AT)
    assert [each.seen for each in seen if each.part == "bytes"] == [100]
    assert [each.seen for each in seen if each.part == "step"] == [0.2, 0.3]


def test_observations_are_read_back_as_they_were_written():
    one = Observation("d", "mean/a", 1, "round", "m/sums", 3, 0.25, "s", AT)
    assert observations(line_of(one) + "\n") == [one]
    with pytest.raises(CallerError, match="line 2"):
        observations(line_of(one) + "\n{}\n")


def seen_by(rule, names):
    return [
        Observation("d", name, repetition, "round", "m/sums", 1, rule(name) * factor, "s", AT)
        for name in names
        for repetition, factor in enumerate((0.99, 1.0, 1.01))
    ]


# 1 MB each way at 1, 0.5 and 0.25 MB/s; twice of it, for the round has both ways, and 0.1 s of programs.
TRULY = {"mean/a": 2.1, "mean/b": 4.1, "mean/c": 8.1}


def test_the_naive_formula_is_size_by_bandwidth():
    one = plan().configurations[2]
    assert Naive().predict(Asked(plan(), one, "round", "m/sums")).total.value == pytest.approx(8.0)


def test_the_fitted_forecaster_learns_the_constant_and_judges_a_line_that_it_never_saw():
    learnt, held_out = split(plan(), seen_by(TRULY.get, TRULY))
    assert {one.configuration for one in held_out} == {"mean/c"}
    judgement = judged(plan(), held_out, fitted(plan(), learnt), Naive())
    card = judgement.cards["round"]
    assert card.count == judgement.rounds == 3
    assert card.mape < 0.012  # the repetitions' own spread is 0.0067
    assert card.coverage == 1.0
    assert card.naive == pytest.approx(0.1 / 8.1, abs=0.003)
    assert card.spread == pytest.approx(0.02 / 3, rel=0.01)


def test_a_study_that_was_not_learnt_is_refused():
    learner = fitted(plan(), seen_by(TRULY.get, ["mean/a"]))
    with pytest.raises(CallerError, match="does not know"):
        learner.predict(Asked(plan(), plan().configurations[0], "round", "m/another"))


def test_a_forecast_that_is_twice_too_long_has_an_error_of_100_percent():
    class Twice:
        name = "twice"

        def predict(self, asked):
            return Prediction(exactly(2 * TRULY[asked.configuration.name], "s"))

    held_out = [Observation("d", "mean/c", 0, "round", "m/sums", 1, 8.1, "s", AT)]
    card = judged(plan(), held_out, Twice(), Naive()).cards["round"]
    assert (card.mape, card.bias, card.coverage) == (pytest.approx(1.0), pytest.approx(1.0), 0.0)


def test_the_study_file_is_a_study_and_the_table_has_its_columns():
    content = {"method": {"glm": {"formula": "smoker ~ age + sex", "family": "binomial"}}, "protection": {"sum": "plain"}}
    study = Study.parse(tomllib.loads(study_file("lines", content, ["east", "west"])))
    head = table(30, 1).splitlines()[0].split(",")
    assert set(study.uses) <= set(head)
    assert table(30, 1) == table(30, 1) != table(30, 2)
    assert tomllib.loads(site_file("east"))["site"]["name"] == "east"
