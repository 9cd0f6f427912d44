"""A mapping as one SQL statement over the view ``events``: what a file says is bound as parameters, and names are quoted.

The statement is a chain: *anchors* (the rows), *hits* (events of the codes that are asked for), *found* (what each event says, or
why it says nothing), *taken* (one value for each row and variable), and at the end either rows or what is told about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from huizhen.data.labels import normal_label
from huizhen.data.mapping.codes import Hierarchy, codes_of
from huizhen.data.mapping.mapfile import WRONG, MapFile, Rule, offset_s
from huizhen.data.mapping.units import NoConversion, conversion
from huizhen.errors import DataError, Problem

__all__ = ["DOUBTS", "Statement", "quoted", "rows_statement", "told_statement"]

DOUBTS = (  # why an event says nothing, in the order of `_FOUND`
    "without a time, where a window is declared",
    "a mark for a missing value",
    "a bound such as < instead of a number",
    "text where a number belongs",
    "no value",
    "a number without a unit",
    "another unit than declared",
    "a value that is not declared",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and what is bound to it."""

    sql: str
    bound: Mapping[str, Any]

    def within(self, low: str | None, high: str | None) -> tuple[str, Mapping[str, Any]]:
        """The same of patients from `low` on and before `high`, where these are named."""
        limits = {"low": ("patient >= cast($low as varchar)", low), "high": ("patient < cast($high as varchar)", high)}
        named = {name: limit for name, limit in limits.items() if limit[1] is not None}
        if not named:
            return self.sql, self.bound
        where = " and ".join(sql for sql, _ in named.values())
        some = f"with events as (select * from main.events where {where}), {self.sql.removeprefix('with ')}"
        return some, {**self.bound, **{name: value for name, (_, value) in named.items()}}


@dataclass(slots=True)
class _Bound:
    """Parameters that grow while variables are gone through: columns of small tables, one row a code, unit or value."""

    rows: dict[str, list[list[Any]]] = field(default_factory=lambda: {name: [[] for _ in types] for name, types in TABLES.items()})

    def bind(self, table: str, *values: Any) -> None:
        for column, value in zip(self.rows[table], values, strict=True):
            column.append(value)


TABLES: Mapping[str, Mapping[str, str]] = {
    "rules": {
        "variable": "integer",
        "read": "varchar",
        "take": "varchar",
        "since": "double",
        "until": "double",
        "at_end": "boolean",
        "same_visit": "boolean",
        "has_values": "boolean",
        "least_images": "integer",
        "has_parts": "boolean",
    },
    "listed": {"variable": "integer", "kind": "varchar", "system": "varchar", "code": "varchar"},
    "prefixes": {"variable": "integer", "kind": "varchar", "system": "varchar", "prefix": "varchar"},
    "kinds": {"variable": "integer", "kind": "varchar"},
    "unit_table": {"variable": "integer", "unit": "varchar", "factor": "double", "base": "double"},
    "value_table": {"variable": "integer", "text": "varchar", "number_value": "double", "text_value": "varchar"},
    "missing_table": {"variable": "integer", "text": "varchar"},
    "body_parts": {"variable": "integer", "part": "varchar"},
}
INDEX = -1  # the number of the index among variables


def rows_statement(found: MapFile, names: Sequence[str], hierarchy: Hierarchy) -> Statement:
    """One row for each patient or index event: ``patient``, ``row``, ``index_time``, and one column for each variable."""
    columns = "".join(f", {_column(found, name, at)} as {quoted(name)}" for at, name in enumerate(names))
    last = f"""
    select a.patient, a.row, a.begins as index_time{columns}
    from anchors a left join taken t using (row) group by a.patient, a.row, a.begins order by a.row"""
    return _statement(found, names, hierarchy, last)


def told_statement(found: MapFile, names: Sequence[str], hierarchy: Hierarchy) -> Statement:
    """What is told of each variable: its number, the reason (null: used; -1: no order), events, rows, units."""
    last = """
    select variable, doubt, count(*), count(distinct row), list(distinct unit) from found group by variable, doubt
    union all select variable, -1, 0, count(*), [] from taken where unordered group by variable
    union all select -1, null, 0, count(*), [] from anchors"""
    return _statement(found, names, hierarchy, last)


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _statement(found: MapFile, names: Sequence[str], hierarchy: Hierarchy, last: str) -> Statement:
    bound = _Bound()
    problems: list[Problem] = []
    for at, name in enumerate(names):
        problems += _bind(bound, found, at, name, hierarchy)
    if problems:
        raise DataError(WRONG, problems)
    parameters: dict[str, Any] = {"origins": list(found.written.mapping.origins)}
    anchors = _anchors(found, bound, parameters, hierarchy)
    tables = ",\n".join(_table(name, parameters, bound.rows[name]) for name in TABLES)
    return Statement(f"with {tables},\n{_HITS},\n{anchors},\n{_FOUND},\n{_TAKEN}\n{last}", parameters)


