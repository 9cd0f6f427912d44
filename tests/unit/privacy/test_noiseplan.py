"""The noise of a study keeps to the epsilon that it wants, and no more noise is added than that takes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from huizhen.errors import StudyError
from huizhen.privacy.accounting import GaussianEvent, epsilon
from huizhen.privacy.accounting.events import PoissonSampledEvent, SelfComposedEvent
from huizhen.privacy.accounting.facts import leaves
from huizhen.privacy.noiseplan import Wanted, plan_noise, plan_of_settings
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep, NoisyTraining
from huizhen.privacy.release import Sensitivity

ONE = Sensitivity(1.0, 1.0)
TABLE = NoisyStep("tables", 1, {"tables": NoisyPart("counts", (ONE,), 6)})
REALS = NoisyStep(
    "sums",
    2,
    {"n": NoisyPart("counts", (ONE,), 2), "sum": NoisyPart("reals", (Sensitivity(50, 50), Sensitivity(3e4, 3e4)), 2)},
)
CHANGE = NoisyStep("train", 10, {"change": NoisyPart("change", size=2**28)})
MECHANISMS = [
    ("discrete_gaussian", "shares"),
    ("gaussian", "shares"),
    ("discrete_gaussian", "local"),
    ("discrete_laplace", "local"),
    ("laplace", "local"),
]


@pytest.fixture
def entropy():
    return np.random.default_rng(7).bytes


def wanted(mechanism="discrete_gaussian", place="shares", **more):
    return Wanted("patient", 2.0, 1e-6, mechanism, place, honest=3, **more)


@pytest.mark.parametrize(("mechanism", "place"), MECHANISMS)
def test_all_that_is_planned_keeps_to_epsilon_and_hardly_less_noise_would(mechanism, place):
    plan = plan_noise(wanted(mechanism, place), {"a": (TABLE, REALS)})
    assert 1.99 < plan.spent.pld <= 2.0
    assert plan.spent == epsilon(plan.events, 1e-6)


@pytest.mark.parametrize("place", ["shares", "local"])
def test_an_answer_of_many_parts_costs_what_one_part_costs(place):
    """On a fine grid nothing is lost: the three parts together are one Gaussian of the plan's multiplier."""
    plan = plan_noise(wanted("gaussian", place), {"a": (REALS,)})
    alone = epsilon([SelfComposedEvent(GaussianEvent(plan.multiplier), 2)], 1e-6)
    assert plan.spent.pld == pytest.approx(alone.pld, rel=1e-3)


def test_the_noise_that_is_drawn_is_what_the_event_says(entropy):
    """Of a sum of 5 shares where 3 make the noise whole, the standard deviation is sqrt(5 / 3) of sigma."""
    plan = plan_noise(wanted(), {"a": (TABLE,)})
    part = plan.steps["a", "tables"].parts["tables"]
    (one,) = part.slices
    assert one.width >= plan.multiplier * one.sensitivity.l2
    summed = sum(part.noisy(np.full(40_000, 100), entropy) for _ in range(5))
    assert summed.dtype == np.int64
    assert summed.std() == pytest.approx(math.sqrt(5 / 3) * one.width, rel=0.02)
    assert summed.mean() == pytest.approx(500, abs=0.1)


@pytest.mark.parametrize("mechanism", ["discrete_gaussian", "laplace"])
def test_each_slice_has_noise_of_its_own_size(mechanism, entropy):
    plan = plan_noise(wanted(mechanism, "local"), {"a": (REALS,)})
    part = plan.steps["a", "sums"].parts["sum"]
    values = np.tile([1.5, -7e4], (4000, 1))
    opened = part.opened(part.noisy(values, entropy))
    narrow, wide = (one.sd for one in part.slices)
    assert wide == pytest.approx(600 * narrow, rel=1e-2)  # 30,000 / 50
    assert opened.std(axis=0) == pytest.approx([narrow, wide], rel=0.06)
    assert np.abs(opened.mean(axis=0) - values[0]) == pytest.approx([0, 0], abs=0.06 * wide)


def test_sums_that_are_rounded_to_a_grid_have_noise_for_the_step_that_they_may_differ_by_more():
    plan = plan_noise(wanted("gaussian", "local"), {"a": (REALS,)})
    multiplier = plan.multiplier * math.sqrt(3)  # three parts and slices
    for one in plan.steps["a", "sums"].parts["sum"].slices:
        assert one.width / (one.sensitivity.l2 + one.grid.granularity * math.sqrt(2)) >= multiplier * (1 - 1e-12)
        assert one.width / one.grid.granularity >= one.event.sigma == 1024
        assert one.event.sigma / one.event.sensitivity <= multiplier


