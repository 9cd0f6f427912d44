"""A fitted Cox model as tables for a reader, in the user's units."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from huizhen.methods.columns import Design
from huizhen.methods.cox_newton import Maximum
from huizhen.methods.hazard import Hazard
from huizhen.methods.riskset import Cells, Floats, elapse
from huizhen.privacy.result import Table

__all__ = ["baseline_table", "coefficient_table"]


def coefficient_table(design: Design, best: Maximum, covariance: Floats, confidence: float, standard_errors: str) -> Table:
    """Coefficients (log hazard ratios) and hazard ratios with limits; `covariance` is that of the standardised coefficients."""
    coefficient, in_units = design.unscale(best.coefficients, covariance)
    error = np.sqrt(np.diag(in_units))
    z = coefficient / error
    half = norm.isf((1.0 - confidence) / 2.0) * error
    with np.errstate(over="ignore"):
        ratio, low, high = np.exp(coefficient), np.exp(coefficient - half), np.exp(coefficient + half)
    columns: dict[str, Any] = {
        "term": design.columns,
        "coefficient": _listed(coefficient),
        "standard_error": _listed(error),
        "z": _listed(z),
        "p_value": _listed(2.0 * norm.sf(np.abs(z))),
        "ci_low": _listed(coefficient - half),
        "ci_high": _listed(coefficient + half),
        "hazard_ratio": _listed(ratio),
        "hr_low": _listed(low),
        "hr_high": _listed(high),
    }
    if standard_errors != "model":
        columns["model_standard_error"] = _listed(np.sqrt(np.diag(best.covariance)) / design.scale)
    kind = "" if standard_errors == "model" else f", {standard_errors} standard errors"
    return Table(columns, "term", f"Coefficients and hazard ratios with {confidence:.0%} limits{kind}")


def baseline_table(strata: tuple[str, ...], cells: Cells, hazard: Hazard, design: Design, coefficients: Floats) -> Table:
    """Cumulative baseline hazard at the joint times of events, by stratum.

    ``cumulative_hazard`` and ``survival`` hold for a patient at the mean of every column (ties as in the model, R's ``basehaz``);
    ``breslow`` is Breslow's estimate whatever the ties (lifelines' ``baseline_cumulative_hazard_``); ``at_zero`` is
    ``cumulative_hazard`` for a patient with 0 in every column (R's ``basehaz(centered = FALSE)``).
    """
    ends = np.append(cells.starts[1:], cells.count)
    stratum = np.repeat(np.arange(len(ends)), ends - cells.starts)
    in_time = (ends + cells.starts - 1)[stratum] - np.arange(cells.count)  # cells run backwards in time within a stratum
    cumulative = elapse(hazard.jump, cells.starts)[in_time]
    plain = elapse(hazard.plain, cells.starts)[in_time]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        at_zero = cumulative * np.exp(-(coefficients @ (design.center / design.scale)))
    columns: dict[str, Any] = {"time": _listed(cells.time[in_time])}
    if strata:
        columns = {"stratum": tuple(strata[place] for place in stratum), **columns}
    columns |= {
        "cumulative_hazard": _listed(cumulative),
        "survival": _listed(np.exp(-cumulative)),
        "breslow": _listed(plain),
        "at_zero": _listed(at_zero),
    }
    return Table(columns, "time", "Cumulative baseline hazard and survival at the mean of every column")


def _listed(values: Floats) -> tuple[float | None, ...]:
    """As a column; None for what is too large to write down."""
    return tuple(value if np.isfinite(value) else None for value in values.tolist())
