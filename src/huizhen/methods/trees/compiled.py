"""The inner loops of boosting, compiled by numba; see `kernels` for what each does.

A row's bins are read eight at a time as one word, and eight covariates' sums are worked on before the next eight, so that they stay in
a core's first-level cache.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from huizhen.methods.trees.kernels import SLOTS

__all__ = ["CompiledKernels"]

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int32]
Pairs = NDArray[np.int64]
U = np.uint64
GATHERED = 4096  # rows gathered at once: their words and pairs stay in the second-level cache


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
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
                gathered[column, place] = words[row, U(column)]
        for column in range(width):
            base = U(column) << U(11)
            for place in range(count):
                word, first, second = gathered[column, place], chosen[place, 0], chosen[place, 1]
                for covariate in range(8):
                    slot = base | (U(covariate) << U(8)) | (word & U(255))
                    sums[slot, 0] += first
                    sums[slot, 1] += second
                    word >>= U(8)


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _unpack(sums, slots, shift, gradient, hessian, rows):  # type: ignore[no-untyped-def]
    mask = (np.int64(1) << shift) - 1
    for place in range(len(slots)):
        slot = U(slots[place])
        packed = sums[slot, 1]
        gradient[place] = sums[slot, 0]
        hessian[place] = packed & mask
        rows[place] = packed >> shift


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _partition(codes, rows, covariate, left, scratch):  # type: ignore[no-untyped-def]
    there, others = U(0), U(0)
    for place in range(len(rows)):
        row = rows[place]
        goes = U(left[codes[U(row), covariate]])
        rows[there] = row
        scratch[others] = row
        there += goes
        others += U(1) - goes
    for place in range(others):
        rows[there + U(place)] = scratch[U(place)]
    return there


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _add_leaves(codes, rows, covariate, left, here, there, margins):  # type: ignore[no-untyped-def]
    for place in range(len(rows)):
        row = U(rows[place])
        margins[row] += here if left[codes[row, covariate]] else there


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _encode(values, cuts, missing, out):  # type: ignore[no-untyped-def]
    for place in range(len(values)):
        value = np.float32(values[place])
        low, length = 0, len(cuts)
        while length > 0:
            half = length >> 1
            # Without a branch that the processor would have to guess.
            step = cuts[low + half] <= value
            low = low + half + 1 if step else low
            length = length - half - 1 if step else half
        out[place] = missing if np.isnan(value) else low


class CompiledKernels:
    """Compiled on first use, and kept by numba's cache."""

    def encode(self, values: NDArray[np.float64], cuts: NDArray[np.float32], missing: int, out: Bytes) -> None:
        _encode(values, cuts, missing, out)

    def histogram(self, codes: Bytes, rows: Rows, pairs: Pairs, shift: int, slots: Pairs, out: tuple[Pairs, Pairs, Pairs]) -> None:
        words = codes.view(np.uint64)
        width = words.shape[1]
        sums = np.empty((width * 8 * SLOTS, 2), np.int64)
        _accumulate(words, rows, pairs, sums, np.empty((width, GATHERED), np.uint64), np.empty((GATHERED, 2), np.int64))
        _unpack(sums, slots, shift, *out)

    def partition(self, codes: Bytes, rows: Rows, covariate: int, left: Bytes) -> int:
        return int(_partition(codes, rows, covariate, left, np.empty(len(rows) + 1, np.int32)))

    def add_leaves(
        self, codes: Bytes, rows: Rows, covariate: int, left: Bytes, values: tuple[float, float], margins: NDArray[np.float64]
    ) -> None:
        _add_leaves(codes, rows, covariate, left, values[0], values[1], margins)
