"""Comparing groups' survival: observed and expected events and their covariance, which are sums over strata.

Sources: N. Mantel (1966); R. Peto and J. Peto, JRSS A 135 (1972) 185; D. P. Harrington and T. R. Fleming, Biometrika 69 (1982) 553
(the G-rho family). As R's ``survdiff``: weights are powers of the left-continuous Kaplan-Meier estimate of the stratum's joined
groups; rho = 0 is the log-rank test, rho = 1 the Peto-Prentice modification of Wilcoxon's test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

__all__ = ["LogRank", "compare_curves", "compare_rows"]


@dataclass(frozen=True, slots=True)
class LogRank:
    """What the test needs; two of them add up over strata.

    Attributes:
        observed: weighted number of events, float64 (group,).
        expected: what it would be if all groups shared one curve, float64 (group,).
        variance: covariance of `observed`, float64 (group, group).
    """

    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    variance: NDArray[np.float64]

    def __add__(self, other: LogRank) -> LogRank:
        return LogRank(self.observed + other.observed, self.expected + other.expected, self.variance + other.variance)

    @staticmethod
    def zero(groups: int) -> LogRank:
        return LogRank(np.zeros(groups), np.zeros(groups), np.zeros((groups, groups)))

    def test(self) -> tuple[float, int, float]:
        """Chi-square, degrees of freedom (groups with something expected, less one) and p-value."""
        met = np.flatnonzero(self.expected > 0)[1:]
        if not len(met):
            return 0.0, 0, 1.0
        excess = (self.observed - self.expected)[met]
        statistic = float(excess @ np.linalg.lstsq(self.variance[np.ix_(met, met)], excess, rcond=None)[0])
        return statistic, len(met), float(chi2.sf(statistic, len(met)))


def compare_curves(events: NDArray[np.int64], at_risk: NDArray[np.int64], rho: float) -> LogRank:
    """One stratum's share, from events and numbers at risk at increasing times, both (group, time)."""
    d, n = events.sum(axis=0), at_risk.sum(axis=0)
    met = d > 0
    d, n, at_risk, events = d[met].astype(np.float64), n[met].astype(np.float64), at_risk[:, met], events[:, met]
    weight = np.concatenate(([1.0], np.cumprod((n - d) / n)))[:-1] ** rho  # survival just before each time
    share = at_risk / n
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(n > 1, weight**2 * d * (n - d) / (n - 1), 0.0)
    variance = np.diag(share @ spread) - (share * spread) @ share.T
    return LogRank(events @ weight, share @ (weight * d), variance)


def compare_rows(
    time: NDArray[np.float64],
    event: NDArray[np.bool_],
    group: NDArray[np.int64],
    stratum: NDArray[np.int64],
    *,
    groups: int,
    rho: float,
) -> LogRank:
    """The sum over strata, from rows on their own times; all arrays (row,), `group` from 0 to `groups` - 1."""
    order = np.lexsort((time, stratum))
    firsts = np.flatnonzero(np.diff(stratum[order], prepend=-1))
    total = LogRank.zero(groups)
    for rows in np.split(order, firsts[1:]) if len(order) else ():
        total = total + compare_curves(*_curves(time[rows], event[rows], group[rows], groups), rho)
    return total


def _curves(
    time: NDArray[np.float64], event: NDArray[np.bool_], group: NDArray[np.int64], groups: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Events and numbers at risk, (group, time), at the times of the events of rows that are sorted by time."""
    moments = np.unique(time[event])
    place, first = np.searchsorted(moments, time), np.searchsorted(time, moments)
    events, at_risk = np.zeros((groups, len(moments)), np.int64), np.zeros((groups, len(moments)), np.int64)
    for code in range(groups):
        here = group == code
        events[code] = np.bincount(place[event & here], minlength=len(moments))
        at_risk[code] = np.concatenate((np.cumsum(here[::-1])[::-1], [0]))[first]
    return events, at_risk
