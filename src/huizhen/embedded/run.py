"""A whole study in one process: open the sites' sources, conduct the study, compare, and say what left each site.

from huizhen import Study, run

findings = run(Study.read("study.toml"), {"west-lake": "west.csv", "east-gate": "east.parquet"})
print(findings["cox"].summary())
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from huizhen.clock import Clock, WallClock
from huizhen.data.examples import Examples
from huizhen.embedded.assembly import Federation, Told, Watch
from huizhen.embedded.comparing import Comparison
from huizhen.embedded.findings import Finding, Findings
from huizhen.embedded.nearly import without_near_counts
from huizhen.embedded.schemes import check_enough, notes_of
from huizhen.embedded.shadowing import kept
from huizhen.embedded.sources import Reading, Table, as_read, open_tables
from huizhen.errors import FederationError, Problem
from huizhen.federation.events import Event
from huizhen.federation.study import Study
from huizhen.ids import NAME_RULE, is_name
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.privacy.release import Progress, Variable
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.forecast.journal import NAME

__all__ = ["Watch", "run", "run_tables"]

RESUMED = "The run was interrupted and resumed: what left before stands in the ledgers, not in this record."
CUT_SHORT = (
    "The comparison with each site alone and the pooled rows was cut short; the same run in the same folder goes on with it."
)
NOT_COMPARED = (
    "Nothing was compared with each site alone and the pooled rows: exact numbers beside noisy ones would undo the noise."
)


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
    foreseen: Foreseen | None = None,
    shadow: str | Path | None = None,
) -> Findings:
    """Runs a study over sites that all live in this process.

    Args:
        study: the validated study.
        sites: what each site holds, by its name: the path of a CSV or Parquet file or folder, a pandas DataFrame, or a mapping
            of columns.
        policy: the disclosure policy of every site that `policies` does not name; by default the strict default policy.
        policies: disclosure policies by site.
        out: a folder for the sites' ledgers, the event log and the run's checkpoints; a run that was interrupted goes on when it
            is run again with the same folder. Without it ledgers and checkpoints live in memory.
        compare: also compute every site alone and the pooled rows (which only one process can, and which is not done for a study
            with noise). Ctrl-C while this is done
            gives up the rest of it alone: what the federation found is returned, and a note says so.
        watch: is called with every event, e.g. to show progress.
        foreseen: a forecast of this run (`huizhen.forecast`, `in_process=True`): it is committed to the ledgers before the start,
            and what came is told beside it.
        shadow: a file in which it is kept what forecasts were worth, for the next one; ``shadow.jsonl`` in `out` by default.

    Returns:
        Findings: published results; an analysis without an answer carries its reason in `Result.failure`.

    Raises:
        DataError: sources that cannot be read as the study needs them; every problem of every site.
        FederationError: sites that cannot take part under these names.
        MachineError: the folder cannot be written.
    """
    _check_names(study, sites)
    clock = clock or WallClock()
    opened = open_tables(study, sites, reading=_announced(watch, clock, len(sites)))
    findings = run_tables(
        study,
        opened.tables,
        variables=opened.variables,
        policy=policy,
        policies=policies,
        out=out,
        compare=compare,
        watch=watch,
        clock=clock,
        foreseen=foreseen,
        shadow=shadow,
    )
    return replace(findings, doubts=opened.doubts)


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
    foreseen: Foreseen | None = None,
    shadow: str | Path | None = None,
) -> Findings:
    """As `run`, over rows that are in memory already; `variables` says how they were read, by default as they are."""
    clock, folder = clock or WallClock(), Path(out) if out is not None else None
    variables = variables if variables is not None else as_read(study, tables)
    check_enough(study, tuple(tables))
    each_policy = {site: (policies or {}).get(site, policy or DisclosurePolicy()) for site in tables}
    federation = Federation(study, tables, each_policy, variables, clock, folder, foreseen=foreseen)
    started, start_s = clock.now(), clock.seconds()
    told = federation.conduct(watch)
    if (place := shadow or (folder and folder / NAME)) and told.compared:
        kept(Path(place), told.compared)
    noisy = study.protection.noise is not None or (bool(study.noisy_steps) and _have_budgets(each_policy))
    if compare and not noisy:
        findings, cut = _beside(federation, told, watch=watch, started_s=start_s)
    else:
        findings, cut = {outcome.label: Finding(outcome, {}) for outcome in told.outcomes}, ()
    return Findings(
        study=study,
        run=federation.run,
        started=started,
        seconds=clock.seconds() - start_s,
        findings=without_near_counts(findings, max(one.min_cell_count for one in each_policy.values())),
        offered={site: examples.rows for site, examples in tables.items()},
        left=told.left,
        policies=each_policy,
        ledgers=told.ledgers,
        notes=(
            *notes_of(study, told.tally),
            *((RESUMED,) if told.resumed else ()),
            *((NOT_COMPARED,) if noisy and compare else ()),
            *cut,
        ),
        cut_short=bool(cut),
        foreseen=foreseen,
        compared=told.compared,
    )


def _have_budgets(policies: Mapping[str, DisclosurePolicy]) -> bool:
    """Whether a site lets no exact answer out."""
    return any(policy.budget is not None and not policy.budget.allow_exact for policy in policies.values())


def _announced(watch: Watch | None, clock: Clock, of: int) -> Reading | None:
    """Opening images takes long, so whoever watches is told whose are opened and read."""
    if watch is None:
        return None
    began_s = clock.seconds()

    def reading(site: str, step: str, done: int) -> None:
        watch(Event("reading", "", 0, clock.seconds() - began_s, site=site, step=step, progress=Progress(done, of)))

    return reading


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


def _beside(
    federation: Federation, told: Told, *, watch: Watch | None, started_s: float
) -> tuple[dict[str, Finding], tuple[str, ...]]:
    """Every analysis with its comparison, as far as there was time; and a note where Ctrl-C cut it short."""
    found = {outcome.label: Finding(outcome, {}) for outcome in told.outcomes}
    with federation.readers(watch) as readers:

        def tell(event: Event) -> None:
            for read in readers:
                read(event)

        comparison = Comparison(
            federation.study,
            federation.tables,
            federation.terms,
            tell,
            federation.checkpoints(),
            told.data,
            federation.clock,
            started_s,
        )
        try:
            for analysis, outcome in zip(federation.study.analyses, told.outcomes, strict=True):
                found[outcome.label] = comparison.of(analysis, outcome)
        except KeyboardInterrupt:
            return found, (CUT_SHORT,)
    return found, ()
