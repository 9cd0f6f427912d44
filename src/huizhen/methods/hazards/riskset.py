"""Who is at risk when: the rows of a site in the order in which risk sets grow, and the moments of events as cells.

A *cell* is one moment of events within one stratum. Cells are numbered stratum by stratum and latest moment first, so that the
sum over a risk set is a running sum over cells, and the hazard that a row has gone through is a running sum from the other end.
A row belongs to the cell of the latest event at or before the end of its follow-up; rows that leave before the first event of
their stratum are in no risk set and take no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import CHUNK, chunks

__all__ = ["Cells", "RiskRows", "elapse", "grow", "own_cells", "rows_on_cells"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cells:
    """The moments of events.

    Attributes:
        starts: first cell of each stratum that has events, int64 (stratum,), increasing from 0.
        time: when, float64 (cell,), falling within a stratum.
        deaths: number of events, int64 (cell,).
        weight: sum of their weights, float64 (cell,).
    """

    starts: Integers
    time: Floats
    deaths: Integers
    weight: Floats

    @property
    def count(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class RiskRows:
    """Rows of one site that are in some risk set, sorted by cell.

    Attributes:
        order: place of each sorted row in the examples, int64 (row at risk,).
        cell: its cell, int64 (row at risk,), rising.
        event: whether it has the event, bool (row at risk,).
        weight: its weight, float64 (row at risk,).
        cells: number of cells.
    """

    order: Integers
    cell: Integers
    event: NDArray[np.bool_]
    weight: Floats
    cells: int

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Consecutive cells, at most a chunk of them, with the sorted rows in them."""
        for cells in chunks(self.cells, CHUNK):
            first, last = np.searchsorted(self.cell, (cells.start, cells.stop))
            yield cells, slice(int(first), int(last))

    def sum_by_cell(self, values: Floats) -> Floats:
        """Sum of `values` (row at risk,) over the rows of each cell, float64 (cell,)."""
        return np.bincount(self.cell, values, self.cells).astype(np.float64)


def own_cells(time: Floats, event: NDArray[np.bool_], stratum: Integers, weight: Floats) -> tuple[Cells, RiskRows]:
    """Cells from a site's own times; all arrays (row,)."""
    order = np.lexsort((-time, stratum))
    sorted_time, sorted_stratum, sorted_event = time[order], stratum[order], event[order]
    first = np.ones(len(order), bool)  # of each run of rows with the same stratum and time
    first[1:] = (np.diff(sorted_time) != 0) | (np.diff(sorted_stratum) != 0)
    run = np.cumsum(first) - 1
    deaths = np.bincount(run, sorted_event, minlength=run[-1] + 1 if len(run) else 0).astype(np.int64)
    has_event = deaths > 0
    next_cell: Integers = np.cumsum(has_event) - has_event  # runs without an event wait for the next earlier moment that has one
    cell_stratum, cell_time = sorted_stratum[first][has_event], sorted_time[first][has_event]
    cell: Integers = next_cell[run]
    at_risk: NDArray[np.bool_] = cell < len(cell_time)
    at_risk[at_risk] = cell_stratum[cell[at_risk]] == sorted_stratum[at_risk]
    rows = RiskRows(order[at_risk], cell[at_risk], sorted_event[at_risk], weight[order[at_risk]], len(cell_time))
    starts = np.flatnonzero(np.diff(cell_stratum, prepend=-1))
    return Cells(starts, cell_time, deaths[has_event], rows.sum_by_cell(rows.weight * rows.event)), rows


def rows_on_cells(cell: Integers, event: NDArray[np.bool_], weight: Floats, cells: int) -> RiskRows:
    """Rows on cells that were agreed jointly; `cell` is -1 for rows in no risk set; all arrays (row,)."""
    order = np.argsort(cell, kind="stable")
    order = order[np.searchsorted(cell[order], 0) :]
    return RiskRows(order, cell[order], event[order], weight[order], cells)


def grow(values: Floats, starts: Integers, before: Floats | None = None) -> Floats:
    """Sums over risk sets from sums over cells: running sums within strata along the last axis.

    Args:
        values: float64 (..., cell).
        starts: first cell of each stratum, or of each stratum that begins within these cells.
        before: what the risk set holds before the first cell, float64 (...,), where that cell begins no stratum.
    """
    grown = np.empty_like(values)
    for here in _segments(starts, values.shape[-1]):
        np.cumsum(values[..., here], axis=-1, out=grown[..., here])
        if before is not None and here.start == 0 and not (len(starts) and starts[0] == 0):
            grown[..., here] += before[..., None]
    return grown


def elapse(values: Floats, starts: Integers, after: Floats | None = None) -> Floats:
    """Sums over a cell and all earlier moments of its stratum, along the last axis; mirror image of `grow`.

    Args:
        values: float64 (..., cell).
        starts: as in `grow`.
        after: the sum over moments earlier than the last cell of these, where its stratum goes on beyond them.
    """
    elapsed = np.empty_like(values)
    for here in _segments(starts, values.shape[-1]):
        elapsed[..., here] = np.cumsum(values[..., here][..., ::-1], axis=-1)[..., ::-1]
        if after is not None and here.stop == values.shape[-1]:
            elapsed[..., here] += after[..., None]
    return elapsed


def _segments(starts: Integers, cells: int) -> Iterator[slice]:
    bounds = [0, *starts[starts > 0].tolist(), cells]
    for first, last in pairwise(bounds):
        if last > first:
            yield slice(first, last)
