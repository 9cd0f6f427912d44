"""The lab from its plan to its report: every configuration as often as the plan says, all that was seen in one file, cards."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huizhen.clock import Clock, WallClock
from huizhen.errors import CallerError, Problem
from huizhen.twin.lab.federation import Federation, federation
from huizhen.twin.lab.forecasters import Naive, fitted
from huizhen.twin.lab.judging import Forecaster, Judgement, judged, split
from huizhen.twin.lab.observations import Observation, line_of, of_study
from huizhen.twin.lab.plan import Configuration, LabPlan

__all__ = ["LabReport", "judge", "run_lab", "shown"]

OBSERVED = "observations.jsonl"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabReport:
    """What came of it.

    Attributes:
        observed: the file with all observations.
        judgements: of each forecaster; () where nothing was held out.
        notes: what could not be had, in plain words.
        load: of the machine over a minute, as the lab began and as it ended.
    """

    plan: str
    observed: Path
    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...]
    load: tuple[float, float]


def run_lab(
    plan: LabPlan, folder: Path, progress: Progress, *, forecasters: Sequence[Forecaster] = (), clock: Clock | None = None
) -> LabReport:
    """Runs a plan.

    Args:
        folder: new; programs, logs and observations go there.
        forecasters: to be judged beside the fitted one; they are asked after everything has run, and shown nothing.

    Raises:
        CallerError: the folder holds something.
        MachineError: a program is missing or fails; everything is cleared.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "started.jsonl").exists():
        raise CallerError(
            "The lab needs a folder of its own.", [Problem(str(folder), "a folder that is not empty", "a new folder")]
        )
    folder.mkdir(parents=True, exist_ok=True)
    clock, before, seen = clock or WallClock(), os.getloadavg()[0], []
    path = folder / OBSERVED
    with path.open("a", encoding="utf-8") as file, federation(plan, folder / "federation", progress) as here:
        for repetition in range(plan.repetitions):
            for place, one in enumerate(plan.configurations, 1):
                found = _observed(here, one, repetition, clock)
                file.writelines(f"{line_of(each)}\n" for each in found)
                file.flush()
                seen += found
                progress(f"repetition {repetition + 1} of {plan.repetitions}, {place} of {len(plan.configurations)}: {one.name}")
        notes = tuple(here.notes)
    return LabReport(plan.digest, path, judge(plan, seen, forecasters), notes, (before, os.getloadavg()[0]))


def judge(plan: LabPlan, seen: Sequence[Observation], forecasters: Sequence[Forecaster] = ()) -> tuple[Judgement, ...]:
    """The judgements of these forecasters, the fitted one first; () where nothing is held out or nothing may be learnt from."""
    learnt, held_out = split(plan, seen)
    if not held_out:
        return ()
    asked = [*([fitted(plan, learnt)] if learnt else []), *forecasters]
    return tuple(judged(plan, held_out, one, Naive()) for one in asked)


def _observed(here: Federation, one: Configuration, repetition: int, clock: Clock) -> list[Observation]:
    plan = here.plan
    here.shape(one, plan.seed + repetition)
    if one.study in plan.transfers:
        took = here.transfer(one)
        return [Observation(plan.digest, one.name, repetition, "transfer", "", 0, took, "s", clock.now())]
    carried, spent = here.counts(), here.spent()
    events = here.run(one, f"{one.name} {repetition}")
    bytes_ = {site: (up - carried[site][0], down - carried[site][1]) for site, (up, down) in here.counts().items()}
    return of_study(plan.digest, one, repetition, events, bytes_, _more(here.spent(), spent), clock.now())


def _more(after: Mapping[str, float], before: Mapping[str, float]) -> Mapping[str, float]:
    return {name: round(after[name] - before.get(name, 0.0), 6) for name in after}


def shown(report: LabReport) -> str:
    """The report for a person."""
    lines = [f"load {report.load[0]:.1f} to {report.load[1]:.1f}; {report.observed}", *report.notes]
    for one in report.judgements:
        lines.append(f"{one.name}: {one.configurations} configurations and {one.rounds} rounds held out")
        lines.append("part         count    error     bias   within   spread    naive")
        for part, card in one.cards.items():
            shares = (card.mape, card.bias, card.coverage, card.spread, card.naive)
            lines.append(
                f"{part:10} {card.count:7d} " + " ".join("       -" if share != share else f"{share:8.1%}" for share in shares)
            )
    return "\n".join(lines)
