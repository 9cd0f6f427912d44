"""Numbers as whole numbers in the same order: float32 by its bits, cut into cells that halve and halve again.

A value of float32 is one of 2**32 keys, and the keys stand in the order of the values. Cells of keys need no range and no spread to
be agreed first, so that a column with a heavy tail is cut as well as any other, and cells do not depend on how rows are split over
sites. Cells begin beside round numbers, so that a cut at the edge of one is no value that a patient is likely to have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SLOTS", "WHOLE", "Cells", "count_keys", "cuts_between", "keys_of", "order_of", "refine", "values_of"]

Keys = NDArray[np.uint32]
Counts = NDArray[np.int64]
SLOTS = 256  # bins that a covariate has room for: a bin is a byte
FIRST_PARTS = 12  # log2 of the cells of the first round: sign, exponent and three bits of the fraction
FEWEST_PARTS, MOST_PARTS = 4, 10  # log2 of the parts of one cell: fewer cost rounds, more cost bytes
HIGHEST_KEY = np.uint32(0xFF7FFFFF)  # of the largest finite float32
LOWEST_KEY = np.uint32(0x00800000)
BESIDE = np.uint32(0x002C9277)  # by which keys are moved: odd, of no pattern, below the lowest key
FINE = 5  # log2 of the keys of a cell whose edge is likely to be a value in it


@dataclass(frozen=True, slots=True)
class Cells:
    """Some cells of the lattice, ascending, without overlap.

    Attributes:
        starts: first key of each, int64 (cell,).
        log2_sizes: log2 of the number of keys in each, int64 (cell,).
        rows: joint rows in each, int64 (cell,).
    """

    starts: Counts
    log2_sizes: Counts
    rows: Counts

    def heavy(self, more_than: int) -> NDArray[np.bool_]:
        """The cells with more rows than `more_than` that hold more than one value."""
        return (self.rows > more_than) & (self.log2_sizes > 0)

    def parts(self, more_than: int) -> Counts:
        """log2 of the parts that each heavy cell is cut into, so that each has few rows if they lie evenly; int64 (heavy cell,)."""
        heavy = self.heavy(more_than)
        if len(self.starts) == 1 and self.log2_sizes[0] == 32:
            return np.array([FIRST_PARTS], np.int64)
        wanted = np.ceil(np.log2(self.rows[heavy] / max(more_than, 1))).astype(np.int64) + 2
        return np.minimum(np.clip(wanted, FEWEST_PARTS, MOST_PARTS), self.log2_sizes[heavy])


WHOLE = Cells(np.zeros(1, np.int64), np.full(1, 32, np.int64), np.full(1, np.iinfo(np.int64).max, np.int64))


def keys_of(values: NDArray[np.float64]) -> Keys:
    """Keys of numbers that are not missing, uint32 (row,); numbers too large for float32 count as its largest."""
    return np.asarray(order_of(values) + BESIDE)


def order_of(values: NDArray[np.float64]) -> Keys:
    """The place of each number among the numbers of float32, uint32 (row,)."""
    with np.errstate(over="ignore"):
        bits = (values.astype(np.float32) + np.float32(0.0)).view(np.uint32)  # minus zero is zero
    # All bits of a negative number turn, and the sign of a positive one.
    turned = bits ^ ((bits.view(np.int32) >> 31).view(np.uint32) | np.uint32(1 << 31))
    return np.clip(turned, LOWEST_KEY, HIGHEST_KEY)


def values_of(keys: Counts) -> NDArray[np.float64]:
    """Numbers behind keys, float64 (key,), not a number where no finite float32 has the key."""
    known = keys.astype(np.uint32) - BESIDE
    bits = np.where(known >> np.uint32(31), known & np.uint32(0x7FFFFFFF), ~known)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def count_keys(ordered: Keys, starts: Counts, log2_sizes: Counts, log2_parts: Counts) -> Counts:
    """Rows in each part of each cell, int64 (part of all cells,), from sorted keys."""
    first, log2_size = _parts(starts, log2_sizes, log2_parts)
    last = first + (np.int64(1) << log2_size) - 1
    below = np.searchsorted(ordered, first.astype(np.uint32), side="left")
    return np.asarray(np.searchsorted(ordered, last.astype(np.uint32), side="right") - below, np.int64)


def refine(cells: Cells, more_than: int, counts: Counts) -> Cells:
    """The cells with each heavy one replaced by its parts that hold a row.

    Args:
        counts: joint rows of the parts of the heavy cells, in order.
    """
    heavy, log2_parts = cells.heavy(more_than), cells.parts(more_than)
    starts, sizes = cells.starts[heavy], cells.log2_sizes[heavy]
    start, size = _parts(starts, sizes, log2_parts)
    held = counts > 0
    joined = np.concatenate([cells.starts[~heavy], start[held]])
    order = np.argsort(joined)
    return Cells(
        joined[order],
        np.concatenate([cells.log2_sizes[~heavy], size[held]])[order],
        np.concatenate([cells.rows[~heavy], counts[held]])[order],
    )


def cuts_between(cells: Cells, bins: int, least: int) -> NDArray[np.float32]:
    """Cut points that part the cells into at most `bins` bins of about as many rows, float32 (cut,), rising.

    A value below a cut lies on its left. Cells with many rows get bins of their own; no bin has fewer than `least` rows, and no cut
    is a value that fewer have.
    """
    if len(cells.starts) < 2:
        return np.zeros(0, np.float32)
    total, before = int(cells.rows.sum()), np.cumsum(cells.rows) - cells.rows
    group = np.arange(len(cells.rows)) if len(cells.rows) <= bins else (2 * before + cells.rows) * bins // (2 * total)
    last = np.flatnonzero(np.diff(group, append=-1))  # the last cell of each bin
    last = last[~_beside_a_few(cells, least)[last]]
    ends = _with_enough(last, np.cumsum(cells.rows)[last], least)
    low = values_of(cells.starts[ends] + (np.int64(1) << cells.log2_sizes[ends]) - 1)
    return np.unique(_between(low, values_of(cells.starts[ends + 1])))


def _beside_a_few(cells: Cells, least: int) -> NDArray[np.bool_]:
    """The cells whose end touches a fine cell, in which fewer than `least` rows may have the value at the edge; bool (cell,)."""
    touches = cells.starts[:-1] + (np.int64(1) << cells.log2_sizes[:-1]) == cells.starts[1:]
    size, rows = cells.log2_sizes[1:], cells.rows[1:]
    few = (size < FINE) & ((size > 0) | (rows < least))
    return np.append(touches & few & (least > 1), False)


def _with_enough(last: NDArray[np.intp], upto: Counts, least: int) -> NDArray[np.intp]:
    """The bin ends that leave at least so many rows in every bin; the end of all is none."""
    kept, before, total = [], 0, int(upto[-1])
    for end, rows in zip(last.tolist(), upto.tolist()):
        if rows - before >= least and total - rows >= least:
            kept.append(end)
            before = rows
    return np.array(kept, np.intp)


def _between(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float32]:
    """A short binary fraction near the middle of each gap: above `low`, at most `high`."""
    gap = high - low
    near, far = low + gap / 4, high - gap / 4
    with np.errstate(all="ignore"):
        step = np.exp2(np.floor(np.log2(far - near)))
        cut = (np.ceil(near / step) * step).astype(np.float32)
    cut = np.where((near <= 0) & (far >= 0), np.float32(0), cut)
    return np.where((cut > low) & (cut <= high), cut, high.astype(np.float32)).astype(np.float32)


def _parts(starts: Counts, log2_sizes: Counts, log2_parts: Counts) -> tuple[Counts, Counts]:
    """First key and log2 of the size of each part of each cell, int64 (part of all cells,)."""
    parts = np.int64(1) << log2_parts
    within = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    size = np.repeat(log2_sizes - log2_parts, parts)
    return np.repeat(starts, parts) + (within << size), size
