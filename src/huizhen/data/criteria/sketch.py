"""Whether two cohorts differ by few patients, told by some ten kilobytes for each, whatever their size; they stay at the site.

The hashes of a cohort's patients are dealt into buckets by their lowest bits, and those of a bucket are mixed by exclusive or.
Patients who are in both cohorts leave the same traces, so at most as many buckets differ as patients do: cohorts that differ by
fewer than the minimum never escape notice. That two of them meet in one bucket only makes the rule a little stricter.

Three cohorts mixed together leave the traces of whoever is in one or in all of them. Where two of them together are the third but
for a few patients, as women and men are all but those of neither sex, only the few are left; their counts then nearly add up, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sketch", "buckets_for", "differing", "near", "nearly_two", "stacked"]

FEWEST, SPARE = 4096, 64  # buckets; for each patient of the minimum, so that few of them meet


@dataclass(frozen=True, slots=True)
class Sketch:
    """A cohort: how many patients, and their hashes mixed: uint64 (bucket,)."""

    patients: int
    mixed: NDArray[np.uint64]


def buckets_for(minimum: int) -> int:
    """How many buckets a minimum asks for: a power of 2."""
    return max(FEWEST, 1 << (SPARE * minimum - 1).bit_length())


def stacked(rows: Iterable[tuple[int, int, int, int]], steps: int, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Counts (step,) and mixed hashes (step, bucket) of the patients who reached each step, from what `sketched` asked for.

    Args:
        steps: criteria; there is one step more, the index event.
    """
    counts = np.zeros(steps + 1, np.int64)
    mixed = np.zeros((steps + 1, buckets), np.uint64)
    for reached, bucket, patients, hashes in rows:
        counts[reached] += patients
        mixed[reached, bucket] ^= np.uint64(hashes)
    # Who reached a step was in all steps before it.
    backwards = np.bitwise_xor.accumulate(mixed[::-1], axis=0)[::-1]
    return np.cumsum(counts[::-1])[::-1].copy(), np.ascontiguousarray(backwards)


def differing(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many buckets differ, at most as many as patients do: (step of one, step of other)."""
    size = min(one.shape[1], other.shape[1])
    first, second = _folded(one, size), _folded(other, size)
    return np.array([[np.count_nonzero(a != b) for b in second] for a in first], np.int64).reshape(len(first), len(second))


def near(one: NDArray[np.uint64], other: NDArray[np.uint64], minimum: int) -> NDArray[np.bool_]:
    """Which steps differ, but by fewer patients than the minimum: (step of one, step of other)."""
    found = differing(one, other)
    return (found > 0) & (found < minimum)


def nearly_two(one: Sketch, others: Sequence[Sketch], rest: Sequence[Sketch], minimum: int) -> tuple[int, int] | None:
    """Two cohorts, one of the others and one more of them or of the rest, that with this one tell of fewer than the minimum.

    Returns:
        Places, the second counted through both lists; None where there are none.
    """
    both = [*others, *rest]
    sizes = np.array([each.patients for each in both], np.int64)
    for first, other in enumerate(others):
        # One of the three is nearly the other two together, so that its number is nearly their sum.
        a, b, c = one.patients, other.patients, sizes[first + 1 :]
        adds_up = (abs(a - b - c) < minimum) | (abs(b - a - c) < minimum) | (abs(c - a - b) < minimum)
        for second in (np.flatnonzero(adds_up) + first + 1).tolist():
            third = both[second].mixed
            size = min(len(one.mixed), len(other.mixed), len(third))
            pair = _folded(one.mixed[None], size) ^ _folded(other.mixed[None], size)
            if near(pair, third[None], minimum)[0, 0]:
                return first, second
    return None


def _folded(mixed: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """The same sketch with fewer buckets: those that share their lowest bits are mixed."""
    folded: NDArray[np.uint64] = np.bitwise_xor.reduce(mixed.reshape(len(mixed), -1, size), axis=1)
    return folded
