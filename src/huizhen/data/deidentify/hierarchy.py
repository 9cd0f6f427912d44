"""How a column can be told more coarsely, step by step: bands, prefixes, parts of dates, declared groups, at last not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen.data.deidentify.anonymity import Codes, Diversity
from huizhen.data.deidentify.dates import coarser, read_date
from huizhen.data.examples import show_number
from huizhen.data.labels import text_as_number
from huizhen.errors import Problem, SiteError

__all__ = ["ALL", "Goal", "Hierarchy", "goal_of"]

ALL = "*"
Step = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Steps from a value as it stands to nothing at all, each coarser than the one before.

    Attributes:
        steps: of which the first leaves a value as it is, and the last makes all of them `ALL`.
    """

    steps: tuple[Step, ...]

    def labels(self, levels: Sequence[str]) -> list[list[str]]:
        """For every step, what becomes of each distinct value. Steps are chained: what one merges, the next cannot part."""
        told = [list(levels)]
        for step in self.steps[1:]:
            merged: dict[str, str] = {}
            told.append([merged.setdefault(before, step(value)) for before, value in zip(told[-1], levels)])
        return told

    def codes(self, levels: Sequence[str]) -> list[Codes]:
        """For every step, the code of what becomes of each distinct value."""
        return [np.unique(np.array(labels, dtype=str), return_inverse=True)[1].astype(np.int64) for labels in self.labels(levels)]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a table must reach.

    Attributes:
        k: rows of the smallest class.
        hierarchies: of the columns by which somebody could be recognised.
        sensitive: the column whose values must differ within a class; "" for none.
        l: how much they must differ.
        diversity: how that is counted.
        suppress: the share of rows that may be left out.
    """

    k: int
    hierarchies: Mapping[str, Hierarchy]
    sensitive: str = ""
    l: float = 1  # noqa: E741  the name in the field
    diversity: Diversity = "distinct"
    suppress: float = 0.0


def goal_of(content: Mapping[str, Any]) -> Goal | None:
    """What a TOML file declares in ``[anonymity]``; None where it does not.

    Raises:
        SiteError: every mistake in it.
    """
    if "anonymity" not in content:
        return None
    table = content["anonymity"] if isinstance(content["anonymity"], dict) else {}
    problems: list[Problem] = []
    known = ("k", "column", "sensitive", "l", "diversity", "suppress")
    expected = f"one of: {', '.join(known)}"
    problems += [Problem(f"anonymity.{name}", "an unknown key", expected) for name in table if name not in known]
    k, least, suppress = table.get("k"), table.get("l", 1), table.get("suppress", 0.0)
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= 10**6:
        problems.append(Problem("anonymity.k", repr(k), "a whole number from 1 to 1000000"))
    if not _is_number(least) or not 1 <= least <= 1000:
        problems.append(Problem("anonymity.l", repr(least), "a number from 1 to 1000"))
    if not _is_number(suppress) or not 0 <= suppress <= 1:
        problems.append(Problem("anonymity.suppress", repr(suppress), "a share from 0 to 1"))
    if table.get("diversity", "distinct") not in ("distinct", "entropy"):
        problems.append(Problem("anonymity.diversity", repr(table["diversity"]), "distinct or entropy"))
    if "l" in table and not table.get("sensitive"):
        problems.append(Problem("anonymity.sensitive", "nothing", "the column whose values must differ"))
    columns = table.get("column")
    if not isinstance(columns, dict) or not columns:
        problems.append(
            Problem("anonymity.column", "no columns", "a table [anonymity.column.NAME] for each column that tells who it is")
        )
        columns = {}
    found = {name: _hierarchy(f"anonymity.column.{name}", how, problems) for name, how in columns.items()}
    if problems:
        raise SiteError("The rules for de-identification cannot be used.", problems)
    assert isinstance(k, int)
    return Goal(k, found, str(table.get("sensitive", "")), least, table.get("diversity", "distinct"), suppress)


def _hierarchy(where: str, how: Any, problems: list[Problem]) -> Hierarchy:
    kinds: Mapping[str, tuple[Callable[[Any], bool], Callable[[Any], Step]]] = {
        "bands": (lambda width: _is_number(width) and width > 0, _band),
        "prefix": (lambda keep: isinstance(keep, int) and 0 < keep < 100, _prefix),
        "dates": (lambda part: part in ("month", "quarter", "year"), _part),
        "groups": (_is_group, _group),
    }
    if not isinstance(how, dict) or len(how) > 1 or any(kind not in kinds for kind in how):
        problems.append(Problem(where, "no hierarchy", f"nothing, or one of: {', '.join(kinds)}"))
        return Hierarchy((str,))
    steps: list[Step] = []
    for kind, each in how.items():
        is_fit, make = kinds[kind]
        if not isinstance(each, list) or not each or not all(map(is_fit, each)):
            problems.append(Problem(f"{where}.{kind}", "no list of steps", "steps from fine to coarse"))
        else:
            steps += [make(one) for one in each]
    return Hierarchy((str, *steps, _all))


def _all(_: str) -> str:
    return ALL


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_group(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(members, list) for members in value.values())


def _band(width: float) -> Step:
    def step(value: str) -> str:
        number = text_as_number(value)
        if number is None or not math.isfinite(number):
            return ALL
        low = math.floor(number / width) * width
        return f"[{show_number(low)}, {show_number(low + width)})"

    return step


def _prefix(keep: int) -> Step:
    return lambda value: value[:keep] + ALL


def _part(part: Any) -> Step:
    def step(value: str) -> str:
        written = read_date(value)
        return coarser(written.day, part) if written else (value[:4] if part == "year" and value[:4].isdigit() else ALL)

    return step


def _group(members: Mapping[str, Sequence[Any]]) -> Step:
    place = {str(member): name for name, group in members.items() for member in group}
    return lambda value: place.get(value, ALL)
