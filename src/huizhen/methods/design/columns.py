"""The design matrix: which columns there are, what each is made of, and their numbers, chunk by chunk.

A model is fitted on centred and scaled columns, which keeps sums over millions of rows accurate, and its coefficients are brought
back to the user's units at the end (`Design.unscale`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen import canonical
from huizhen.data.examples import Examples
from huizhen.methods.design.coding import Block, blocks
from huizhen.methods.design.formula import Formula
from huizhen.methods.design.piece import Piece
from huizhen.methods.method import Local

__all__ = ["INTERCEPT", "Design"]

INTERCEPT = "Intercept"
Floats = NDArray[np.float64]
Part = tuple[int, int]  # a piece, and which of its columns (for a category: which of its levels)


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A design matrix that means the same at every site.

    Attributes:
        columns: names, e.g. ``Intercept``, ``age``, ``stage[II]``, ``age:stage[II]``, ``bs(age, 4)[1]``.
        terms: the term that each column belongs to, ``Intercept`` for the intercept.
        parts: what each column is the product of; () for the intercept.
        pieces: the evaluated factors.
        center, scale: float64 (column,): a column is fitted as (column - center) / scale.
        rows: rows over all participants.
    """

    columns: tuple[str, ...]
    terms: tuple[str, ...]
    parts: tuple[tuple[Part, ...], ...]
    pieces: tuple[Piece, ...]
    center: Floats
    scale: Floats
    rows: int = 0

    @classmethod
    def of(cls, formula: Formula, pieces: Sequence[Piece], *, intercept: bool) -> Design:
        """The design of `formula`, columns not yet centred and scaled. `pieces`: one for each factor of the formula."""
        place = {piece.factor: index for index, piece in enumerate(pieces)}
        names: list[str] = [INTERCEPT] if intercept and formula.intercept else []
        terms = list(names)
        parts: list[tuple[Part, ...]] = [() for _ in names]
        for block in blocks(formula, lambda factor: bool(pieces[place[factor]].levels)):
            for column in _columns(block, [place[factor] for factor in block.factors], pieces):
                names.append(":".join(pieces[piece].names[index] for piece, index in column))
                terms.append(str(block.term))
                parts.append(column)
        size = len(names)
        return cls(tuple(names), tuple(terms), tuple(parts), tuple(pieces), np.zeros(size), np.ones(size))

    @classmethod
    def ones(cls, rows: int) -> Design:
        """The intercept alone."""
        return cls((INTERCEPT,), (INTERCEPT,), ((),), (), np.zeros(1), np.ones(1), rows)

    @property
    def intercept(self) -> bool:
        """Whether the first column is the intercept."""
        return bool(self.columns) and self.columns[0] == INTERCEPT

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that the matrix is computed from."""
        return tuple(dict.fromkeys(piece.factor.variable for piece in self.pieces))

    def standardised_by(self, center: Floats, scale: Floats, rows: int) -> Design:
        """The same design with these centres and scales."""
        return replace(self, center=center, scale=scale, rows=rows)

    def select(self, columns: Sequence[int]) -> Design:
        """The design with some of its columns."""
        used = list(dict.fromkeys(piece for column in columns for piece, _ in self.parts[column]))
        place = {piece: index for index, piece in enumerate(used)}
        kept = list(columns)
        return replace(
            self,
            columns=tuple(self.columns[column] for column in kept),
            terms=tuple(self.terms[column] for column in kept),
            parts=tuple(tuple((place[piece], index) for piece, index in self.parts[column]) for column in kept),
            pieces=tuple(self.pieces[piece] for piece in used),
            center=self.center[kept],
            scale=self.scale[kept],
        )

    def matrix(self, examples: Examples, rows: slice) -> Floats:
        """The columns in the user's units for a slice of rows, float64 (column, row)."""
        return self._fill(examples, rows)

    def standardised(self, examples: Examples, rows: slice, *, out: Floats | None = None) -> Floats:
        """The columns centred and scaled, float64 (column, row). `out`: a buffer of at least that many rows to write into."""
        inverse = 1.0 / self.scale
        filled = self._fill(examples, rows, out=out, center=self.center)
        for row, factor in zip(filled, inverse):
            if factor != 1.0:
                np.multiply(row, factor, out=row)
        return filled

    def _fill(self, examples: Examples, rows: slice, *, out: Floats | None = None, center: Floats | None = None) -> Floats:
        size = rows.stop - rows.start
        filled = np.empty((len(self.columns), size)) if out is None else out[:, :size]
        evaluated = [piece.codes(examples, rows) if piece.levels else piece.numbers(examples, rows) for piece in self.pieces]
        for column, parts in enumerate(self.parts):
            row = filled[column]
            self._fill_row(row, parts, evaluated)
            if center is not None and center[column] != 0.0:
                np.subtract(row, center[column], out=row)
        return filled

    def _fill_row(self, row: Floats, parts: tuple[Part, ...], evaluated: list[NDArray[Any]]) -> None:
        if not parts:
            row[:] = 1.0
        for order, (piece, index) in enumerate(parts):
            values = evaluated[piece] == index if self.pieces[piece].levels else evaluated[piece][index]
            if order:
                np.multiply(row, values, out=row)
            else:
                row[:] = values

    def unscale(self, coefficients: Floats, covariance: Floats) -> tuple[Floats, Floats]:
        """Coefficients (column,) and their covariance (column, column) in the user's units, from those of the fitted columns."""
        back = np.diag(1.0 / self.scale)
        if self.intercept:
            back[0, 1:] = -self.center[1:] / self.scale[1:]
        return back @ coefficients, back @ covariance @ back.T

    def facts(self) -> dict[str, Any]:
        """Canonical form, for a question or a result."""
        return {
            "columns": list(self.columns),
            "terms": list(self.terms),
            "parts": [[list(part) for part in parts] for parts in self.parts],
            "pieces": [piece.facts() for piece in self.pieces],
            "center": self.center,
            "scale": self.scale,
            "rows": self.rows,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], local: Local | None = None) -> Design:
        """The design behind `facts`; kept in the memo of `local`, so that it is rebuilt only when it changes."""
        key = "design " + canonical.digest(facts)
        if local is not None and key in local.memo:
            found: Design = local.memo[key]
            return found
        design = cls(
            tuple(facts["columns"]),
            tuple(facts["terms"]),
            tuple(tuple((piece, index) for piece, index in parts) for parts in facts["parts"]),
            tuple(Piece.from_facts(piece) for piece in facts["pieces"]),
            np.asarray(facts["center"], dtype=np.float64),
            np.asarray(facts["scale"], dtype=np.float64),
            facts["rows"],
        )
        if local is not None:
            local.memo[key] = design
        return design


def _columns(block: Block, places: list[int], pieces: Sequence[Piece]) -> list[tuple[Part, ...]]:
    """All products of the columns of the block's factors; the first factor varies fastest, as in R."""
    products: list[tuple[Part, ...]] = [()]
    for factor, place in zip(block.factors, places):
        first = 1 if pieces[place].levels and factor not in block.full else 0
        own = [(place, index) for index in range(first, len(pieces[place].names))]
        products = [(*product, part) for part in own for product in products]
    return products
