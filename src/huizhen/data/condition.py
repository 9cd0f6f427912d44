"""Conditions on a patient's row, as facts that answer true, false or unknown.

A condition on a missing value is *unknown*, and unknown follows Kleene's strong logic (S. C. Kleene, Introduction to
Metamathematics, 1952, section 64): ``unknown and false`` is false, ``unknown or true`` is true, ``not unknown`` is unknown.

>>> import numpy as np
>>> from huizhen.data.examples import Examples, Numbers
>>> rows = Examples({"age": Numbers(np.array([17.0, 61.0, np.nan]))}, 3)
>>> Compare("age", ">=", 18.0).evaluate(rows).tolist()
[0, 1, -1]
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Categories, Examples, Images, Numbers
from huizhen.data.labels import normal_label
from huizhen.errors import DataError, Problem, StudyError

__all__ = ["OPERATORS", "Coded", "Compare", "Condition", "Every", "Missing", "Name", "Not", "OneOf", "Some", "joint_uses"]

Kind = Literal["number", "category", "any"]
Truth = NDArray[np.int8]  # (row,): 1 true, 0 false, -1 unknown

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Condition(ABC):
    """What a row must meet; a frozen fact, compared by value."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables it reads, each once, in the order of their first mention."""
        return tuple(dict.fromkeys(name for name, _ in self.mentions()))

    @property
    def uses(self) -> Mapping[str, Kind]:
        """As what each variable is read: ``number``, ``category``, or ``any`` where either will do.

        Raises:
            StudyError: one variable is used as a number in one place and as text in another.
        """
        return joint_uses([self])

    @abstractmethod
    def mentions(self) -> Iterator[tuple[str, Kind]]:
        """Every mention of a variable, with the kind that it asks for."""

    @abstractmethod
    def evaluate(self, examples: Examples) -> Truth:
        """For every row whether the condition holds: int8 (row,), 1 true, 0 false, -1 unknown.

        Raises:
            DataError: a variable is not there, or is of a kind that cannot be compared so.
        """


@dataclass(frozen=True, slots=True)
class Name:
    """Another variable, on the right of a comparison."""

    name: str


@dataclass(frozen=True, slots=True)
class Compare(Condition):
    """A variable against a number, a text or another numeric variable; text knows ``==`` and ``!=`` only."""

    variable: str
    operator: str
    value: float | str | Name

    def mentions(self) -> Iterator[tuple[str, Kind]]:
        if isinstance(self.value, Name):
            yield self.variable, "number"
            yield self.value.name, "number"
        elif isinstance(self.value, str):
            yield self.variable, "category"
        else:
            yield self.variable, "any" if self.operator in ("==", "!=") else "number"

    def evaluate(self, examples: Examples) -> Truth:
        compare = OPERATORS[self.operator]
        if isinstance(self.value, Name):
            left, right = _number(examples, self.variable), _number(examples, self.value.name)
            return _truth(compare(left, right), np.isnan(left) | np.isnan(right))
        if self.operator in ("==", "!="):
            equal = OneOf(self.variable, (self.value,)).evaluate(examples)
            return equal if self.operator == "==" else _negate(equal)
        values = _number(examples, self.variable)
        return _truth(compare(values, self.value), np.isnan(values))


@dataclass(frozen=True, slots=True)
class OneOf(Condition):
    """A variable is one of some numbers or texts. A number meets a category by its label: ``1`` is the level ``1``."""

    variable: str
    choices: tuple[float | str, ...]

    def mentions(self) -> Iterator[tuple[str, Kind]]:
        text = any(isinstance(choice, str) for choice in self.choices)
        yield self.variable, "category" if text else "any"

    def evaluate(self, examples: Examples) -> Truth:
        column = _column(examples, self.variable)
        if isinstance(column, Categories):
            labels = {normal_label(choice) for choice in self.choices}
            return _by_level(column, lambda level: level in labels)
        numbers = [choice for choice in self.choices if not isinstance(choice, str)]
        if len(numbers) < len(self.choices):
            raise _wrong_kind(self.variable, "a number", "a category (it is compared with text)")
        return _truth(np.isin(column.values, numbers), column.missing())


@dataclass(frozen=True, slots=True)
class Coded(Condition):
    """A code of a hierarchical system lies under a prefix, or in a range of prefixes (``C00`` to ``C97``).

    Case and dots are ignored on both sides, so that ``C34`` covers ``C34``, ``C34.1`` and ``c341``.

    Attributes:
        system: the code system, for a reader, e.g. ``ICD10``; the variable is taken to be coded in it.
        first, last: the prefixes, of equal length when dots are left out; equal for a single prefix.
    """

    variable: str
    system: str
    first: str
    last: str

    def mentions(self) -> Iterator[tuple[str, Kind]]:
        yield self.variable, "category"

    def evaluate(self, examples: Examples) -> Truth:
        column = _column(examples, self.variable)
        if isinstance(column, Numbers):
            raise _wrong_kind(self.variable, "a number", f"a category (it is compared with {self.system} codes)")
        first, last = bare_code(self.first), bare_code(self.last)
        return _by_level(column, lambda level: first <= bare_code(level)[: len(first)] <= last)


