"""What boosting reads from a site's rows: outcome, weight, fold, and for Cox the place of each row among the times of events.

The place of a row is the number, less one, of the event times of its stratum that it was under observation at: the risk set of
event time j is the rows of a stratum whose place is at least j.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.data.folds import TRAINING, VALIDATION, Aside
from huizhen.methods.scores.aim import Aim
from huizhen.methods.survival.followup import local_strata
from huizhen.methods.survival.timegrid import fine_interval, joint_interval
from huizhen.methods.trees.fixedpoint import exact_sums, fixed
from huizhen.methods.trees.objective import Hazard

__all__ = ["FOLDS", "Outcome", "Places", "increments", "read_outcome"]

FOLDS = (TRAINING, VALIDATION)  # the folds whose loss is followed
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be predicted, by row.

    Attributes:
        target: float64 (row,): 0 or 1; code of the class; number; for Cox 1 where the event came.
        time: for Cox float64 (row,), else None.
        weight: float64 (row,), None where all are equal.
        fold: int8 (row,).
    """

    target: Floats
    time: Floats | None
    weight: Floats | None
    fold: NDArray[np.int8]

    def weights(self) -> Floats:
        """Weight of each row."""
        return np.ones(len(self.target)) if self.weight is None else self.weight


def read_outcome(examples: Examples, facts: Mapping[str, Any]) -> Outcome:
    """The outcome as `facts` describe it: aim, weights, what is set aside, the variables that a draw looks at.

    Raises:
        DataError: a value that the aim does not know.
    """
    aim = Aim.from_facts(facts["aim"])
    found = aim.targets(examples).astype(np.float64)
    validation, test = facts["aside"]
    fold = Aside(validation, test).fold(examples, facts["drawn_from"])
    weight = examples.number(facts["weights"]) if facts["weights"] else None
    if aim.task == "cox":
        return Outcome(found[:, 1].copy(), found[:, 0].copy(), weight, fold)
    return Outcome(found, None, weight, fold)


@dataclass(frozen=True, slots=True)
class Places:
    """Where rows stand among the times of events.

    Attributes:
        place: int64 (row,) into all strata's event times, -1 for a row that leaves before the first of its stratum.
        starts: where the event times of each stratum begin, int64 (stratum + 1,).
    """

    place: Integers
    starts: Integers

    @classmethod
    def joint(cls, outcome: Outcome, grid: Mapping[str, Any]) -> Places:
        """On the joint grid of times: one stratum."""
        assert outcome.time is not None
        event_ends, censored_ends = (np.asarray(grid[name], np.int64) for name in ("event_ends", "censored_ends"))
        fine = fine_interval(outcome.time, grid["resolution"])
        moved = fine.copy()
        for ends, rows in ((event_ends, outcome.target == 1), (censored_ends, outcome.target == 0)):
            moved[rows] = ends[joint_interval(fine[rows], ends)]
        place = np.searchsorted(event_ends, moved, side="right") - 1
        return cls(place, np.array([0, len(event_ends)], np.int64))

    @classmethod
    def own(cls, outcome: Outcome, examples: Examples, strata: tuple[str, ...]) -> Places:
        """On the site's own times, within strata that lie within sites."""
        assert outcome.time is not None
        stratum, place, starts = local_strata(examples, strata), np.full(examples.rows, -1, np.int64), [0]
        for code in range(int(stratum.max()) + 1 if examples.rows else 0):
            here = np.flatnonzero(stratum == code)
            times = np.unique(outcome.time[here][outcome.target[here] == 1])
            found = np.searchsorted(times, outcome.time[here], side="right") - 1
            place[here] = np.where(found < 0, -1, found + starts[-1])
            starts.append(starts[-1] + len(times))
        return cls(place, np.array(starts, np.int64))

    @property
    def count(self) -> int:
        return int(self.starts[-1])

    def sums(self, values: Integers, chosen: NDArray[np.bool_]) -> Integers:
        """Sums of whole numbers over the chosen rows of each place, int64 (place,)."""
        chosen = chosen & (self.place >= 0)
        return exact_sums(self.place[chosen], values[chosen], self.count)

    def at_risk(self, sums: Integers) -> Integers:
        """From sums by place: sums over the risk set of each event time, int64 (place,)."""
        return _within(self.starts, sums, backward=True)

    def hazard(self, events: Floats, risk: Floats) -> tuple[Floats, Floats]:
        """The sums over events up to each place, of d / S and of d / S squared; float64 (place,)."""
        steps = increments(events, risk)
        first, second = (_within(self.starts, step, backward=False) for step in steps)
        return first, second

    def of_rows(self, first: Floats, second: Floats, rows: slice) -> Hazard:
        """The hazard that each row has gone through; 0 for rows that leave before the first event."""
        place = self.place[rows]
        return Hazard(np.append(first, 0.0)[place], np.append(second, 0.0)[place])


def increments(events: Floats, risk: Floats) -> tuple[Floats, Floats]:
    """d / S and d / S squared; 0 where nobody had the event."""
    safe = np.where(events > 0, risk, 1.0)
    step = np.where(events > 0, events, 0.0) / safe
    return step, step / safe


def risk_of(margins: Floats, weight: Floats | None, scale: int) -> Integers:
    """Relative hazards, times weights, as whole numbers: int64 (row,)."""
    risk = np.exp(margins)
    return fixed(risk if weight is None else risk * weight, scale)


def _within(starts: Integers, values: NDArray[Any], *, backward: bool) -> NDArray[Any]:
    """Cumulative sums within each stratum, from its last event time backwards or from its first on."""
    found = values.copy()
    for low, high in zip(starts[:-1].tolist(), starts[1:].tolist()):
        found[low:high] = np.cumsum(values[low:high][::-1])[::-1] if backward else np.cumsum(values[low:high])
    return found
