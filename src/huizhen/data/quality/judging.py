"""How many rows break a rule; a rule says nothing of a row whose value is missing.

>>> import numpy as np
>>> from huizhen.data.examples import Examples, Numbers
>>> from huizhen.data.quality.rules import RangeRule
>>> rows = Examples({"age": Numbers(np.array([17.0, 610.0, np.nan]))}, 3)
>>> judge(RangeRule(kind="range", variable="age", low=0.0, high=120.0), rows)
Outcome(name='range: age', kind='range', variables=('age',), judged=2, broken=1, unknown=1, passed=False)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from huizhen.data.condition import Condition
from huizhen.data.examples import Categories, Examples
from huizhen.data.grammar import parse
from huizhen.data.labels import normal_label, text_as_number
from huizhen.data.quality.rules import (
    CompleteRule,
    ConditionRule,
    OrderRule,
    PlausibleRule,
    RangeRule,
    Rule,
    TypeRule,
    UniqueRule,
    UnitRule,
    ValuesRule,
)

__all__ = ["Outcome", "group_of", "judge", "robust_z"]

Truth = NDArray[np.int8]  # (row,): 1 kept, 0 broken, -1 unknown
NORMAL = 0.6745  # the 75th percentile of the standard normal: makes MAD the standard deviation of a normal sample
DAY_S, EPOCH = 86_400.0, datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule and rows; exact counts, so for the site's own eyes only.

    Attributes:
        judged: rows of which the rule says something.
        broken: of them, those that break it.
        unknown: rows of which it says nothing.
        passed: no larger share is broken than the rule allows.
    """

    name: str
    kind: str
    variables: tuple[str, ...]
    judged: int
    broken: int
    unknown: int
    passed: bool


def judge(rule: Rule, examples: Examples) -> Outcome:
    """What a rule says of all rows.

    Raises:
        DataError: a condition does not fit the variables.
    """
    truth = _truth(rule, examples)
    judged, broken = int(np.count_nonzero(truth >= 0)), int(np.count_nonzero(truth == 0))
    name = rule.name or f"{rule.kind}: {', '.join(rule.variables_read)}"
    return Outcome(name, rule.kind, rule.variables_read, judged, broken, len(truth) - judged, broken <= rule.allow * judged)


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far values are from their median, in robust standard deviations; NaN where missing, and all where most are equal.

    Iglewicz and Hoaglin, How to Detect and Handle Outliers (ASQC 1993): 0.6745 (x - median) / MAD; above 3.5
    is an outlier to them.
    """
    present = values[~np.isnan(values)]
    if not len(present):
        return np.full(len(values), np.nan)
    middle = np.median(present)
    spread = np.median(np.abs(present - middle))
    return NORMAL * (values - middle) / spread if spread > 0 else np.full(len(values), np.nan)


def group_of(examples: Examples, names: Sequence[str]) -> NDArray[np.int64]:
    """Of every row a number that it shares with the rows of the same values, int64 (row,); -1 where one is missing."""
    group = np.zeros(examples.rows, np.int64)
    missing = np.zeros(examples.rows, bool)
    for name in names:
        column = examples.category(name)
        missing |= column.missing()
        _, group = np.unique(group * (len(column.levels) + 1) + column.codes + 1, return_inverse=True)
    return np.where(missing, np.int64(-1), group.astype(np.int64))


def _truth(rule: Rule, examples: Examples) -> Truth:
    match rule:
        case RangeRule():
            return _in_range(_numbers(examples, rule.variable), rule)
        case TypeRule():
            return _of_type(examples.category(rule.variable), rule)
        case ValuesRule():
            permitted = {normal_label(value) for value in rule.values}
            return _by_level(examples.category(rule.variable), lambda level: level in permitted)
        case UnitRule():
            return _in_unit(examples, rule)
        case CompleteRule():
            return examples.complete(rule.variables).astype(np.int8)
        case UniqueRule():
            return _unique(group_of(examples, rule.variables))
        case PlausibleRule():
            z = robust_z(_numbers(examples, rule.variable))
            return _known(np.abs(z) <= rule.z, np.isnan(z))
        case OrderRule():
            first, then = _ordered(examples, rule.first), _ordered(examples, rule.then)
            return _known(first <= then, np.isnan(first) | np.isnan(then))
        case ConditionRule():
            return _condition(parse(rule.holds), parse(rule.when) if rule.when else None, examples)


def _in_range(values: NDArray[np.float64], rule: RangeRule) -> Truth:
    low, high = -np.inf if rule.low is None else rule.low, np.inf if rule.high is None else rule.high
    return _known((values >= low) & (values <= high), np.isnan(values))


def _of_type(column: Categories, rule: TypeRule) -> Truth:
    def fits(level: str) -> bool:
        if rule.type == "date":
            return _date(level) is not None
        number = text_as_number(level)
        return number is not None and (rule.type == "number" or float(number).is_integer())

    return _by_level(column, fits)


def _in_unit(examples: Examples, rule: UnitRule) -> Truth:
    declared = set(rule.units)
    truth = _by_level(examples.category(rule.given_in), lambda level: level in declared)
    truth[truth < 0] = 0  # a value whose unit nobody says
    truth[examples.columns[rule.variable].missing()] = -1
    return truth


def _unique(group: NDArray[np.int64]) -> Truth:
    counts = np.bincount(group[group >= 0], minlength=1)
    return _known(counts[np.maximum(group, 0)] == 1, group < 0)


def _condition(holds: Condition, when: Condition | None, examples: Examples) -> Truth:
    truth = holds.evaluate(examples).copy()
    if when is not None:
        truth[when.evaluate(examples) != 1] = -1
    return truth


def _numbers(examples: Examples, name: str) -> NDArray[np.float64]:
    """A variable as numbers; text that is none is missing here: a rule of type tells it."""
    column = examples.tabular(name)
    if not isinstance(column, Categories):
        return column.values
    numbers = [text_as_number(level) for level in column.levels]
    return np.array([*(np.nan if number is None else number for number in numbers), np.nan])[column.codes]


def _ordered(examples: Examples, name: str) -> NDArray[np.float64]:
    """A variable of dates as days since 1970, or of numbers as they are."""
    column = examples.tabular(name)
    if not isinstance(column, Categories):
        return column.values
    days = [_date(level) for level in column.levels]
    if column.levels and all(day is None for day in days):
        return _numbers(examples, name)
    return np.array([*(np.nan if day is None else day for day in days), np.nan])[column.codes]


def _date(text: str) -> float | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - EPOCH).total_seconds() / DAY_S


def _by_level(column: Categories, meets: Callable[[str], bool]) -> Truth:
    # The last place answers code -1, a missing value.
    return np.array([*(meets(level) for level in column.levels), -1], np.int8)[column.codes]


def _known(kept: NDArray[np.bool_], unknown: NDArray[np.bool_]) -> Truth:
    truth = kept.astype(np.int8)
    truth[unknown] = -1
    return truth
