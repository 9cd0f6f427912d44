"""Joint quantiles for the knots of a spline, by counting rows at or below cut points.

No one's own value travels. Mean and standard deviation bracket all values (Samuelson's inequality: no value lies further from the
mean than sqrt(n - 1) standard deviations); counts at cut points then narrow the bracket down. A bracket is not narrowed below the
minimum number of rows. The cut points lie on a lattice of powers of two, so that the same knots come out however the rows are
divided among sites, although sums of decimal numbers differ in their last digit with the order of adding.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2, sqrt

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.errors import NotEstimable
from huizhen.methods.design.formula import Factor
from huizhen.methods.design.piece import transformed
from huizhen.methods.method import Local
from huizhen.privacy.release import Answer, Part, Question, Total

__all__ = ["BELOW", "Moments", "below", "quantiles"]

BELOW = "design.below"
CELLS = 64  # a bracket is cut into so many in one round: more cuts save rounds, and cost 8 bytes each
RESOLUTION = 2.0**-10  # of the standard deviation, up to a factor of 2: a knot need not be known better
# A lattice wider than the data by this many doublings would mean a broken standard deviation.
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


def quantiles(
    method: str, factor: Factor, moments: Moments, probabilities: Sequence[float], least: int
) -> Generator[Question, Total, tuple[float, ...]]:
    """Joint quantiles of the factor's values, one for each probability.

    A quantile is the right end of a cell no wider than 2^-10 standard deviations, which is the value itself where values are whole
    numbers, or the middle of the narrowest cell that still holds `least` rows.

    Raises:
        NotEstimable: all values are equal.
    """
    if moments.squares <= 0 or moments.rows < 2:
        raise NotEstimable(f"{factor} has the same value in all rows, so no knots can be placed in it; leave it out")
    found: dict[float, float] = {}
    # All probabilities share one question as long as they share a bracket.
    waiting = [_Bracket(*_range(moments), 0, moments.rows, tuple(sorted(set(probabilities))))]
    finest = 2.0 ** floor(log2(moments.deviation * RESOLUTION))
    for _ in range(MOST_ROUNDS):
        if not waiting:
            break
        cuts = np.unique(np.concatenate([bracket.cuts() for bracket in waiting]))
        total = yield Question(method, BELOW, {"factor": factor.facts(), "cuts": cuts}, (factor.variable,))
        counts = dict(zip(cuts.tolist(), total.sums["below"].tolist()))
        narrow = [bracket.narrow(counts, rows=moments.rows, finest=finest, least=max(least, 1), found=found) for bracket in waiting]
        waiting = [cell for cells in narrow for cell in cells]
    return tuple(found[probability] for probability in probabilities)


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
    """Cells of equal width from `low`: rows at or below `low`, rows at or below the upper end, and the probabilities inside."""

    low: float
    width: float
    cells: int
    under: int
    upto: int
    probabilities: tuple[float, ...]

    def cuts(self) -> NDArray[np.float64]:
        steps = np.arange(1, self.cells, dtype=np.float64)
        return self.low + self.width * steps

    def narrow(
        self, counts: Mapping[float, int], *, rows: int, finest: float, least: int, found: dict[float, float]
    ) -> list[_Bracket]:
        """Narrower brackets of what is not settled; settled quantiles go into `found`."""
        edges = np.array([self.under, *(counts[cut] for cut in self.cuts().tolist()), self.upto])
        inside: dict[tuple[int, int], list[float]] = {}
        for probability in self.probabilities:
            rank = max(1, ceil(probability * rows - 1e-9))
            cell = int(np.searchsorted(edges, rank, side="left")) - 1
            first, size = _dyadic(edges, cell, least)
            if size == 1 and self.width > finest:
                inside.setdefault((cell, 1), []).append(probability)
            else:
                found[probability] = self.low + self.width * (first + (1.0 if size == 1 else size / 2))
        return [
            _Bracket(self.low + self.width * cell, self.width / CELLS, CELLS, int(edges[cell]), int(edges[cell + 1]), tuple(ones))
            for (cell, _), ones in inside.items()
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
