"""The fields of a record as they may be kept: `applied`, a pure function of the fields, the declared rules and the secret."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from huizhen.data.deidentify.dates import coarser, read_date
from huizhen.data.deidentify.rules import Plan, Rule
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.text import replaced
from huizhen.data.examples import show_number
from huizhen.data.labels import is_missing, text_as_number
from huizhen.errors import Problem, SiteError

__all__ = ["Applied", "Cell", "applied", "checked_columns"]

Cell = str | int | float | date | datetime | None


@dataclass(frozen=True, slots=True)
class Applied:
    """A record after de-identification.

    Attributes:
        fields: by column; what was dropped is not there.
        counts: by (column, what happened); holds no value. ``unreadable`` counts cells that a rule could not read, which are
        emptied.
    """

    fields: dict[str, Cell]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)


def checked_columns(plan: Plan, columns: tuple[str, ...]) -> None:
    """Whether rules and columns meet: a column without a rule is never let through by mistake.

    Raises:
        SiteError: columns without rules, rules without columns, no column of patients.
    """
    problems = []
    if plan.unnamed == "refuse":
        problems += [
            Problem(
                f"column.{name}", "no rule for this column", "a rule", 'Say rule = "drop", or unnamed = "drop" under [deidentify]'
            )
            for name in columns
            if name not in plan.rules
        ]
    named = [*plan.rules, *plan.text.known, *([plan.patient] if plan.patient else [])]
    problems += [Problem(f"column.{name}", "no such column", "a column of the table") for name in named if name not in columns]
    if problems:
        raise SiteError("The rules for de-identification do not fit the table.", problems)


def applied(fields: Mapping[str, Cell], plan: Plan, secret: Secret) -> Applied:
    """The fields of one record by the rules; a field without a rule is dropped.

    >>> from huizhen.data.deidentify.rules import Rule
    >>> applied({"age": 93, "name": "X"}, Plan({"age": Rule("age")}), Secret(bytes(32))).fields
    {'age': '90+'}
    """
    patient = _identity(fields.get(plan.patient)) if plan.patient else ""
    kept = Applied({})
    for name, value in fields.items():
        rule = plan.rules.get(name)
        if rule is None or rule.kind == "drop":
            kept.counts[name, "drop"] += 1
        elif value is None or (isinstance(value, str) and is_missing(value)):
            kept.fields[name] = value
            kept.counts[name, "missing"] += 1
        elif rule.kind == "text":
            known = [str(fields[column]).strip() for column in plan.text.known if fields.get(column) not in (None, "")]
            known = [text for text in known if len(text) > 1 and not is_missing(text)]
            cleaned = replaced(str(value), plan.text, secret, patient=patient, most_days=plan.most_days, known=known)
            kept.fields[name] = cleaned.text
            kept.counts.update({(name, category): count for category, count in cleaned.counts.items()})
        else:
            found = _cell(value, rule, plan, secret, patient)
            kept.fields[name] = found
            kept.counts[name, "unreadable" if found is None else rule.kind] += 1
    return kept


def _cell(value: str | int | float | date, rule: Rule, plan: Plan, secret: Secret, patient: str) -> Cell:
    if rule.kind == "keep":
        return value
    if rule.kind == "pseudonym":
        return secret.pseudonym(rule.purpose, _identity(value))
    if rule.kind == "prefix":
        return str(value).strip()[: rule.keep] + "*"
    if rule.kind in ("shift", "date"):
        return _date(value, rule, secret.days(patient, most=plan.most_days) if patient and rule.kind == "shift" else 0)
    number = _as_number(value)
    if number is None:
        return None
    return _band(number, rule) if rule.kind == "age" else _bin(number, rule)


def _identity(value: Cell) -> str:
    """What stands for a person, written in one way: 7, 7.0 and " 7 " are one patient."""
    if value is None or (isinstance(value, str) and is_missing(value)):
        return ""
    return show_number(float(value)) if isinstance(value, int | float) and abs(value) < 2**53 else str(value).strip()


def _date(value: str | int | float | date, rule: Rule, days: int) -> Cell:
    if rule.kind == "shift" and days == 0:
        return None  # nobody's date: it cannot be moved as the patient's other dates are
    try:
        if isinstance(value, date):
            return coarser(value, rule.to) if rule.kind == "date" else value + timedelta(days=days)
        written = read_date(str(value), rule.order)
        if written is None:
            return None
        return coarser(written.day, rule.to) if rule.kind == "date" else written.shifted(days)
    except OverflowError:
        return None


def _as_number(value: str | int | float | date) -> float | None:
    if isinstance(value, date):
        return None
    number = text_as_number(value) if isinstance(value, str) else float(value)
    return number if number is not None and math.isfinite(number) else None


def _band(age: float, rule: Rule) -> str | None:
    """Whole years in bands below the top, all above it in one."""
    if age < 0:
        return None
    if age >= rule.top:
        return f"{rule.top}+"
    width = int(rule.width)
    low = int(age) // width * width
    high = min(low + width, rule.top) - 1
    return str(low) if low == high else f"{low}-{high}"


def _bin(number: float, rule: Rule) -> str:
    if rule.edges:
        at = bisect_right(rule.edges, number)
        if at == 0:
            return f"<{show_number(rule.edges[0])}"
        if at == len(rule.edges):
            return f">={show_number(rule.edges[-1])}"
        return f"[{show_number(rule.edges[at - 1])}, {show_number(rule.edges[at])})"
    low = math.floor(number / rule.width) * rule.width
    return f"[{show_number(low)}, {show_number(low + rule.width)})"
