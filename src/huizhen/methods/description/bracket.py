"""Where an order statistic lies, known from counts: brackets, the cuts that narrow them, and the number written down inside.

Ends and cuts are dyadic fractions that depend on the rows through rounded moments alone, so that the same cuts come out however
the rows are split over sites, and no cut stands at a patient's value by design.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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

    Attributes:
        rank: 1 for the smallest value.
        below: rows at or below `low`.
        inside: rows in the bracket.
        width: the bracket is narrow enough when it is at most this wide.
        state: ``open``, ``exact`` (narrow enough) or ``coarse`` (a narrower one would hold too few patients).
    """

    rank: int
    low: float
    high: float
    below: int
    inside: int
    width: float
    state: str = "open"

    @property
    def cuts(self) -> NDArray[np.float64]:
        """Where the next round cuts it, strictly between its ends; empty between neighbouring float64."""
        points = np.linspace(self.low, self.high, PARTS + 1)[1:-1]
        return np.unique(points[(points > self.low) & (points < self.high)])


def first_bracket(rank: int, n: int, *, mean: float, sd: float, width: float) -> Bracket:
    """The bracket that holds all `n` values: mean +- sd * sqrt(n - 1) (Samuelson 1968, JASA 63:1522), rounded outwards.

    Args:
        width: what is narrow enough; rounded down to a power of two.
    """
    reach = max(sd * math.sqrt(n - 1) * (1 + 1e-6), 16 * math.ulp(mean)) if sd or mean else 1.0
    step = _power_of_two(reach / 4)
    low = step * math.floor((mean - reach) / step - OFF_GRID)
    high = step * math.ceil((mean + reach) / step + OFF_GRID)
    return _closed(Bracket(rank, low, high, 0, n, _power_of_two(width) if width else 0.0))


def cut_points(brackets: Iterable[Bracket]) -> NDArray[np.float64]:
    """All cuts of the open ones among brackets of one variable and group, ascending."""
    pieces = [bracket.cuts for bracket in brackets if bracket.state == "open"]
    return np.unique(np.concatenate(pieces)) if pieces else np.zeros(0)


def narrow(bracket: Bracket, counted: Mapping[float, int], at_least: int) -> Bracket:
    """The part of a bracket that holds its rank, or the smallest window of parts around it that holds `at_least` rows.

    Args:
        counted: rows at or below each cut.
    """
    if bracket.state != "open":
        return bracket
    cuts = bracket.cuts.tolist()
    edges = [bracket.low, *cuts, bracket.high]
    known = [bracket.below, *(counted[cut] for cut in cuts), bracket.below + bracket.inside]
    last = len(edges) - 1
    right = int(np.searchsorted(known, bracket.rank))
    left, reach = right - 1, 0
    while known[min(right + reach, last)] - known[max(left - reach, 0)] < at_least:
        reach += 1
    # The window grows to both sides alike, so that its ends do not tell where within it the patients stand.
    left, right = max(left - reach, 0), min(right + reach, last)
    inside = known[right] - known[left]
    narrowed = replace(bracket, low=edges[left], high=edges[right], below=known[left], inside=inside)
    return _closed(narrowed) if reach == 0 else replace(narrowed, state="coarse")


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
    narrow_enough = bracket.high - bracket.low <= bracket.width or len(bracket.cuts) == 0
    return replace(bracket, state="exact") if narrow_enough else bracket


def _power_of_two(size: float) -> float:
    """A power of two near `size`; sizes that differ by rounding give the same one."""
    return max(2.0 ** math.floor(math.log2(size) - OFF_GRID), math.ulp(0.0))
