"""What a site declares about its columns: one rule for each, in a TOML file, read whole; unknown keys and columns are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

from huizhen.data.deidentify.dates import Order
from huizhen.data.deidentify.spans import CATEGORIES
from huizhen.errors import Problem, SiteError, closest

__all__ = ["RULES", "Plan", "Rule", "TextPlan", "plan_of", "text_plan_of"]

Kind = Literal["keep", "drop", "pseudonym", "shift", "date", "age", "prefix", "bin", "text"]
RULES: tuple[Kind, ...] = get_args(Kind)
Unnamed = Literal["refuse", "drop"]
DateMode = Literal["keep", "mark", "year", "shift"]
Style = Literal["mark", "surrogate"]
NameMode = Literal["usual", "strict"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to one column; a setting that its kind does not know has its default.

    Attributes:
        kind: one of `RULES`.
        purpose: of a pseudonym; columns of one purpose can be joined.
        to: how a date is told.
        order: how dates are written.
        width: of age bands (years) and of bins.
        top: the age from which on all are one band.
        keep: characters of a prefix.
        edges: of bins, ascending, instead of a width.
    """

    kind: Kind
    purpose: str = ""
    to: Literal["year", "quarter", "month"] = "year"
    order: Order = "year first"
    width: float = 10
    top: int = 90
    keep: int = 3
    edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TextPlan:
    """What is replaced in free text, and by what.

    Attributes:
        categories: kinds of identifiers that are looked for.
        dates: whether dates stay, become marks, are told by their year or move by the patient's days.
        style: ``<NAME>``, or a surrogate that is the same wherever the same text stands.
        words: texts of the site's own that are to be found, too, such as the names of its staff.
        known: columns of the same record whose values are looked for in its texts, such as the patient's name.
        names: whether Chinese names that are doubtful become marks, too, at the price of other words.
    """

    categories: tuple[str, ...] = CATEGORIES
    dates: DateMode = "mark"
    style: Style = "mark"
    words: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    names: NameMode = "usual"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a site declares.

    Attributes:
        patient: the column that says whose row it is; "" where nothing needs it.
        unnamed: what happens to columns without a rule.
        most_days: how far dates move at most.
        rules: by column.
        text: how free text is treated.
    """

    rules: Mapping[str, Rule]
    patient: str = ""
    unnamed: Unnamed = "refuse"
    most_days: int = 365
    text: TextPlan = field(default_factory=TextPlan)


Check = Callable[[Any], bool]


def _number(low: float, high: float) -> Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _one_of(*allowed: str) -> Check:
    return lambda value: isinstance(value, str) and value in allowed


def _is_ascending(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) > 0 and all(_number(-1e300, 1e300)(edge) for edge in value)
    return numbers and all(low < high for low, high in pairwise(value))


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) and len(word.strip()) > 1 for word in value)


TO = (_one_of("year", "quarter", "month"), "year, quarter or month")
ORDER = (_one_of(*get_args(Order)), "year first, day first or month first")
SETTINGS: dict[Kind, dict[str, tuple[Check, str]]] = {
    "keep": {},
    "drop": {},
    "pseudonym": {"purpose": (lambda value: isinstance(value, str) and 0 < len(value) <= 40, "a word of at most 40 characters")},
    "shift": {"order": ORDER},
    "date": {"to": TO, "order": ORDER},
    "age": {"width": (_whole(1, 50), "whole years from 1 to 50"), "top": (_whole(20, 120), "an age from 20 to 120")},
    "prefix": {"keep": (_whole(0, 20), "a number of characters from 0 to 20")},
    "bin": {"width": (_number(1e-9, 1e12), "a positive number"), "edges": (_is_ascending, "ascending numbers")},
    "text": {},
}
GENERAL: dict[str, tuple[Check, str]] = {
    "patient": (lambda value: isinstance(value, str) and bool(value), "the name of a column"),
    "unnamed": (_one_of(*get_args(Unnamed)), "refuse or drop"),
    "most_days": (_whole(1, 36500), "whole days from 1 to 36500"),
}
OF_TEXT: dict[str, tuple[Check, str]] = {
    "categories": (
        lambda value: isinstance(value, list) and bool(value) and all(word in CATEGORIES for word in value),
        f"some of: {', '.join(CATEGORIES)}",
    ),
    "dates": (_one_of(*get_args(DateMode)), "keep, mark, year or shift"),
    "style": (_one_of(*get_args(Style)), "mark or surrogate"),
    "names": (_one_of(*get_args(NameMode)), "usual or strict"),
    "known": (_is_words, "names of columns"),
    "words": (_is_words, "texts of two characters or more"),
}
TABLES = ("deidentify", "column", "text", "dicom", "anonymity")


def plan_of(content: Mapping[str, Any]) -> Plan:
    """What a TOML file declares in ``[deidentify]``, ``[column.NAME]`` and ``[text]``.

    Raises:
        SiteError: every mistake in it.
    """
    problems = [_stranger(name, TABLES) for name in content if name not in TABLES]
    general = _checked("deidentify", content.get("deidentify", {}), GENERAL, problems)
    columns = content.get("column", {})
    if not isinstance(columns, dict):
        problems.append(Problem("column", "no tables", "a table [column.NAME] for each column"))
        columns = {}
    rules = {name: rule for name, table in columns.items() if (rule := _rule(f"column.{name}", name, table, problems))}
    text = _text(content, problems)
    moving = [name for name, rule in rules.items() if rule.kind == "shift"]
    if "patient" not in general and (moving or text.dates == "shift"):
        where = f"column.{moving[0]}" if moving else "text.dates"
        expected = "patient under [deidentify]: the column that says whose row it is"
        problems.append(Problem(where, "dates to be shifted for each patient, and no patient", expected))
    if problems:
        raise SiteError("The rules for de-identification cannot be used.", problems)
    return Plan(rules, text=text, **general)


def text_plan_of(content: Mapping[str, Any]) -> TextPlan:
    """What a TOML file declares in ``[text]``, for a folder of reports.

    Raises:
        SiteError: every mistake in it.
    """
    problems: list[Problem] = []
    text = _text(content, problems)
    if problems:
        raise SiteError("The rules for de-identification cannot be used.", problems)
    return text


def _text(content: Mapping[str, Any], problems: list[Problem]) -> TextPlan:
    found = _checked("text", content.get("text", {}), OF_TEXT, problems)
    fit: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return TextPlan(**fit)


def _rule(where: str, column: str, table: Any, problems: list[Problem]) -> Rule | None:
    kind = table.get("rule") if isinstance(table, dict) else None
    if kind not in RULES:
        found = "no rule" if kind is None else repr(kind)
        problems.append(Problem(where, found, f"rule, one of: {', '.join(RULES)}"))
        return None
    rest = {name: value for name, value in table.items() if name != "rule"}
    fit = _checked(where, rest, SETTINGS[kind], problems)
    if kind == "bin" and ("edges" in fit) == ("width" in fit):
        problems.append(Problem(where, "both or neither of width and edges", "one of width and edges"))
    if kind == "pseudonym":
        fit.setdefault("purpose", column)
    settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fit.items()}
    return Rule(kind, **settings)


def _checked(where: str, table: Any, settings: Mapping[str, tuple[Check, str]], problems: list[Problem]) -> dict[str, Any]:
    if not isinstance(table, dict):
        problems.append(Problem(where, "no table", f"a table [{where}]"))
        return {}
    fit = {}
    for name, value in table.items():
        if name not in settings:
            problems.append(_stranger(f"{where}.{name}", list(settings)))
        elif settings[name][0](value):
            fit[name] = value
        else:
            problems.append(Problem(f"{where}.{name}", repr(value), settings[name][1]))
    return fit


def _stranger(where: str, known: Any) -> Problem:
    near = closest(where.rpartition(".")[2], list(known))
    expected = f"one of: {', '.join(known)}" if known else "no further setting"
    return Problem(where, "an unknown key", expected, f"Did you mean {near}?" if near else "")
