"""Criteria as one SQL statement over the view ``events``; all that a person wrote is bound, nothing of it becomes SQL.

Each criterion asks for its own events, within the patients who have the index event, so that DuckDB reads only those groups of rows
whose kind, system and codes fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from huizhen.data.criteria.codes import BY_PREFIX, prefixes
from huizhen.data.criteria.declarations import Criteria
from huizhen.data.criteria.rules import (
    COMPARISON,
    Age,
    Coded,
    Exposed,
    First,
    Happened,
    Imaged,
    Index,
    Measured,
    Rule,
    Sex,
    Visits,
    Washout,
    Window,
)

__all__ = ["Statement", "in_other_units", "members", "sketched"]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with ``$name`` for what is bound.

    Attributes:
        bound: by name what stands there.
    """

    sql: str
    bound: dict[str, Any]


def members(criteria: Criteria) -> Statement:
    """Rows of `patient`, `index_date` and `reached`: how many criteria, in their order, come before the first that is not met.

    The cohort is where `reached` equals the number of criteria.
    """
    writer = _Writer(criteria)
    return Statement(writer.statement(), writer.bound)


def sketched(criteria: Criteria, buckets: int) -> Statement:
    """Rows of `reached`, `bucket`, `patients`, `mixed`: patients by how far they come, with their hashes mixed bucket by bucket.

    Args:
        buckets: a power of 2.
    """
    inner = members(criteria)
    sql = (
        f"with cohort as ({inner.sql}), hashed as (select reached, md5_number_lower(patient) as hash from cohort) "
        "select reached, hash & $buckets as bucket, count(*) as patients, bit_xor(hash) as mixed from hashed group by all"
    )
    return Statement(sql, {**inner.bound, "buckets": buckets - 1})


def in_other_units(criteria: Criteria) -> Statement | None:
    """Rows of `criterion` (from 1), `unit`, `events`: numbers of its codes and window that it leaves out because of their unit.

    Null where no criterion asks for a number.
    """
    writer = _Writer(criteria)
    writer.begin()
    asked = [
        writer.in_other_units(each.rule, number)
        for number, each in enumerate(criteria.criteria, 1)
        if isinstance(each.rule, Measured) and each.rule.units
    ]
    if not asked:
        return None
    return Statement(
        f"{writer.tables} select * from ({' union all '.join(asked)}) order by criterion, events desc, unit", writer.bound
    )


