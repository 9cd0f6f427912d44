"""How many patients are left after each criterion, and which of these numbers may be seen.

A number is told if it is 0 or at least the minimum, and if the patients lost since the last number told are 0 or at least the
minimum: what cannot be had by subtraction is not there. Where several sites stand beside their sum, a step of the sites is told for
all of them or for none, and the sum only where no site or at least three withhold their own number: so it never gives one away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Attrition", "rounded", "told", "told_together"]

FEWEST = 3  # sites that withhold their number, for of two each would know the other's


@dataclass(frozen=True, slots=True)
class Attrition:
    """What is told of a cohort.

    Attributes:
        steps: what was asked, the index event first.
        patients: who is left, rounded; None where withheld.
        sites: the same by site; empty where one site answers alone.
        note: what a reader should know, or "".
    """

    title: str
    steps: tuple[str, ...]
    patients: tuple[int | None, ...]
    sites: Mapping[str, tuple[int | None, ...]]
    note: str = ""


def told(counts: Sequence[int] | NDArray[np.int64], minimum: int) -> NDArray[np.bool_]:
    """Which steps may be told: bool (step,).

    >>> told([100, 98, 96, 95, 3, 0], 5).tolist()
    [True, False, False, True, False, True]
    """
    found, last = [], None
    for count in counts:
        may = _enough(count, minimum) and (last is None or _enough(last - count, minimum))
        found.append(may)
        last = count if may else last
    return np.array(found, dtype=bool)


def told_together(sites: Mapping[str, Sequence[int]], minima: Mapping[str, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which steps of the sum, and which of all the sites, may be told: bool (step,) each."""
    counts = np.array([sites[site] for site in sites], np.int64)
    least, strictest = [minima[site] for site in sites], max(minima.values())
    total = counts.sum(axis=0)
    withheld = np.sum([~told(counts, minimum) for counts, minimum in zip(sites.values(), least)], axis=0)
    of_sum, of_sites = [], []
    last_sum: int | None = None
    last_sites: NDArray[np.int64] | None = None
    for step in range(counts.shape[1]):
        now = int(total[step])
        may = _enough(now, strictest) and (last_sum is None or _enough(last_sum - now, strictest))
        # The others may tell their own numbers elsewhere: the sum less those must be of no site, or of several.
        may = may and (withheld[step] == 0 or withheld[step] >= FEWEST)
        column = counts[:, step]
        lost = column if last_sites is None else last_sites - column
        each = may and all(_enough(a, m) and _enough(b, m) for a, b, m in zip(column.tolist(), lost.tolist(), least))
        of_sum.append(may)
        of_sites.append(each)
        last_sum = now if may else last_sum
        last_sites = column if each else last_sites
    return np.array(of_sum, dtype=bool), np.array(of_sites, dtype=bool)


def rounded(counts: Sequence[int] | NDArray[np.int64], may: NDArray[np.bool_], minimum: int, step: int) -> tuple[int | None, ...]:
    """The numbers as they are told: the nearest multiple of `step`, but none that is above 0 below the minimum."""
    lowest = -(-minimum // step) * step
    shown: list[int | None] = []
    for count, seen in zip(counts, may):
        nearest = round(int(count) / step) * step
        shown.append((max(nearest, lowest) if count else 0) if seen else None)
    return tuple(shown)


def _enough(count: int, minimum: int) -> bool:
    return count == 0 or count >= minimum
