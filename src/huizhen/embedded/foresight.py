"""A forecast before a study runs: of cards made from tables here, or handed in; the machine's clock, files and cores come in here.

from huizhen import Study, forecast

seen = forecast(Study.read("study.toml"), {"west-lake": "west.csv", "east-gate": "east.parquet"})
print(seen.total.value, seen.total.low, seen.total.high)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

from huizhen import units
from huizhen.clock import Clock, WallClock, cpu_seconds
from huizhen.data.card import describe
from huizhen.embedded.cards import card_of
from huizhen.embedded.sources import Table, open_tables
from huizhen.embedded.standins import read_card
from huizhen.errors import CallerError, MachineError, Problem
from huizhen.federation.study import Study
from huizhen.ids import NAME_RULE, is_name
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.twin.assembled import Assembled, across_hospitals, within_one_process
from huizhen.twin.forecast.foreseeing import Asked, foresee_course, prepare
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.forecast.oneprocess import one_process, this_machine
from huizhen.twin.forecast.rehearsing import Prepared
from huizhen.twin.forecast.usual import usual_mirror
from huizhen.twin.mirror import Mirror
from huizhen.twin.shadow.learnt import NOTHING_LEARNT, Learnt

__all__ = ["Cards", "Foresight", "cards_in", "cards_of", "forecast", "foresight", "seconds_of"]

PROBES, PROBE_BYTES = 5, 4096
Cards = Mapping[str, Mapping[str, Any]]


def forecast(
    study: Study,
    sites: Mapping[str, Table],
    *,
    mirror: Mirror | None = None,
    in_process: bool = False,
    deadline: str = "",
    policy: DisclosurePolicy | None = None,
    policies: Mapping[str, DisclosurePolicy] | None = None,
    history: Learnt = NOTHING_LEARNT,
    keeps: str | Path | None = None,
    draws: int = 200,
    seed: int = 0,
    clock: Clock | None = None,
) -> Foreseen:
    """What is to be expected of a study before it runs.

    Args:
        sites: what each site holds, as for `huizhen.run`; of it a card is made as its policy permits, and no row is used otherwise.
        mirror: the federation; by default every site is assumed to be a machine like this one on a usual line.
        in_process: forecast `huizhen.run` instead, which has all sites in one process here.
        deadline: such as ``2 h``; the forecast then tells how likely there is a result by then.
        history: what earlier runs taught.
        keeps: the folder of the run, where it will have one: its disk has a part in how long it takes.

    Raises:
        CallerError: the cards tell too little, the mirror lacks a site or its line, or the deadline is no duration.
        DataError: tables that cannot be read.
    """
    each = {site: (policies or {}).get(site, policy or DisclosurePolicy()) for site in sites}
    seen = foresight(
        study,
        cards_of(study, sites, each),
        policies=each,
        in_process=in_process,
        seed=seed,
        history=history,
        keeps=None if keeps is None else Path(keeps),
        clock=clock,
    )
    return seen.on(mirror, asked=Asked(draws, seed, seconds_of(deadline)))


@dataclass(frozen=True, slots=True)
class Foresight:
    """A study that was rehearsed once, and can be foreseen on any mirror."""

    prepared: Prepared
    by: Assembled
    history: Learnt
    in_process: bool
    clock: Clock
    cards: Cards
    policies: Mapping[str, DisclosurePolicy]
    seed: int

    def of(self, study: Study, *, leaving_out: Sequence[str] = ()) -> Foresight:
        """The same sites, but for some, with another study."""
        cards = {site: card for site, card in self.cards.items() if site not in leaving_out}
        wanted = [site for site in study.participants.sites if site not in leaving_out]
        participants = study.participants.model_copy(update={"sites": wanted})
        again = replace(study, participants=participants)
        return foresight(
            again, cards, policies=self.policies, in_process=self.in_process, seed=self.seed, history=self.history, clock=self.clock
        )

    def on(self, mirror: Mirror | None = None, *, asked: Asked | None = None) -> Foreseen:
        """What is foreseen on a mirror; by default on the usual one.

        Raises:
            CallerError: the mirror lacks a site or its line.
        """
        return foresee_course(
            self.prepared, mirror or self.mirror, self.by.models, self.history, made=self.clock.now(), asked=asked
        )

    @property
    def mirror(self) -> Mirror:
        """What is assumed where nobody declared a federation."""
        rows, device = self.prepared.rows, this_machine(cores(), self.prepared.witnessed.load)
        make = one_process if self.in_process else usual_mirror
        return make(rows, device, self.clock.now())


def foresight(
    study: Study,
    cards: Cards,
    *,
    policies: Mapping[str, DisclosurePolicy] | None = None,
    in_process: bool = False,
    seed: int = 0,
    history: Learnt = NOTHING_LEARNT,
    keeps: Path | None = None,
    clock: Clock | None = None,
) -> Foresight:
    """The study rehearsed on cards.

    Args:
        keeps: the folder in which the run will keep its ledgers: how long its disk takes is measured.

    Raises:
        CallerError: the cards tell too little, or the study cannot be rehearsed on them.
    """
    clock = clock or WallClock()
    by = within_one_process(cores(), cpu_seconds, clock.seconds) if in_process else across_hospitals(cpu_seconds, clock.seconds)
    _check_sites(study, cards)
    prepared = prepare(study, cards, by, seed=seed, policies=policies or {}, one_process=in_process)
    if keeps is not None:
        leading = prepared.witnessed.leading + _settling_s(keeps, clock)
        prepared = replace(prepared, witnessed=replace(prepared.witnessed, leading=leading))
    return Foresight(prepared, by, history, in_process, clock, cards, policies or {}, seed)


def cards_of(study: Study, sites: Mapping[str, Table], policies: Mapping[str, DisclosurePolicy]) -> dict[str, Mapping[str, Any]]:
    """A card of each site's table, as its policy permits.

    Raises:
        DataError: tables that cannot be read.
    """
    if not sites:
        raise CallerError("Nothing can be foreseen.", [Problem("--data", "none", "at least one site", "Add --data NAME=PATH")])
    files = {site: Path(place) for site, place in sites.items() if isinstance(place, str | Path)}
    if len(files) == len(sites):
        return {site: card_of(path, policies[site]).to_dict() for site, path in files.items()}
    opened = open_tables(study, sites)
    found: dict[str, Mapping[str, Any]] = {}
    for site, table in opened.tables.items():
        policy = policies[site]
        limits = {"min_cell_count": policy.min_cell_count, "min_rows": policy.min_rows, "round_to": policy.round_to}
        found[site] = describe(table, name=site, variables=opened.variables, **limits).to_dict()
    return found


def cards_in(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The cards of a folder: SITE.json, as `huizhen describe --json` prints it.

    Raises:
        CallerError: a file is no card of a table, or there is none. MachineError: the folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise MachineError("The cards cannot be read.", [Problem(str(folder), found, "a folder of cards, SITE.json")]) from None
    problems, cards = [], {}
    for path in paths:
        if not is_name(path.stem):
            problems.append(Problem(str(path), repr(path.stem), NAME_RULE))
            continue
        cards[path.stem] = read_card(path)
        if "registry" in cards[path.stem]:
            remedy = "Map its records, then: huizhen describe ROWS.parquet --json"
            problems.append(Problem(str(path), "a card of a registry", "a card of a table", remedy))
    if not paths:
        problems.append(
            Problem(str(folder), "no cards", "a card of each site, SITE.json", "huizhen describe DATA --json > SITE.json")
        )
    if problems:
        raise CallerError("Nothing can be foreseen from these cards.", problems)
    return cards


def seconds_of(deadline: str) -> float:
    """The seconds of a deadline; 0 for none.

    Raises:
        CallerError: it is no duration.
    """
    if not deadline.strip():
        return 0.0
    try:
        return units.seconds(deadline)
    except ValueError:
        problem = Problem("--deadline", repr(deadline), "a duration such as '2 h', '30 min' or '90 s'")
        raise CallerError("The deadline is no duration.", [problem]) from None


def cores() -> int:
    """Processor cores that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _settling_s(folder: Path, clock: Clock) -> float:
    """Seconds until the disk of a folder has kept something; 0 where it cannot be written, which the run will tell."""
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), Path())
    try:
        with TemporaryFile(dir=there) as file:
            taken = []
            for _ in range(PROBES):
                began = clock.seconds()
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
                taken.append(clock.seconds() - began)
    except OSError:
        return 0.0
    return median(taken)


def _check_sites(study: Study, cards: Cards) -> None:
    wanted = study.participants.sites
    problems = [Problem("site", repr(site), NAME_RULE) for site in cards if not is_name(site)]
    problems += [
        Problem("participants.sites", site, f"sites of which cards tell: {', '.join(cards)}")
        for site in wanted
        if site not in cards
    ]
    if wanted:
        expected = f"one of: {', '.join(wanted)}"
        problems += [
            Problem(f"site {site}", "a site that the study does not name", expected) for site in cards if site not in wanted
        ]
    if problems:
        raise CallerError("These sites cannot take part.", problems)