def test_counts_stay_whole_and_are_cut_at_0_but_for_histograms(entropy):
    for mechanism in ("discrete_gaussian", "gaussian"):
        histogram = NoisyStep("between", 1, {"between": NoisyPart("histogram", (ONE,), 900)})
        plan = plan_noise(wanted(mechanism), {"a": (TABLE, histogram)})
        counts, bins = plan.steps["a", "tables"].parts["tables"], plan.steps["a", "between"].parts["between"]
        empty = np.zeros(900, np.int64)
        assert counts.opened(counts.noisy(empty, entropy)).min() == 0
        left = bins.opened(bins.noisy(empty, entropy))
        assert left.dtype == np.int64
        assert left.min() < 0


def test_a_change_is_clipped_before_its_noise(entropy):
    asked = Wanted("site", 8.0, 1e-6, honest=3, clip=0.5)
    plan = plan_noise(asked, {"a": (CHANGE,)})
    part = plan.steps["a", "train"].parts["change"]
    huge = np.full(40_000, 1e6, np.float32)
    opened = part.opened(part.noisy(huge, entropy))
    assert opened.dtype == np.float32
    assert opened.mean() == pytest.approx(0.5 / 200, abs=5 * part.slices[0].sd / 200)  # a norm of 0.5 over 200^2 entries
    assert opened.std() == pytest.approx(part.slices[0].sd, rel=0.02)


def test_a_study_without_noisy_answers_and_an_epsilon_that_no_noise_keeps_to_are_refused():
    with pytest.raises(StudyError, match="answers hold no noise"):
        plan_noise(wanted(), {"a": (NoisyStep("rows", 1, rows=("folds",)),)})
    with pytest.raises(StudyError, match="an epsilon that some noise keeps to"):
        plan_noise(Wanted("patient", 1e-9, 1e-12), {"a": (NoisyStep("t", 10**9, TABLE.parts),)})


TRAINING = NoisyStep("train", 3, training=NoisyTraining(0.1, 10), facts={"a": {"b": 1.0, "c": 2}}, noise_at=("a", "b"))


def test_the_studys_epsilon_gives_the_noise_of_training_and_its_questions_say_it():
    plan = plan_noise(wanted(), {"a": (replace(TABLE, louder=8.0), TRAINING)})
    assert 1.99 < plan.spent.pld <= 2.0
    step = PoissonSampledEvent(0.1, GaussianEvent(plan.multiplier))
    assert leaves(plan.events)[step] == 30
    assert plan.steps["a", "train"].facts == {"a": {"b": plan.multiplier, "c": 2}}
    quiet = plan_noise(wanted(), {"a": (TABLE, TRAINING)})
    assert quiet.multiplier > plan.multiplier, "an equal share for the table leaves less to training"
    loud, even = (one.steps["a", "tables"].parts["tables"].slices[0].width / one.multiplier for one in (plan, quiet))
    assert loud == pytest.approx(8 * even)


def test_training_by_its_own_settings_costs_what_they_say_and_without_a_rate_nobody_knows():
    own = replace(TRAINING, training=NoisyTraining(0.1, 10, 4.0, 1e-5), noise_at=())
    plan = plan_of_settings({"a": (own,)})
    assert plan.spent == epsilon([SelfComposedEvent(PoissonSampledEvent(0.1, GaussianEvent(4.0)), 30)], 1e-5)
    rateless = replace(own, training=NoisyTraining(0.0, 10, 4.0))
    assert plan_of_settings({"a": (own,), "b": (rateless,)}).spent.pld == math.inf


@pytest.mark.parametrize("epsilon", [20.0, 900.0])
def test_whole_noise_never_gets_so_small_that_nothing_is_proved_of_its_shares(epsilon):
    step = NoisyStep("cells", 3, {"cells": NoisyPart("counts", (Sensitivity(1.0, 1.0),))})
    plan = plan_noise(Wanted("patient", epsilon, 1e-6, honest=5), {"table": (step,)})
    noise = plan.steps["table", "cells"].parts["cells"].slices[0]
    assert noise.noise.variance >= 0.5, "of each share"
    assert plan.spent.pld < epsilon, "more noise than asked for spends less"
