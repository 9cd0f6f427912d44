"""A design from declared ranges and levels alone, for studies with noise: nothing is asked, and every row's length is bounded.

Numbers are centred at the middle of what their column can be and divided by half of its width, so that no entry exceeds 1;
categories stay 0 and 1, of which a row has one 1 in each block at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE, Examples, Numbers
from huizhen.errors import Problem, StudyError
from huizhen.methods.description.noised import CANNOT, levels_declared, ranges_declared
from huizhen.methods.design.columns import Design
from huizhen.methods.design.formula import Factor, Formula
from huizhen.methods.design.labels import declared_labels
from huizhen.methods.design.piece import Piece, transformed
from huizhen.privacy.release import Terms, Variable

__all__ = ["Bounded", "declared_design", "is_category", "reached", "unbounded", "undeclared"]

Range = tuple[float, float]
AGREED = ("center", "scale", "bs", "ns")  # what these need is read off the rows


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """A design whose rows are bounded.

    Attributes:
        design: centred and scaled by declared ranges.
        reach: the largest Euclidean norm of a row of the fitted columns, as long as its numbers lie within their ranges.
        ranges: declared ranges of the numbers, by name: values are cut to these.
        levels: declared levels of the categories, by name.
    """

    design: Design
    reach: float
    ranges: Mapping[str, Range]
    levels: Mapping[str, tuple[str, ...]]


def declared_design(formula: Formula, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> Bounded:
    """The design of the formula's right-hand side from what the study declares.

    Raises:
        StudyError: a number without a range, a category without levels, a function that its range does not bound or that needs
            to be agreed over the rows; all are named.
    """
    terms = Terms(variables=variables)
    categories = [factor for factor in formula.factors if is_category(factor, variables)]
    numbers = [factor for factor in formula.factors if factor not in categories]
    _refuse([*_undeclared(categories, numbers, terms, level), *map(_needs_rows, (f for f in numbers if f.outer in AGREED))])
    levels = {factor: declared_labels(factor, terms) for factor in categories}
    ranges = {factor.variable: _range(variables, factor.variable) for factor in numbers}
    reaches = {factor: reached(factor, *ranges[factor.variable]) for factor in numbers}
    _refuse([unbounded(factor) for factor, reach in reaches.items() if reach is None])
    pieces = tuple(Piece(factor, levels.get(factor, ())) for factor in formula.factors)
    design = Design.of(formula, pieces, intercept=True)
    if not design.columns:
        _refuse([Problem("formula", "no column to fit", "at least one variable after the ~")])
    limits = np.array([_limits(parts, pieces, reaches) for parts in design.parts])
    center, scale = _standard(design, limits)
    if not (scale > 0).all():
        constant = ", ".join(name for name, width in zip(design.columns, scale) if not width > 0)
        _refuse([Problem(constant, "a column that is the same in all rows", "one that varies", "Leave it out")])
    shown = {factor.variable: levels[factor] for factor in categories}
    return Bounded(design.standardised_by(center, scale, 0), _reach(design), ranges, shown)


def is_category(factor: Factor, variables: Mapping[str, Variable]) -> bool:
    """Whether a factor is taken as a category."""
    declared = variables.get(factor.variable)
    bare = not factor.calls and (factor.variable == SITE or (declared is not None and declared.kind == "category"))
    return factor.outer == "C" or bare


def reached(factor: Factor, low: float, high: float) -> Range | None:
    """What the factor's elementwise functions make of a range; None where they are not finite on all of it.

    >>> reached(Factor("x"), -3.0, 2.0)
    (-3.0, 2.0)
    """
    for call in factor.calls:
        exponent = call.option("exponent") if call.name == "pow" else None
        through = low < 0 < high or 0.0 in (low, high)
        if exponent is not None and through and exponent < 0:
            return None
        points = np.array([low, high, 0.0 if exponent is not None and low < 0 < high else low])
        found = transformed(Factor("", (call,)), Examples({"": Numbers(points)}, 3), slice(0, 3))
        low, high = float(found.min()), float(found.max())  # a NaN stays one
        if not (isfinite(low) and isfinite(high)):
            return None
    return low, high


def unbounded(factor: Factor) -> Problem:
    """What is wrong with a factor that its variable's range does not bound."""
    remedy = f"Narrow the range in [variables.{factor.variable}]"
    return Problem(str(factor), "a function that is not finite on all of the declared range", "a range on which it is", remedy)


