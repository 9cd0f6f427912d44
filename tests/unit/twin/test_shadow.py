"""The shadow: what runs teach about devices, when a model no longer fits, and how honest its intervals are."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import CallerError
from huizhen.twin.functional import Residual
from huizhen.twin.quantity import Quantity, declared
from huizhen.twin.shadow.cards import by_part, card, repeat_spread, stretch, stretched
from huizhen.twin.shadow.drift import opened, standardised, watched
from huizhen.twin.shadow.factors import Seen, fitted

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LEVELS = ("operator", "device", "model")


def residuals(ratios, *, spread=1.2, part="compute"):
    predicted = declared(10.0, "s", spread=spread)
    return [Residual(part, "north", predicted, 10.0 * ratio, NOW + timedelta(hours=hour)) for hour, ratio in enumerate(ratios)]


def ran(device, ratio, *, model="m", times=1):
    return [Seen({"device": device, "model": f"{model}@{device}"}, 2.0, 2.0 * ratio) for _ in range(times)]


def test_a_device_that_ran_often_has_its_own_factor_and_a_stranger_has_the_uncertainty_of_devices():
    known = fitted(LEVELS, ran("slow", 2.0, times=20) + ran("fast", 0.5, times=20) + ran("usual", 1.0, times=20))
    factor, sd = known.factor({"device": "slow", "model": "m@slow"})
    assert factor == pytest.approx(2.0, rel=0.05)
    strange, doubt = known.factor({"device": "never seen"})
    assert strange == 1.0
    assert doubt > 3 * sd


def test_another_model_on_a_known_device_profits_from_what_the_device_showed():
    seen = [
        one
        for model in ("a", "b", "c", "d")
        for one in ran("slow", 1.6, model=model, times=3) + ran("usual", 1.0, model=model, times=3)
    ]
    factor, _ = fitted(LEVELS, seen).factor({"device": "slow", "model": "new@slow"})
    assert factor == pytest.approx(1.6, rel=0.12)


@given(st.floats(0.3, 3.0))
@settings(deadline=None)
def test_one_run_moves_a_factor_towards_what_was_seen_and_never_beyond(ratio):
    factor, _ = fitted(LEVELS, ran("one", ratio)).factor({"device": "one", "model": "m@one"})
    assert min(ratio, 1) - 1e-9 <= factor <= max(ratio, 1) + 1e-9


def test_the_order_of_runs_teaches_nothing():
    seen = ran("slow", 2.0, times=3) + ran("fast", 0.7, times=2) + ran("fast", 0.9, times=1)
    forth, back = fitted(LEVELS, seen), fitted(LEVELS, seen[::-1])
    assert back.effects == pytest.approx(dict(forth.effects))
    assert back.noise == pytest.approx(forth.noise)


def test_intervals_of_factors_cover_what_comes():
    rng = np.random.default_rng(7)
    effect = {f"d{place}": rng.normal(0, 0.3) for place in range(12)}
    draw = lambda device: math.exp(effect[device] + rng.normal(0, 0.08))  # noqa: E731
    seen = [one for device in effect for one in (Seen({"device": device}, 1.0, draw(device)) for _ in range(6))]
    known = fitted(("device",), seen)
    inside = []
    for device in effect:
        _, low, high = known.interval(1.0, {"device": device})
        inside += [low <= draw(device) <= high for _ in range(50)]
    assert 0.84 < np.mean(inside) < 0.96


def test_nothing_is_learnt_from_nonsense_and_every_mistake_is_named():
    with pytest.raises(CallerError) as error:
        fitted(LEVELS, [Seen({"colour": "red"}, 1.0, -1.0), Seen({}, math.nan, 1.0)])
    assert len(error.value.problems) == 3


def test_a_model_that_fits_raises_no_alarm():
    rng = np.random.default_rng(3)
    sd = math.log(1.2) / 1.645
    assert watched(residuals(np.exp(rng.normal(0, sd, 300)))).alarms <= 1


def test_a_device_that_became_slower_is_noticed_and_the_interval_reaches_it():
    quiet, slower = [1.0, 1.02, 0.98] * 4, [1.35] * 6
    state = watched(residuals(quiet + slower))
    assert state.drifted
    assert state.away > 0
    before = declared(10.0, "s", spread=1.2)
    assert not before.low <= 13.5 <= before.high
    after = opened(before, state)
    assert after.low <= 13.5 <= after.high
    assert opened(before, watched(residuals(quiet))) == before


def test_a_drift_that_is_over_closes_the_interval_again():
    state = watched(residuals([1.0] * 5 + [1.5] * 6 + [1.0] * 30))
    assert state.alarms > 0
    assert not state.drifted


def test_one_site_that_hung_once_is_no_drift():
    assert watched(residuals([1.0] * 10 + [40.0] + [1.0] * 10)).alarms == 0
    assert watched(residuals([1.0] * 10 + [40.0] * 2 + [1.0] * 10)).alarms == 1


def test_a_card_tells_error_bias_and_coverage_beside_the_usual_formula():
    found = card("round", residuals([1.0, 1.1, 0.8, 1.5]), naive=[20.0] * 4, spread=0.02)
    assert found.count == 4
    assert found.mape == pytest.approx(np.mean([0, 1 / 11, 0.25, 1 / 3]))
    assert found.coverage == 0.5
    assert found.naive > found.mape
    assert card("round", []).count == 0
    assert math.isnan(card("round", []).mape)


def test_parts_have_cards_of_their_own():
    cards = by_part(residuals([1.0, 1.1]) + residuals([2.0], part="upload"))
    assert {part: one.count for part, one in cards.items()} == {"compute": 2, "upload": 1}


def test_repetitions_set_the_floor_below_which_no_error_is_judged():
    assert repeat_spread({"a": [1.0, 1.2, 0.8], "b": [5.0, 5.0]}) == pytest.approx(0.2 / 3)
    assert math.isnan(repeat_spread({"a": [1.0]}))


def test_intervals_that_were_too_narrow_are_stretched_until_they_would_have_covered():
    rng = np.random.default_rng(11)
    past, coming = (residuals(np.exp(rng.normal(0, 0.3, 200)), spread=1.1) for _ in range(2))
    power = stretch(past)
    assert power > 2
    honest = stretched(past[0].predicted, power)
    assert 0.85 <= np.mean([honest.low <= one.seen <= honest.high for one in coming]) <= 0.96
    assert stretch(past[:3]) == 1.0


def test_what_was_exact_and_came_otherwise_counts_as_far_off():
    exact = Residual("bytes", "north", Quantity(0, "byte", 0, 0, "fitted"), 3.0, NOW)
    assert standardised(exact) == math.inf
    assert watched([exact] * 2).alarms == 1
