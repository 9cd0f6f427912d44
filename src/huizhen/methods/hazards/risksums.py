"""A site's sums for the partial likelihood, chunk by chunk over rows that are sorted by cell.

No array of the size (row, column, column) or (row, column) is ever made: second moments over all risk sets are one product
``X diag(g) X'``, where g is a row's weighted risk times the hazard that it has gone through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import CHUNK, Categories, Column, Examples, Numbers, chunks
from huizhen.methods.design.columns import Design
from huizhen.methods.hazards.hazard import CellMeans, Hazard, cell_means, products_of_means
from huizhen.methods.hazards.riskset import Cells, Floats, Integers, RiskRows, elapse, grow

__all__ = [
    "Moments",
    "RowSums",
    "own_products",
    "own_residual_products",
    "residual_products",
    "risk_moments",
    "row_sums",
    "scores",
    "sorted_columns",
]

Columns = Callable[[slice], Floats]  # sorted rows -> float64 (column, row)


def sorted_columns(design: Design, examples: Examples, rows: RiskRows) -> Columns:
    """The standardised columns of sorted rows, float64 (column, row); gathered chunk by chunk."""
    names, buffer = design.variables, np.empty((len(design.columns), CHUNK))

    def columns(here: slice) -> Floats:
        gathered = _take(examples, names, rows.order[here])
        return design.standardised(gathered, slice(0, gathered.rows), out=buffer)

    return columns


def scores(design: Design, examples: Examples, coefficients: Floats) -> Floats:
    """Linear predictor of each row (in the order of the examples), float64 (row,), from coefficients of standardised columns."""
    eta, buffer = np.empty(examples.rows), np.empty((len(design.columns), min(CHUNK, max(examples.rows, 1))))
    for here in chunks(examples.rows):
        np.matmul(coefficients, design.standardised(examples, here, out=buffer), out=eta[here])
    return eta


@dataclass(frozen=True, slots=True)
class RowSums:
    """Sums over rows that need the hazard; one of each for every factor of cells.

    Attributes:
        score: sum of w x over events less sum of g x over rows, float64 (factor, column).
        second: X diag(g) X', float64 (factor, column, column).
    """

    score: Floats
    second: Floats


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums of weighted risk times column, not yet accumulated over risk sets, float64 (column, cell).

    Attributes:
        first: over the rows of each cell.
        tied: over the events of each cell.
    """

    first: Floats
    tied: Floats


def risk_moments(rows: RiskRows, columns: Columns, risk: Floats, size: int, block: tuple[slice, slice]) -> Moments:
    """`Moments` of a block of cells and its sorted rows; `risk` (row at risk,) is w exp(eta), `size` the number of columns."""
    cells, within = block
    made = Moments(np.zeros((size, cells.stop - cells.start)), np.zeros((size, cells.stop - cells.start)))
    for here in _chunks(within):
        x = columns(here)
        x *= risk[here]
        place, event = rows.cell[here] - cells.start, rows.event[here]
        _add_by_cell(made.first, x, place)
        if event.any():
            _add_by_cell(made.tied, x[:, event], place[event])
    return made


def row_sums(
    rows: RiskRows, columns: Columns, risk: Floats, gone: Sequence[Floats], tied: Sequence[Floats], by: Sequence[Floats], size: int
) -> RowSums:
    """`RowSums` over all sorted rows.

    Args:
        rows, columns: sorted rows and their columns.
        risk: w exp(eta), float64 (row at risk,).
        gone: hazard gone through at each cell, float64 (cell,), for every factor.
        tied: what a cell's own events are spared of it, float64 (cell,), for every factor.
        by: the factor of each cell itself, float64 (cell,).
        size: number of columns.
    """
    score, second = np.zeros((len(by), size)), np.zeros((len(by), size, size))
    for here in _chunks(slice(0, len(rows.order))):
        x, cell = columns(here), rows.cell[here]
        event = rows.event[here]
        for number, (hazard, spared, factor) in enumerate(zip(gone, tied, by)):
            g = risk[here] * (hazard[cell] - event * spared[cell])
            score[number] += x @ (rows.weight[here] * event * factor[cell] - g)
            second[number] += (x * g) @ x.T
    return RowSums(score, second)


def own_products(
    rows: RiskRows, columns: Columns, risk: Floats, cells: Cells, hazard: Hazard, by: Sequence[Floats], size: int
) -> Floats:
    """`products_of_means` over a site's own cells for every factor, float64 (factor, column, column), block by block."""
    products = np.zeros((len(by), size, size))
    for block, first, tied in _own_moments(rows, columns, risk, cells, size):
        for number, factor in enumerate(by):
            products[number] += products_of_means(hazard[block], first, tied, factor[block])
    return products


