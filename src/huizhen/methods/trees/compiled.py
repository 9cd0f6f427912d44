"""The inner loops of boosting, compiled by numba; see `kernels` for what each does.

A row's bins are read eight at a time as one word, and the sums of eight covariates are worked on before those of the next eight, so
that they stay in a core's first-level cache. Gradient and hessian of a bin lie beside each other and are added as one vector.
"""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from huizhen.data.examples import chunks
from huizhen.methods.trees.lattice import SLOTS, order_of

__all__ = ["CompiledKernels"]

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int32]
Pairs = NDArray[np.int64]
Floats = NDArray[np.float64]
U = np.uint64
GATHERED = 4096  # rows gathered at once: their words and pairs stay in the second-level cache
PREFIX = 14  # leading bits of a float32 by which its bin is first looked up: sign, exponent, five bits of the fraction


@intrinsic
def _add_pair(_context: Any, sums: Any, place: Any, first: Any, second: Any) -> Any:  # noqa: ARG001
    """sums[place] += (first, second), both at once; `sums` is int64 (place, 2), C-contiguous."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        word, lane = ir.IntType(64), ir.IntType(32)
        pair = ir.VectorType(word, 2)
        address = builder.gep(array.data, [builder.shl(arguments[1], ir.Constant(word, 1))])
        address = builder.bitcast(address, pair.as_pointer())
        values = builder.insert_element(ir.Constant(pair, ir.Undefined), arguments[2], ir.Constant(lane, 0))
        values = builder.insert_element(values, arguments[3], ir.Constant(lane, 1))
        builder.store(builder.add(builder.load(address, align=8), values), address, align=8)
        return context.get_dummy_value()

    return types.void(sums, types.uint64, types.int64, types.int64), generate


@numba.njit(nogil=True, cache=True)
def _accumulate(words, rows, pairs, sums, gathered, chosen):  # type: ignore[no-untyped-def]
    sums[:] = 0
    width = words.shape[1]
    for start in range(0, len(rows), GATHERED):
        count = min(GATHERED, len(rows) - start)
        for place in range(count):
            row = U(rows[start + place])
            chosen[place, 0] = pairs[row, 0]
            chosen[place, 1] = pairs[row, 1]
            for column in range(width):
                gathered[place, column] = words[row, U(column)]
        for column in range(width):
            base = U(column) << U(11)
            for place in range(count):
                word, first, second = gathered[place, column], chosen[place, 0], chosen[place, 1]
                for covariate in range(8):
                    _add_pair(sums, base | (U(covariate) << U(8)) | (word & U(255)), first, second)  # type: ignore[call-arg]
                    word >>= U(8)


@numba.njit(nogil=True, cache=True)
def _unpack(sums, slots, shift, gradient, hessian, rows):  # type: ignore[no-untyped-def]
    mask = (np.int64(1) << shift) - 1
    for place in range(len(slots)):
        slot = U(slots[place])
        packed = sums[slot, 1]
        gradient[place] = sums[slot, 0]
        hessian[place] = packed & mask
        rows[place] = packed >> shift


@numba.njit(nogil=True, cache=True)
def _settle(gradient, hessian, scales, one, pairs):  # type: ignore[no-untyped-def]
    magnitude = np.int64(0)
    for row in range(len(gradient)):
        whole = np.int64(np.rint(gradient[row] * scales[0]))
        pairs[row, 0] = whole
        pairs[row, 1] = np.int64(np.rint(hessian[row] * scales[1])) + one
        magnitude += abs(whole)
    return magnitude


@numba.njit(nogil=True, cache=True)
def _partition(column, rows, left, scratch):  # type: ignore[no-untyped-def]
    there, others = U(0), U(0)
    for place in range(len(rows)):
        row = rows[place]
        goes = U(left[column[U(row)]])
        # Written to both sides, kept on one: no branch that the processor would have to guess.
        rows[there] = row
        scratch[others] = row
        there += goes
        others += U(1) - goes
    for place in range(others):
        rows[there + U(place)] = scratch[U(place)]
    return there


@numba.njit(nogil=True, cache=True)
def _add_leaves(column, rows, left, here, there, margins):  # type: ignore[no-untyped-def]
    for place in range(len(rows)):
        row = U(rows[place])
        margins[row] += here if left[column[row]] else there


@numba.njit(nogil=True, cache=True)
def _encode(values, bits, cuts, first, missing, out):  # type: ignore[no-untyped-def]
    """`first`: how many cuts lie below all values of each prefix, int32 (prefix + 1,)."""
    for place in range(len(values)):
        value, key = values[place], bits[place]
        turned = ~key if key >> np.uint32(31) else key | np.uint32(0x80000000)
        prefix = U(turned) >> U(32 - PREFIX)
        low, high = first[prefix], first[prefix + U(1)]
        while low < high and cuts[low] <= value:
            low += 1
        out[place] = missing if np.isnan(value) else low


class _Room(threading.local):
    """What a histogram is computed in, once for each thread: to ask the system for it anew costs as much as to fill it."""

    def __init__(self) -> None:
        self._arrays: dict[int, tuple[Pairs, Any, Pairs]] = {}

    def of(self, width: int) -> tuple[Pairs, Any, Pairs]:
        if width not in self._arrays:
            sums, gathered = np.empty((width * 8 * SLOTS, 2), np.int64), np.empty((GATHERED, width), np.uint64)
            self._arrays = {width: (sums, gathered, np.empty((GATHERED, 2), np.int64))}
        return self._arrays[width]


class CompiledKernels:
    """Compiled on first use, and kept by numba's cache."""

    def __init__(self) -> None:
        self._room = _Room()

    def encode(self, values: NDArray[np.float64], cuts: NDArray[np.float32], missing: int, out: Bytes) -> None:
        prefixes = order_of(cuts.astype(np.float64)) >> np.uint32(32 - PREFIX)
        first = np.concatenate([[0], np.cumsum(np.bincount(prefixes, minlength=1 << PREFIX))]).astype(np.int32)
        for here in chunks(len(values)):
            with np.errstate(over="ignore"):
                single = values[here].astype(np.float32) + np.float32(0.0)
            _encode(single, single.view(np.uint32), cuts, first, missing, out[here])

    def histogram(self, codes: Bytes, rows: Rows, pairs: Pairs, shift: int, slots: Pairs, out: tuple[Pairs, Pairs, Pairs]) -> None:
        words = codes.view(np.uint64)
        sums, gathered, chosen = self._room.of(words.shape[1])
        _accumulate(words, rows, pairs, sums, gathered, chosen)
        _unpack(sums, slots, shift, *out)

    def settle(self, gradient: Floats, hessian: Floats, scales: tuple[int, int], one: int, pairs: Pairs) -> int:
        return int(_settle(gradient, hessian, (2.0 ** scales[0], 2.0 ** scales[1]), one, pairs))

    def partition(self, column: Bytes, rows: Rows, left: Bytes) -> int:
        return int(_partition(column, rows, left, np.empty(len(rows) + 1, np.int32)))

    def add_leaves(self, column: Bytes, rows: Rows, left: Bytes, values: tuple[float, float], margins: NDArray[np.float64]) -> None:
        _add_leaves(column, rows, left, values[0], values[1], margins)
