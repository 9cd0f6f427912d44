"""Low rank: of a matrix of weights only its product with a few directions is sent, which all sites know; the rest is kept.

    even round   M Q   (rows, rank)       stands for  M Q Q'
    odd round    M' U  (columns, rank)    stands for  U U' M
    in between   the total of what was sent, made orthonormal, is the U, or Q, of the next round

One half of a power iteration in a round (Vogels, Karimireddy and Jaggi 2019, PowerSGD, algorithm 1, does both in one round, with
two sums after each other): with a basis known beforehand one sum is enough, and it is linear, so it can be masked. Directions come
from totals, so they tell nobody more than the totals do. Blocks that are no matrix, or too small to save by it, are sent whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import FederationError
from huizhen.mixing import draw, seed_of
from huizhen.privacy.compression.blocks import Blocks, Floats, Ints
from huizhen.privacy.compression.quantising import Entropy
from huizhen.privacy.compression.shrinking import Public, Shrunk, added

__all__ = ["LowRank"]

LEAST = 1024  # entries of a matrix; below, what is saved is not worth a basis


class Piece(NamedTuple):
    """A block and its place in what is sent: `rows` and `columns` are 0 where it is sent whole."""

    name: str
    start: int
    stop: int
    place: int
    end: int
    rows: int
    columns: int


@dataclass(frozen=True)
class LowRank:
    """Sends matrices by `rank` directions.

    Attributes:
        blocks: layout of the vectors; a block of two or more dimensions is a matrix (first side, all others together).
        rank: directions of each matrix, 1 or more.
    """

    blocks: Blocks
    rank: int
    maskable: bool = True

    def begin(self, seed: int, ranges: NDArray[np.float64]) -> Public:
        """The first directions are drawn. An entry of M Q is at most as long as a row of M, so its range is a row's."""
        wide = np.array([max(1, self._matrix(shape)[1]) ** 0.5 for shape in self.blocks.shapes])
        return Public(seed, 0, np.asarray(ranges, np.float64) * wide, self._drawn(seed, 0))

    def shrink(self, values: Floats, public: Public, entropy: Entropy) -> Shrunk:
        self.blocks.check(values)
        sent = np.empty(int(self._lengths(public.round).sum()), np.float32)
        for piece in self._pieces(public.round):
            block, found = values[piece.start : piece.stop], sent[piece.place : piece.end]
            if piece.rows:
                matrix = block.reshape(piece.rows, piece.columns)
                np.matmul(_turned(matrix, public), self._basis(piece, public), out=found.reshape(-1, self.rank))
            else:
                found[:] = block
        return Shrunk(sent)

    def lengths(self, shrunk: Shrunk, public: Public) -> Ints:
        return self._lengths(public.round)

    def fits(self, shrunk: Shrunk, public: Public) -> bool:
        return shrunk.places is None and shrunk.values.shape == (int(self._lengths(public.round).sum()),)

    def total(self, shrunk: Sequence[Shrunk], public: Public) -> Shrunk:
        return added(shrunk)

    def restore_onto(self, onto: Floats, shrunk: Shrunk, public: Public, *, times: float) -> None:
        for piece in self._pieces(public.round):
            found = shrunk.values[piece.place : piece.end] * np.float32(times)
            block = onto[piece.start : piece.stop]
            if piece.rows:
                turned = _turned(block.reshape(piece.rows, piece.columns), public)
                turned += found.reshape(-1, self.rank) @ self._basis(piece, public).T
            else:
                block += found

    def next_public(self, public: Public, total: Shrunk, sites: int) -> Public:
        """The total made orthonormal is the next basis; where it is nothing, a new one is drawn.

        The same length of a matrix is spread over fewer or more entries when the other side is sent: its range follows.
        """
        drawn, bases, ranges = self._drawn(public.seed, public.round + 1), {}, public.ranges.copy()
        for block, piece in enumerate(self._pieces(public.round)):
            if piece.rows:
                sent = total.values[piece.place : piece.end].reshape(-1, self.rank).astype(np.float64)
                bases[piece.name] = _orthonormal(sent) if sent.any() else drawn[piece.name]
                ranges[block] *= (len(sent) / (piece.rows + piece.columns - len(sent))) ** 0.5
        return replace(public, round=public.round + 1, ranges=ranges, bases=bases)

    def describe(self) -> Mapping[str, Any]:
        sent = float((self._lengths(0).sum() + self._lengths(1).sum()) / 2)
        known = [piece for piece in self._pieces(0) if piece.rows]
        return {
            "kind": "low_rank",
            "rank": self.rank,
            "matrices": len(known),
            "sent": sent,
            "share": sent / self.blocks.size,
            "asked_with": self.rank * sum(piece.rows + piece.columns for piece in known) / 2,
        }

    def _matrix(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns; (0, 0) where a block is sent whole."""
        if len(shape) < 2:
            return 0, 0
        rows, columns = shape[0], prod(shape[1:])
        saves = rows * columns >= LEAST and 2 * self.rank * max(rows, columns) <= rows * columns
        return (rows, columns) if saves else (0, 0)

    @cached_property
    def _both(self) -> tuple[Ints, Ints]:
        """Entries sent of each block in even and in odd rounds."""
        matrices = [self._matrix(shape) for shape in self.blocks.shapes]
        even, odd = (
            np.array(
                [
                    self.rank * sides[side] if sides[0] else size
                    for sides, size in zip(matrices, self.blocks.sizes.tolist(), strict=True)
                ],
                np.int64,
            )
            for side in (0, 1)
        )
        return even, odd

    def _lengths(self, round_: int) -> Ints:
        return self._both[round_ % 2]

    def _pieces(self, round_: int) -> Iterator[Piece]:
        lengths = self._lengths(round_).tolist()
        start = place = 0
        for name, shape, size, length in zip(
            self.blocks.names, self.blocks.shapes, self.blocks.sizes.tolist(), lengths, strict=True
        ):
            yield Piece(name, start, start + size, place, place + length, *self._matrix(shape))
            start, place = start + size, place + length

    def _basis(self, piece: Piece, public: Public) -> Floats:
        basis = public.bases.get(piece.name)
        expected = (piece.rows if public.round % 2 else piece.columns, self.rank)
        if basis is None or basis.shape != expected:
            raise FederationError(f"the directions of {piece.name} do not fit its shape, so the question is not of this study")
        return basis

    def _drawn(self, seed: int, round_: int) -> dict[str, Floats]:
        """Directions for a round that no total tells."""
        found = {}
        for number, piece in enumerate(self._pieces(round_)):
            if piece.rows:
                side = piece.rows if round_ % 2 else piece.columns
                bits = draw(seed_of(seed), round_, number, np.arange(side * self.rank)) >> np.array([11], np.uint64)
                found[piece.name] = _orthonormal((bits.astype(np.float64) / 2.0**53 - 0.5).reshape(side, self.rank))
        return found


def _turned(matrix: Floats, public: Public) -> Floats:
    return matrix.T if public.round % 2 else matrix


def _orthonormal(columns: NDArray[np.float64]) -> Floats:
    """Orthonormal columns that span at least the given ones, float32."""
    basis: Floats = np.linalg.qr(columns / np.abs(columns).max())[0].astype(np.float32)
    return basis
