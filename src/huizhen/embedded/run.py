"""A whole study in one process: open the sites' sources, conduct the study, compare, and say what left each site.

from huizhen import Study, run

findings = run(Study.read("study.toml"), {"west-lake": "west.csv", "east-gate": "east.parquet"})
print(findings["cox"].summary())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huizhen.clock import Clock, WallClock
from huizhen.data.examples import Examples, concatenate
from huizhen.embedded.aside import by_itself, hold_together
from huizhen.embedded.findings import Finding, Findings
from huizhen.embedded.ledgers import open_ledgers
from huizhen.embedded.nearly import without_near_counts
from huizhen.embedded.sources import Table, as_read, open_tables
from huizhen.errors import FederationError, Problem
from huizhen.federation.checkpoint import Checkpoints, FileCheckpoints, MemoryCheckpoints
from huizhen.federation.conduct import Run, conduct
from huizhen.federation.events import Event, Outcome
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.participant import Participant
from huizhen.federation.rounds import PlainSum
from huizhen.federation.selection import select
from huizhen.federation.study import Analysis, Study
from huizhen.ids import NAME_RULE, is_name, new_id
from huizhen.ledger.store import LedgerStore
from huizhen.policy.disclosure import DisclosurePolicy, strictest
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Terms, Variable
from huizhen.report.content import LedgerHead, Left

__all__ = ["Watch", "run", "run_tables"]

Watch = Callable[[Event], None]


def run(
    study: Study,
    sites: Mapping[str, Table],
    *,
    policy: DisclosurePolicy | None = None,
    policies: Mapping[str, DisclosurePolicy] | None = None,
    out: str | Path | None = None,
    compare: bool = True,
    watch: Watch | None = None,
    clock: Clock | None = None,
) -> Findings:
    """Runs a study over sites that all live in this process.

    Args:
        study: the validated study.
        sites: what each site holds, by its name: the path of a CSV or Parquet file or folder, a pandas DataFrame, or a mapping
            of columns.
        policy: the disclosure policy of every site that `policies` does not name; by default the strict default policy.
        policies: disclosure policies by site.
        out: a folder for the sites' ledgers and the run's checkpoints; a run that was interrupted goes on when it is run again
            with the same folder. Without it both live in memory.
        compare: also compute every site alone and the pooled rows (which only one process can).
        watch: is called with every event, e.g. to show progress.

    Returns:
        Findings: published results; an analysis without an answer carries its reason in `Result.failure`.

    Raises:
        DataError: sources that cannot be read as the study needs them; every problem of every site.
        FederationError: sites that cannot take part under these names.
        MachineError: the folder cannot be written.
    """
    _check_names(study, sites)
    tables, variables = open_tables(study, sites)
    return run_tables(
        study, tables, variables=variables, policy=policy, policies=policies, out=out, compare=compare, watch=watch, clock=clock
    )


def run_tables(
    study: Study,
    tables: Mapping[str, Examples],
    *,
    variables: Mapping[str, Variable] | None = None,
    policy: DisclosurePolicy | None = None,
    policies: Mapping[str, DisclosurePolicy] | None = None,
    out: str | Path | None = None,
    compare: bool = True,
    watch: Watch | None = None,
    clock: Clock | None = None,
) -> Findings:
    """As `run`, over rows that are in memory already; `variables` says how they were read, by default as they are."""
    clock, folder = clock or WallClock(), Path(out) if out is not None else None
    variables = variables if variables is not None else as_read(study, tables)
    each_policy = {site: (policies or {}).get(site, policy or DisclosurePolicy()) for site in tables}
    started, start_s = clock.now(), clock.seconds()
    with ExitStack() as stack:
        ledgers = open_ledgers(tables, folder, stack)
        collected, outcomes, identifier = _conduct(
            study, tables, each_policy, variables, ledgers, _checkpoints(folder), watch, clock, stack
        )
        heads = tuple(_head(site, ledger) for site, ledger in ledgers.items())
    findings = {}
    for analysis, outcome in zip(study.analyses, outcomes, strict=True):
        if not outcome.roster or not compare:
            findings[outcome.label] = Finding(outcome, {})
            continue
        terms = strictest(
            [each_policy[site] for site in outcome.roster], lane="embedded", variables=variables, roster=outcome.roster
        )
        findings[outcome.label] = _compared(study, analysis, outcome, tables, terms)
    return Findings(
        study=study,
        run=identifier,
        started=started,
        seconds=clock.seconds() - start_s,
        findings=without_near_counts(findings, max(one.min_cell_count for one in each_policy.values())),
        offered={site: examples.rows for site, examples in tables.items()},
        left=collected.left,
        policies=each_policy,
        ledgers=heads,
        notes=("One process held all sites: the policies judged the totals of their answers.",),
    )


def _check_names(study: Study, sites: Mapping[str, Any]) -> None:
    problems = [Problem("site", repr(site), NAME_RULE) for site in sites if not is_name(site)]
    wanted = study.participants.sites
    problems += [
        Problem(
            "participants.sites",
            site,
            f"sites that are here: {', '.join(sites)}",
            f"Add --site {site}=PATH, or take it out of the study",
        )
        for site in wanted
        if site not in sites
    ]
    if wanted:
        problems += [
            Problem(f"site {site}", "a site that the study does not name", f"one of: {', '.join(wanted)}")
            for site in sites
            if site not in wanted
        ]
    if not sites:
        problems.append(Problem("site", "none", "at least one site", "Add --site NAME=PATH"))
    if problems:
        raise FederationError("These sites cannot take part.", problems)


def _conduct(
    study: Study,
    tables: Mapping[str, Examples],
    policies: Mapping[str, DisclosurePolicy],
    variables: Mapping[str, Variable],
    ledgers: Mapping[str, LedgerStore],
    checkpoints: Checkpoints,
    watch: Watch | None,
    clock: Clock,
    stack: ExitStack,
) -> tuple[_Collected, tuple[Outcome, ...], str]:
    scheme = PlainSum(lane="embedded")
    gates = {site: Gate(site, policies[site], ledgers[site], clock) for site in tables}
    participants = {
        site: Participant(site, study, examples, gate=gates[site], scheme=scheme, checkpoints=checkpoints)
        for site, examples in tables.items()
    }
    engine = InProcessEngine(participants)
    stack.callback(engine.close)

    def terms(roster: tuple[str, ...]) -> Terms:
        return strictest([policies[site] for site in roster], lane="embedded", variables=variables, roster=roster)

    identifier = new_id("run")
    about = {"study": study.digest, "run": identifier, "title": study.title}
    for gate in gates.values():
        gate.record("started", about)
    collected = _Collected()
    events = conduct(Run(identifier, study, engine, scheme, terms, clock, checkpoints))
    try:
        while True:
            event = next(events)
            collected.add(event)
            if watch:
                watch(event)
    except StopIteration as stop:
        outcomes: tuple[Outcome, ...] = stop.value
    except KeyboardInterrupt:
        engine.close()
        for gate in gates.values():
            gate.record("interrupted", about)
        raise
    for gate in gates.values():
        gate.record("finished", {**about, "analyses": {outcome.label: not outcome.result.failure for outcome in outcomes}})
    return collected, outcomes, identifier


@dataclass(slots=True)
class _Collected:
    """What left the sites, added up from the events."""

    amounts: dict[tuple[str, str, str, str], list[int]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        for leaving in event.leaving:
            amount = self.amounts.setdefault((event.site, event.analysis, leaving.what, leaving.kind), [0, 0, 0])
            for place, more in enumerate((1, leaving.bytes, leaving.numbers)):
                amount[place] += more

    @property
    def left(self) -> tuple[Left, ...]:
        return tuple(Left(*names, *amount) for names, amount in self.amounts.items())


def _compared(study: Study, analysis: Analysis, outcome: Outcome, tables: Mapping[str, Examples], terms: Terms) -> Finding:
    """The same analysis on each participant's own rows, and on all of them together."""
    selected = {site: select(study, analysis, tables[site]).examples for site in outcome.roster}
    return Finding(
        outcome,
        alone=hold_together({site: by_itself(analysis, rows, terms) for site, rows in selected.items()}),
        pooled=by_itself(analysis, concatenate(list(selected.values())), terms),
    )


def _checkpoints(folder: Path | None) -> Checkpoints:
    return MemoryCheckpoints() if folder is None else FileCheckpoints(folder / "checkpoints")


def _head(site: str, ledger: LedgerStore) -> LedgerHead:
    return LedgerHead(site, ledger.head.entries, ledger.head.hash, ledger.public_key)
