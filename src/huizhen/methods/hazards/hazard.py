"""From sums over risk sets to the partial likelihood: the part of Cox regression that needs no row.

With D events in a cell, S the sum of weighted risks w exp(eta) over its risk set and E that over its events, both treatments of
ties are sums over steps f of the cell (Breslow: f = 0 for every event; Efron: f = 0, 1/D, ..., (D - 1)/D) with the mean weight
m of the events: log-likelihood ``sum w eta - sum_f m log(S - f E)``, and with ``a_f = (S1 - f E1) / (S - f E)`` the information
``sum_f m [(S2 - f E2) / (S - f E) - a_f a_f']``.

Sources: D. R. Cox, JRSS B 34 (1972) 187; N. Breslow, Biometrics 30 (1974) 89; B. Efron, JASA 72 (1977) 557; T. M. Therneau and
P. M. Grambsch, Modeling Survival Data (2000), section 3.3; weights as in R's ``coxph``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.hazards.riskset import Cells, elapse

__all__ = ["CellMeans", "Hazard", "Ties", "cell_means", "hazard_of", "products_of_means"]

Floats = NDArray[np.float64]
Ties = Literal["efron", "breslow"]


@dataclass(frozen=True, slots=True)
class Hazard:
    """What the cells' steps sum up to; all float64 (cell,), with d = S - f E.

    Attributes:
        jump: sum of m / d: the jump of the cumulative baseline hazard.
        tied: sum of m f / d: what the cell's own events are spared of it.
        square, mixed, tied_square: sums of m / d^2, m f / d^2 and m f^2 / d^2.
        plain: the jump as Breslow has it, whatever the ties, sum of weights / S.
        log_risk: sum of m log d, over all cells.
    """

    jump: Floats
    tied: Floats
    square: Floats
    mixed: Floats
    tied_square: Floats
    plain: Floats
    log_risk: float

    def gone_through(self, cells: Cells, by: Floats | None = None) -> Floats:
        """Cumulative hazard at each cell, float64 (cell,); each jump times `by` (cell,) where given."""
        return elapse(self.jump if by is None else self.jump * by, cells.starts)

    def __getitem__(self, here: slice) -> Hazard:
        """The same for some of the cells; `log_risk` stays that of all."""
        square, mixed, tied_square = self.square[here], self.mixed[here], self.tied_square[here]
        return Hazard(self.jump[here], self.tied[here], square, mixed, tied_square, self.plain[here], self.log_risk)


def hazard_of(cells: Cells, at_risk: Floats, tied: Floats, ties: Ties) -> Hazard:
    """The hazard behind sums of weighted risks over risk sets (`at_risk`) and over their events (`tied`), float64 (cell,)."""
    steps = cells.deaths if ties == "efron" else np.minimum(cells.deaths, 1)
    place = np.repeat(np.arange(cells.count), steps)
    firsts = np.cumsum(steps) - steps
    f = (np.arange(len(place)) - firsts[place]) / steps[place]
    m = (cells.weight / np.maximum(steps, 1))[place]
    d = at_risk[place] - f * tied[place]

    def by_cell(values: Floats) -> Floats:
        return np.bincount(place, values, cells.count).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        once, twice = m / d, m / d**2
        log_risk = float(np.sum(m * np.log(d)))
        squares = (by_cell(twice), by_cell(twice * f), by_cell(twice * f**2))
        return Hazard(by_cell(once), by_cell(once * f), *squares, cells.weight / at_risk, log_risk)


def products_of_means(hazard: Hazard, first: Floats, tied_first: Floats, by: Floats | None = None) -> Floats:
    """Sum over cells and steps of m a a', float64 (column, column); each cell times `by` (cell,) where given.

    Args:
        hazard: of the same cells.
        first: sums of weighted risk times column over risk sets, float64 (column, cell).
        tied_first: the same over the cells' events.
        by: factor of each cell.
    """
    square, mixed, tied_square = hazard.square, hazard.mixed, hazard.tied_square
    if by is not None:
        square, mixed, tied_square = square * by, mixed * by, tied_square * by
    cross = (first * mixed) @ tied_first.T
    products: Floats = (first * square) @ first.T - cross - cross.T + (tied_first * tied_square) @ tied_first.T
    return products


@dataclass(frozen=True, slots=True)
class CellMeans:
    """What a row's score residual takes from its cell, float64 (column, cell) each.

    Attributes:
        mean: mean of the columns over the risk set, over the cell's steps.
        step: sum of m a / d: the hazard's jump times the mean.
        tied: sum of m f a / d: what the cell's own events are spared of it.
    """

    mean: Floats
    step: Floats
    tied: Floats


def cell_means(hazard: Hazard, weight: Floats, first: Floats, tied_first: Floats) -> CellMeans:
    """`CellMeans` from the sums over risk sets and over events; `weight` (cell,) is the events' sum of weights."""
    return CellMeans(
        mean=(first * hazard.jump - tied_first * hazard.tied) / weight,
        step=first * hazard.square - tied_first * hazard.mixed,
        tied=first * hazard.mixed - tied_first * hazard.tied_square,
    )