@dataclass(frozen=True, slots=True)
class Missing(Condition):
    """A variable has no value; never unknown."""

    variable: str

    def mentions(self) -> Iterator[tuple[str, Kind]]:
        yield self.variable, "any"

    def evaluate(self, examples: Examples) -> Truth:
        return _column(examples, self.variable).missing().astype(np.int8)


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The opposite; unknown stays unknown."""

    condition: Condition

    def mentions(self) -> Iterator[tuple[str, Kind]]:
        return self.condition.mentions()

    def evaluate(self, examples: Examples) -> Truth:
        return _negate(self.condition.evaluate(examples))


@dataclass(frozen=True, slots=True)
class Every(Condition):
    """All of two or more conditions (``and``): false beats unknown, unknown beats true."""

    conditions: tuple[Condition, ...]

    def mentions(self) -> Iterator[tuple[str, Kind]]:
        for condition in self.conditions:
            yield from condition.mentions()

    def evaluate(self, examples: Examples) -> Truth:
        return _negate(_highest(_negate(condition.evaluate(examples)) for condition in self.conditions))


@dataclass(frozen=True, slots=True)
class Some(Condition):
    """At least one of two or more conditions (``or``): true beats unknown, unknown beats false."""

    conditions: tuple[Condition, ...]

    def mentions(self) -> Iterator[tuple[str, Kind]]:
        for condition in self.conditions:
            yield from condition.mentions()

    def evaluate(self, examples: Examples) -> Truth:
        return _highest(condition.evaluate(examples) for condition in self.conditions)


def joint_uses(conditions: Iterable[Condition]) -> Mapping[str, Kind]:
    """As what several conditions together read each variable.

    Raises:
        StudyError: one variable is used as a number in one place and as text in another.
    """
    asked: dict[str, set[Kind]] = {}
    for condition in conditions:
        for name, kind in condition.mentions():
            asked.setdefault(name, set()).add(kind)
    torn = [name for name, kinds in asked.items() if {"number", "category"} <= kinds]
    if torn:
        expected = "one use of a variable in all conditions"
        raise StudyError(
            "conditions contradict each other",
            [Problem(f"variable {name!r}", "a use as a number and a use as text", expected) for name in torn],
        )
    return {name: next(iter(kinds - {"any"}), "any") for name, kinds in asked.items()}


def bare_code(code: str) -> str:
    """A code without what does not matter for its place in the hierarchy: case, dots and surrounding blanks."""
    return code.replace(".", "").strip().upper()


def _column(examples: Examples, name: str) -> Numbers | Categories:
    if name not in examples.columns:
        there = ", ".join(list(examples.columns)[:20])
        problem = Problem(f"variable {name!r}", "no such column", f"one of: {there}")
        raise DataError("a condition reads a variable that is not there", [problem])
    column = examples.columns[name]
    if isinstance(column, Images):
        raise _wrong_kind(name, "an image", "a number or a category")
    return column


def _number(examples: Examples, name: str) -> NDArray[np.float64]:
    column = _column(examples, name)
    if not isinstance(column, Numbers):
        raise _wrong_kind(name, "a category", "a number (it is compared by size)")
    return column.values


def _wrong_kind(name: str, found: str, expected: str) -> DataError:
    remedy = "Declare its kind in the study, or change the condition"
    return DataError("a condition does not fit the data", [Problem(f"variable {name!r}", found, expected, remedy)])


def _by_level(column: Categories, meets: Callable[[str], bool]) -> Truth:
    # The last place answers code -1, a missing value.
    return np.array([*(meets(level) for level in column.levels), -1], np.int8)[column.codes]


def _truth(holds: NDArray[np.bool_], unknown: NDArray[np.bool_]) -> Truth:
    truth = holds.astype(np.int8)
    truth[unknown] = -1
    return truth


def _negate(truth: Truth) -> Truth:
    return np.array([1, 0, -1], np.int8)[truth]


def _highest(truths: Iterable[Truth]) -> Truth:
    # true beats unknown beats false: the order of 1, -1, 0 is that of 2, 1, 0.
    rank = np.array([0, 2, 1], np.int8)
    highest: Truth | None = None
    for truth in truths:
        highest = rank[truth] if highest is None else np.maximum(highest, rank[truth])
    if highest is None:
        raise ValueError("a joint condition needs at least one condition")
    return np.array([0, -1, 1], np.int8)[highest]
