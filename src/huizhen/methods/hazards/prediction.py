"""What a fitted Cox model says about patients: linear predictor, partial hazard, survival; from its result and their rows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE, Examples, chunks
from huizhen.errors import NotEstimable
from huizhen.methods.design.columns import Design
from huizhen.privacy.result import Result

__all__ = ["linear_predictor", "partial_hazard", "survival"]

Floats = NDArray[np.float64]
UNKNOWN = "?"  # what a row without a value is told apart by: no stratum is called so


def linear_predictor(result: Result, examples: Examples) -> Floats:
    """Log hazard ratio of each row against a patient at the mean of every column, float64 (row,) (R's and lifelines' centring).

    Raises:
        NotEstimable: the result holds no fitted model.
    """
    if result.failure:
        raise NotEstimable(f"there is no model to predict with: {result.failure}")
    design = Design.from_facts(result.facts["design"])
    coefficients = np.array(result.tables["coefficients"].columns["coefficient"], np.float64) * design.scale
    eta = np.empty(examples.rows)
    for here in chunks(examples.rows):
        eta[here] = coefficients @ design.standardised(examples, here)
    return eta


def partial_hazard(result: Result, examples: Examples) -> Floats:
    """Hazard ratio of each row against a patient at the mean of every column, float64 (row,)."""
    return np.exp(linear_predictor(result, examples))


def survival(result: Result, examples: Examples, times: Any) -> Floats:
    """Probability to be free of the event at each of `times`, float64 (row, time); the model's baseline steps at its joint times.

    Beyond the last joint time the curve is held. A row of a stratum that had no event, or of none, is NaN.

    Raises:
        NotEstimable: the model has no joint baseline (stratified by site, each stratum's baseline stays at its site).
    """
    times = np.asarray(times, np.float64)
    if "baseline" not in result.tables:
        reason = (
            "each stratum's baseline hazard stays at its site" if SITE in result.facts.get("strata", ()) else "none was asked for"
        )
        raise NotEstimable(f"survival needs a joint baseline hazard: {reason}. Fit with baseline = true and without strata by site")
    ratios, baseline = partial_hazard(result, examples), result.tables["baseline"].columns
    moments, cumulative = (np.array(baseline[name], np.float64) for name in ("time", "cumulative_hazard"))
    predicted = np.full((examples.rows, len(times)), np.nan)
    strata = np.array(baseline.get("stratum", ("",) * len(moments)))
    own = _strata(examples, result.facts.get("strata", ()))
    for stratum in np.unique(strata):
        rows, there = own == stratum, strata == stratum
        reached = np.searchsorted(moments[there], times, side="right")
        steps = np.concatenate(([0.0], cumulative[there]))[reached]
        predicted[rows] = np.exp(-np.outer(ratios[rows], steps))
    return predicted


def _strata(examples: Examples, names: Any) -> NDArray[np.str_]:
    """The stratum of each row as the baseline's table names it."""
    said = np.full(examples.rows, "")
    for place, name in enumerate(names):
        column = examples.category(name)
        labels = np.array([*(f"{', ' if place else ''}{name}={level}" for level in column.levels), UNKNOWN])
        said = np.char.add(said, labels[column.codes])
    return said
