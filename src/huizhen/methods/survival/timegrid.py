"""A joint grid of times, so that sites can add up what happened when, and no patient's own time travels.

Times fall into fine public intervals ((k - 1) resolution, k resolution], k = 1, 2, ...; interval 0 is the time 0 itself. Sites add
up how many patients left by an event, and how many by censoring, in each fine interval. The hub merges neighbours, events and
censorings each for themselves, until every joint interval of events holds at least the minimum number of events, and every joint
interval of censorings at least that many censorings. An event moves to the right end of its interval, a censoring to that of its
own, and never to before events that move past it. Between two times of a curve then nobody leaves or at least the minimum number
do: no smaller number can be had by subtraction.

With a minimum of 1 and times that are multiples of the resolution, the grid is the set of distinct times, and whatever is computed
on it equals the pooled rows' answer. Otherwise it equals the answer on the pooled rows' times moved as above.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.errors import NotEstimable
from huizhen.methods.method import Local, Step
from huizhen.methods.survival.followup import SurvivalSpec, count_unusable, follow_up, outcome_uses, refuse_unusable
from huizhen.methods.survival.groups import Groups
from huizhen.privacy.release import Answer, Part, Question, Total

__all__ = ["GRID_STEPS", "MOVED", "Exits", "TimeGrid", "agree_exits", "fine_interval", "merge"]

LAST_CAP = 17  # 2**17 = 131,072 fine intervals: 360 years of days, and 2 MB for two groups
MOVED = (
    "the results equal those of the pooled rows with every event moved to the right end of its interval of events, "
    "and every censoring to that of its interval of censorings"
)
ON_GRID = 1e-9  # relative distance at which a time counts as a multiple of the resolution


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """The times that events and censorings were moved to, each known by the number of a fine interval.

    Attributes:
        resolution: width of a fine interval, in the unit of time.
        ends: fine intervals in which somebody leaves, int64 (interval,), increasing.
        events: joint number of events, int64 (group, interval).
        censored: joint number of censorings, int64 (group, interval).
    """

    resolution: float
    ends: NDArray[np.int64]
    events: NDArray[np.int64]
    censored: NDArray[np.int64]

    @property
    def times(self) -> NDArray[np.float64]:
        """The right ends in the unit of time, float64 (interval,)."""
        return np.asarray(self.ends * self.resolution, np.float64)

    @property
    def event_ends(self) -> NDArray[np.int64]:
        """Where events stand: the right ends of their intervals, int64 (event interval,)."""
        return self.ends[self.events.any(axis=0)]

    @property
    def censored_ends(self) -> NDArray[np.int64]:
        """Where censorings stand, int64 (censoring interval,)."""
        return self.ends[self.censored.any(axis=0)]

    @property
    def at_risk(self) -> NDArray[np.int64]:
        """Patients under observation just before each right end, int64 (group, interval)."""
        leaving = self.events + self.censored
        return np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]


@dataclass(frozen=True, slots=True)
class Exits:
    """What all sites' patients left by, and when, on the fine public intervals.

    Attributes:
        resolution: width of a fine interval.
        counts: int64 (kind, group, fine interval from 0); kind 0 = event, 1 = censoring.
        between: whether some time is no multiple of the resolution, so that the grid moves it.
        horizon: the agreed end of the study, or None.
    """

    resolution: float
    counts: NDArray[np.int64]
    between: bool
    horizon: float | None = None

    def grid(self, min_cell_count: int, groups: slice = slice(None)) -> TimeGrid:
        """The grid for some of the groups; see `merge`."""
        return merge(self.counts[:, groups], self.resolution, min_cell_count)

    def distinct(self, groups: slice = slice(None)) -> int:
        """How many fine intervals somebody leaves in."""
        return int(np.count_nonzero(self.counts[:, groups].sum((0, 1))))

    def note(self, grid: TimeGrid, of: str = "", groups: slice = slice(None)) -> str:
        """What a reader must know about a grid in one or two sentences."""
        said = f"Times{of} stand on a joint grid of {len(grid.ends)} (resolution {self.resolution:g})"
        if not self.between and len(grid.ends) == self.distinct(groups):
            return f"{said}: every distinct time of the pooled rows."
        return f"{said}; {MOVED}."


def agree_exits(method: str, spec: SurvivalSpec, groups: Groups) -> Generator[Question, Total, Exits]:
    """Agrees on the reach of follow-up (a power of two times the resolution), then counts exits by fine interval and group.

    Raises:
        NotEstimable: times below zero, or more than 131,072 fine intervals.
    """
    facts = {"outcome": spec.outcome, "resolution": spec.resolution, "groups": groups.facts()}
    variables = grid_variables(spec, groups)
    total = yield Question(method, "reach", facts, variables)
    refuse_unusable(int(total.sums["unusable"][0]))
    cap = _cap(total.sums["beyond"], spec)
    exits = yield Question(method, "exits", {**facts, "cap": cap}, variables)
    return Exits(spec.resolution, exits.sums["exits"], bool(total.sums["between"][0]), spec.horizon)


def grid_variables(spec: SurvivalSpec, groups: Groups) -> tuple[str, ...]:
    """The variables behind a histogram of exits."""
    return tuple(dict.fromkeys((*(use.name for use in outcome_uses(spec)), *groups.names)))


def merge(counts: NDArray[np.int64], resolution: float, min_cell_count: int) -> TimeGrid:
    """A grid from fine intervals: the shortest runs that hold, over all groups, at least `min_cell_count` events or censorings.

    Args:
        counts: int64 (kind, group, fine interval); kind 0 = event, 1 = censoring.
        resolution: width of a fine interval.
        min_cell_count: the least number that a joint interval may hold.

    Raises:
        NotEstimable: there are fewer events, or fewer censorings, than the minimum, but more than none.
    """
    dying, leaving = counts.sum(axis=1)
    event_starts, event_ends = _runs(dying, min_cell_count)
    _, censored_ends = _runs(_held(leaving, event_starts, event_ends), min_cell_count)
    ends = np.union1d(event_ends, censored_ends).astype(np.int64)
    return TimeGrid(resolution, ends, _moved(counts[0], event_ends, ends), _moved(counts[1], censored_ends, ends))


def fine_interval(time: NDArray[np.float64], resolution: float) -> NDArray[np.int64]:
    """Number of the fine interval of each time: k where (k - 1) resolution < time <= k resolution; 0 for time 0."""
    steps = time / resolution
    nearest = np.rint(steps)
    on_grid = np.abs(steps - nearest) <= ON_GRID * np.maximum(1.0, nearest)
    return np.where(on_grid, nearest, np.ceil(steps)).astype(np.int64)


def joint_interval(fine: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the `ends` each fine interval is moved to, int64 (row,)."""
    return np.searchsorted(ends, fine, side="left")


