"""What a declaration of a feature says, as facts: numbers, variables, other features, arithmetic and functions.

>>> str(Call("standardise", (Arithmetic("/", Variable("weight"), Arithmetic("^", Variable("height"), Number(2.0))),)))
'standardise(weight / height ^ 2)'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from huizhen.data.examples import show_number

__all__ = [
    "ELEMENTWISE",
    "FUNCTIONS",
    "WORDS",
    "Arithmetic",
    "Call",
    "Expression",
    "Feature",
    "Number",
    "Variable",
    "inside",
    "show_name",
]

PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")
ELEMENTWISE = ("log", "log2", "log10", "log1p", "sqrt", "exp", "abs")
# Each function, as it is written.
FUNCTIONS = {
    **{name: f"{name}(x)" for name in ELEMENTWISE},
    "category": "category(x)",
    "cut": "cut(x, 50, 65)",
    "days": "days(later, earlier)",
    "impute": "impute(x, mean), impute(x, median), impute(x, mode) or impute(x, 0)",
    "minmax": "minmax(x) or minmax(x, 18, 90)",
    "missing": "missing(x)",
    "quantiles": "quantiles(x, 4)",
    "spline": "spline(x, 4) or spline(x, 20, 50, 80)",
    "standardise": "standardise(x)",
}
WORDS = ("mean", "median", "mode")
BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}


@dataclass(frozen=True, slots=True)
class Number:
    """A number that the study says."""

    value: float

    def __str__(self) -> str:
        return show_number(self.value)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as the sites' sources have it."""

    name: str

    def __str__(self) -> str:
        return show_name(self.name)


@dataclass(frozen=True, slots=True)
class Feature:
    """Another feature of the study."""

    name: str

    def __str__(self) -> str:
        return show_name(self.name)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers for each row, made one."""

    sign: Literal["+", "-", "*", "/", "^"]
    left: Expression
    right: Expression

    def __str__(self) -> str:
        return f"{self._within(self.left, BINDS[self.sign])} {self.sign} {self._within(self.right, BINDS[self.sign] + 1)}"

    def _within(self, part: Expression, least: int) -> str:
        loose = isinstance(part, Arithmetic) and BINDS[part.sign] < least + (self.sign == "^")
        negative = isinstance(part, Number) and part.value < 0 and self.sign == "^"
        return f"({part})" if loose or negative else str(part)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one argument, or of several.

    Attributes:
        numbers: what else stands in its brackets: points, knots, how many groups.
        word: ``mean``, ``median`` or ``mode``, of `impute`.
    """

    function: str
    of: tuple[Expression, ...]
    numbers: tuple[float, ...] = ()
    word: str = ""

    def __str__(self) -> str:
        more = [*map(show_number, self.numbers), *([self.word] if self.word else [])]
        return f"{self.function}({', '.join([*map(str, self.of), *more])})"

    @property
    def is_fitted(self) -> bool:
        """Whether it needs to know something of all rows."""
        if self.function in ("minmax", "impute"):
            return not self.numbers
        if self.function == "spline":
            return len(self.numbers) == 1
        return self.function in ("category", "quantiles", "standardise")


Expression = Number | Variable | Feature | Arithmetic | Call


def inside(expression: Expression) -> Iterator[Expression]:
    """The expression and all that stands in it, what is inside first; other features are not entered."""
    if isinstance(expression, Arithmetic):
        yield from inside(expression.left)
        yield from inside(expression.right)
    elif isinstance(expression, Call):
        for part in expression.of:
            yield from inside(part)
    yield expression


def show_name(name: str) -> str:
    """A name as a declaration writes it."""
    return name if PLAIN_NAME.fullmatch(name) else f"`{name}`"
