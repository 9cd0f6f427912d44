"""Which cells of a published table of counts must be held back so that no small count can be got back from the margins.

A *primary* cell holds 1 to minimum - 1 patients; a margin is a cell like any other. Further, *secondary* cells are held back until
nobody who knows the published cells, the margins and this rule can bound a primary cell more tightly than from 1 to the minimum.

The table with its margins is a network (rows and columns are nodes, cells are arcs, what flows in flows out), so the range of a
cell over all tables that agree with the published cells is a maximum flow, exactly, in whole numbers. Where the range of a
primary cell is too narrow, a cheapest path is added, and its cells are held back with it. More cells held back never narrow a
range, so one pass over the primary cells is enough, and holding back everything is always a solution.

Source: J. P. Kelly, B. L. Golden, A. A. Assad, "Cell suppression: disclosure protection for sensitive tabular data", Networks 22
(1992) 397-417; L. H. Cox, "Network models for complementary cell suppression", JASA 90 (1995) 1453-1462.

    >>> import numpy as np
    >>> suppress(np.array([[3, 20], [30, 40]]), minimum=5).cells.tolist()
    [[True, True], [True, True]]
    >>> suppress_line(np.array([3, 20, 30]), minimum=5).tolist()
    [True, True, False]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

__all__ = ["Suppression", "suppress", "suppress_line"]

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Prices of holding a cell back: a row or column total is missed more than a cell, the grand total most, a large cell a little more
# than a small one; a zero is the last choice among cells, for a reader may know it to be impossible.
INNER, ZERO, MARGIN, GRAND = 1.0, 4.0, 50.0, 1000.0
FREE = 1e-6  # for a cell that is held back already: more than nothing, for shorter paths, and never worth one cell


@dataclass(frozen=True, slots=True)
class Suppression:
    """What is held back of a two-way table.

    Attributes:
        cells: bool (row, column).
        row_totals: bool (row,). column_totals: bool (column,). total: the grand total.
    """

    cells: Mask
    row_totals: Mask
    column_totals: Mask
    total: bool


def suppress(
    counts: Counts,
    *,
    minimum: int,
    others: int | None = None,
    hidden_rows: Mask | None = None,
    hidden_columns: Mask | None = None,
) -> Suppression:
    """What must be held back of a two-way table that is published with its row, column and grand totals.

    Every primary cell or total keeps the range from at most 1 to at least `minimum` over the whole-number tables that agree with
    what is published.

    Args:
        counts: non-negative int64 (row, column), at least 2 by 2; a table with one row or column is `suppress_line`'s.
        minimum: the smallest number of patients that may be seen, apart from 0.
        others: patients counted in no cell, where the number of all patients is published too: 0 makes the grand total known, and
            1 to minimum - 1 makes it a primary cell (all - total gives the others away). None: the number of all is not published.
        hidden_rows, hidden_columns: totals that are held back in any case, because they are so in another table of the result;
            they keep a range of `minimum` - 1 to both sides, as far as 0.

    Raises:
        ValueError: the table is not as described.
    """
    if counts.ndim != 2 or min(counts.shape) < 2 or (counts < 0).any():
        raise ValueError(f"expected non-negative counts, at least 2 by 2; found shape {counts.shape}")
    full = _with_margins(counts)
    if 0 < full[-1, -1] < minimum:
        held = np.ones(full.shape, dtype=bool)
    else:
        forced = _forced(full, hidden_rows, hidden_columns)
        held = _protect(full, forced, minimum, others)
    return Suppression(held[:-1, :-1], held[:-1, -1], held[-1, :-1], bool(held[-1, -1]))


def suppress_line(counts: Counts, *, minimum: int, hidden: Mask | None = None) -> Mask:
    """What must be held back of a one-way table that is published with its total: bool (cell,).

    The cells held back are at least two and add up to at least `minimum`, so each has the range from 0 to their sum; a cell of 0
    is taken last. Where the total itself is too small, all is held back.

    Args:
        hidden: cells that are held back in any case.

    Raises:
        ValueError: the counts are negative or not one-way.
    """
    if counts.ndim != 1 or (counts < 0).any():
        raise ValueError(f"expected a line of non-negative counts; found shape {counts.shape}")
    held = (counts > 0) & (counts < minimum)
    if hidden is not None:
        held |= hidden
    if 0 < counts.sum() < minimum:
        return np.ones(counts.shape, dtype=bool)
    if held.any():
        for place in np.lexsort((counts, counts == 0)):  # small before large, zeros last
            if held.sum() >= 2 and counts[held].sum() >= minimum:
                break
            held[place] = True
    return held


def _forced(full: Counts, hidden_rows: Mask | None, hidden_columns: Mask | None) -> Mask:
    forced = np.zeros(full.shape, dtype=bool)
    if hidden_rows is not None:
        forced[:-1, -1] = hidden_rows
    if hidden_columns is not None:
        forced[-1, :-1] = hidden_columns
    return forced


def _with_margins(counts: Counts) -> Counts:
    rows = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
    return np.concatenate([rows, rows.sum(axis=0, keepdims=True)], axis=0)


def _protect(full: Counts, forced: Mask, minimum: int, others: int | None) -> Mask:
    primary = (full > 0) & (full < minimum)
    small_rest = others is not None and 0 < others < minimum
    held = primary | forced
    held[-1, -1] |= small_rest
    if not held.any():
        return held
    network = _Network(full, held, minimum, total_is_known=others == 0)
    for row, column in _in_order(primary, full):
        count = int(full[row, column])
        network.free(row, column, up=minimum - count, down=count - 1)
    for row, column in _in_order(forced & ~primary, full):
        count = int(full[row, column])
        room = int(full[-1, -1]) - count if others == 0 else minimum  # of a known total, a margin can take only what is left
        network.free(row, column, up=min(minimum - 1, room), down=min(minimum - 1, count))
    if others is not None and small_rest:
        last_row, last_column = full.shape[0] - 1, full.shape[1] - 1
        network.free(last_row, last_column, up=others - 1, down=min(minimum - others, int(full[-1, -1])))
    return network.held


def _in_order(chosen: Mask, full: Counts) -> list[tuple[int, int]]:
    """Places of the chosen cells, those with the smallest counts first: they need the most room."""
    places = np.argwhere(chosen)
    order = np.argsort(full[chosen], kind="stable")
    return [(int(row), int(column)) for row, column in places[order]]


class _Network:
    """The table as a network: node = row (total row last) or column (after the rows), arc = cell, both ways.

    Along a cell's own direction a patient more, against it a patient less. A cell of the body and the grand total lead from their
    row to their column, a row or column total from its column to its row; then what flows into a node flows out of it exactly if
    the margins are the sums of their cells.
    """

    def __init__(self, full: Counts, held: Mask, minimum: int, *, total_is_known: bool) -> None:
        rows, columns = full.shape
        self.held = held.copy()
        self._rows = rows
        self._forward = np.ones(full.shape, dtype=bool)
        self._forward[:-1, -1] = self._forward[-1, :-1] = False
        less = np.minimum(full, minimum)
        more = np.full(full.shape, minimum, dtype=np.int64)
        self._capacity = np.zeros((rows + columns, rows + columns), dtype=np.int64)
        self._capacity[:rows, rows:] = np.where(self._forward, more, less)
        self._capacity[rows:, :rows] = np.where(self._forward, less, more).T
        if total_is_known:
            self._capacity[rows - 1, -1] = self._capacity[-1, rows - 1] = 0
        price = np.where(full == 0, ZERO, INNER) + full / (1.0 + full[-1, -1])
        price[:-1, -1] += MARGIN
        price[-1, :-1] += MARGIN
        price[-1, -1] += GRAND
        price[held] = FREE
        self._price = np.zeros(self._capacity.shape)
        self._price[:rows, rows:] = price
        self._price[rows:, :rows] = price.T

    def free(self, row: int, column: int, *, up: int, down: int) -> None:
        """Hold back cells until a cell can be `up` more and, in another table, `down` less."""
        tail, head = row, self._rows + column
        if not self._forward[row, column]:
            tail, head = head, tail
        self._carry(head, tail, up, (row, column))
        self._carry(tail, head, down, (row, column))

    def _carry(self, source: int, sink: int, amount: int, without: tuple[int, int]) -> None:
        """Carry a flow from source to sink past the cell itself, over the cheapest cells; what carries it is held back."""
        left = self._capacity.copy()
        left[source, sink] = left[sink, source] = 0
        while amount > 0:
            path = self._path(left, source, sink, 1, only_held=True)
            path = path or self._path(left, source, sink, amount) or self._path(left, source, sink, 1)
            if not path:
                raise AssertionError(f"no flow through cell {without}, although everything may be held back")
            step = min(amount, *(int(left[arc]) for arc in path))
            for arc in path:
                left[arc] -= step
                left[arc[::-1]] += step
                self._hold(arc)
            amount -= step

    def _path(self, left: Counts, source: int, sink: int, least: int, *, only_held: bool = False) -> list[tuple[int, int]]:
        usable = left >= least
        if only_held:
            usable &= self._price == FREE
        price = csr_array(np.where(usable, self._price, 0.0))
        _, before = dijkstra(price, indices=[source], return_predecessors=True)
        arcs: list[tuple[int, int]] = []
        node = sink
        while node != source:
            if before[0, node] < 0:
                return []
            arcs.append((int(before[0, node]), node))
            node = int(before[0, node])
        return arcs

    def _hold(self, arc: tuple[int, int]) -> None:
        self._price[arc] = self._price[arc[::-1]] = FREE
        row, column = sorted(arc)
        self.held[row, column - self._rows] = True
