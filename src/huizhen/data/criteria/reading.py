"""A file of criteria, checked whole: every mistake is named at once.

    criteria = read_criteria(Path("diabetes.toml"))

The order in which patients are lost is the order of the file: the index event, every ``[[include]]``, every ``[[exclude]]``.
"""

from __future__ import annotations

import csv
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from huizhen.canonical import digest
from huizhen.data.criteria.codes import BY_PREFIX, below
from huizhen.data.criteria.rules import RULES, About, Coded, Index, Rule
from huizhen.errors import CallerError, MachineError, Problem, closest

__all__ = ["Criteria", "Criterion", "parse_criteria", "read_criteria"]

Checked = TypeVar("Checked", bound=BaseModel)
WRONG = "The criteria cannot be used."
LONGEST = 10_000_000  # characters of a file
TABLES = ("cohort", "index", "include", "exclude", "hierarchy")
MANY = 50  # criteria
HEADER = ["parent", "child"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A rule that patients of the cohort meet, or do not meet."""

    rule: Rule
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Criteria:
    """A validated file.

    Attributes:
        criteria: in the order in which they are applied.
        hierarchy: of each terminology by code the codes right below it.
        digest: changes with anything that could change the cohort.
    """

    title: str
    index: Index
    criteria: tuple[Criterion, ...]
    digest: str
    hierarchy: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the rules, in order."""
        return tuple(each.rule.name for each in self.criteria)

    def codes(self, coded: Coded) -> tuple[str, ...]:
        """The codes that are looked for one by one; with descendants where a table of parents tells them."""
        if coded.descendants and coded.system not in BY_PREFIX:
            return below(coded.codes, self.hierarchy[coded.system])
        return tuple(coded.codes)


def read_criteria(path: Path) -> Criteria:
    """The criteria in a TOML file; hierarchies stand in CSV files beside it.

    Raises:
        CallerError: every mistake: the key, what was found, what was expected.
        MachineError: a file cannot be read.
    """
    return parse_criteria(_toml(path), path.parent)


def parse_criteria(content: Mapping[str, Any], folder: Path) -> Criteria:
    """The criteria in a mapping with the layout of the file.

    Raises:
        CallerError, MachineError: as `read_criteria`.
    """
    problems: list[Problem] = []
    for key in content:
        if key not in TABLES:
            problems.append(_unknown(key, TABLES))
    about = _checked(About, content.get("cohort", {}), "cohort", problems)
    index = _checked(Index, content.get("index", {}), "index", problems)
    criteria = [
        Criterion(rule, key == "include") for key in ("include", "exclude") for rule in _rules(content.get(key, []), key, problems)
    ]
    hierarchy = _hierarchies(content.get("hierarchy", {}), folder, problems)
    coded = [("index", index), *((each.rule.name, each.rule) for each in criteria)]
    problems += [_no_hierarchy(where, one) for where, one in coded if isinstance(one, Coded) and _lacks(one, hierarchy)]
    problems += _together(index, criteria)
    if problems or about is None or index is None:
        raise CallerError(WRONG, problems)
    facts = {
        "index": index.model_dump(mode="json"),
        "criteria": [[each.is_kept, each.rule.model_dump(mode="json", exclude={"name"})] for each in criteria],
        "hierarchy": {system: {code: list(children) for code, children in found.items()} for system, found in hierarchy.items()},
    }
    return Criteria(about.title, index, tuple(criteria), digest(facts), hierarchy)


def _toml(path: Path) -> Mapping[str, Any]:
    found = ""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > LONGEST:
            raise CallerError(WRONG, [Problem(str(path), f"more than {LONGEST:,} characters", "a file of criteria")])
        return tomllib.loads(text)
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a readable TOML file")
        raise MachineError("The criteria cannot be read.", [problem]) from None
    except UnicodeDecodeError:
        found = "text that is not UTF-8"
    except RecursionError:
        found = "brackets too deep inside each other"
    except tomllib.TOMLDecodeError as error:
        found = str(error)
    raise CallerError(WRONG, [Problem(str(path), found, "TOML 1.0")])


def _rules(content: Any, key: str, problems: list[Problem]) -> list[Rule]:
    if not isinstance(content, list):
        problems.append(Problem(key, "a single table", f"tables such as [[{key}]]"))
        return []
    if len(content) > MANY:
        problems.append(Problem(key, f"{len(content)} criteria", f"no more than {MANY}"))
        return []
    found = []
    for number, table in enumerate(content, 1):
        where = f"{key}[{number}]"
        kind = table.get("rule") if isinstance(table, Mapping) else None
        model = RULES.get(kind) if isinstance(kind, str) else None
        if model is None:
            said = "nothing" if kind is None else repr(kind)[:80]
            problems.append(Problem(f"{where}.rule", said, f"one of: {', '.join(RULES)}"))
        elif (rule := _checked(model, table, where, problems)) is not None:
            found.append(rule)
    return found


def _checked(model: type[Checked], content: Any, where: str, problems: list[Problem]) -> Checked | None:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            problem = _mistake(found, model, where)
            if problem not in problems:
                problems.append(problem)
        return None


def _mistake(found: Any, model: type[BaseModel], where: str) -> Problem:
    place = [part for part in found["loc"] if isinstance(part, int) or part in model.model_fields or len(found["loc"]) == 1]
    key = ".".join([where, *(f"[{part + 1}]" if isinstance(part, int) else str(part) for part in place)]).replace(".[", "[")
    if found["type"] == "extra_forbidden":
        return _unknown(key, [f"{where}.{name}" for name in model.model_fields])
    if found["type"] == "missing":
        return Problem(key, "nothing", "a value: this setting has no default")
    value = found.get("input")
    shown = "a table" if isinstance(value, Mapping) else repr(value)[:80]
    return Problem(key, shown, found["msg"].removeprefix("Value error, ").removeprefix("Input should be "))


def _unknown(where: str, known: Sequence[str]) -> Problem:
    close = closest(where, known)
    return Problem(where, "a key that is not known", f"one of: {', '.join(known)}", f"Did you mean {close}?" if close else "")


def _hierarchies(content: Any, folder: Path, problems: list[Problem]) -> dict[str, dict[str, list[str]]]:
    if not isinstance(content, Mapping):
        problems.append(Problem("hierarchy", "another value", "a table such as [hierarchy] with SYSTEM = FILE"))
        return {}
    found: dict[str, dict[str, list[str]]] = {}
    for system, name in content.items():
        where = f"hierarchy.{system}"
        if not isinstance(name, str):
            problems.append(Problem(where, "another value", "the name of a CSV file beside the criteria"))
        else:
            found[system] = _parents(folder / name, where, problems)
    return found


def _parents(path: Path, where: str, problems: list[Problem]) -> dict[str, list[str]]:
    expected = "a CSV file, UTF-8, with the columns parent and child"
    found: dict[str, list[str]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            if next(rows, None) != HEADER:
                problems.append(Problem(where, "other columns", expected))
                return {}
            for row in rows:
                if len(row) != len(HEADER):
                    problems.append(Problem(where, f"another number of cells in line {rows.line_num}", expected))
                    return {}
                found[row[0].strip()].append(row[1].strip())
    except OSError as error:
        problems.append(Problem(where, error.strerror or "an error", expected))
    except (UnicodeDecodeError, csv.Error):
        problems.append(Problem(where, "a file that is no CSV in UTF-8", expected))
    return dict(found)


def _lacks(coded: Coded, hierarchy: Mapping[str, Any]) -> bool:
    return coded.descendants and coded.system not in BY_PREFIX and coded.system not in hierarchy


def _no_hierarchy(where: str, coded: Coded) -> Problem:
    expected = (
        f"a file of parents under [hierarchy], or a system whose codes begin with their parents: {', '.join(sorted(BY_PREFIX))}"
    )
    return Problem(where, f"descendants in {coded.system}, whose codes do not say what is above them", expected)


def _together(index: Index | None, criteria: Sequence[Criterion]) -> list[Problem]:
    names = [each.rule.name for each in criteria]
    problems = [
        Problem("name", f"{name!r} more than once", "a name of its own for each criterion")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if index is not None and index.since and index.until and index.since > index.until:
        problems.append(Problem("index.until", "a day before since", "a day on or after since"))
    return problems
