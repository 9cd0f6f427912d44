"""Joint quantiles for the knots of a spline, by counting rows at or below cut points.

No one's own value travels. Mean and standard deviation bracket all values (Samuelson's inequality: no value lies further from the
mean than sqrt(n - 1) standard deviations); counts at cut points then narrow the bracket down. A bracket is not narrowed below the
minimum number of rows. The cut points lie on a lattice of powers of two, so that the same knots come out however the rows are
divided among sites, although sums of decimal numbers differ in their last digit with the order of adding.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2, sqrt, ulp

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.errors import NotEstimable
from huizhen.methods.description.bracket import shortest
from huizhen.methods.design.formula import Factor
from huizhen.methods.design.piece import transformed
from huizhen.methods.method import Local
from huizhen.privacy.release import Answer, Part, Question, Total

__all__ = ["BELOW", "Moments", "at_ranks", "below"]

BELOW = "design.below"
CELLS = 64  # a bracket is cut into so many in one round: more cuts save rounds, and cost 8 bytes each
RESOLUTION = 2.0**-30  # of the standard deviation, up to a factor of 2: a billionth
# Each round narrows 64-fold; more rounds than this would mean a broken standard deviation.
MOST_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Moments:
    """Joint moments of a transformed variable: rows, mean, sum of squares about it."""

    rows: int
    mean: float
    squares: float

    @property
    def deviation(self) -> float:
        """Standard deviation, ddof 1."""
        return sqrt(self.squares / (self.rows - 1)) if self.rows > 1 else 0.0


def at_ranks(
    method: str, factor: Factor, moments: Moments, ranks: Sequence[float], least: int
) -> Generator[Question, Total, tuple[float, ...]]:
    """The factor's values at joint ranks: 1 for the smallest, 2.25 a quarter of the way from the second to the third.

    So the rank of a quantile p is ``1 + (n - 1) p``: type 7 of Hyndman and Fan, R's default. A value that at least `least` rows
    share comes out as it was written down; of others the middle of the narrowest cell that still holds `least` rows.

    Raises:
        NotEstimable: all values are equal.
    """
    if moments.squares <= 0 or moments.rows < 2:
        raise NotEstimable(f"{factor} has the same value in all rows, so no knots can be placed in it; leave it out")
    found: dict[int, float] = {}
    # All ranks share one question as long as they share a bracket.
    wanted = sorted({whole for rank in ranks for whole in (floor(rank), ceil(rank))})
    waiting = [_Bracket(*_range(moments), 0, moments.rows, tuple(wanted))]
    # A cell of the last round must still be wider than the distance between floating point numbers.
    finest = max(2.0 ** floor(log2(moments.deviation * RESOLUTION)), CELLS * ulp(abs(moments.mean) + moments.deviation))
    for _ in range(MOST_ROUNDS):
        if not waiting:
            break
        cuts = np.unique(np.concatenate([bracket.cuts() for bracket in waiting]))
        total = yield Question(method, BELOW, {"factor": factor.facts(), "cuts": cuts}, (factor.variable,))
        counts = dict(zip(cuts.tolist(), total.sums["below"].tolist()))
        narrow = [bracket.narrow(counts, finest=finest, least=max(least, 1), found=found) for bracket in waiting]
        waiting = [cell for cells in narrow for cell in cells]
    return tuple(found[floor(rank)] + (rank % 1) * (found[ceil(rank)] - found[floor(rank)]) for rank in ranks)


def below(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: how many rows have a value at or below each cut."""
    factor = Factor.from_facts(question.facts["factor"])
    cuts = np.asarray(question.facts["cuts"], dtype=np.float64)
    counts = np.zeros(len(cuts) + 1, dtype=np.int64)
    for rows in chunks(examples.rows):
        counts += np.bincount(np.searchsorted(cuts, transformed(factor, examples, rows), side="left"), minlength=len(cuts) + 1)
    at_or_below: NDArray[np.int64] = np.cumsum(counts)[:-1]
    return Answer({"below": Part(at_or_below, examples.rows, cells=True)}, examples.rows), local


@dataclass(frozen=True, slots=True)
class _Bracket:
    """Cells of equal width from `low`: rows at or below `low`, rows at or below the upper end, and the ranks inside."""

    low: float
    width: float
    cells: int
    under: int
    upto: int
    ranks: tuple[int, ...]

    def cuts(self) -> NDArray[np.float64]:
        steps = np.arange(1, self.cells, dtype=np.float64)
        return self.low + self.width * steps

    def narrow(self, counts: Mapping[float, int], *, finest: float, least: int, found: dict[int, float]) -> list[_Bracket]:
        """Narrower brackets of what is not settled; settled ranks go into `found`."""
        edges = np.array([self.under, *(counts[cut] for cut in self.cuts().tolist()), self.upto])
        inside: dict[int, list[int]] = {}
        for rank in self.ranks:
            cell = int(np.searchsorted(edges, rank, side="left")) - 1
            first, size = _dyadic(edges, cell, least)
            low, high = self.low + self.width * first, self.low + self.width * (first + size)
            if size > 1:
                found[rank] = (low + high) / 2
            elif self.width <= finest:
                found[rank] = shortest(low, high)
            else:
                inside.setdefault(cell, []).append(rank)
        return [
            _Bracket(self.low + self.width * cell, self.width / CELLS, CELLS, int(edges[cell]), int(edges[cell + 1]), tuple(ranks))
            for cell, ranks in inside.items()
        ]


def _dyadic(edges: NDArray[np.int64], cell: int, least: int) -> tuple[int, int]:
    """The smallest block of 1, 2, 4, ... cells around `cell` that holds at least `least` rows: its first cell, its size."""
    size, cells = 1, len(edges) - 1
    first = cell
    while size < cells and edges[min(first + size, cells)] - edges[first] < least:
        size *= 2
        first = cell // size * size
    return first, size


def _range(moments: Moments) -> tuple[float, float, int]:
    """A lattice that holds all values: its low end, the width of a cell, the number of cells."""
    half = moments.deviation * sqrt(moments.rows) * (1 + 1e-9)
    # The lattice depends on the data through a power of two and whole multiples of it only.
    width = 2.0 ** ceil(log2(half)) / (CELLS // 4)
    low = (floor((moments.mean - half) / width / (CELLS // 4)) - 1) * width * (CELLS // 4)
    return low, width, CELLS