def reach(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:  # noqa: ARG001
    """Rows followed beyond each public cap 2**k resolution; rows whose time cannot be used, or lies between grid points."""
    resolution = question.facts["resolution"]
    time, _ = follow_up(examples, question.facts["outcome"])
    usable = time[np.isfinite(time) & (time >= 0)]
    fine = fine_interval(np.minimum(usable, 2.0 ** (LAST_CAP + 1) * resolution), resolution)
    beyond = len(fine) - np.searchsorted(np.sort(fine), 2 ** np.arange(LAST_CAP + 1), side="right")
    between = np.count_nonzero(np.abs(usable - fine * resolution) > ON_GRID * np.maximum(resolution, usable))
    parts = {
        "beyond": Part(beyond.astype(np.int64), examples.rows, cells=True),
        "unusable": Part(np.array([count_unusable(time)], np.int64), examples.rows, cells=True),
        "between": Part(np.array([between], np.int64), examples.rows, cells=True),
    }
    return Answer(parts, examples.rows), local


def count_exits(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:  # noqa: ARG001
    """Events and censorings by group and fine interval."""
    groups, width = Groups.from_facts(question.facts["groups"]), question.facts["cap"] + 1
    time, event = follow_up(examples, question.facts["outcome"])
    fine = fine_interval(time, question.facts["resolution"])
    kind = np.where(event, 0, 1)
    cell = (kind * groups.count + groups.codes(examples)) * width + fine
    counts = np.bincount(cell, minlength=2 * groups.count * width).reshape(2, groups.count, width)
    return Answer({"exits": Part(counts, examples.rows, cells=True)}, examples.rows), local


GRID_STEPS: Mapping[str, Step] = {"reach": reach, "exits": count_exits}


def _cap(beyond: NDArray[np.int64], spec: SurvivalSpec) -> int:
    if beyond[-1]:
        raise NotEstimable(
            f"follow-up needs more than {2**LAST_CAP:,} intervals of {spec.resolution:g} in the unit of {spec.time!r}, "
            "the most that a joint grid may have. Set a coarser resolution, or a horizon"
        )
    return 1 << int(np.flatnonzero(beyond == 0)[0])


def _runs(counts: NDArray[np.int64], least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last fine interval of each of the shortest runs that hold `least`; what is left at the end joins the last run."""
    used = np.flatnonzero(counts)
    if not len(used):
        return used, used
    starts, ends, running = [int(used[0])], [], 0
    for place, after in zip(used.tolist(), [*used[1:].tolist(), None]):
        running += int(counts[place])
        if running >= least:
            ends.append(place)
            running = 0
            starts += [] if after is None else [after]
    if not ends:
        raise NotEstimable(
            f"in some group fewer than {least} patients had the event, or fewer than {least} were censored, "
            "the least that may be shown. Merge groups, or leave a group out with a cohort condition"
        )
    ends[-1] = max(ends[-1], int(used[-1]))
    return np.array(starts[: len(ends)], np.int64), np.array(ends, np.int64)


def _held(censored: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Censorings, those between the first and the last event of a run held at its end.

    Events of the run move past them; were they to leave before, those at risk would be too few and the curve would fall too far.
    """
    held = censored.copy()
    for first, last in zip(starts.tolist(), ends.tolist()):
        held[last] += held[first:last].sum()
        held[first:last] = 0
    return held


def _moved(counts: NDArray[np.int64], own: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fine counts (group, fine interval) moved to their `own` ends, on the union `ends`: int64 (group, interval)."""
    moved = np.zeros((len(counts), len(ends)), np.int64)
    if len(own):
        starts = np.concatenate(([0], own[:-1] + 1))
        moved[:, np.searchsorted(ends, own)] = np.add.reduceat(counts[:, : own[-1] + 1], starts, axis=1)
    return moved
