"""What a two-way table of counts says: chi-squared, Fisher's exact test, odds ratio, risk ratio and risk difference.

Pure functions of the joint counts, R's definitions: ``chisq.test``, ``fisher.test``. In a two-by-two table the second row is
read as exposed against the first, and the second column as the event; the odds ratio is the same either way round.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, ndtri

__all__ = ["Alternative", "Estimate", "fisher", "odds_ratio", "pearson", "risk_difference", "risk_ratio"]

Alternative = Literal["two-sided", "less", "greater"]
TIE = 1 + 1e-7  # fisher.test: tables that are no more probable than the observed one, up to this factor, count as extreme


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measure of association with its limits; None where a zero count leaves it undefined.

    Attributes:
        measure: ``odds_ratio``, ``risk_ratio``...
        value, low, high: the estimate and its confidence limits.
        log_standard_error: standard error of the logarithm, for ratios that have one.
    """

    measure: str
    value: float | None
    low: float | None = None
    high: float | None = None
    log_standard_error: float | None = None


def pearson(counts: NDArray[np.int64]) -> dict[str, Any]:
    """Chi-squared test of independence, from the rows and columns that hold anyone.

    Args:
        counts: int64 (row, column).

    Returns:
        ``chi2``, ``df``, ``p_value`` (without continuity correction), ``cramers_v``, ``expected_min`` and
        ``expected_below_5`` (number of cells); for two by two also ``chi2_yates`` and ``p_value_yates`` as R's default
        (the correction is never larger than the distance itself). Empty where fewer than two rows or columns hold anyone.
    """
    held = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0].astype(float)
    if min(held.shape) < 2:
        return {}
    n = held.sum()
    expected = np.outer(held.sum(axis=1), held.sum(axis=0)) / n
    distance = np.abs(held - expected)
    chi2 = float((distance**2 / expected).sum())
    df = (held.shape[0] - 1) * (held.shape[1] - 1)
    found = {
        "chi2": chi2,
        "df": df,
        "p_value": float(chdtrc(df, chi2)),
        "cramers_v": math.sqrt(chi2 / (n * (min(held.shape) - 1))),
        "expected_min": float(expected.min()),
        "expected_below_5": int((expected < 5).sum()),
    }
    if held.shape == (2, 2):
        corrected = float(((distance - min(0.5, float(distance.min()))) ** 2 / expected).sum())
        found |= {"chi2_yates": corrected, "p_value_yates": float(chdtrc(df, corrected))}
    return found


def odds_ratio(counts: NDArray[np.int64], confidence: float) -> Estimate:
    """Cross-product ratio; limits by the standard error of its logarithm (Woolf 1955)."""
    (a, b), (c, d) = counts.astype(float).tolist()
    if 0 in (a, b, c, d):
        return Estimate("odds_ratio", None)
    return _by_logarithm("odds_ratio", a * d / (b * c), math.sqrt(1 / a + 1 / b + 1 / c + 1 / d), confidence)


def risk_ratio(counts: NDArray[np.int64], confidence: float) -> Estimate:
    """Risk of the second column in the second row over that in the first; limits by the logarithm (Katz et al. 1978)."""
    (a, b), (c, d) = counts.astype(float).tolist()
    if b == 0 or d == 0:
        return Estimate("risk_ratio", None)
    return _by_logarithm("risk_ratio", (d / (c + d)) / (b / (a + b)), math.sqrt(a / b / (a + b) + c / d / (c + d)), confidence)


def risk_difference(counts: NDArray[np.int64], confidence: float) -> Estimate:
    """Risk of the second column in the second row minus that in the first, with Wald limits (``prop.test`` uncorrected)."""
    (a, b), (c, d) = counts.astype(float).tolist()
    if a + b == 0 or c + d == 0:
        return Estimate("risk_difference", None)
    first, second = b / (a + b), d / (c + d)
    reach = _z(confidence) * math.sqrt(first * (1 - first) / (a + b) + second * (1 - second) / (c + d))
    return Estimate("risk_difference", second - first, max(second - first - reach, -1.0), min(second - first + reach, 1.0))


def fisher(counts: NDArray[np.int64], alternative: Alternative, confidence: float) -> tuple[float, Estimate]:
    """Fisher's exact test of a two-by-two table and the conditional maximum-likelihood odds ratio.

    As R's ``fisher.test``: two-sided p sums all tables no more probable than the observed one; the limits invert the
    one-sided tests, one limit only where `alternative` is one-sided. Solved to float64, where R stops at about 1e-4.

    Returns:
        p value, estimate (0 or infinity where the count stands at the end of what the margins allow).
    """
    (first, _), rows, columns = counts[0], counts.sum(axis=1), counts.sum(axis=0)
    low, high = max(0, int(columns[0] - rows[1])), int(min(rows[0], columns[0]))
    support = np.arange(low, high + 1, dtype=float)
    weights = _hypergeometric_log_weights(support, *(int(n) for n in (rows[0], rows[1], columns[0])))
    at = int(first) - low
    null = _tilted(weights, support, 0.0)
    tails = {"less": float(null[: at + 1].sum()), "greater": float(null[at:].sum())}
    two_sided = float(null[null <= null[at] * TIE].sum())
    p = min(1.0, two_sided if alternative == "two-sided" else tails[alternative])
    alpha = (1 - confidence) / (2 if alternative == "two-sided" else 1)

    def mean(slope: float) -> float:
        return float(_tilted(weights, support, slope) @ support) - float(first)

    def below(slope: float) -> float:
        return alpha - float(_tilted(weights, support, slope)[: at + 1].sum())

    def above(slope: float) -> float:
        return float(_tilted(weights, support, slope)[at:].sum()) - alpha

    edge = {0: 0.0, len(support) - 1: math.inf}
    value = math.nan if len(support) == 1 else edge.get(at, math.nan) if at in edge else _solve(mean)
    lower = 0.0 if at == 0 or alternative == "less" else _solve(above)
    upper = math.inf if at == len(support) - 1 or alternative == "greater" else _solve(below)
    return p, Estimate("fisher_odds_ratio", None if math.isnan(value) else value, lower, upper)


def _hypergeometric_log_weights(support: NDArray[np.float64], row1: int, row2: int, column1: int) -> NDArray[np.float64]:
    """Logarithms of the hypergeometric probabilities, up to a constant, by adding up ratios of neighbours: no large lgamma."""
    k = support[:-1]
    steps = np.log((row1 - k) * (column1 - k)) - np.log((k + 1) * (row2 - column1 + k + 1))
    weights = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(weights - weights.max())


def _tilted(weights: NDArray[np.float64], support: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    """Fisher's noncentral hypergeometric probabilities at the odds ratio exp(slope)."""
    tilted = weights + slope * support
    probabilities = np.exp(tilted - tilted.max())
    return np.asarray(probabilities / probabilities.sum())


def _solve(rising: Callable[[float], float]) -> float:
    """exp of the root of a rising function of the log odds ratio."""
    reach = 1.0
    while rising(-reach) > 0 or rising(reach) < 0:
        reach *= 2
    return math.exp(brentq(rising, -reach, reach, xtol=1e-14, rtol=8.9e-16))


def _by_logarithm(measure: str, value: float, log_error: float, confidence: float) -> Estimate:
    if value == 0:
        return Estimate(measure, value)
    reach = math.exp(_z(confidence) * log_error)
    return Estimate(measure, value, value / reach, value * reach, log_error)


def _z(confidence: float) -> float:
    return float(ndtri(0.5 + confidence / 2))
