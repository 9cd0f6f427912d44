"""Where an order statistic lies, known from counts: brackets, the cuts that narrow them, and the number written down inside.

Ends and cuts are dyadic fractions that depend on the rows through rounded moments alone, so that the same cuts come out however
the rows are split over sites, and no cut stands at a patient's value by design.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bracket", "cut_points", "first_bracket", "narrow", "shortest"]

PARTS = 64  # a bracket's parts in one round: 7 rounds to a billionth of the standard deviation
OFF_GRID = 0.2718  # keeps moments that are round numbers by nature away from the edges of the rounding below


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where the order statistic of a rank lies: above `low`, at most `high`.

    Its rows stand in a core, which is cut further, and on either side of it there may be some that are too few to stand alone.

    Attributes:
        rank: 1 for the smallest value.
        low, high: what is known so far.
        below: rows at or below `low`.
        inside: rows in the bracket.
        core: low and high end of the core.
        before, after: rows between `low` and the core, and between the core and `high`; fewer than the minimum.
        width: the core is narrow enough when it is at most this wide.
        state: ``open``, ``exact`` (narrow enough) or ``coarse`` (a narrower one would hold too few patients).
    """

    rank: int
    low: float
    high: float
    below: int
    inside: int
    core: tuple[float, float]
    before: int
    after: int
    width: float
    state: str = "open"

    @property
    def cuts(self) -> NDArray[np.float64]:
        """Where the next round cuts its core, strictly between the ends; empty between neighbouring float64."""
        low, high = self.core
        points = np.linspace(low, high, PARTS + 1)[1:-1]
        return np.unique(points[(points > low) & (points < high)])


def first_bracket(rank: int, n: int, *, mean: float, sd: float, width: float) -> Bracket:
    """The bracket that holds all `n` values: mean +- sd * sqrt(n - 1) (Samuelson 1968, JASA 63:1522), rounded outwards.

    Args:
        width: what is narrow enough; rounded down to a power of two.
    """
    reach = max(sd * math.sqrt(n - 1) * (1 + 1e-6), 16 * math.ulp(mean)) if sd or mean else 1.0
    step = _power_of_two(reach / 4)
    low = step * math.floor((mean - reach) / step - OFF_GRID)
    high = step * math.ceil((mean + reach) / step + OFF_GRID)
    return _closed(Bracket(rank, low, high, 0, n, (low, high), 0, 0, _power_of_two(width) if width else 0.0))


def cut_points(brackets: Iterable[Bracket]) -> NDArray[np.float64]:
    """All cuts of the open ones among brackets of one variable and group, ascending."""
    pieces = [bracket.cuts for bracket in brackets if bracket.state == "open"]
    return np.unique(np.concatenate(pieces)) if pieces else np.zeros(0)


def narrow(bracket: Bracket, counted: Mapping[float, int], at_least: int) -> Bracket:
    """The part of a bracket that holds its rank, or the run of parts that holds it together with `at_least` rows.

    Which parts run together depends on the counts alone and not on the rank: so whatever ranks are asked for, the brackets of two
    are the same, or lie apart with at least `at_least` rows in each, and no difference of two tells of fewer.

    Args:
        counted: rows at or below each cut.
    """
    if bracket.state != "open":
        return bracket
    cuts = bracket.cuts.tolist()
    above = bracket.below + bracket.inside
    edges = [bracket.low, bracket.core[0], *cuts, bracket.core[1], bracket.high]
    known = [bracket.below, bracket.below + bracket.before, *(counted[cut] for cut in cuts), above - bracket.after, above]
    counts = np.diff(known).tolist()
    left, right = next((first, last + 1) for first, last in _runs(counts, at_least) if known[last + 1] >= bracket.rank)
    narrowed = replace(bracket, low=edges[left], high=edges[right], below=known[left], inside=known[right] - known[left])
    core = next((part for part in range(left, right) if counts[part] >= at_least), None)
    if core is None:
        return replace(narrowed, state="coarse")
    before, after = known[core] - known[left], known[right] - known[core + 1]
    return _closed(replace(narrowed, core=(edges[core], edges[core + 1]), before=before, after=after))


def _runs(counts: Sequence[int], least: int) -> list[tuple[int, int]]:
    """Runs of parts with at least `least` rows each, all rows in some run: first and last part, neither of them empty.

    A part with enough rows stands by itself, or with some beside it that are too few to stand by themselves.
    """
    runs: list[tuple[int, int, int]] = []  # first part, last part, rows
    few: list[tuple[int, int, int]] = []  # the parts with too few rows since the last one with enough
    for place, count in enumerate([*counts, least]):
        if 0 < count < least:
            few.append((place, place, count))
        elif count:
            runs += [*_gathered(few, least), (place, place, count)]
            few = []
    runs.pop()  # stood at the end, to gather what came last
    settled: list[tuple[int, int, int]] = []
    for place, run in enumerate(runs):
        after = runs[place + 1][2] if place + 1 < len(runs) else None
        if run[2] < least and after is not None and (not settled or after < settled[-1][2]):
            runs[place + 1] = _joined(run, runs[place + 1])
        elif settled and run[2] < least:
            settled[-1] = _joined(settled[-1], run)
        else:
            settled.append(run)
    return [(first, last) for first, last, _ in settled]


def _gathered(parts: Sequence[tuple[int, int, int]], least: int) -> list[tuple[int, int, int]]:
    """Neighbours joined until they hold `least` rows; what is left joins the last, or stands alone with too few."""
    runs: list[tuple[int, int, int]] = []
    for part in parts:
        if runs and (runs[-1][2] < least):
            runs[-1] = _joined(runs[-1], part)
        else:
            runs.append(part)
    if len(runs) > 1 and runs[-1][2] < least:
        runs[-2:] = [_joined(*runs[-2:])]
    return runs


def _joined(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return one[0], other[1], one[2] + other[2]


def shortest(low: float, high: float) -> float:
    """The number with the fewest decimals above `low` and at most `high`: what was written down, if its digits were few.

    >>> shortest(53.99999999, 54.00000001), shortest(160.19999999, 160.2), shortest(-1.0, 0.5)
    (54.0, 160.2, 0.0)
    """
    with localcontext(prec=1100, Emax=2000, Emin=-2000):
        # Up to half way to the next float64: the decimal 160.2 is a little above the float64 that it is stored as.
        top = (Decimal(high) + Decimal(math.nextafter(high, math.inf))) / 2
        finest = (Decimal(high) - Decimal(low)).adjusted()
        for place in range(max(top.adjusted(), Decimal(low).adjusted(), finest) + 1, finest - 3, -1):
            rounded = float((top / Decimal(1).scaleb(place)).to_integral_value(ROUND_FLOOR).scaleb(place))
            if low < rounded <= high:
                return rounded
    return high


def _closed(bracket: Bracket) -> Bracket:
    if bracket.core[1] - bracket.core[0] > bracket.width and len(bracket.cuts):
        return bracket
    return replace(bracket, state="coarse" if bracket.before or bracket.after else "exact")


def _power_of_two(size: float) -> float:
    """A power of two near `size`; sizes that differ by rounding give the same one."""
    return max(2.0 ** math.floor(math.log2(size) - OFF_GRID), math.ulp(0.0))
