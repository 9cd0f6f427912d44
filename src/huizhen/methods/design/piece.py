"""A factor of a formula with everything that was agreed about it: the same numbers from the same row at every site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.methods.description.levels import locate
from huizhen.methods.design.formula import ELEMENTWISE, Factor
from huizhen.methods.design.spline import Spline

__all__ = ["Piece", "codes", "transformed"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Piece:
    """A factor, ready to be evaluated.

    Attributes:
        factor: what the formula says.
        levels: all joint levels of a category, in order; () for a number.
        shift, divisor: what ``center`` and ``scale`` take away and divide by.
        spline: the basis of ``bs`` and ``ns``.
    """

    factor: Factor
    levels: tuple[str, ...] = ()
    shift: float = 0.0
    divisor: float = 1.0
    spline: Spline | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns, all levels of a category included."""
        name = str(self.factor)
        if self.levels:
            return tuple(f"{name}[{level}]" for level in self.levels)
        return tuple(f"{name}[{place}]" for place in range(1, self.spline.columns + 1)) if self.spline else (name,)

    def numbers(self, examples: Examples, rows: slice) -> Floats:
        """Values of a number, float64 (column, row); NaN or infinite where the function is not defined."""
        values = transformed(self.factor, examples, rows)
        if self.spline:
            return self.spline.evaluate(values)
        if self.factor.outer in ("center", "scale"):
            values = (values - self.shift) / self.divisor
        return values[np.newaxis]

    def codes(self, examples: Examples, rows: slice) -> NDArray[np.int64]:
        """Places of a category's rows in `levels`, int64 (row,); -1 for missing and for labels that are none of them."""
        return codes(examples, self.factor.variable, self.levels, rows)

    def facts(self) -> dict[str, Any]:
        """Canonical form."""
        return {
            "factor": self.factor.facts(),
            "levels": list(self.levels),
            "shift": self.shift,
            "divisor": self.divisor,
            "spline": self.spline.facts() if self.spline else None,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Piece:
        """The piece behind `facts`."""
        spline = Spline.from_facts(facts["spline"]) if facts["spline"] else None
        return cls(Factor.from_facts(facts["factor"]), tuple(facts["levels"]), facts["shift"], facts["divisor"], spline)


def transformed(factor: Factor, examples: Examples, rows: slice) -> Floats:
    """The variable after its elementwise functions, float64 (row,); a view of the column if there are none."""
    values = examples.number(factor.variable)[rows]
    with np.errstate(all="ignore"):
        for call in factor.calls:
            if call.name == "pow":
                exponent = call.option("exponent")
                values = values**2 if exponent == 2 else np.power(values, exponent)
            elif call.name in ELEMENTWISE:
                values = getattr(np, call.name)(values)
    return values


def codes(examples: Examples, variable: str, levels: tuple[str, ...], rows: slice) -> NDArray[np.int64]:
    """Places of the rows' labels in `levels`, int64 (row,); -1 for missing and for labels that are none of them."""
    return np.maximum(locate(examples, variable, levels)(rows), -1)
