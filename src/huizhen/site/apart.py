"""Whether a cohort stands far enough apart from those that were answered: pure, and strict where it cannot tell.

What is held against each other are sketches (`data.criteria.sketch`). Whether two cohorts differ by few patients shows in two of
them. Whether three do, as "all" less "women" less "men but one" does, shows in three: outside the few patients everybody is in none
or in two of the three, so that the three mixed together are nearly empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from huizhen.data.criteria.sketch import Sketch, differing, near, nearly_two
from huizhen.site.answered import Answered, Counted

__all__ = ["AGAIN", "SITES_APART", "Close", "as_answered", "close", "known", "other_sites"]

SITES_APART = 3  # as for masked sums: of two totals, or a total and one's own number, no fewer sites' numbers may be left
AGAIN = "the patients have changed by fewer than the minimum since this was answered: the earlier numbers stand"


@dataclass(frozen=True, slots=True)
class Close:
    """A step that differs by too few patients from what was answered.

    Attributes:
        step: place of the step.
        one: what it is too near to, with the place of its step.
        other: where it takes another answered cohort to tell of the few, that one.
        is_of_three: whether it takes three cohorts, of which one may be an earlier step of the same criteria.
    """

    step: int
    one: tuple[Answered, int]
    other: tuple[Answered, int] | None = None
    is_of_three: bool = False


def as_answered(earlier: Sequence[Answered], criteria: str, counted: Counted, minimum: int) -> Counted:
    """The counts, or where the same criteria were answered for nearly the same patients, that answer once more.

    Args:
        criteria: their digest.
    """
    for one in reversed(earlier):
        is_same = one.criteria == criteria and len(one.counts) == len(counted.counts)
        if is_same and np.diagonal(near(counted.mixed, one.mixed, minimum)).any():
            return Counted(np.array(one.counts, np.int64), one.mixed, AGAIN)
    return replace(counted, note="")


def known(earlier: Sequence[Answered], counted: Counted, roster: Sequence[str], site: str) -> NDArray[np.bool_]:
    """The steps with the very patients of a step that was told for these sites, or for this one alone: bool (step,).

    A number that was told before tells nothing new.
    """
    found = np.zeros(len(counted.counts), dtype=bool)
    for one in earlier:
        if one.roster in (tuple(sorted(roster)), (site,)):
            found |= ((differing(counted.mixed, one.mixed) == 0) & np.array(one.shown, dtype=bool)[None, :]).any(axis=1)
    return found


def close(
    earlier: Sequence[Answered], counted: Counted, minimum: int, asked: NDArray[np.bool_], *, begins: bool = True
) -> Iterator[Close]:
    """The asked steps that differ by too few patients from an answered cohort, or tell of too few with two cohorts; each once.

    Steps that come before count as told beside what was answered, for they are, unless they are too near themselves.

    Args:
        begins: whether this answer begins with the patients of the index event. Then whoever was lost since them is judged within
            the answer, as in every first one, and they are no earlier cohort although many answers begin with the same.
    """
    answered, own = _distinct(earlier), list[Sketch]()
    first = _sketch(counted, 0)
    if begins:
        answered = [each for each in answered if _differ(each[0], first)]
    sketches = [sketch for sketch, _ in answered]
    for step in range(len(asked)):
        this = first if step == 0 else _sketch(counted, step)
        if asked[step]:
            found = _found(step, this, answered, sketches, own, minimum)
            if found is not None:
                yield found
                continue
        if this.patients and (asked[step] or (step == 0 and begins)):
            own.append(this)


def _found(
    step: int,
    this: Sketch,
    answered: Sequence[tuple[Sketch, tuple[Answered, int]]],
    sketches: Sequence[Sketch],
    own: Sequence[Sketch],
    minimum: int,
) -> Close | None:
    for sketch, one in answered:
        if near(this.mixed[None], sketch.mixed[None], minimum)[0, 0]:
            return Close(step, one)
    if not this.patients:  # that nobody is left is no number to be added or subtracted
        return None
    pair = nearly_two(this, sketches, own, minimum)
    if pair is None:
        return None
    first, second = pair
    other = answered[second][1] if second < len(answered) else None
    return Close(step, answered[first][1], other, is_of_three=True)


def _sketch(counted: Counted, step: int) -> Sketch:
    return Sketch(int(counted.counts[step]), counted.mixed[step])


def _differ(one: Sketch, other: Sketch) -> bool:
    return bool(differing(one.mixed[None], other.mixed[None])[0, 0])


def _distinct(earlier: Sequence[Answered]) -> list[tuple[Sketch, tuple[Answered, int]]]:
    """Every cohort that was told of, once; those of nobody tell nothing."""
    found: dict[tuple[int, bytes], tuple[Sketch, tuple[Answered, int]]] = {}
    for one in earlier:
        for place in np.flatnonzero(one.shown).tolist():
            sketch = Sketch(one.counts[place], one.mixed[place])
            if sketch.patients:
                found.setdefault((sketch.patients, sketch.mixed.tobytes()), (sketch, (one, place)))
    return list(found.values())


def other_sites(one: Answered, criteria: str, counted: Counted, roster: Sequence[str], minimum: int) -> bool:
    """Whether the sums of two rosters could be subtracted to the numbers of one or two sites."""
    together = len(roster) > 1 and len(one.roster) > 1
    if not together or not 0 < len(set(roster) ^ set(one.roster)) < SITES_APART:
        return False
    alike = differing(counted.mixed, one.mixed) < minimum
    alike &= (counted.counts[:, None] > 0) & (np.array(one.counts)[None, :] > 0)
    return one.criteria == criteria or bool(alike.any())
