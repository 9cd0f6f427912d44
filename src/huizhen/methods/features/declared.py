"""A study's features, checked as a whole: what each is, which variables it reads, in which order they are made.

>>> study = Features.of({"bmi": "weight / height^2", "bmi_z": "standardise(bmi)"})
>>> [(use.name, use.kind) for use in study.reads], study.columns("bmi_z")
([('weight', 'number'), ('height', 'number')], ('bmi_z',))
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any, Literal

from huizhen.data.examples import SITE
from huizhen.errors import Problem, StudyError
from huizhen.methods.features.expression import (
    ELEMENTWISE,
    PLAIN_NAME,
    Arithmetic,
    Call,
    Expression,
    Feature,
    Number,
    Variable,
    inside,
    show_name,
)
from huizhen.methods.features.grammar import parse
from huizhen.methods.method import Use

__all__ = ["NO_FEATURES", "Features", "Kind", "key_of"]

Kind = Literal["number", "category", "columns"]
MOST = 500  # features of a study
WRONG = "The features cannot be used."
NUMBER, CATEGORY = "a number", "a category"


@dataclass(frozen=True)
class Features:
    """Features by name, each after those that it is made of; make one with `of`.

    Attributes:
        texts: the declarations as they were written.
    """

    texts: Mapping[str, str]
    expressions: Mapping[str, Expression]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Features:
        """The features behind declarations.

        Raises:
            StudyError: with every mistake, each under its name.
        """
        if len(texts) > MOST:
            raise StudyError(WRONG, [Problem("", f"{len(texts)} features", f"at most {MOST}")])
        problems: list[Problem] = []
        read: dict[str, Expression] = {}
        for name, text in texts.items():
            if problem := _misnamed(name):
                problems.append(problem)
                continue
            try:
                read[name] = parse(text)
            except StudyError as error:
                problems += [_under(name, each) for each in error.problems]
        if problems:
            raise StudyError(WRONG, problems)
        instead = {name for name, expression in read.items() if Variable(name) in inside(expression)}
        read = {name: _resolved(expression, name, texts, instead) for name, expression in read.items()}
        made = cls(dict(texts), {name: read[name] for name in _order(read)})
        made._check()
        return made

    def __bool__(self) -> bool:
        return bool(self.expressions)

    def kind(self, name: str) -> Kind:
        """What a feature is: a number, a category or several columns of numbers."""
        return self.kind_of(self.expressions[name])

    def columns(self, name: str) -> tuple[str, ...]:
        """The columns under which methods see a feature: its name, or of a spline its name with numbers."""
        expression = self.expressions[name]
        if self.kind(name) != "columns":
            return (name,)
        assert isinstance(expression, Call)
        knots = int(expression.numbers[0]) if len(expression.numbers) == 1 else len(expression.numbers)
        return tuple(f"{name}.{place}" for place in range(1, knots))

    @cached_property
    def owner(self) -> Mapping[str, str]:
        """The feature of each column."""
        return MappingProxyType({column: name for name in self.expressions for column in self.columns(name)})

    def only(self, columns: Iterable[str]) -> Features:
        """The features with these columns, and those that they are made of."""
        wanted, waiting = set(), [self.owner[column] for column in columns if column in self.owner]
        while waiting:
            if (name := waiting.pop()) not in wanted:
                wanted.add(name)
                waiting += [part.name for part in inside(self.expressions[name]) if isinstance(part, Feature)]
        kept = {name: expression for name, expression in self.expressions.items() if name in wanted}
        return Features({name: text for name, text in self.texts.items() if name in wanted}, kept)

    @cached_property
    def reads(self) -> tuple[Use, ...]:
        """The variables that the features are made of, and as what."""
        kinds: dict[str, Literal["number", "category", "any", "image"]] = {}
        for expression in self.expressions.values():
            for name, kind in _reads(expression, "number"):
                kinds[name] = kind if kinds.get(name, "any") == "any" else kinds[name]
        return tuple(Use(name, kind) for name, kind in kinds.items())

    def origins(self, column: str) -> tuple[str, ...]:
        """The variables that a column is made of, in alphabetical order."""
        return tuple(sorted(use.name for use in self.only([column]).reads))

    @cached_property
    def fitted_calls(self) -> Mapping[str, tuple[str, Call]]:
        """What must be known of all rows, by key: the feature and the function; what others need comes before them."""
        calls: dict[str, tuple[str, Call]] = {}
        for name, expression in self.expressions.items():
            for part in inside(expression):
                if isinstance(part, Call) and part.is_fitted:
                    calls.setdefault(key_of(name, part), (name, part))
        return MappingProxyType(calls)

    def needed_by(self, name: str, call: Call) -> frozenset[str]:
        """The keys of what must be known before the argument of a function is."""
        return frozenset(key for part in call.of for key in _keys(name, part, self._keys_of))

    def is_fitted(self, expression: Expression) -> bool:
        """Whether the values of an expression rest on what is known of all rows."""
        return bool(_keys("", expression, self._keys_of))

    def keys_of(self, name: str) -> frozenset[str]:
        """The keys of all that must be known before a feature is."""
        return self._keys_of[name]

    def kind_of(self, expression: Expression) -> Kind:
        """What an expression gives for a row."""
        if isinstance(expression, Feature):
            return self.kind(expression.name)
        if isinstance(expression, Call):
            if expression.function in ("category", "cut", "quantiles") or expression.word == "mode":
                return "category"
            return "columns" if expression.function == "spline" else "number"
        return "number"

    @cached_property
    def _keys_of(self) -> Mapping[str, frozenset[str]]:
        """By feature all that must be known before it is; in order, so that no feature is looked into twice."""
        found: dict[str, frozenset[str]] = {}
        for name, expression in self.expressions.items():
            found[name] = _keys(name, expression, found)
        return found

    def _check(self) -> None:
        problems = [
            _under(name, problem) for name, expression in self.expressions.items() for problem in self._wrong(expression, top=True)
        ]
        columns = [column for name in self.expressions for column in self.columns(name)]
        problems += [
            Problem(column, "a name that two features have", "names that differ")
            for column in sorted({column for column in columns if columns.count(column) > 1})
        ]
        if problems:
            raise StudyError(WRONG, problems)

    def _wrong(self, expression: Expression, *, top: bool = False) -> Iterable[Problem]:
        if isinstance(expression, Variable | Feature | Number) and top:
            yield Problem("", f'"{expression}" alone', "a function or a calculation", f"Use {expression} as it is")
        if isinstance(expression, Arithmetic):
            for part in (expression.left, expression.right):
                yield from self._must_be("number", part, str(expression))
            yield from self._undefined(expression)
            yield from self._wrong(expression.left)
            yield from self._wrong(expression.right)
        if isinstance(expression, Call):
            yield from self._wrong_call(expression, top=top)

    def _wrong_call(self, call: Call, *, top: bool) -> Iterable[Problem]:
        if call.function == "spline" and not top:
            yield Problem("", f"{call} inside another function", "a feature of its own", "A spline is several columns")
        if call.function not in ("category", "missing", "days"):
            yield from self._must_be("category" if call.word == "mode" else "number", call.of[0], str(call))
        if call.function == "category" and not isinstance(call.of[0], Variable) and self.kind_of(call.of[0]) == "columns":
            yield Problem("", f"several columns, {call.of[0]}, in {call}", CATEGORY)
        if call.function in ELEMENTWISE and call.function not in ("exp", "abs") and self.is_fitted(call.of[0]):
            yield _over_fitted(str(call))
        for part in call.of:
            yield from self._wrong(part)

    def _must_be(self, kind: Kind, part: Expression, where: str) -> Iterable[Problem]:
        if isinstance(part, Variable):
            return
        found = self.kind_of(part)
        if found != kind:
            names = {"number": NUMBER, "category": CATEGORY, "columns": "several columns"}
            yield Problem("", f"{names[found]}, {part}, in {where}", names[kind])

    def _undefined(self, expression: Arithmetic) -> Iterable[Problem]:
        """Whether a row misses a feature must show without knowing the others' rows: so says which rows take part, before a fit."""
        right = expression.right
        if expression.sign == "/" and self.is_fitted(right):
            yield _over_fitted(str(expression))
        whole = isinstance(right, Number) and right.value.is_integer() and right.value > 0
        if expression.sign == "^" and not whole and self.is_fitted(expression.left):
            yield _over_fitted(str(expression))