def _undeclared(categories: list[Factor], numbers: list[Factor], terms: Terms, level: Literal["patient", "site"]) -> list[Problem]:
    problems = [undeclared(factor.variable) for factor in numbers if not _is_known(factor.variable, terms.variables)]
    lacking = [factor.variable for factor in categories if factor.variable == SITE or not declared_labels(factor, terms)]
    plain = [factor.variable for factor in numbers if _is_known(factor.variable, terms.variables)]
    for check, names in ((levels_declared, lacking), (ranges_declared, plain)):
        try:
            check(names, terms.variables, level)
        except StudyError as error:
            problems += error.problems
    single = [factor for factor in categories if len(declared_labels(factor, terms)) == 1]
    problems += [Problem(str(factor), "one level only", "two levels or more", "Leave it out") for factor in single]
    return list(dict.fromkeys(problems))


def undeclared(name: str) -> Problem:
    """What is wrong with a variable of which the study says nothing."""
    remedy = f"Say type = 'number', or type = 'category' and levels, in [variables.{name}]"
    return Problem(name, "a variable that the sites would have to agree on", "a declared variable", remedy)


def _is_known(name: str, variables: Mapping[str, Variable]) -> bool:
    return name in variables or name == SITE


def _needs_rows(factor: Factor) -> Problem:
    if factor.outer in ("center", "scale"):
        remedy = f"Write {factor.variable}: columns are scaled by their ranges anyway"
        return Problem(str(factor), "a mean that only rows would tell, without noise", "a variable with a declared range", remedy)
    remedy = f"Use powers, such as I({factor.variable}^2)"
    return Problem(str(factor), "knots that only rows would tell, without noise", "a variable with a declared range", remedy)


def _refuse(problems: Iterable[Problem]) -> None:
    if found := list(problems):
        raise StudyError(CANNOT, found)


def _range(variables: Mapping[str, Variable], name: str) -> Range:
    found = variables[name].range
    assert found is not None
    return found


def _limits(parts: tuple[tuple[int, int], ...], pieces: tuple[Piece, ...], reaches: Mapping[Factor, Range | None]) -> Range:
    """Smallest and largest value of a column, by interval arithmetic over its factors."""
    low, high = 1.0, 1.0
    for place, _ in parts:
        other = reaches.get(pieces[place].factor) or (0.0, 1.0)
        ends = [a * b for a in (low, high) for b in other]
        low, high = min(ends), max(ends)
    return low, high


def _standard(design: Design, limits: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and scale of each column; without an intercept nothing is centred."""
    kept = np.array([_is_indicator(design, column) for column in range(len(design.columns))])
    middle = limits.mean(axis=1) if design.intercept else np.zeros(len(limits))
    center = np.where(kept, 0.0, middle)
    scale = np.where(kept, 1.0, np.abs(limits - center[:, np.newaxis]).max(axis=1))
    return center, scale


def _is_indicator(design: Design, column: int) -> bool:
    """Whether a column is the intercept, or 0 and 1."""
    return all(design.pieces[piece].levels for piece, _ in design.parts[column])


def _reach(design: Design) -> float:
    """Of the indicators of one block a row has at most one; of all other columns each adds at most 1 to the square."""
    columns = range(len(design.columns))
    indicators = {tuple(piece for piece, _ in design.parts[column]) for column in columns if _is_indicator(design, column)}
    return sqrt(len(indicators) + sum(not _is_indicator(design, column) for column in columns))
