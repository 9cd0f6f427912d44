"""What earlier runs taught: factors for work and for all else, how often steps come, and how honest the intervals have been."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType

from huizhen.twin.functional import Residual
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.cards import stretch, stretched
from huizhen.twin.shadow.drift import Watched, opened, watched
from huizhen.twin.shadow.factors import Factors, Seen, fitted

__all__ = ["NOTHING_LEARNT", "Compared", "Learnt", "learnt"]

WORK, REST = ("device", "model"), ("engine", "study")
LEVELS = {"compute": WORK, "rest": REST}
NONE: Mapping[str, str] = MappingProxyType({})
COUNT_SPREAD = 1.15  # of how often a step comes, after one run


@dataclass(frozen=True, slots=True)
class Compared:
    """One part of a forecast beside what came.

    Attributes:
        study, run: whose.
        groups: whom the lesson belongs to, by level.
        raw: what would have been predicted without any lesson; 0 where there is no such thing.
        naive: what the usual formula says; 0 where it says nothing.
    """

    residual: Residual
    study: str
    run: str
    groups: Mapping[str, str] = field(default_factory=lambda: NONE)
    raw: float = 0.0
    naive: float = 0.0


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt.

    Attributes:
        work: of processor time, by device and by model on a device; rest: of waiting, lines and the hub, by engine and study.
        power: by which intervals of the total are stretched; state: whether forecasts have drifted.
        counts: how often a step came in runs of a study, by (study, analysis, step).
    """

    work: Factors = field(default_factory=lambda: Factors(WORK))
    rest: Factors = field(default_factory=lambda: Factors(REST))
    power: float = 1.0
    state: Watched = field(default_factory=Watched)
    counts: Mapping[tuple[str, str, str], Quantity] = field(default_factory=lambda: MappingProxyType({}))
    runs: int = 0

    def total(self, quantity: Quantity) -> Quantity:
        """The total with an interval as wide as earlier errors ask for."""
        return opened(stretched(quantity, self.power), self.state)

    def often(self, study: str) -> Mapping[tuple[str, str], Quantity]:
        """How often steps came in earlier runs of this study, by (analysis, step)."""
        return {(analysis, step): count for (whose, analysis, step), count in self.counts.items() if whose == study}


NOTHING_LEARNT = Learnt()


def learnt(compared: Sequence[Compared]) -> Learnt:
    """What these comparisons teach; in order of time."""
    totals = [one.residual for one in compared if one.residual.part == "total" and one.residual.seen > 0]
    counts: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for one in compared:
        if one.residual.part == "times":
            analysis, _, step = one.residual.subject.rpartition("/")
            counts[one.study, analysis, step].append(one.residual.seen)
    return Learnt(
        _factors(compared, "compute"),
        _factors(compared, "rest"),
        stretch(totals),
        watched(totals),
        MappingProxyType({place: _count(some) for place, some in counts.items()}),
        len({one.run for one in compared}),
    )


def _factors(compared: Sequence[Compared], part: str) -> Factors:
    seen = [
        Seen({level: name for level, name in one.groups.items() if level in LEVELS[part]}, one.raw, one.residual.seen)
        for one in compared
        if one.residual.part == part and one.raw > 0 and one.residual.seen > 0
    ]
    return fitted(LEVELS[part], seen)


def _count(some: Sequence[float]) -> Quantity:
    value, spread = median(some), COUNT_SPREAD ** (1.0 / len(some))
    return Quantity(value, "count", min(min(some), value / spread), max(max(some), value * spread), "measured", "earlier runs")
