"""What telemetry may not be believed, and why: set aside with its reason, never dropped; sites that stand out are named.

Outlying sites: the median of each site's values, against the median over sites, in robust deviations (Iglewicz and Hoaglin, *How
to Detect and Handle Outliers*, 1993, section 3: 0.6745 times the distance by the median absolute deviation, 3.5 and more stand out;
where more than half of the sites agree, 1.2533 times the mean absolute deviation takes its place). Of values above 0 the logarithms
are compared, as lines and machines differ by factors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from huizhen.twin.warehouse.metrics import METRICS
from huizhen.twin.warehouse.readings import Readings, micros

__all__ = ["REASONS", "Found", "Outlier", "Sifted", "outlying", "remarks", "sift"]

REASONS = (
    "unknown metric",
    "another unit",
    "no finite number",
    "below zero",
    "above what is possible",
    "in the future",
    "older than what is kept",
)
AHEAD = timedelta(minutes=2)  # clocks that are set by NTP differ by less; a round trip is far below
FAR = 3.5
FEWEST = 5  # sites; with fewer nobody can say which one stands out
GAP = 5.0  # times the usual distance of two values


@dataclass(frozen=True, slots=True)
class Outlier:
    """A site that stands out in a metric.

    Attributes:
        deviation: robust deviations from the median of the sites.
    """

    site: str
    metric: str
    deviation: float


@dataclass(frozen=True, slots=True)
class Found:
    """Something about one series that a person should see; the values are kept."""

    site: str
    subject: str
    metric: str
    what: str
    count: int


@dataclass(frozen=True, eq=False, slots=True)
class Sifted:
    """Readings parted.

    Attributes:
        kept: what may be believed.
        aside: what may not; reasons: of each, a place in `REASONS`.
        counts: by reason, site and metric.
    """

    kept: Readings
    aside: Readings
    reasons: NDArray[np.int8]
    counts: Mapping[tuple[str, str, str], int] = field(default_factory=lambda: MappingProxyType({}))


def sift(readings: Readings, *, now: datetime, kept_since: datetime | None = None) -> Sifted:
    """Parts what may be believed from what may not; of several reasons the first of `REASONS` counts."""
    reason = np.full(len(readings), -1, np.int8)

    def mark(name: str, chosen: NDArray[np.bool_]) -> None:
        reason[chosen & (reason < 0)] = REASONS.index(name)

    def by_series(values: list[float] | list[bool]) -> NDArray[np.float64]:
        return np.array(values or [0.0], np.float64)[readings.which]

    metrics = [METRICS.get(one.metric) for one in readings.series]
    mark("unknown metric", by_series([one is None for one in metrics]) > 0)
    mark("another unit", by_series([one is not None and one.unit != said.unit for one, said in zip(metrics, readings.series)]) > 0)
    mark("no finite number", ~np.isfinite(readings.values))
    signed = by_series([said.metric == "clock_offset" for said in readings.series]) > 0
    mark("below zero", (readings.values < 0) & ~signed)
    mark("above what is possible", readings.values > by_series([np.inf if one is None else one.most for one in metrics]))
    mark("in the future", readings.times > micros(now + AHEAD))
    if kept_since is not None:
        mark("older than what is kept", readings.times < micros(kept_since))
    aside = reason >= 0
    counts = Counter(
        (REASONS[which], readings.series[one].site, readings.series[one].metric)
        for which, one in zip(reason[aside].tolist(), readings.which[aside].tolist())
    )
    return Sifted(readings.taken(~aside), readings.taken(aside), reason[aside], dict(sorted(counts.items())))


def outlying(medians: Mapping[tuple[str, str], float]) -> tuple[Outlier, ...]:
    """Sites whose values lie far from those of the others.

    Args:
        medians: by site and metric.
    """
    found = []
    for metric in sorted({metric for _, metric in medians}):
        known = METRICS.get(metric)
        sites = sorted(site for site, one in medians if one == metric)
        if known is None or not known.alike or len(sites) < FEWEST:
            continue
        values = np.array([medians[site, metric] for site in sites])
        compared = np.log(values) if (values > 0).all() and known.most != 1.0 else values
        for site, deviation in zip(sites, _deviations(compared).tolist()):
            if abs(deviation) >= FAR:
                found.append(Outlier(site, metric, deviation))
    return tuple(found)


def _deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    away = values - np.median(values)
    middle = float(np.median(np.abs(away)))
    if middle > 0:
        return np.asarray(0.6745 * away / middle)
    mean = float(np.mean(np.abs(away)))
    return np.asarray(away / (1.253314 * mean)) if mean > 0 else np.zeros(len(values))


def remarks(readings: Readings) -> tuple[Found, ...]:
    """Gaps, and values out of order, of each series; in the order in which they came."""
    order = np.argsort(readings.which, kind="stable")
    bounds = np.searchsorted(readings.which[order], np.arange(len(readings.series) + 1))
    found = []
    for place, one in enumerate(readings.series):
        times = readings.times[order[bounds[place] : bounds[place + 1]]]
        if back := int((np.diff(times) < 0).sum()):
            found.append(Found(one.site, one.subject, one.metric, "out of order", back))
        steps = np.diff(np.unique(times))
        if steps.size >= 4 and (gaps := int((steps > GAP * np.median(steps)).sum())):
            found.append(Found(one.site, one.subject, one.metric, "gap", gaps))
    return tuple(sorted(found, key=lambda it: (it.site, it.metric, it.subject, it.what)))
