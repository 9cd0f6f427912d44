"""What this site's published card would say of its registry and of the tables that studies are answered from, before any guard.

Everything here is exact, for the site's own eyes; `huizhen.site.publishing` decides what of it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from huizhen.data.cardfacts import (
    CODE_SKETCHES_SQL,
    KIND_SKETCHES_SQL,
    kind_facts,
    registry_entries,
    rows_entry,
    share_entry,
    sketch,
    wanted_codes,
)
from huizhen.data.cardguard import Entry, Key, buckets_for
from huizhen.data.events.segments import guarded
from huizhen.data.events.store import Registry
from huizhen.data.examples import SITE
from huizhen.data.mapping.report import OUTSIDE
from huizhen.data.mapping.source import MappedSource
from huizhen.data.records import open_source
from huizhen.data.registrycard import CODES_SQL, KINDS_SQL, YEARS_SQL, Facts, RegistryCard, registry_card
from huizhen.errors import HuizhenError, Problem
from huizhen.policy.disclosure import admits
from huizhen.site.preparing import check_rows
from huizhen.site.settings import REGISTRY, Settings

__all__ = ["LANE", "METHOD", "Described", "VariableFacts", "card_of_registry_in", "describe_site"]

METHOD, LANE = "card", "plain"  # as the gate knows them: whoever keeps the hub sees a site's own numbers
SCORE_OF = {"complete": "completeness", "range": "validity", "type": "validity", "values": "validity", "unit": "validity",
            "unique": "uniqueness", "plausible": "plausibility", "order": "plausibility", "condition": "plausibility"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class VariableFacts:
    """A variable of a source, as its dictionary or the table says."""

    name: str
    type: str
    unit: str = ""
    code: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """What there is.

    Attributes:
        card: of the registry; None where there is none.
        entries: every number, those that include others first.
        sources: variables by alias of a source.
        rows: patients of the registry, or rows of the largest source: what the card rests on.
    """

    card: RegistryCard | None
    entries: Sequence[Entry]
    sources: Mapping[str, Sequence[VariableFacts]]
    rows: int


def describe_site(root: Path, settings: Settings, memory: Iterable[Key]) -> Described:
    """Reads registry and sources.

    Args:
        memory: keys of what was told on earlier cards, and may stand.

    Raises:
        SiteError, MachineError: a source, its mapping or the rules of quality cannot be read.
    """
    card, entries, patients = _registry(root, settings, list(memory))
    rows, sources, judged = patients, {}, _Judged({})
    for alias in settings.sources:
        try:
            sources[alias], found, length = _source(settings, alias, patients, judged)
        except HuizhenError as error:
            raise type(error)(error.message, [_of_source(alias, problem) for problem in error.problems]) from None
        rows = max(rows, length)
        entries += found
    _by_rules(settings, judged)
    return Described(card, [*entries, *_quality(settings, judged)], sources, rows)


def card_of_registry_in(registry: Registry, settings: Settings) -> tuple[RegistryCard, int]:
    """The card of a registry, and how many patients it has."""
    policy = settings.policy
    least = max(policy.min_cell_count, 1)

    def asked() -> Facts:
        with registry.connect() as connection:
            (patients,) = connection.execute("select count(distinct patient) from events").fetchone()
            kinds, years = (connection.execute(sql).fetchall() for sql in (KINDS_SQL, YEARS_SQL))
            return Facts(patients, kinds, years, connection.execute(CODES_SQL, {"least": least}).fetchall())

    facts = guarded(registry.folder, asked)
    limits = {"min_cell_count": policy.min_cell_count, "min_rows": policy.min_rows, "round_to": policy.round_to}
    return registry_card(settings.site.name, facts, **limits), facts.patients


def _registry(root: Path, settings: Settings, memory: list[Key]) -> tuple[RegistryCard | None, list[Entry], int]:
    if not (root / REGISTRY).is_dir():
        return None, [], 0
    registry = Registry(root / REGISTRY)
    card, patients = card_of_registry_in(registry, settings)
    least = max(settings.policy.min_cell_count, 1)
    buckets, wanted = buckets_for(least), wanted_codes(card, memory)
    columns = {name: [key[at] for key in wanted] for at, name in enumerate(("kinds", "systems", "codes", "units"), 1)}

    def asked() -> tuple[list[tuple[int, ...]], dict[str, NDArray[np.int64]]]:
        with registry.connect() as connection:
            kinds = connection.execute(KIND_SKETCHES_SQL, {"buckets": buckets - 1}).fetchall()
            return kinds, connection.execute(CODE_SKETCHES_SQL, {"buckets": buckets - 1, **columns}).fetchnumpy()

    kinds, found = guarded(registry.folder, asked)
    codes = {key: sketch((), buckets) for key in wanted}
    for at, key in enumerate(wanted):
        mine = found["place"] == at
        codes[key][found["bucket"][mine]] = found["mixed"][mine]
    return card, registry_entries(card, kind_facts(kinds, buckets), codes, least=least), patients


@dataclass(frozen=True, slots=True)
class _Judged:
    """By score, how many rows were found sound and how many unsound, each time something was judged."""

    parts: dict[str, list[tuple[int, int]]]

    def add(self, score: str, sound: int, whole: int) -> None:
        self.parts.setdefault(score, []).append((sound, whole - sound))


def _source(settings: Settings, alias: str, patients: int, judged: _Judged) -> tuple[list[VariableFacts], list[Entry], int]:
    policy, source = settings.policy, open_source(settings.path_of(alias))
    least = max(policy.min_cell_count, 1)
    enough = max(least, policy.min_rows)
    entries = [rows_entry(("rows", alias), source.rows, least=least, enough=enough, round_to=policy.round_to, patients=patients)]
    variables = []
    for column in source.columns:
        denied = {"variables", "denied_variables"} & {*admits(policy, method=METHOD, lane=LANE, variables=(column.name,)).clauses}
        if column.name == SITE or denied:
            continue
        variables.append(_variable(source, column.name, column.kind))
        entries.append(share_entry(("complete", alias, column.name), column.filled, source.rows, least=least, enough=enough))
        judged.add("completeness", column.filled, source.rows)
    if isinstance(source, MappedSource):
        for one in source.report().variables:  # what is known of plausibility where no rule says more
            if one.rows and source.mapping.entry(one.name).range:
                judged.add("plausibility", one.rows - one.notes.get(OUTSIDE, 0), one.rows)
    return variables, entries, source.rows


def _variable(source: object, name: str, kind: str) -> VariableFacts:
    if not isinstance(source, MappedSource):
        return VariableFacts(name, kind)
    entry = source.mapping.entry(name)
    return VariableFacts(name, entry.type, entry.unit, entry.code, entry.about)


def _by_rules(settings: Settings, judged: _Judged) -> None:
    if settings.publish.rules:
        report = check_rows(settings.folder / settings.publish.rules, settings.path_of(settings.source))
        for one in report.outcomes:
            judged.add(SCORE_OF[one.kind], one.judged - one.broken, one.judged)


def _quality(settings: Settings, judged: _Judged) -> list[Entry]:
    """A band for each score; the mean over all that was judged, in rows, so that one row more or less changes it by one at most."""
    found, least = [], max(settings.policy.min_cell_count, 1)
    for score, parts in sorted(judged.parts.items()):
        sound, unsound = (sum(column) // len(parts) for column in zip(*parts))
        enough = max(least, settings.policy.min_rows)
        found.append(share_entry(("quality", score), sound, sound + unsound, least=least, enough=enough))
    return found


def _of_source(alias: str, problem: Problem) -> Problem:
    return Problem(f"source.{alias}: {problem.where}", problem.found, problem.expected, problem.remedy)
