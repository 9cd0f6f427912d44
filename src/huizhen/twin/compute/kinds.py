"""The numerical kernels that methods are counted in: what each computes, its operations and its bytes, from its shape.

Sums of logarithms, exponentials and comparisons count one operation for a number; a sort counts n log2 n comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log2

from huizhen.twin.course import Operation

__all__ = ["KINDS", "operation"]

Shape = tuple[int, ...]
Cost = Callable[[Shape], tuple[float, float]]
NUMBER = 8.0  # bytes of float64


def operation(kind: str, shape: Shape, calls: float = 1.0) -> Operation:
    """One kernel of that shape, so often."""
    flop, moved = KINDS[kind](shape)
    return Operation(kind, shape, flop, moved, calls)


def _table(flops: Callable[[int, int], float], tables: float) -> Cost:
    """Of (column, row): so many tables are read or written."""
    return lambda shape: (flops(*shape), NUMBER * tables * shape[0] * shape[1])


def _along(flop: float, arrays: float) -> Cost:
    """Of (row,): so many arrays are read or written."""
    return lambda shape: (flop * shape[0], NUMBER * arrays * shape[0])


def _sorting(shape: Shape) -> tuple[float, float]:
    return shape[0] * log2(max(shape[0], 2)), 2 * NUMBER * shape[0]


KINDS: Mapping[str, Cost] = {
    "np.gram": _table(lambda columns, rows: columns * (columns + 1.0) * rows, 1),  # X X', one half of it
    "np.product": _table(lambda columns, rows: 2.0 * columns**2 * rows, 2),  # X Y'
    "np.vector": _table(lambda columns, rows: 2.0 * columns * rows, 1),  # b'X, X u
    "np.scale": _table(lambda columns, rows: 1.0 * columns * rows, 2),  # X times a weight of each row
    "np.reduceat": _table(lambda columns, rows: 1.0 * columns * rows, 1.3),  # sums of neighbouring rows
    "np.solve": lambda shape: (shape[0] ** 3 / 3.0 + 2.0 * shape[0] ** 2, NUMBER * shape[0] ** 2),  # Cholesky
    "np.map": _along(1, 2),
    "np.exp": _along(1, 2),
    "np.log": _along(1, 2),
    "np.compare": _along(1, 1.125),
    "np.modulo": _along(1, 2),
    "np.cumsum": _along(1, 2),
    "np.select": _along(1, 2.125),
    "np.gather": _along(0, 3),
    "np.sort": _sorting,
    "np.lexsort": _sorting,
    "np.bincount": lambda shape: (float(shape[0]), NUMBER * (2.0 * shape[0] + shape[1])),
    "np.searchsorted": lambda shape: (shape[0] * log2(max(shape[1], 2)), NUMBER * (2.0 * shape[0] + shape[1])),
    "trees.histogram": lambda shape: (2.0 * shape[0] * shape[1], shape[0] * (1.0 * shape[1] + 20.0)),
    "trees.partition": lambda shape: (float(shape[0]), 9.0 * shape[0]),
    "trees.settle": _along(4, 4),
}
