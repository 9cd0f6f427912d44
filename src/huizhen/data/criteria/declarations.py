"""Criteria as plain values: checked whole, every mistake at once, and told again as values that a study can carry.

The order in which patients are lost is the order of the file: the index event, every ``[[include]]``, every ``[[exclude]]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from huizhen.canonical import digest
from huizhen.data.criteria.codes import BY_PREFIX, below
from huizhen.data.criteria.rules import RULES, About, Coded, Index, Rule
from huizhen.errors import CallerError, Problem, closest

__all__ = ["WRONG", "Criteria", "Criterion", "Hierarchy", "checked_criteria", "criteria_of"]

Checked = TypeVar("Checked", bound=BaseModel)
Hierarchy = Mapping[str, Mapping[str, Sequence[str]]]
WRONG = "The criteria cannot be used."
TABLES = ("cohort", "index", "include", "exclude", "hierarchy")
MANY = 50  # criteria


@dataclass(frozen=True, slots=True)
class Criterion:
    """A rule that patients of the cohort meet, or do not meet."""

    rule: Rule
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Criteria:
    """Validated criteria.

    Attributes:
        criteria: in the order in which they are applied.
        hierarchy: of each terminology by code the codes right below it, as far as the criteria go down in it.
        digest: changes with anything that could change the cohort.
    """

    title: str
    index: Index
    criteria: tuple[Criterion, ...]
    digest: str
    hierarchy: Hierarchy = field(default_factory=dict)

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the rules, in order."""
        return tuple(each.rule.name for each in self.criteria)

    def codes(self, coded: Coded) -> tuple[str, ...]:
        """The codes that are looked for one by one; with descendants where a table of parents tells them."""
        if coded.descendants and coded.system not in BY_PREFIX:
            return below(coded.codes, self.hierarchy[coded.system])
        return tuple(coded.codes)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that is counted: the kind of the index event, then the names of the rules."""
        return (self.index.kind, *self.steps)

    @property
    def content(self) -> dict[str, Any]:
        """The same as plain values, hierarchies among them; `criteria_of` of it is the same criteria."""
        rules: dict[bool, list[Any]] = {True: [], False: []}
        for each in self.criteria:
            rules[each.is_kept].append(each.rule.model_dump(mode="json"))
        return {
            "cohort": {"title": self.title},
            "index": self.index.model_dump(mode="json"),
            "include": rules[True],
            "exclude": rules[False],
            "hierarchy": {system: {code: list(under) for code, under in found.items()} for system, found in self.hierarchy.items()},
        }


def criteria_of(content: Mapping[str, Any]) -> Criteria:
    """The criteria in plain values with the layout of the file; of a hierarchy stands there, by code, what is right below it.

    Raises:
        CallerError: every mistake: the key, what was found, what was expected.
    """
    problems: list[Problem] = []
    return checked_criteria(content, _inlined(content.get("hierarchy", {}), problems), problems)


def checked_criteria(content: Mapping[str, Any], hierarchy: Hierarchy, problems: list[Problem]) -> Criteria:
    """The criteria in plain values, with hierarchies from elsewhere.

    Args:
        problems: what was found wrong already.

    Raises:
        CallerError: every mistake.
    """
    problems += [_unknown(key, TABLES) for key in content if key not in TABLES]
    about = _checked(About, content.get("cohort", {}), "cohort", problems)
    index = _checked(Index, content.get("index", {}), "index", problems)
    criteria = [
        Criterion(rule, key == "include") for key in ("include", "exclude") for rule in _rules(content.get(key, []), key, problems)
    ]
    coded = [("index", index), *((each.rule.name, each.rule) for each in criteria)]
    problems += [_no_hierarchy(where, one) for where, one in coded if isinstance(one, Coded) and _lacks(one, hierarchy)]
    problems += _together(index, criteria)
    if problems or about is None or index is None:
        raise CallerError(WRONG, problems)
    walked = _walked([one for _, one in coded if isinstance(one, Coded)], hierarchy)
    facts = {
        "index": index.model_dump(mode="json"),
        "criteria": [[each.is_kept, each.rule.model_dump(mode="json", exclude={"name"})] for each in criteria],
        "hierarchy": walked,
    }
    return Criteria(about.title, index, tuple(criteria), digest(facts), walked)


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


def _inlined(content: Any, problems: list[Problem]) -> Hierarchy:
    if not isinstance(content, Mapping):
        problems.append(Problem("hierarchy", "another value", "a table such as [hierarchy.SYSTEM] with CODE = [CODES]"))
        return {}
    found: dict[str, Mapping[str, Sequence[str]]] = {}
    for system, parents in content.items():
        if not isinstance(parents, Mapping) or not all(_are_codes(children) for children in parents.values()):
            problems.append(Problem(f"hierarchy.{system}", "another value", "by code a list of the codes right below it"))
        else:
            found[system] = parents
    return found


def _are_codes(children: Any) -> bool:
    return isinstance(children, list | tuple) and all(isinstance(code, str) for code in children)


def _walked(coded: Sequence[Coded], hierarchy: Hierarchy) -> dict[str, dict[str, list[str]]]:
    """What of a hierarchy the criteria go down in; the rest makes no difference, and is long."""
    found: dict[str, dict[str, list[str]]] = {}
    for one in coded:
        if one.descendants and one.system not in BY_PREFIX:
            parents = hierarchy[one.system]
            under = {code: sorted(set(parents[code])) for code in below(one.codes, parents) if code in parents}
            found[one.system] = dict(sorted({**found.get(one.system, {}), **under}.items()))
    return dict(sorted(found.items()))


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
