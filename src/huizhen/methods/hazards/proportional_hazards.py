"""Does an effect change with time? Two tests of proportional hazards, from sums over cells alone.

The score test of R's ``cox.zph`` (survival >= 3) asks whether ``g(time) x`` should be added for the columns x of a term, where g
is the identity, the log, ``km`` (1 less the Kaplan-Meier estimate just before) or ``rank``. With U the score and V the information,
and every cell's share times g or g^2, it is u' [V Vg; Vg Vgg]^-1 u. Source: P. M. Grambsch and T. M. Therneau, Biometrika 81 (1994)
515; the vignette "Approximating a Cox model" and ``cox.zph`` of R's survival.

The correlation test of lifelines (and of R before 2019) correlates scaled Schoenfeld residuals with g(time), column by column:
``T = (sum (g - mean g) r*)^2 / (d V_jj sum (g - mean g)^2)``, r* = d V r, with d events. For ``km`` lifelines takes the estimate at
the time, and for ``rank`` the number of events so far (which depends on the order of tied rows; here tied times share a rank).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import chi2

from huizhen.methods.design.columns import Design
from huizhen.methods.hazards.likelihood import Weighted
from huizhen.methods.hazards.riskset import Floats
from huizhen.privacy.result import Table

__all__ = ["test_tables"]

GLOBAL = "GLOBAL"


def test_tables(design: Design, weighted: Weighted, names: Sequence[str], covariance: Floats, events: int) -> dict[str, Table]:
    """Tables ``proportional_hazards`` (the score test) and ``proportional_hazards_correlation`` (lifelines').

    Args:
        design: the model's columns.
        weighted: score and information for 1, then for each transform g, g^2 and, for ``km``, lifelines' variant.
        names: the transforms.
        covariance: of the standardised coefficients, float64 (column, column).
        events: number of events.
    """
    scored: list[dict[str, Any]] = []
    correlated: list[dict[str, Any]] = []
    place = 1
    for name in names:
        scored += _score_rows(design, weighted, name, place, events)
        variant = place + 2 if name == "km" else place
        correlated += _correlation_rows(design, weighted, name, variant, covariance, events)
        place += 3 if name == "km" else 2
    return {
        "proportional_hazards": _table(scored, "Score test of proportional hazards (as R's cox.zph)"),
        "proportional_hazards_correlation": _table(
            correlated, "Correlation of scaled Schoenfeld residuals with time (as lifelines)"
        ),
    }


def _score_rows(design: Design, weighted: Weighted, name: str, place: int, events: int) -> list[dict[str, Any]]:
    mean, spread = _mean_and_spread(weighted.sums[place - 1], events)
    if spread == 0:
        return []
    u = (weighted.score[place] - mean * weighted.score[0]) / spread
    v, vg, vgg = weighted.information[0], weighted.information[place], weighted.information[place + 1]
    mixed = (vg - mean * v) / spread
    own = (vgg - 2.0 * mean * vg + mean**2 * v) / spread**2
    terms = {term: [c for c, of in enumerate(design.terms) if of == term] for term in dict.fromkeys(design.terms)}
    rows = []
    for term, columns in (*terms.items(), (GLOBAL, list(range(len(design.columns))))):
        corner = np.block([[v, mixed[:, columns]], [mixed[:, columns].T, own[np.ix_(columns, columns)]]])
        score = np.concatenate((np.zeros(len(v)), u[columns]))
        statistic = float(score @ np.linalg.lstsq(corner, score, rcond=None)[0])
        rows.append(_row(name, term, statistic, len(columns)))
    return rows


def _correlation_rows(
    design: Design, weighted: Weighted, name: str, place: int, covariance: Floats, events: int
) -> list[dict[str, Any]]:
    mean, spread = _mean_and_spread(weighted.sums[place - 1], events)
    if spread == 0:
        return []
    u = covariance @ (weighted.score[place] - mean * weighted.score[0]) * events
    statistics = u**2 / (events * np.diag(covariance) * spread**2 * events)
    return [_row(name, column, float(statistic), 1) for column, statistic in zip(design.columns, statistics)]


def _mean_and_spread(sums: Floats, events: int) -> tuple[float, float]:
    """Mean and standard deviation (over events) of a transform from its sum and sum of squares."""
    mean = float(sums[0]) / events
    return mean, float(np.sqrt(max(float(sums[1]) / events - mean**2, 0.0)))


def _row(name: str, term: str, statistic: float, df: int) -> dict[str, Any]:
    return {"transform": name, "term": term, "chi2": statistic, "df": df, "p_value": float(chi2.sf(statistic, df))}


def _table(rows: Sequence[dict[str, Any]], caption: str) -> Table:
    names = ("transform", "term", "chi2", "df", "p_value")
    return Table({name: tuple(row[name] for row in rows) for name in names}, caption=caption)