def _table(name: str, parameters: dict[str, Any], columns: Sequence[list[Any]]) -> str:
    """A small table of what is bound."""
    parts = []
    for (column, sql), values in zip(TABLES[name].items(), columns):
        parameters[f"{name}_{column}"] = values
        parts.append(f"unnest(cast(${name}_{column} as {sql}[])) as {column}")
    return f"{name} as (select {', '.join(parts)})"


def _bind(bound: _Bound, found: MapFile, at: int, name: str, hierarchy: Hierarchy) -> Iterable[Problem]:
    rule, entry = found.written.variable[name], found.entry(name)
    read, take = found.read_as(name), found.taken(name)
    since, until = (offset_s(text) if text else None for text in (rule.since, rule.until))
    judged = "any" if take in ("exists", "count") else read  # what is only counted may say anything
    bound.bind(
        *("rules", at, judged, take, since, until, rule.counted_from == "ends", rule.same_visit),
        *(bool(rule.values or entry.values), rule.least_images, bool(rule.body_part)),
    )
    for part in rule.body_part:
        bound.bind("body_parts", at, part.upper())
    if rule.column:
        bound.bind("listed", at, "value", "local", rule.column)
    else:
        _bind_codes(bound, at, rule.kind, codes_of(found, rule, entry, hierarchy))
    for value in rule.missing:
        bound.bind("missing_table", at, _label(value))
    texts: dict[str, Any] = dict(rule.values) or {value: value for value in entry.values}
    for text, meant in texts.items():
        is_text = isinstance(meant, str)
        bound.bind("value_table", at, normal_label(text), None if is_text else float(meant), meant if is_text else None)
    return _bind_units(bound, at, f"variable.{name}.units", rule, entry.unit) if judged == "number" else ()