NO_FEATURES = Features({}, {})


def _keys(name: str, expression: Expression, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    for part in inside(expression):
        if isinstance(part, Feature):
            found |= known[part.name]
        elif isinstance(part, Call) and part.is_fitted:
            found.add(key_of(name, part))
    return frozenset(found)


def key_of(feature: str, call: Call) -> str:
    """By what a fitted function is told apart from all others of a study."""
    return f"{feature}: {call}"


def _over_fitted(where: str) -> Problem:
    expected = "only what is defined for every number (+ - * exp abs, whole powers) around what is fitted jointly"
    return Problem("", where, expected, "Put it inside: impute(log(x), mean) rather than log(impute(x, mean))")


def _misnamed(name: Any) -> Problem | None:
    if name == SITE:
        return Problem(name, "the name of the column that says whose row it is", "another name")
    if not PLAIN_NAME.fullmatch(name):
        return Problem(name, "a name with other signs", "letters, digits, _ and ., not a digit first")
    return None


def _under(name: str, problem: Problem) -> Problem:
    where = f"{name}, {problem.where}" if problem.where else name
    return Problem(where, problem.found, problem.expected, problem.remedy)


def _resolved(expression: Expression, name: str, known: Collection[str], instead: Collection[str]) -> Expression:
    """Names of other features told apart from variables; in its own declaration a feature's name is the variable.

    Args:
        instead: the features that stand in the place of a variable of their name. Whether a row misses such a name is asked of the
            variable: of what was imputed none is missing.
    """
    if isinstance(expression, Variable):
        return Feature(expression.name) if expression.name != name and expression.name in known else expression
    if isinstance(expression, Arithmetic):
        left, right = (_resolved(part, name, known, instead) for part in (expression.left, expression.right))
        return Arithmetic(expression.sign, left, right)
    if isinstance(expression, Call):
        of = expression.of
        keeps = expression.function == "days" or (
            expression.function == "missing" and {*map(str, of)} <= {*map(show_name, instead)}
        )
        return expression if keeps else replace(expression, of=tuple(_resolved(part, name, known, instead) for part in of))
    return expression


def _order(read: Mapping[str, Expression]) -> tuple[str, ...]:
    graph = {name: [part.name for part in inside(expression) if isinstance(part, Feature)] for name, expression in read.items()}
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise StudyError(
            WRONG, [Problem(error.args[1][0], f"a circle: {circle}", "features that are not made of themselves")]
        ) from None


def _reads(
    expression: Expression, kind: Literal["number", "category", "any"]
) -> Iterable[tuple[str, Literal["number", "category", "any"]]]:
    """The variables of an expression, and as what they are read where it stands."""
    if isinstance(expression, Variable):
        if expression.name != SITE:
            yield expression.name, kind
    elif isinstance(expression, Arithmetic):
        yield from _reads(expression.left, "number")
        yield from _reads(expression.right, "number")
    elif isinstance(expression, Call):
        kinds: Mapping[str, Literal["number", "category", "any"]] = {"category": "any", "missing": "any", "days": "category"}
        for part in expression.of:
            yield from _reads(part, kinds.get(expression.function, "number"))
