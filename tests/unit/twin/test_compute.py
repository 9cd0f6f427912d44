"""Compute: operations counted from descriptions, what a device takes for them, learnt from packs and from runs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from huizhen.errors import CallerError
from huizhen.twin.compute import numeric
from huizhen.twin.compute.contention import Contention, slowdown
from huizhen.twin.compute.device import Computation, compute_model
from huizhen.twin.compute.formulas import FORMULAS, Sizes, formula_works, reading_work
from huizhen.twin.compute.kinds import operation
from huizhen.twin.compute.measures import by_hardware_time, by_operations, naive_by_peak, naive_by_roofline
from huizhen.twin.compute.numeric import timed_kernels
from huizhen.twin.compute.operators import Sample, fitted_operators
from huizhen.twin.compute.pack import DeviceFacts, Pack, Step, from_json, to_json
from huizhen.twin.compute.process import fitted_process
from huizhen.twin.course import Operation, Work
from huizhen.twin.quantity import Quantity, declared

AT = datetime(2026, 3, 1, tzinfo=UTC)
FACTS = DeviceFacts("cpu", "x86_64", 2, 2**34, 1, 1, {"python": "3.11"})


def true_seconds(flop, moved):
    return 5e-6 + flop * 2e-11 + moved * 1e-10


def drawn_pack(seed=1, *, noise=0.02, name="reference", times=1.0):
    rng = np.random.default_rng(seed)
    samples, steps = [], []
    for _ in range(60):
        rows, columns = int(rng.integers(10, 20_000)), int(rng.integers(1, 60))
        for kind in ("np.gram", "np.vector", "np.scale"):
            one = operation(kind, (columns, rows))
            took = times * true_seconds(one.flop, one.moved) * math.exp(noise * rng.standard_normal())
            samples.append(Sample(one.kind, one.shape, one.flop, one.moved, one.dtype, took))
    for place in range(20):
        traced = 1e-3 * (1 + place)
        steps.append(Step("perceptron", 40 + 7 * place, 30, 1e6, traced, 1.1 * traced + 2e-6 * (40 + 7 * place), 0.01))
    return Pack(name, AT.isoformat(), seed, FACTS, 20, 30.0, 0.5, 1e-6, math.nan, tuple(samples), tuple(steps))


@pytest.fixture(scope="module")
def model():
    return compute_model(drawn_pack(), {"slow": declared(2.0, "1", "as told", spread=1.3)})


def gram(columns=20, rows=5000, *, calls=10.0, label="glm"):
    one = operation("np.gram", (columns, rows), calls)
    return Work(label, (one,), rows), calls * true_seconds(one.flop, one.moved)


def test_a_gram_matrix_does_half_of_the_products_and_a_petaflop_day_is_8_64e19_operations():
    one = operation("np.gram", (10, 1000))
    assert one.flop == 10 * 11 * 1000
    assert by_operations(Work("w", (replace(one, flop=8.64e19),))).value == 1.0


def test_hardware_time_counts_devices_peak_and_use():
    day, peak = declared(86_400.0, "s"), declared(1e15, "flop/s", spread=1.1)
    found = by_hardware_time(day, peak, devices=3, use=0.33)
    assert found.value == pytest.approx(3 * 0.33)
    assert found.high == pytest.approx(3 * 0.33 * 1.1)
    with pytest.raises(CallerError) as caught:
        by_hardware_time(peak, day, devices=0, use=2.0)
    assert len(caught.value.problems) == 4


def test_the_roofline_is_never_below_the_peak():
    work, _ = gram()
    assert naive_by_roofline(work, 1e11, 1e10) >= naive_by_peak(work, 1e11)
    assert naive_by_roofline(work, 1e11, 1e6) == pytest.approx(work.moved / 1e6)


def test_every_formula_grows_with_rows_and_none_is_guessed():
    for method in FORMULAS:
        little, much = (sum(work.flop for work in formula_works(method, Sizes(rows, 8)).values()) for rows in (1000, 50_000))
        assert much > 5 * little, method
    with pytest.raises(CallerError, match="Did you mean glm") as caught:
        formula_works("glmm", Sizes(-1))
    assert len(caught.value.problems) == 2
    assert reading_work(1e6).moved == 1e6


def test_a_round_of_a_glm_asks_for_the_information_matrix_of_all_rows():
    score = formula_works("glm", Sizes(40_000, 12))["score"]
    grams = [one for one in score.operations if one.kind == "np.gram"]
    assert sum(one.shape[1] * one.calls for one in grams) == 40_000
    assert sum(one.flop * one.calls for one in grams) == 12 * 13 * 40_000


def test_a_process_is_sure_where_it_saw_and_doubts_where_it_did_not():
    places = np.linspace(0, 5, 30)[:, None]
    found = fitted_process(places, 0.5 * np.sin(places[:, 0]))
    mean, covariance = found.at(np.array([[2.5], [40.0]]))
    assert mean[0] == pytest.approx(0.5 * math.sin(2.5), abs=0.05)
    assert abs(mean[1]) < 0.05
    assert covariance[1, 1] > 20 * covariance[0, 0]


def test_seconds_of_shapes_that_were_never_run_follow_from_those_that_were(model):
    for columns, rows in ((7, 900), (33, 12_000), (50, 400)):
        work, took = gram(columns, rows)
        assert model.predict(Computation(work, "reference")).total.value == pytest.approx(took, rel=0.06)


def test_parts_add_up_to_the_total_and_an_interval_is_honest_about_noise(model):
    work = formula_works("glm", Sizes(20_000, 10))["score"]
    said = model.predict(Computation(work, "reference"))
    assert sum(one.value for one in said.parts.values()) == pytest.approx(said.total.value)
    assert said.total.low < said.total.value < said.total.high
    assert "never calibrated" in said.notes[0]  # np.exp is not in this pack


def test_a_pack_may_hold_one_kind_and_one_shape():
    one = operation("np.sort", (1000,))
    found = fitted_operators([Sample(one.kind, one.shape, one.flop, one.moved, one.dtype, 5e-5)])
    assert found.expect([one]).seconds[0] == pytest.approx(5e-5, rel=0.05)


def test_overhead_of_whole_steps_is_learnt(model):
    told = [(one, model.context.seconds(one.traced, one.operators, one.views, one.moved)) for one in drawn_pack().steps]
    assert all(said == pytest.approx(one.seconds, rel=0.01) for one, said in told)
    assert model.context.times > 1.05


def test_a_device_that_is_twice_as_slow_takes_twice_as_long_and_a_stranger_is_refused(model):
    work, _ = gram()
    here, there = (model.predict(Computation(work, name)).total for name in ("reference", "slow"))
    assert there.value == pytest.approx(2 * here.value)
    assert there.spread > here.spread
    with pytest.raises(CallerError) as caught:
        model.predict(Computation(work, "moon", threads=0))
    assert [problem.where for problem in caught.value.problems] == ["device", "threads"]


def test_more_threads_are_faster_and_less_sure(model):
    work, _ = gram()
    one, four = (model.predict(Computation(work, "reference", threads)).total for threads in (1, 4))
    assert one.value / 4 < four.value < one.value
    assert four.spread > one.spread


def test_observing_changes_nothing_until_the_model_is_refitted(model):
    work, took = gram()
    asked = Computation(work, "slow")
    seen = model
    for _ in range(3):
        seen = seen.observe(asked, 3.0 * took, at=AT)
    assert seen.predict(asked).total == model.predict(asked).total
    learnt = seen.refit().predict(asked).total
    assert learnt.value == pytest.approx(3.0 * took, rel=0.08)
    card = seen.error_card()
    assert card.count == 3
    assert card.bias == pytest.approx(2.0 / 3.0 - 1.0, abs=0.05)


def test_what_three_models_teach_of_a_device_serves_a_fourth(model):
    seen = model
    for label, columns in (("a", 5), ("b", 12), ("c", 30)):
        work, took = gram(columns, label=label)
        seen = seen.observe(Computation(work, "reference"), 1.5 * took, at=AT)
    work, took = gram(18, label="never run")
    assert seen.refit().predict(Computation(work, "reference")).total.value == pytest.approx(1.5 * took, rel=0.12)


def test_intervals_cover_what_comes():
    inside = []
    for seed in range(2):
        model, rng = compute_model(drawn_pack(seed, noise=0.05)), np.random.default_rng(100 + seed)
        for _ in range(30):
            work, took = gram(int(rng.integers(2, 50)), int(rng.integers(100, 15_000)), calls=1.0)
            said = model.predict(Computation(work, "reference")).total
            inside.append(said.low <= took * math.exp(0.03 * rng.standard_normal()) <= said.high)
    assert 0.8 <= np.mean(inside) <= 1.0


def test_an_empty_pack_is_refused():
    with pytest.raises(CallerError, match="no samples"):
        compute_model(replace(drawn_pack(), samples=()))


def test_a_pack_comes_back_from_its_file_whole():
    pack = drawn_pack()
    again = from_json(to_json(pack))
    assert again.samples == pack.samples
    assert again.steps == pack.steps
    assert math.isnan(again.parallel)
    assert to_json(again) == to_json(pack)


@pytest.mark.parametrize(
    ("break_it", "where"),
    [
        (lambda facts: facts.update(drawn="many"), "pack, drawn"),
        (lambda facts: facts.pop("device"), "pack, device, kind"),
        (lambda facts: facts["samples"]["rows"][2].__setitem__(5, -1.0), "pack, sample 3, seconds"),
        (lambda facts: facts["samples"]["rows"][4].pop(), "pack, sample 5"),
        (lambda facts: facts["samples"].update(columns=["kind"]), "pack, samples"),
        (lambda facts: facts["steps"][0].update(seconds=0), "pack, step 1, seconds"),
        (lambda facts: facts.update(format="other"), "pack"),
        (lambda facts: facts.update(patient=1), "pack"),
    ],
)
def test_a_broken_pack_is_refused_with_the_place(break_it, where):
    facts = json.loads(to_json(drawn_pack()))
    break_it(facts)
    with pytest.raises(CallerError) as caught:
        from_json(json.dumps(facts))
    assert where in [problem.where for problem in caught.value.problems]


def test_no_json_is_no_pack():
    with pytest.raises(CallerError, match="no JSON"):
        from_json("{")


@pytest.mark.slow  # every kernel once, and the compiling of those that are compiled
def test_kernels_of_every_kind_are_timed_even_without_a_budget(monkeypatch):
    monkeypatch.setattr(numeric, "LONG", (100, 500))
    found = timed_kernels(np.random.default_rng(1), 0.0, lambda: 0.0, iter(np.arange(0, 1e6, 1e-3)).__next__)
    assert {"np.gram", "np.exp", "np.sort", "trees.histogram"} <= {one.kind for one in found}
    assert all(one.seconds > 0 for one in found)


def test_who_is_alone_is_not_slowed_and_neighbours_slow():
    assert slowdown(Contention(4, threads=2)).value == 1.0
    assert slowdown(Contention(4, threads=2)).low == 1.0
    some, many = slowdown(Contention(2, load=1.0)), slowdown(Contention(2, load=8.0))
    assert 1.0 < some.value < many.value
    assert many.spread > some.spread


def test_a_quota_of_half_a_core_doubles_the_time():
    assert slowdown(Contention(4, threads=1, quota=0.5)).value == pytest.approx(2.0)
    assert slowdown(Contention(4, threads=2, quota=8.0)).value == 1.0


def test_contention_that_no_device_has_is_refused_at_once():
    with pytest.raises(CallerError) as caught:
        slowdown(Contention(0, threads=0, load=-1.0, quota=0.0))
    assert len(caught.value.problems) == 4


def test_a_total_of_no_work_is_nothing(model):
    said = model.predict(Computation(Work("nothing"), "reference"))
    assert said.total == Quantity(0.0, "s", 0.0, 0.0, "fitted", said.total.source)


def test_an_operator_that_was_never_run_has_a_wide_interval(model):
    strange = Work("x", (Operation("aten.unheard", (5, 5), 1e6, 1e6),))
    known, _ = gram()
    assert (
        model.predict(Computation(strange, "reference")).total.spread
        > 1.5 * model.predict(Computation(known, "reference")).total.spread
    )