def _label(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else normal_label(value)


def _bind_codes(bound: _Bound, at: int, kind: str, codes: tuple[list[tuple[str, str]], list[tuple[str, str]]]) -> None:
    exact, beginnings = codes
    for system, code in exact:
        bound.bind("listed", at, kind, system, code)
    for system, prefix in beginnings:
        bound.bind("prefixes", at, kind, system, prefix)
    if not exact and not beginnings:
        bound.bind("kinds", at, kind)


def _bind_units(bound: _Bound, at: int, where: str, rule: Rule, wanted: str) -> Iterable[Problem]:
    """The declared units with what makes them the dictionary's; without a declaration that unit alone."""
    declared = dict(rule.units) if isinstance(rule.units, Mapping) else {unit: unit for unit in rule.units}
    for stands, unit in (declared or {wanted: wanted}).items():
        try:
            how = conversion(unit, wanted, rule.molar_mass)
        except NoConversion as reason:
            yield Problem(where, f"{unit!r}: {reason}", f"a unit that becomes {wanted!r}")
        else:
            bound.bind("unit_table", at, stands, how.factor, how.offset)


def _anchors(found: MapFile, bound: _Bound, parameters: dict[str, Any], hierarchy: Hierarchy) -> str:
    index, of_origin = found.written.index, _OF_ORIGIN
    if index is None or index.date is not None:
        parameters["date"] = None if index is None or index.date is None else datetime.combine(index.date, time())
        chosen = f"""select patient, cast($date as timestamp) as begins, cast($date as timestamp) as ends,
          cast(null as varchar) as visit from events where {of_origin} group by patient"""
    else:
        _bind_codes(bound, INDEX, index.kind, codes_of(found, index, None, hierarchy))
        timed = "" if index.pick == "each" else " and begins is not null"  # of events without a time none is the first or the last
        chosen = f"""select * from (select distinct patient, begins, ends, visit from hits
          where variable = {INDEX}{timed}){_PICKS[index.pick]}"""
    return (
        f"""anchors as materialized (select *, row_number() over (order by patient, begins, visit, ends) as row from ({chosen}))"""
    )


_PICKS: Mapping[str, str] = {
    "each": "",
    "first": " qualify row_number() over (partition by patient order by begins, visit, ends) = 1",
    "last": " qualify row_number() over (partition by patient order by begins desc, visit desc, ends desc) = 1",
}
_OF_ORIGIN = "(len($origins) = 0 or list_contains(cast($origins as varchar[]), origin))"
_HITS = f"""wanted as (select * from listed union select p.variable, c.kind, c.system, c.code
    from (select distinct kind, system, code from events where kind in (select kind from prefixes)) c join prefixes p
      on c.kind = p.kind and c.system = p.system and starts_with(upper(replace(trim(c.code), '.', '')), p.prefix)),
hits as (
  select w.variable, e.* from events e join wanted w on e.kind = w.kind and e.system = w.system and e.code = w.code
  where {_OF_ORIGIN}
  union all
  select k.variable, e.* from events e join kinds k on e.kind = k.kind where {_OF_ORIGIN})"""

# A number that is read as text is written as a label: 3.0 is 3.
_FOUND = """placed as (
  select h.variable, a.row, h.begins, h.number, h.code, h.unit, r.read, r.take, r.has_values,
    case when r.read = 'code' then h.code else h.text end as raw,
    h.record, case when r.take = 'count' then concat(h.origin, ' ',
      case when h.kind = 'value' then h.record else regexp_replace(h.record, '(#[0-9]*)c[0-9]+$', '\\1') end) end as counted,
    case when r.read = 'code' then h.code when r.read = 'place' then h.text || chr(31) || h.record
      when h.text is not null then trim(h.text)
      when h.number = trunc(h.number) and abs(h.number) < 1e15 then cast(cast(h.number as bigint) as varchar)
      else cast(h.number as varchar) end as label,
    case when r.at_end then a.ends else a.begins end as anchor, a.begins as index_begins,
    r.since is not null or r.until is not null or r.read in ('age', 'days') as timed, r.since, r.until
  from hits h join rules r using (variable) join anchors a on a.patient = h.patient and (not r.same_visit or a.visit = h.visit)
  where r.read <> 'place' or (coalesce(h.number, 1) >= r.least_images and (not r.has_parts
    or exists (select 1 from body_parts b where b.variable = h.variable and b.part = upper(h.display))))),
within as (
  select * from placed
  where not timed or begins is null or anchor is null or read = 'age'
    or ((since is null or epoch_us(begins) - epoch_us(anchor) >= since * 1e6)
      and (until is null or epoch_us(begins) - epoch_us(anchor) <= until * 1e6))),
found as (
  select w.*,
    case when w.timed and (w.begins is null or w.anchor is null) then 0
      when m.text is not null then 1
      when w.read in ('age', 'days', 'any') then null
      when w.read = 'number' and v.text is not null then null
      when w.read = 'number' and w.raw in ('<', '<=', '>', '>=', 'ad') then 2
      when w.read = 'number' and w.number is null and w.raw is not null then 3
      when w.label is null then 4
      when w.read = 'number' and u.factor is null then case when w.unit is null then 5 else 6 end
      when w.read <> 'number' and w.has_values and v.text is null then 7
    end as doubt,
    case w.read when 'age' then cast(datesub('year', w.begins, w.index_begins) as double)
      when 'days' then (epoch_us(w.begins) - epoch_us(w.anchor)) / 86400e6
      when 'number' then coalesce(v.number_value, w.number * u.factor + u.base) end as number_value,
    case when w.read in ('text', 'code', 'place') then coalesce(v.text_value, w.label) end as text_value
  from within w
  left join missing_table m on m.variable = w.variable and m.text = w.label
  left join value_table v on v.variable = w.variable and v.text = w.label
  left join unit_table u on u.variable = w.variable and u.unit = coalesce(w.unit, ''))"""
# Of several events none of which has a time, no one is the first or the last.
_TAKEN = """taken as materialized (
  select row, variable, count(distinct counted) filter (where take = 'count') as events,
    arg_min(number_value, (coalesce(begins, timestamp '9999-01-01'), record)) filter (where take = 'first') as first_number,
    arg_max(number_value, (coalesce(begins, timestamp '0001-01-01'), record)) filter (where take = 'last') as last_number,
    arg_min(text_value, (coalesce(begins, timestamp '9999-01-01'), record))
      filter (where take = 'first' and text_value is not null) as first_text,
    arg_max(text_value, (coalesce(begins, timestamp '0001-01-01'), record))
      filter (where take = 'last' and text_value is not null) as last_text,
    min(number_value) as least, max(number_value) as most, avg(number_value) filter (where take = 'mean') as mean,
    any_value(take) in ('first', 'last') and count(begins) = 0
      and (min(number_value) < max(number_value) or min(text_value) < max(text_value)) is true as unordered
  from found where doubt is null group by row, variable)"""


def _column(found: MapFile, name: str, at: int) -> str:
    """What becomes of the events of a variable in a row."""
    take, is_text = found.taken(name), found.entry(name).type in ("category", "image")
    if take in ("count", "exists"):
        return f"coalesce(max(case when t.variable = {at} then {'1.0' if take == 'exists' else 't.events'} end), 0.0)::double"
    chosen = {"min": "least", "max": "most", "mean": "mean"}.get(take) or f"{take}_{'text' if is_text else 'number'}"
    return f"max(case when t.variable = {at} and not t.unordered then t.{chosen} end)"
