"""Which codes a mapping means: those that it names, those of a value set, those below them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from huizhen.data.condition import bare_code
from huizhen.data.mapping.dictionary import Entry
from huizhen.data.mapping.mapfile import WRONG, Chosen, MapFile
from huizhen.errors import DataError, Problem

__all__ = ["Hierarchy", "codes_of", "read_hierarchies"]

Hierarchy = Mapping[str, Mapping[str, tuple[str, ...]]]  # by terminology and parent, the children


def codes_of(
    found: MapFile, chosen: Chosen, entry: Entry | None, hierarchy: Hierarchy
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The codes that are meant.

    Returns:
        Codes as terminology and code, and beginnings of codes, without dots and in upper case; both empty: every event of the kind.
    """
    named, deep = list(chosen.codes), chosen.descendants
    if chosen.value_set:
        values = found.written.value_set[chosen.value_set]
        named, deep = list(values.codes), deep or values.descendants
    if not named and entry is not None and entry.code and chosen.kind != "person":
        named = [entry.code]
    pairs = [(system, code) for system, _, code in (each.partition(":") for each in named)]
    if not deep:
        return pairs, []
    exact = [below for system, code in pairs if system in hierarchy for below in _below(system, code, hierarchy[system])]
    return exact, [(system, bare_code(code)) for system, code in pairs if system not in hierarchy]


def read_hierarchies(found: MapFile) -> Hierarchy:
    """The hierarchy files that a mapping names.

    Raises:
        DataError: one cannot be read.
    """
    place = found.written.mapping
    return {system: _children(found.path.parent / name) for system, name in place.hierarchy.items()}


def _below(system: str, code: str, children: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[str, str]]:
    """A code and all below it; a circle in the file is gone round once."""
    seen, waiting = {code}, [code]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return [(system, each) for each in sorted(seen)]


def _children(path: Path) -> dict[str, tuple[str, ...]]:
    problem = Problem(str(path), "a file that cannot be read", "a CSV file with the columns parent and child")
    children: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"parent", "child"} <= set(rows.fieldnames or ()):
                raise DataError(WRONG, [problem])
            for row in rows:
                if row["parent"] and row["child"]:
                    children.setdefault(row["parent"].strip(), []).append(row["child"].strip())
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(WRONG, [problem]) from None
    return {parent: tuple(below) for parent, below in children.items()}