@dataclass(slots=True)
class _Writer:
    """Writes one statement."""

    criteria: Criteria
    bound: dict[str, Any] = field(default_factory=dict)
    _tables: list[str] = field(default_factory=list)
    _joins: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """The patients who have the index event."""
        self._tables.append(f"starts as materialized ({self._index(self.criteria.index)})")

    @property
    def tables(self) -> str:
        return f"with {', '.join(dict.fromkeys(self._tables))}"

    def statement(self) -> str:
        self.begin()
        met = [(each, self._condition(each.rule, number)) for number, each in enumerate(self.criteria.criteria, 1)]
        failed = [f"not coalesce({sql}, false)" if each.is_kept else f"coalesce({sql}, false)" for each, sql in met]
        cases = " ".join(f"when {sql} then {number}" for number, sql in enumerate(failed))
        reached = f"case {cases} else {len(failed)} end" if failed else "0"
        joins = " ".join(dict.fromkeys(self._joins))
        chosen = f"select s.patient, s.starts as index_date, {reached} as reached from starts s {joins}"
        return f"{self.tables} {chosen}"

    def _index(self, index: Index) -> str:
        chosen = "min" if index.which == "first" else "max"
        where = [*self._coded(index.kind, index), "e.begins is not null"]
        if index.since is not None:
            where.append(f"e.begins >= cast({self._bind(index.since)} as date)")
        if index.until is not None:
            where.append(f"e.begins < cast({self._bind(index.until + timedelta(days=1))} as date)")
        return f"select e.patient, {chosen}(e.begins) as starts from events e where {' and '.join(where)} group by e.patient"

    def _condition(self, rule: Rule, number: int) -> str:
        """Whether a rule holds, for a row of `starts s` with what was joined."""
        if isinstance(rule, Age):
            return self._age(rule)
        if isinstance(rule, Sex):
            self._person()
            return f"person.sex in ({self._list(rule.one_of)})"
        if isinstance(rule, First):
            return f"k{self._found(number, self._earlier(rule))}.patient is null"
        if isinstance(rule, Measured):
            return self._measured(rule, number)
        if isinstance(rule, Visits):
            return self._visits(rule, number)
        where, at_least = self._events(rule)
        return f"k{self._found(number, where, at_least)}.patient is not null"

    def _events(self, rule: Rule) -> tuple[list[str], int]:
        if isinstance(rule, Happened):
            return [*self._coded(rule.kind, rule), *self._window(rule.days)], rule.at_least
        if isinstance(rule, Exposed):
            return [*self._coded("drug", rule), *self._window(rule.days, "coalesce(e.ends, e.begins)")], rule.at_least
        if isinstance(rule, Imaged):
            where = [f"e.kind = {self._bind('image')}", f"e.code = {self._bind(rule.modality)}", *self._window(rule.days)]
            if rule.body_part:
                where.append(f"lower(e.display) in ({self._list([part.lower() for part in rule.body_part])})")
            return where, rule.at_least
        raise NotImplementedError(type(rule).__name__)

    def _age(self, rule: Age) -> str:
        self._person()
        years = "date_sub('year', cast(person.born as date), cast(s.starts as date))"
        bounds = [("at_least", ">="), ("at_most", "<=")]
        chosen = [f"{years} {sign} {self._bind(value)}" for name, sign in bounds if (value := getattr(rule, name)) is not None]
        return " and ".join(chosen)

    def _person(self) -> None:
        person = (
            "select e.patient, min(e.begins) as born, max(e.text) as sex from events e where e.kind = 'person' group by e.patient"
        )
        self._tables.append(f"person as ({person})")
        self._joins.append("left join person on person.patient = s.patient")

    def _earlier(self, rule: First) -> list[str]:
        index = self.criteria.index
        coded: Coded = index if rule.kind is None and not rule.codes else rule
        where = [*self._coded(rule.kind or index.kind, coded), "e.begins < s.starts"]
        if isinstance(rule, Washout):
            where.append(f"e.begins >= s.starts - to_days(cast({self._bind(rule.days)} as integer))")
        return where

    def _measured(self, rule: Measured, number: int) -> str:
        coded, window = self._coded("measurement", rule), self._window(rule.days)
        if rule.answers:
            holds, filled = f"e.text in ({self._list(rule.answers)})", "e.text is not null"
        else:
            match = COMPARISON.fullmatch(rule.value)
            assert match is not None  # the file was checked
            holds = f"e.number {match[1]} {self._bind(float(match[2]))}"
            filled = f"e.number is not null and e.unit in ({self._list(rule.units)})"
        where = [*coded, *window, filled]
        if rule.which == "any":
            return f"k{self._found(number, [*where, holds])}.patient is not null"
        chosen = "arg_min" if rule.which == "first" else "arg_max"
        # Of several at the same moment the one with the last record counts, so that the answer is the same each time.
        held = f"{chosen}({holds}, (e.begins, e.record))"
        return f"k{self._found(number, [*where, 'e.begins is not null'], counted=held)}.counted"

    def in_other_units(self, rule: Measured, number: int) -> str:
        """What of the numbers that a rule asks for is in none of its units."""
        other = f"(e.unit is null or e.unit not in ({self._list(rule.units)}))"
        where = [*self._coded("measurement", rule), *self._window(rule.days), "e.number is not null", other]
        chosen = f"select {number} as criterion, e.unit as unit, count(*) as events"
        return f"{chosen} from events e join starts s on e.patient = s.patient where {' and '.join(where)} group by e.unit"

    def _visits(self, rule: Visits, number: int) -> str:
        where = [f"e.kind = {self._bind('visit')}", *self._window(rule.days)]
        if rule.classes:
            where.append(f"e.code in ({self._list(rule.classes)})")
        self._found(number, where, counted="count(distinct coalesce(e.visit, split_part(e.record, '#', 1)))")
        bounds = [("at_least", ">="), ("at_most", "<=")]
        count = f"coalesce(k{number}.counted, 0)"
        chosen = [f"{count} {sign} {self._bind(value)}" for name, sign in bounds if (value := getattr(rule, name)) is not None]
        return " and ".join(chosen)

    def _found(self, number: int, where: Sequence[str], at_least: int = 1, *, counted: str = "") -> int:
        """Joins the patients of the index who have such events, as `k` and the number."""
        chosen = f"e.patient, {counted} as counted" if counted else "e.patient"
        # A thing with several codes is several events of one record: it counts once.
        having = f" having count(distinct split_part(e.record, '#', 1)) >= {self._bind(at_least)}" if at_least > 1 else ""
        body = f"from events e join starts s on e.patient = s.patient where {' and '.join(where)} group by e.patient{having}"
        self._tables.append(f"k{number} as (select {chosen} {body})")
        self._joins.append(f"left join k{number} on k{number}.patient = s.patient")
        return number

    def _coded(self, kind: str, coded: Coded) -> list[str]:
        where = [f"e.kind = {self._bind(kind)}"]
        if coded.system:
            where.append(f"e.system = {self._bind(coded.system)}")
        if not coded.codes:
            return where
        if coded.descendants and coded.system in BY_PREFIX:
            ranges = prefixes(coded.system, coded.codes)
            either = " or ".join(f"(e.code >= {self._bind(one.low)} and e.code < {self._bind(one.high)})" for one in ranges)
            return [*where, f"({either})"]
        return [*where, f"e.code in ({self._list(self.criteria.codes(coded))})"]

    def _window(self, days: Window, until: str = "e.begins") -> list[str]:
        """Days from the index date: whole days, UTC, both included; what lasts counts if it reaches into them."""
        if days == "ever":
            return []
        first, last = (None, 0) if isinstance(days, str) else days
        where = [f"e.begins < date_trunc('day', s.starts) + to_days(cast({self._bind(last + 1)} as integer))"]
        if first is not None:
            where.append(f"{until} >= date_trunc('day', s.starts) + to_days(cast({self._bind(first)} as integer))")
        return where

    def _bind(self, value: Any) -> str:
        name = f"p{len(self.bound)}"
        self.bound[name] = value
        return f"${name}"

    def _list(self, values: Sequence[str]) -> str:
        return ", ".join(self._bind(value) for value in values)
