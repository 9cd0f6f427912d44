"""A transfer as a functional model: what it learns of a path, and what it says of its own error."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from huizhen.twin.network.pathmodel import Among, TransferModel
from huizhen.twin.network.topology import hub_paths
from huizhen.twin.network.transfer import Flow
from lines_of_a_mirror import hub_and_sites

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MIRROR = hub_and_sites([2e6, 4e6], [0.02, 0.05], 1e8)
PATHS = hub_paths(MIRROR)
FACTOR, LATENCY = 1.12, 0.008


def asked(site: str, size: int) -> Among:
    return Among(Flow("f", PATHS[site].reverse, size))


def truth(model: TransferModel, one: Among) -> float:
    """A path whose rate is 12 % less than declared, with some milliseconds more."""
    parts = model.predict(one).parts
    rate_bound = parts["sending"].value + parts["sharing"].value
    return sum(part.value for part in parts.values()) + (FACTOR - 1) * rate_bound + LATENCY


def test_a_path_is_learnt_from_few_observations_and_another_profits_from_it():
    fresh = TransferModel(MIRROR, level="analytic")
    model = fresh
    for size in (100_000, 500_000, 2_000_000, 5_000_000, 8_000_000):
        model = model.observe(asked("s0", size), truth(fresh, asked("s0", size)), at=NOW)
    assert model.predict(asked("s0", 3_000_000)) == fresh.predict(asked("s0", 3_000_000))  # to observe is not to learn
    learnt = model.refit()
    fit = learnt.fit(PATHS["s0"].reverse)
    assert fit.factor == pytest.approx(FACTOR, rel=0.02)
    assert fit.latency == pytest.approx(LATENCY, abs=0.006)
    for size in (200_000, 3_000_000):
        assert learnt.predict(asked("s0", size)).total.value == pytest.approx(truth(fresh, asked("s0", size)), rel=0.02)
    other = asked("s1", 3_000_000)
    before, after = (abs(one.predict(other).total.value - truth(fresh, other)) for one in (fresh, learnt))
    assert after < before


def test_one_bad_measurement_does_not_decide():
    fresh = TransferModel(MIRROR, level="analytic")
    model = fresh
    for i in range(12):
        one = asked("s0", 1_000_000 + 300_000 * i)
        model = model.observe(one, truth(fresh, one) * (5 if i == 6 else 1), at=NOW)
    assert model.refit().fit(PATHS["s0"].reverse).factor == pytest.approx(FACTOR, rel=0.05)


def test_the_error_card_rests_on_what_was_predicted_before_and_shows_the_usual_formula_beside():
    fresh = TransferModel(MIRROR, level="analytic")
    assert math.isnan(fresh.error_card().mape)
    model, rng = fresh, np.random.default_rng(5)
    for _ in range(2):
        one = asked("s0", 400_000)
        model = model.observe(one, truth(fresh, one), at=NOW)
    first = model.error_card()
    assert first.mape == pytest.approx(1 - fresh.predict(one).total.value / truth(fresh, one))
    assert first.bias < 0
    assert first.spread == 0
    assert first.naive > first.mape
    model = model.refit()
    for _ in range(30):
        one = asked("s0", int(rng.uniform(2e5, 6e6)))
        model = model.observe(one, truth(fresh, one) * math.exp(0.02 * rng.standard_normal()), at=NOW).refit()
    card = model.error_card()
    assert card.count == 32
    assert card.mape < first.mape
    assert card.coverage > 0.8


def test_parts_of_a_learnt_prediction_add_up():
    fresh = TransferModel(MIRROR, level="analytic")
    one = asked("s0", 2_000_000)
    learnt = fresh.observe(one, truth(fresh, one), at=NOW).refit()
    prediction = learnt.predict(one)
    assert sum(part.value for part in prediction.parts.values()) == pytest.approx(prediction.total.value)
    assert prediction.total.provenance == "fitted"
