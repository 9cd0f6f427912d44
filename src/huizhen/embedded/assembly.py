"""The embedded federation, assembled: engine, sites, gates, ledgers and checkpoints are chosen here and nowhere else."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from huizhen.clock import Clock
from huizhen.data.examples import Categories, Examples, chunks
from huizhen.embedded.ledgers import Signed, open_ledgers
from huizhen.embedded.schemes import each_sum, lane_of
from huizhen.embedded.shadowing import commit, met
from huizhen.federation.checkpoint import Checkpoints, FileCheckpoints, MemoryCheckpoints
from huizhen.federation.conduct import Run, conduct
from huizhen.federation.encrypted.ahead import Tally
from huizhen.federation.eventlog import EventLog
from huizhen.federation.events import Event, Outcome
from huizhen.federation.found import Collected, LedgerHead, Left
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.noised.planning import plan_of, reserve, settle
from huizhen.federation.noisetold import with_noise
from huizhen.federation.participant import Participant
from huizhen.federation.schemes import terms_of
from huizhen.federation.study import Study
from huizhen.ids import new_id
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.policy.gate import Gate
from huizhen.privacy.noiseplan import NoisePlan
from huizhen.privacy.release import Terms, Variable
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.shadow.learnt import Compared

__all__ = ["Federation", "Told", "Watch"]

ROWS_AT_ONCE = 1024  # rows whose digest is taken at once
Watch = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Told:
    """What a conducted study leaves: outcomes, what left each site, the heads of the ledgers, a fingerprint of the rows, how many
    obfuscators encrypted sums took, and what came beside the forecast, where there was one."""

    outcomes: tuple[Outcome, ...]
    left: tuple[Left, ...]
    ledgers: tuple[LedgerHead, ...]
    resumed: bool
    data: str
    tally: Tally = field(default_factory=Tally)
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True)
class Federation:
    """Several sites in one process, with one study.

    Attributes:
        tables: each site's rows.
        policies: each site's disclosure policy.
        variables: how the variables were read.
        folder: where ledgers, event log and checkpoints go; None: into memory.
        foreseen: a forecast of this run, which every ledger is told of before the start.
    """

    study: Study
    tables: Mapping[str, Examples]
    policies: Mapping[str, DisclosurePolicy]
    variables: Mapping[str, Variable]
    clock: Clock
    folder: Path | None
    run: str = field(default_factory=lambda: new_id("run"))
    foreseen: Foreseen | None = None

    def terms(self, roster: tuple[str, ...]) -> Terms:
        """What the participants can agree to."""
        policies = [self.policies[site] for site in roster]
        return terms_of(self.study, policies, lane=lane_of(self.study), variables=self.variables, roster=roster)

    def checkpoints(self) -> Checkpoints:
        """Where this study's totals, local states and finished comparisons are kept."""
        return MemoryCheckpoints() if self.folder is None else FileCheckpoints(self.folder / "checkpoints", self.study.digest[:12])

    @contextmanager
    def readers(self, watch: Watch | None) -> Iterator[list[Watch]]:
        """Who reads the events: the log, and last whoever watches, for it may end the run, and what it ended at is on the log."""
        with ExitStack() as stack:
            readers: list[Watch] = []
            if self.folder is not None:
                readers.append(EventLog(self.folder / "events.jsonl", stack, run=self.run, study=self.study.digest).watch)
            yield [*readers, watch] if watch else readers

    def conduct(self, watch: Watch | None) -> Told:
        """The whole study. Ctrl-C ends it between two entries of each ledger, and is recorded there."""
        with ExitStack() as stack:
            data = "" if self.folder is None else _fingerprint(self.tables)
            plan = plan_of(self.study, len(self.tables))
            ledgers = open_ledgers(self.tables, self.folder, stack)
            gates = {site: Gate(site, self.policies[site], ledgers[site].ledger, self.clock) for site in self.tables}
            if plan is not None:
                reserve(gates, self.study, plan, self.checkpoints(), data)
            about = {"study": self.study.digest, "run": self.run, "title": self.study.title}
            before = {site: each.ledger.head.entries for site, each in ledgers.items()}
            if self.foreseen is not None:
                commit(self.foreseen, self.study, gates.values(), about)
            _record(gates, "started", about)
            collected, tally, seen = Collected(), Tally(), list[Event]()
            readers = [collected.watch, seen.append, *stack.enter_context(self.readers(watch))]
            try:
                outcomes = self._events_to(stack, gates, ledgers, readers, data, plan, tally)
            except KeyboardInterrupt:
                _record(gates, "interrupted", about)
                raise
            if plan is not None:
                settle(gates, self.study)
                outcomes = tuple(with_noise(outcome, plan) for outcome in outcomes)
            answered = {outcome.label: not outcome.result.failure for outcome in outcomes}
            _record(gates, "finished", {**about, "analyses": answered})
            stores = {site: each.ledger for site, each in ledgers.items()}
            beside: tuple[Compared, ...] = ()
            if self.foreseen is not None:
                beside = met(self.foreseen, stores, before, seen, run=self.run, at=self.clock.now())
            heads = [LedgerHead(site, each.head.entries, each.head.hash, each.public_key) for site, each in stores.items()]
        return Told(outcomes, collected.left, tuple(heads), collected.resumed, data, tally, beside)

    def _events_to(
        self,
        stack: ExitStack,
        gates: Mapping[str, Gate],
        ledgers: Mapping[str, Signed],
        readers: list[Watch],
        data: str,
        plan: NoisePlan | None,
        tally: Tally,
    ) -> tuple[Outcome, ...]:
        keys, checkpoints = {site: each.key for site, each in ledgers.items()}, self.checkpoints()
        scheme, at_sites, counted = each_sum(self.study, keys, tally, plan, checkpoints, data)
        engine = InProcessEngine(
            {
                site: Participant(
                    site,
                    self.study,
                    examples,
                    gate=gates[site],
                    scheme=at_sites[site],
                    counted=counted[site],
                    checkpoints=checkpoints,
                    entropy=secrets.token_bytes,
                )
                for site, examples in self.tables.items()
            },
            settle=lambda site: ledgers[site].ledger.settle(),
        )
        stack.callback(engine.close)
        events = conduct(Run(self.run, self.study, engine, scheme, self.terms, self.clock, checkpoints, data, plan))
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                outcomes: tuple[Outcome, ...] = stop.value
                return outcomes
            for read in readers:
                read(event)


def _record(gates: Mapping[str, Gate], kind: str, fact: Mapping[str, Any]) -> None:
    for gate in gates.values():
        gate.record(kind, fact)


def _fingerprint(tables: Mapping[str, Examples]) -> str:
    """Digest of all rows: a run is resumed only on the very rows that it began with."""
    digest = hashlib.blake2b(digest_size=32)
    for site, table in tables.items():
        for name, column in table.columns.items():
            levels, values = (column.levels, column.codes) if isinstance(column, Categories) else ((), column.values)
            digest.update(repr((site, name, values.shape, str(values.dtype), levels)).encode())
            for rows in chunks(table.rows, ROWS_AT_ONCE):  # images may lie with the channel last: never copied whole
                digest.update(np.ascontiguousarray(values[rows]).data)
    return digest.hexdigest()
