"""A fitted Cox model as tables for a reader, in the user's units."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from huizhen.methods.design.columns import Design
from huizhen.methods.design.wald import coefficient_table
from huizhen.methods.hazards.hazard import Hazard
from huizhen.methods.hazards.newton import Maximum
from huizhen.methods.hazards.riskset import Cells, Floats, elapse
from huizhen.privacy.result import Table, listed

__all__ = ["baseline_table", "hazard_ratios"]


def hazard_ratios(design: Design, best: Maximum, covariance: Floats, confidence: float, standard_errors: str) -> Table:
    """Coefficients (log hazard ratios) and hazard ratios with limits; `covariance` is that of the standardised coefficients."""
    coefficients, in_units = design.unscale(best.coefficients, covariance)
    errors = np.sqrt(np.diag(in_units))
    table = coefficient_table(design.columns, coefficients, errors, confidence=confidence, ratio=("hazard_ratio", "hr"))
    if standard_errors == "model":
        return table
    model = np.sqrt(np.diag(best.covariance)) / design.scale
    caption = f"{table.caption[:-1]}, {standard_errors} standard errors."
    return replace(table, columns={**table.columns, "model_standard_error": listed(model)}, caption=caption)


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
    columns: dict[str, Any] = {"time": listed(cells.time[in_time])}
    if strata:
        columns = {"stratum": tuple(strata[place] for place in stratum), **columns}
    columns |= {
        "cumulative_hazard": listed(cumulative),
        "survival": listed(np.exp(-cumulative)),
        "breslow": listed(plain),
        "at_zero": listed(at_zero),
    }
    return Table(columns, "time", "Cumulative baseline hazard and survival at the mean of every column")
