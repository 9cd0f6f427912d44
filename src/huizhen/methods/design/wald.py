"""What is read off estimates and their covariance: standard errors, confidence intervals, Wald tests."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from huizhen.privacy.result import Table, listed

__all__ = ["chi_square_p", "coefficient_table", "f_p", "joint_wald"]

Floats = NDArray[np.float64]


def coefficient_table(
    names: Sequence[str],
    coefficients: Floats,
    errors: Floats,
    *,
    confidence: float,
    df: float | Floats = inf,
    ratio: tuple[str, str] = ("", ""),
) -> Table:
    """One row for each coefficient.

    Args:
        names: of the coefficients.
        coefficients: float64 (term,).
        errors: their standard errors, float64 (term,).
        confidence: of the intervals, e.g. 0.95.
        df: degrees of freedom of Student's t, of all or each; infinite: the normal distribution, and ``z`` for ``t``.
        ratio: name and short name of exp(coefficient), e.g. ``("odds_ratio", "or")``; empty for none.
    """
    statistic = np.divide(coefficients, errors, out=np.full_like(errors, np.nan), where=errors > 0)
    normal = bool(np.all(np.equal(df, inf)))
    p_values = 2.0 * (ndtr(-np.abs(statistic)) if normal else stdtr(df, -np.abs(statistic)))
    reach = (ndtri(0.5 + confidence / 2.0) if normal else stdtrit(df, 0.5 + confidence / 2.0)) * errors
    columns = {
        "coefficient": coefficients,
        "standard_error": errors,
        "z" if normal else "t": statistic,
        "p_value": p_values,
        "ci_low": coefficients - reach,
        "ci_high": coefficients + reach,
    }
    name, short = ratio
    if name:
        with np.errstate(over="ignore"):
            columns |= {name: np.exp(coefficients)}
            columns |= {f"{short}_low": np.exp(coefficients - reach), f"{short}_high": np.exp(coefficients + reach)}
    plain = {key: listed(values) for key, values in columns.items()}
    return Table({"term": tuple(names), **plain}, index="term", caption=f"Coefficients with {confidence:.0%} confidence intervals.")


def joint_wald(coefficients: Floats, covariance: Floats, columns: Sequence[int]) -> float:
    """Wald statistic of the hypothesis that these coefficients are all 0; chi-square distributed."""
    chosen = list(columns)
    estimate = coefficients[chosen]
    return float(estimate @ np.linalg.solve(covariance[np.ix_(chosen, chosen)], estimate))


def chi_square_p(statistic: float, df: float) -> float:
    """Upper tail of the chi-square distribution."""
    return float(chdtrc(df, max(statistic, 0.0)))


def f_p(statistic: float, df: float, residual: float) -> float:
    """Upper tail of the F distribution."""
    return float(fdtrc(df, residual, max(statistic, 0.0)))
