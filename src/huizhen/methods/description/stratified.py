"""What several tables say together: Mantel-Haenszel, Cochran-Mantel-Haenszel, Breslow-Day and Tarone, from sums over strata.

Every statistic here is a function of sums with one term for each stratum, so a site that holds whole strata adds its terms and
nobody sees its tables. Definitions as R's ``mantelhaen.test``.

Sources: Mantel & Haenszel 1959; Robins, Breslow & Greenland 1986 (Biometrics 42:311); Agresti 2002, Categorical Data Analysis,
eq. 7.20 (larger tables); Breslow & Day 1980, eq. 4.30; Tarone 1985.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from huizhen.methods.description.contingency import Estimate

__all__ = ["cochran_mantel_haenszel", "homogeneity", "homogeneity_terms", "mantel_haenszel", "stratum_terms"]

Sums = Mapping[str, NDArray[Any]]


def stratum_terms(tables: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What strata add to the Mantel-Haenszel statistics; strata of fewer than two patients add nothing.

    Args:
        tables: int64 (stratum, row, column).

    Returns:
        ``strata`` int64 (1,); ``distance`` (row-1, column-1): observed minus expected; ``variance`` ((row-1)*(column-1),)*2,
        its covariance; for two by two also ``ratio`` (5,): sums of R, S, PR, PS + QR, QS of Robins, Breslow & Greenland.
    """
    counts = tables[tables.sum(axis=(1, 2)) > 1].astype(float)
    n = counts.sum(axis=(1, 2))
    rows, columns = counts.sum(axis=2)[:, :-1], counts.sum(axis=1)[:, :-1]
    distance = counts[:, :-1, :-1] - rows[:, :, None] * columns[:, None, :] / n[:, None, None]
    spread_rows = n[:, None, None] * _diagonals(rows) - rows[:, :, None] * rows[:, None, :]
    spread_columns = n[:, None, None] * _diagonals(columns) - columns[:, :, None] * columns[:, None, :]
    scale = 1 / (n**2 * (n - 1))
    width = rows.shape[1] * columns.shape[1]
    variance = np.einsum("k,kab,kcd->acbd", scale, spread_rows, spread_columns).reshape(width, width)
    terms = {"strata": np.array([len(n)]), "distance": distance.sum(axis=0), "variance": variance}
    if tables.shape[1:] == (2, 2):
        a, b, c, d = counts[:, 0, 0], counts[:, 0, 1], counts[:, 1, 0], counts[:, 1, 1]
        p, q, r, s = (a + d) / n, (b + c) / n, a * d / n, b * c / n
        terms["ratio"] = np.array([term.sum() for term in (r, s, p * r, p * s + q * r, q * s)])
    return terms


def mantel_haenszel(sums: Sums, confidence: float) -> Estimate:
    """The common odds ratio, with the standard error of its logarithm by Robins, Breslow & Greenland."""
    r, s, pr, mixed, qs = sums["ratio"].tolist()
    if r == 0 or s == 0:
        return Estimate("mantel_haenszel_odds_ratio", None)
    error = math.sqrt(pr / (2 * r**2) + mixed / (2 * r * s) + qs / (2 * s**2))
    reach = math.exp(float(ndtri(0.5 + confidence / 2)) * error)
    return Estimate("mantel_haenszel_odds_ratio", r / s, r / s / reach, r / s * reach, error)


def cochran_mantel_haenszel(sums: Sums) -> dict[str, Any]:
    """Test of conditional independence: ``cmh``, ``cmh_df``, ``cmh_p_value``; for two by two also ``cmh_corrected``...

    The correction takes 1/2 from the distance, unless the distance is smaller (as R). Empty where no stratum says anything.
    """
    distance, variance = sums["distance"].ravel(), sums["variance"]
    df = int(np.linalg.matrix_rank(variance, hermitian=True)) if distance.size else 0
    if df == 0:
        return {}
    # A level that is empty everywhere makes the variance singular; the generalised inverse is the test without that level.
    statistic = float(distance @ np.linalg.pinv(variance, hermitian=True) @ distance)
    found = {"cmh": statistic, "cmh_df": df, "cmh_p_value": float(chdtrc(df, statistic))}
    if df == 1 and "ratio" in sums:
        away = abs(float(distance[0]))
        corrected = (away - (0.5 if away >= 0.5 else 0.0)) ** 2 / float(variance[0, 0])
        found |= {"cmh_corrected": corrected, "cmh_corrected_p_value": float(chdtrc(1, corrected))}
    return found


def homogeneity_terms(tables: NDArray[np.int64], common: float) -> dict[str, NDArray[Any]]:
    """What strata add to the test that all odds ratios equal `common`; strata with an empty margin say nothing and add nothing.

    Returns:
        ``informative`` int64 (1,), strata that add; ``homogeneity`` (3,): sums of (a - e)^2 / v, a - e and v, where e is the
        count expected at the common odds ratio and v its variance.
    """
    margins = np.concatenate([tables.sum(axis=2), tables.sum(axis=1)], axis=1)
    counts = tables[(margins > 0).all(axis=1)].astype(float)
    n, row, column, a = counts.sum(axis=(1, 2)), counts[:, 0].sum(axis=1), counts[:, :, 0].sum(axis=1), counts[:, 0, 0]
    linear = n + (common - 1) * (row + column)
    root = np.sqrt(linear**2 + 4 * (1 - common) * common * row * column)
    # Two forms of one root of the quadratic: the one that does not subtract equals.
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(linear >= 0, 2 * common * row * column / (linear + root), (root - linear) / (2 * (1 - common)))
    variance = 1 / (1 / expected + 1 / (row - expected) + 1 / (column - expected) + 1 / (n - row - column + expected))
    away = a - expected
    return {"informative": np.array([len(n)]), "homogeneity": np.array([(away**2 / variance).sum(), away.sum(), variance.sum()])}


def homogeneity(sums: Sums) -> dict[str, Any]:
    """Breslow-Day's test and Tarone's correction: ``breslow_day``, ``tarone``, their p values and ``homogeneity_df``."""
    statistic, away, variance = sums["homogeneity"].tolist()
    df = int(sums["informative"][0]) - 1
    if df < 1:
        return {}
    tarone = statistic - away**2 / variance
    found = {"breslow_day": statistic, "breslow_day_p_value": float(chdtrc(df, statistic))}
    return found | {"tarone": tarone, "tarone_p_value": float(chdtrc(df, max(tarone, 0.0))), "homogeneity_df": df}


def _diagonals(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(stratum, level) as (stratum, level, level) diagonal matrices."""
    return values[:, :, None] * np.eye(values.shape[1])