def own_residual_products(
    rows: RiskRows, columns: Columns, risk: Floats, cells: Cells, hazard: Hazard, cluster: Integers | None, size: int
) -> Floats:
    """Sum of outer products of score residuals over a site's own cells, float64 (column, column).

    Blocks are visited twice: forward, because risk sets grow that way, then backward, because hazards do.
    """
    before = list(_carries(rows, columns, risk, cells, size))
    gone = hazard.gone_through(cells)
    total = _Outer(size, cluster)
    after = np.zeros(size)
    for (block, within), carry in zip(reversed(list(rows.blocks())), reversed(before)):
        starts = _starts_within(cells, block)
        moments = risk_moments(rows, columns, risk, size, (block, within))
        first = grow(moments.first, starts, carry)
        means = cell_means(hazard[block], cells.weight[block], first, moments.tied)
        step = elapse(means.step, starts, None if block.stop in cells.starts else after)
        after = step[:, 0] if not (len(starts) and starts[0] == 0) else np.zeros(size)
        total.add(rows, columns, risk, within, gone, hazard.tied, CellMeans(means.mean, step, means.tied), block.start)
    return total.products()


def residual_products(
    rows: RiskRows,
    columns: Columns,
    risk: Floats,
    gone: Floats,
    spared: Floats,
    means: CellMeans,
    cluster: Integers | None,
) -> Floats:
    """Sum of outer products of score residuals, float64 (column, column), for cells that were agreed jointly.

    Args:
        rows, columns, risk: as in `row_sums`.
        gone, spared: hazard gone through, and what a cell's own events are spared of it, float64 (cell,).
        means: of the joint risk sets; `step` accumulated over a cell and all earlier ones of its stratum.
        cluster: group of each row (in the order of the examples), whose residuals are summed first; None: each row for itself.
    """
    total = _Outer(len(means.mean), cluster)
    total.add(rows, columns, risk, slice(0, len(rows.order)), gone, spared, means, 0)
    return total.products()


class _Outer:
    """Adds up r r', where r is a row's weighted score residual, or the sum of them over a cluster."""

    def __init__(self, size: int, cluster: Integers | None) -> None:
        self.cluster = cluster
        self.sums = np.zeros((int(cluster.max()) + 1 if cluster is not None and len(cluster) else 0, size))
        self.outer = np.zeros((size, size))

    def add(
        self,
        rows: RiskRows,
        columns: Columns,
        risk: Floats,
        within: slice,
        gone: Floats,
        spared: Floats,
        means: CellMeans,
        start: int,
    ) -> None:
        for here in _chunks(within):
            x, cell, event = columns(here), rows.cell[here], rows.event[here]
            own = rows.weight[here] * event
            place = cell - start
            residual = x * (own - risk[here] * (gone[cell] - event * spared[cell]))
            residual += risk[here] * means.step[:, place]
            if event.any():
                at = np.flatnonzero(event)
                residual[:, at] -= own[at] * means.mean[:, place[at]] + risk[here][at] * means.tied[:, place[at]]
            if self.cluster is None:
                self.outer += residual @ residual.T
            else:
                np.add.at(self.sums, self.cluster[rows.order[here]], residual.T)

    def products(self) -> Floats:
        return self.outer if self.cluster is None else self.sums.T @ self.sums


def _own_moments(rows: RiskRows, columns: Columns, risk: Floats, cells: Cells, size: int) -> Iterator[tuple[slice, Floats, Floats]]:
    """For each block of cells the sums over risk sets and over events, float64 (column, cell)."""
    carry = np.zeros(size)
    for block, within in rows.blocks():
        moments = risk_moments(rows, columns, risk, size, (block, within))
        first = grow(moments.first, _starts_within(cells, block), carry)
        carry = first[:, -1]
        yield block, first, moments.tied


def _carries(rows: RiskRows, columns: Columns, risk: Floats, cells: Cells, size: int) -> Iterator[Floats]:
    """What the risk set holds before each block."""
    carry = np.zeros(size)
    blocks = list(rows.blocks())
    for block, within in blocks:
        yield carry
        if block.stop < blocks[-1][0].stop:
            carry = grow(risk_moments(rows, columns, risk, size, (block, within)).first, _starts_within(cells, block), carry)[:, -1]


def _starts_within(cells: Cells, block: slice) -> Integers:
    first, last = np.searchsorted(cells.starts, (block.start, block.stop))
    return np.asarray(cells.starts[first:last] - block.start, np.int64)


def _add_by_cell(sums: Floats, values: Floats, place: Integers) -> None:
    """Adds `values` (column, row) to `sums` (column, cell) at rising `place` (row,)."""
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    sums[:, place[firsts]] += np.add.reduceat(values, firsts, axis=1)


def _chunks(within: slice) -> Iterator[slice]:
    for here in chunks(within.stop - within.start):
        yield slice(within.start + here.start, within.start + here.stop)


def _take(examples: Examples, names: Sequence[str], places: NDArray[np.int64]) -> Examples:
    columns: dict[str, Column] = {}
    for name in names:
        column = examples.tabular(name)
        if isinstance(column, Numbers):
            columns[name] = Numbers(column.values[places])
        else:
            columns[name] = Categories(column.codes[places], column.levels)
    return Examples(columns, len(places))
