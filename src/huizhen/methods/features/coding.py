"""The columns of features at a site: from its rows, and from what was found of all sites' rows.

Which rows miss a feature follows from the row alone, never from what was fitted; so the rows that take part are known before a fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Categories, Column, Examples, Numbers, Tabular, show_number
from huizhen.errors import DataError, Problem
from huizhen.methods.description.levels import locate
from huizhen.methods.features.dates import day_numbers
from huizhen.methods.features.declared import Features, key_of
from huizhen.methods.features.expression import Arithmetic, Call, Expression, Feature, Number, Variable
from huizhen.methods.features.fitted import Fitted, Parameters

__all__ = ["as_read", "made", "present"]

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]
ELEMENTWISE: Mapping[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "sqrt": np.sqrt,
}


def as_read(name: str) -> str:
    """The name under which a variable is kept where a feature has its name: no source has such a column."""
    return f"{name}\0read"


def made(features: Features, fitted: Fitted, examples: Examples, *, besides: Iterable[tuple[str, Call]] = ()) -> Examples:
    """The rows with a column for every feature that can be made of what is known, beside their variables.

    A feature stands in the place of a variable of its name. What `Aside` draws by a feature, it draws by the feature's variables.

    Args:
        besides: functions whose arguments are wanted as columns too, under their keys, with the feature that each stands in.

    Raises:
        DataError: a variable is not there, or is not what a feature needs.
    """
    _check(features, examples)
    coder = _Coder(features, fitted.parameters, examples)
    known = fitted.parameters.keys()
    columns: dict[str, Column] = {}
    for name, expression in features.expressions.items():
        if features.keys_of(name) <= known:
            columns |= zip(features.columns(name), coder.columns(name, expression))
    arguments = {key_of(name, call): coder.tabular(name, call.of[0]) for name, call in besides}
    kept = {as_read(name): column for name, column in examples.columns.items() if name in features.owner}
    names = set(examples.columns) | set(features.owner)
    origins = {
        column: tuple(as_read(name) if name in features.owner else name for name in features.origins(column))
        for column in names
        if column in features.owner
    }
    return Examples({**examples.columns, **kept, **columns, **arguments}, examples.rows, origins)


def present(features: Features, columns: Iterable[str], examples: Examples) -> Truth:
    """Which rows miss none of these features, bool (row,).

    Raises:
        DataError: as `made`.
    """
    _check(features, examples)
    coder, whole = _Coder(features, {}, examples), np.ones(examples.rows, dtype=bool)
    for name in dict.fromkeys(features.owner[column] for column in columns):
        whole &= coder.present(name, features.expressions[name])
    return whole


class _Coder:
    """Features over some rows; each is made once."""

    def __init__(self, features: Features, parameters: Mapping[str, Parameters], examples: Examples) -> None:
        self._features, self._parameters, self._examples = features, parameters, examples
        self._made: dict[str, tuple[Tabular, ...]] = {}
        self._present: dict[str, Truth] = {}

    def columns(self, name: str, expression: Expression) -> tuple[Tabular, ...]:
        """The columns of a feature."""
        if name not in self._made:
            if isinstance(expression, Call) and expression.function == "spline":
                knots = self._points(name, expression, "knots")
                self._made[name] = tuple(map(Numbers, harrell(self.numbers(name, expression.of[0]), knots)))
            else:
                self._made[name] = (self.tabular(name, expression),)
        return self._made[name]

    def tabular(self, name: str, expression: Expression) -> Tabular:
        """An expression that stands in a feature, as one column."""
        if isinstance(expression, Variable):
            return self._examples.tabular(expression.name)
        if self._features.kind_of(expression) == "category":
            return self.category(name, expression)
        return Numbers(self.numbers(name, expression))

    def numbers(self, name: str, expression: Expression) -> Floats:
        """Its values, float64 (row,), NaN where missing or not defined."""
        if isinstance(expression, Number):
            return np.full(self._examples.rows, expression.value)
        if isinstance(expression, Variable):
            return self._examples.number(expression.name)
        if isinstance(expression, Feature):
            column = self.columns(expression.name, self._features.expressions[expression.name])[0]
            assert isinstance(column, Numbers)
            return column.values
        with np.errstate(all="ignore"):
            found = self._arithmetic(name, expression) if isinstance(expression, Arithmetic) else self._called(name, expression)
        if not self._features.is_fitted(expression):
            found = np.where(np.isfinite(found), found, np.nan)
        return found

    def category(self, name: str, expression: Expression) -> Categories:
        """Its codes and levels."""
        if isinstance(expression, Feature):
            column = self.columns(expression.name, self._features.expressions[expression.name])[0]
            assert isinstance(column, Categories)
            return column
        assert isinstance(expression, Call)
        if expression.function == "category":
            return self._coded(name, expression)
        if expression.word == "mode":
            inner = self.category(name, expression.of[0])
            code = inner.levels.index(self._parameters[key_of(name, expression)]["value"])
            return Categories(np.where(inner.codes < 0, code, inner.codes).astype(np.int32), inner.levels)
        values = self.numbers(name, expression.of[0])
        points = self._points(name, expression, "cuts")
        codes = np.searchsorted(np.array(points), values, side="right")
        return Categories(np.where(np.isnan(values), -1, codes).astype(np.int32), labels_of(expression))

    def present(self, name: str, expression: Expression) -> Truth:
        """Which rows do not miss it, bool (row,)."""
        if isinstance(expression, Variable):
            return ~self._examples.columns[expression.name].missing()
        if isinstance(expression, Feature):
            if expression.name not in self._present:
                inner = self._features.expressions[expression.name]
                self._present[expression.name] = self.present(expression.name, inner)
            return self._present[expression.name]
        if isinstance(expression, Number) or (isinstance(expression, Call) and expression.function in ("impute", "missing")):
            return np.ones(self._examples.rows, dtype=bool)
        if not self._features.is_fitted(expression) and self._features.kind_of(expression) == "number":
            return ~np.isnan(self.numbers(name, expression))
        parts = (expression.left, expression.right) if isinstance(expression, Arithmetic) else expression.of
        whole = np.ones(self._examples.rows, dtype=bool)
        for part in parts:
            whole &= self.present(name, part)
        if isinstance(expression, Arithmetic) and expression.sign == "/":
            whole &= self.numbers(name, expression.right) != 0
        return whole

    def _arithmetic(self, name: str, expression: Arithmetic) -> Floats:
        left, right = self.numbers(name, expression.left), self.numbers(name, expression.right)
        if expression.sign == "+":
            return left + right
        if expression.sign == "-":
            return left - right
        if expression.sign == "*":
            return left * right
        return np.where(right != 0, left / right, np.nan) if expression.sign == "/" else left**right

    def _called(self, name: str, call: Expression) -> Floats:
        assert isinstance(call, Call)
        if call.function == "days":
            later, earlier = (day_numbers(self._examples.category(str_of(part))) for part in call.of)
            return later - earlier
        if call.function == "missing":
            return (~self.present(name, call.of[0])).astype(np.float64)
        values = self.numbers(name, call.of[0])
        if call.function in ELEMENTWISE:
            return ELEMENTWISE[call.function](values)
        if call.function == "impute":
            value = call.numbers[0] if call.numbers else self._parameters[key_of(name, call)]["value"]
            return np.where(np.isnan(values), value, values)
        if call.function == "minmax":
            low, high = call.numbers or (self._parameters[key_of(name, call)][end] for end in ("low", "high"))
            return np.clip((values - low) / (high - low), 0.0, 1.0)
        assert call.function == "standardise"
        known = self._parameters[key_of(name, call)]
        scaled: Floats = (values - known["mean"]) / known["sd"]
        return scaled

    def _coded(self, name: str, call: Call) -> Categories:
        """Levels that are not among those found are ``other``, where there is such a level, and missing else."""
        known = self._parameters[key_of(name, call)]
        levels: tuple[str, ...] = tuple(known["levels"])
        column = self.tabular(name, call.of[0])
        place = locate(Examples({"": column}, self._examples.rows), "", levels[:-1] if known["other"] else levels)
        codes = place(slice(0, self._examples.rows))
        return Categories(np.where(codes == -2, len(levels) - 1 if known["other"] else -1, codes).astype(np.int32), levels)

    def _points(self, name: str, call: Call, what: str) -> tuple[float, ...]:
        return tuple(self._parameters[key_of(name, call)][what]) if call.is_fitted else call.numbers


def harrell(values: Floats, knots: tuple[float, ...]) -> list[Floats]:
    """A restricted cubic spline, linear below the first knot and above the last: the values, then one column for each bend.

    There is one column fewer than knots. Source: F. E. Harrell, Regression Modeling Strategies (2nd ed. 2015), eq. 2.25, on the
    scale of the values (divided by the square of the distance between the outer knots, as in his package Hmisc).
    """
    last, before = knots[-1], knots[-2]
    scale = (last - knots[0]) ** 2
    cubes = {knot: np.maximum(values - knot, 0.0) ** 3 for knot in knots}
    columns = [values]
    for knot in knots[:-2]:
        bent = cubes[knot] - cubes[before] * (last - knot) / (last - before) + cubes[last] * (before - knot) / (last - before)
        columns.append(bent / scale)
    return columns


def labels_of(call: Call) -> tuple[str, ...]:
    """The levels of groups by points: each point belongs to the group above it."""
    if call.function == "quantiles":
        return tuple(f"Q{place}" for place in range(1, int(call.numbers[0]) + 1))
    shown = list(map(show_number, call.numbers))
    between = [f"[{low}, {high})" for low, high in pairwise(shown)]
    return (f"<{shown[0]}", *between, f">={shown[-1]}")


def str_of(part: Expression) -> str:
    """The name of a variable."""
    assert isinstance(part, Variable)
    return part.name


def _check(features: Features, examples: Examples) -> None:
    problems: list[Problem] = []
    for use in features.reads:
        column: Any = examples.columns.get(use.name)
        if column is None:
            problems.append(Problem(use.name, "no such column", "a column"))
        elif use.kind == "number" and not isinstance(column, Numbers):
            problems.append(Problem(use.name, "no numbers", "a variable of numbers"))
        elif not isinstance(column, Numbers | Categories):
            problems.append(Problem(use.name, "an image", "a number or a category"))
    if problems:
        raise DataError("The features cannot be made of these rows.", problems)
