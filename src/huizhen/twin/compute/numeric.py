"""The numerical kernels that methods are made of, each run on drawn numbers of many sizes and timed.

Kinds are those that `formulas` counts in; a shape is what is written beside each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from huizhen.methods.trees.kernels import kernels
from huizhen.twin.compute.kinds import operation
from huizhen.twin.compute.operators import Sample
from huizhen.twin.course import Operation

__all__ = ["timed_kernels"]

Run = Callable[[], object]
Seconds = Callable[[], float]
ROWS = (50, 300, 1000, 4000, 16384, 16384)
COLUMNS = (1, 2, 3, 5, 8, 12, 20, 32, 50, 80)
LONG = (100, 1000, 5000, 20_000, 100_000, 400_000)
SLOTS, SHIFT = 256, 40
REPEATS, OFTEN = 5, 40
LITTLE_S = 2e-3


def timed_kernels(rng: np.random.Generator, budget_s: float, now: Seconds, stopwatch: Seconds) -> list[Sample]:
    """Samples of every kernel, in turns of growing size, until the budget is spent."""
    end, found, turn = now() + budget_s, [], 0
    while now() < end or turn == 0:
        for make in KERNELS:
            one, run = make(rng)
            found.append(_sample(one, run, stopwatch))
            if turn and now() > end:
                break
        turn += 1
    return found


def _sample(one: Operation, run: Run, stopwatch: Seconds) -> Sample:
    run()
    times = []
    for _ in range(OFTEN):
        before = stopwatch()
        run()
        times.append(stopwatch() - before)
        if len(times) >= REPEATS and sum(times) > LITTLE_S:
            break
    low = max(float(np.quantile(times, 0.25)), 1e-8)
    spread = float(np.median(np.abs(np.array(times) / low - 1.0)))
    return Sample(one.kind, one.shape, one.flop, one.moved, one.dtype, low, round(spread, 4), len(times))


def _pick(rng: np.random.Generator, values: Sequence[int]) -> int:
    return max(int(values[int(rng.integers(len(values)))] * rng.uniform(0.6, 1.0)), 1)


def _made(kind: str, shape: tuple[int, ...], run: Run) -> tuple[Operation, Run]:
    return operation(kind, shape), run


def _gram(rng: np.random.Generator) -> tuple[Operation, Run]:
    columns, rows = _pick(rng, COLUMNS), _pick(rng, ROWS)
    x = rng.standard_normal((columns, rows))
    return _made("np.gram", (columns, rows), lambda: x @ x.T)


def _outer(rng: np.random.Generator) -> tuple[Operation, Run]:
    columns, rows = _pick(rng, COLUMNS), _pick(rng, ROWS)
    x, y = rng.standard_normal((2, columns, rows))
    return _made("np.product", (columns, rows), lambda: x @ y.T)


def _vector(rng: np.random.Generator) -> tuple[Operation, Run]:
    columns, rows = _pick(rng, COLUMNS), _pick(rng, ROWS)
    x, beta = rng.standard_normal((columns, rows)), rng.standard_normal(columns)
    return _made("np.vector", (columns, rows), lambda: beta @ x)


def _table(rng: np.random.Generator) -> tuple[Operation, Run]:
    columns, rows = _pick(rng, COLUMNS), _pick(rng, ROWS)
    x, weight, out = rng.standard_normal((columns, rows)), rng.standard_normal(rows), np.empty((columns, rows))
    return _made("np.scale", (columns, rows), lambda: np.multiply(x, weight, out=out))


def _solve(rng: np.random.Generator) -> tuple[Operation, Run]:
    from scipy.linalg import cho_factor, cho_solve

    columns = _pick(rng, COLUMNS)
    x = rng.standard_normal((columns, columns + 5))
    matrix, vector = x @ x.T, rng.standard_normal(columns)
    return _made("np.solve", (columns,), lambda: cho_solve(cho_factor(matrix), vector))


def _along(
    kind: str, run: Callable[[np.ndarray[tuple[int], np.dtype[np.float64]]], object]
) -> Callable[..., tuple[Operation, Run]]:
    def make(rng: np.random.Generator) -> tuple[Operation, Run]:
        values = rng.uniform(0.01, 1.0, _pick(rng, LONG))
        return _made(kind, (len(values),), lambda: run(values))

    return make


def _select(rng: np.random.Generator) -> tuple[Operation, Run]:
    values = rng.standard_normal(_pick(rng, LONG))
    mask = rng.uniform(size=len(values)) < rng.uniform()
    return _made("np.select", (len(values),), lambda: values[mask])


def _gather(rng: np.random.Generator) -> tuple[Operation, Run]:
    values = rng.standard_normal(_pick(rng, LONG))
    order = rng.permutation(len(values))
    return _made("np.gather", (len(values),), lambda: values[order])


def _lexsort(rng: np.random.Generator) -> tuple[Operation, Run]:
    time = rng.uniform(0, 3000, _pick(rng, LONG))
    stratum = rng.integers(0, 3, len(time))
    return _made("np.lexsort", (len(time),), lambda: np.lexsort((-time, stratum)))


def _bincount(rng: np.random.Generator) -> tuple[Operation, Run]:
    bins, weights = _pick(rng, (2, 10, 100, 1000, 20_000)), rng.standard_normal(_pick(rng, LONG))
    codes = rng.integers(0, bins, len(weights))
    return _made("np.bincount", (len(weights), bins), lambda: np.bincount(codes, weights, bins))


def _searched(rng: np.random.Generator) -> tuple[Operation, Run]:
    edges, values = np.sort(rng.uniform(size=_pick(rng, (3, 63, 255, 2000)))), rng.uniform(size=_pick(rng, LONG))
    return _made("np.searchsorted", (len(values), len(edges)), lambda: np.searchsorted(edges, values, side="right"))


def _reduced(rng: np.random.Generator) -> tuple[Operation, Run]:
    """Sums of neighbours, as risk sets are summed by moment."""
    columns, rows = _pick(rng, COLUMNS), _pick(rng, ROWS)
    x, firsts = rng.standard_normal((columns, rows)), np.unique(rng.integers(0, rows, max(rows // 3, 1)))
    return _made("np.reduceat", (columns, rows), lambda: np.add.reduceat(x, firsts, axis=1))


def _histogram(rng: np.random.Generator) -> tuple[Operation, Run]:
    rows, columns = _pick(rng, LONG), _pick(rng, (3, 8, 20, 40))
    codes = rng.integers(0, 64, (rows, -(-columns // 8) * 8)).astype(np.uint8)
    pairs = np.stack([rng.integers(-1000, 1000, rows), rng.integers(0, 1000, rows) + (1 << SHIFT)], axis=1)
    order, slots = np.arange(rows, dtype=np.int32), np.arange(columns * SLOTS)
    out = tuple(np.empty(len(slots), np.int64) for _ in range(3))
    kernel = kernels()
    return _made("trees.histogram", (rows, columns), lambda: kernel.histogram(codes, order, pairs, SHIFT, slots, out))  # type: ignore[arg-type]


def _partition(rng: np.random.Generator) -> tuple[Operation, Run]:
    column = rng.integers(0, 64, _pick(rng, LONG)).astype(np.uint8)
    left, order, kernel = (np.arange(256) < 32).astype(np.uint8), np.arange(len(column), dtype=np.int32), kernels()
    return _made("trees.partition", (len(column),), lambda: kernel.partition(column, order.copy(), left))


def _settled(rng: np.random.Generator) -> tuple[Operation, Run]:
    gradient, hessian = rng.standard_normal((2, _pick(rng, LONG)))
    pairs, kernel = np.empty((len(gradient), 2), np.int64), kernels()
    return _made("trees.settle", (len(gradient),), lambda: kernel.settle(gradient, np.abs(hessian), (20, 20), 1 << SHIFT, pairs))


KERNELS: Sequence[Callable[[np.random.Generator], tuple[Operation, Run]]] = (
    _gram,
    _outer,
    _vector,
    _table,
    _solve,
    _along("np.map", lambda values: values * 1.5),
    _along("np.exp", np.exp),
    _along("np.log", np.log1p),
    _along("np.compare", np.isnan),
    _along("np.modulo", lambda values: (values * 8).astype(np.int64) % 3),
    _along("np.cumsum", np.cumsum),
    _along("np.sort", np.sort),
    _select,
    _gather,
    _lexsort,
    _bincount,
    _searched,
    _reduced,
    _histogram,
    _partition,
    _settled,
)
