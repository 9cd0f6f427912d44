"""A rehearsal: the study itself on stand-ins, under virtual time, and what it asked of every site in every stage, as a `Course`.

    course = rehearse(study, standins, rows={"north": 12_000, "south": 8_000}, demand=demand)

Long trainings are rehearsed for two and for three rounds, and what the third added is repeated; a step of an exact method that
comes more than once comes as often as on the stand-ins, give or take, unless earlier runs told how often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

from huizhen import units
from huizhen.clock import ManualClock
from huizhen.errors import CallerError, Problem
from huizhen.federation.conduct import conduct
from huizhen.federation.events import Event, Outcome
from huizhen.federation.study import Analysis, Study
from huizhen.privacy.release import Question
from huizhen.twin.course import Course, RoundDemand, Work
from huizhen.twin.quantity import Quantity
from huizhen.twin.simulate.engine import Passage
from huizhen.twin.simulate.federation import Standins, federation_of
from huizhen.twin.simulate.repeating import Heard, rounds_of
from huizhen.twin.simulate.stages import Scene, stage_of

__all__ = ["Demand", "Rehearsed", "no_demand", "rehearse", "rehearsed", "shortened"]

LONG = ("rounds", "trees")  # settings that say how many rounds a method takes at most
SHORT, SHORTER = 3, 2  # rounds that are rehearsed of a long one
NONE: Mapping[Any, Any] = MappingProxyType({})


class Demand(Protocol):
    """What a question costs a site to answer, from the formulas of its method."""

    def __call__(self, method: str, question: Question, rows: int, columns: int) -> Work: ...


def no_demand(method: str, question: Question, rows: int, columns: int) -> Work:
    """Nothing is known of the work."""
    return Work(f"{method}.{question.step}", (), rows if columns else 0)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What came of one rehearsal.

    Attributes:
        events: as of any run; outcomes: how the analyses ended, of stand-ins.
        heard: the rounds, in order.
    """

    events: tuple[Event, ...]
    outcomes: tuple[Outcome, ...]
    heard: tuple[Heard, ...]


def rehearse(
    here: Standins,
    *,
    rows: Mapping[str, int] = NONE,
    demand: Demand = no_demand,
    often: Mapping[tuple[str, str], Quantity] = NONE,
) -> Course:
    """What a study asks of these sites.

    Args:
        here: the study, and rows that stand in for the sites'.
        rows: how many rows each site really has; of others, as many as stand in.
        demand: the work behind a question.
        often: how often a step of a method comes, by (method, step), as earlier runs told.

    Raises:
        CallerError: nobody could take part in the rehearsal, so nothing is known; with what was in the way.
        HuizhenError: the study cannot be had with these sites at all.
    """
    study = here.study
    long = {label: length for one in study.analyses if (length := _length(one)) > SHORT for label in [one.label]}
    told = rehearsed(_shortened(here, long, SHORT), rows=rows, demand=demand)
    fewer = rehearsed(_shortened(here, long, SHORTER), rows=rows, demand=demand) if long else told
    if all(one.step == "muster" for one in told.heard) and (why := _failures(told)):
        raise CallerError("The study cannot be rehearsed on these stand-ins.", why)
    rounds = rounds_of(study, told.heard, fewer.heard, long={label: (SHORT, long[label]) for label in long}, often=often)
    return _course(here, rounds, told, bool(long))


def rehearsed(here: Standins, *, rows: Mapping[str, int] = NONE, demand: Demand = no_demand) -> Rehearsed:
    """One rehearsal, as it went: every round once."""
    clock, scene = ManualClock(), Scene(here, rows, demand)
    run = federation_of(here, clock, seen=scene.seen, worked=scene.worked)
    events, steps = list[Event](), conduct(run)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            outcomes: tuple[Outcome, ...] = stop.value
            return Rehearsed(tuple(events), outcomes, _heard(here.study, scene))


def shortened(here: Standins) -> Standins:
    """The same study with its long trainings cut to the rounds that are rehearsed."""
    long = {label: length for one in here.study.analyses if (length := _length(one)) > SHORT for label in [one.label]}
    return _shortened(here, long, SHORT)


def _heard(study: Study, scene: Scene) -> tuple[Heard, ...]:
    """The rounds that were asked, each with its stages; a round that was asked again is another one."""
    found: list[tuple[tuple[str, int, str], list[list[Passage]]]] = []
    for passage in scene.passages:
        ask = passage.ask
        about = (ask.analysis, ask.round, ask.question.step)
        if not found or found[-1][0] != about or ask.stage in {one[0].ask.stage for one in found[-1][1][:-1]}:
            found.append((about, []))
        stages = found[-1][1]
        if not stages or stages[-1][0].ask.stage != ask.stage:
            stages.append([])
        elif any(one.site == passage.site for one in stages[-1]):  # the same stage anew
            found.append((about, [[]]))
            stages = found[-1][1]
        stages[-1].append(passage)
    return tuple(
        Heard(label, number, step, tuple(stage_of(study, scene, stage) for stage in stages))
        for (label, number, step), stages in found
    )


def _length(analysis: Analysis) -> int:
    return max(
        (int(getattr(analysis.spec, name)) for name in LONG if isinstance(getattr(analysis.spec, name, None), int)), default=0
    )


def _shortened(here: Standins, long: Mapping[str, int], rounds: int) -> Standins:
    if not long:
        return here
    analyses = tuple(_of_rounds(one, rounds) if one.label in long else one for one in here.study.analyses)
    return replace(here, study=replace(here.study, analyses=analyses))


def _of_rounds(analysis: Analysis, rounds: int) -> Analysis:
    spec, names = analysis.spec, {name for name in LONG if isinstance(getattr(analysis.spec, name, None), int)}
    least = dict.fromkeys(names, rounds) | ({"early_stopping": 0} if getattr(spec, "early_stopping", 0) else {})
    return replace(analysis, spec=spec.model_copy(update=least))


def _failures(told: Rehearsed) -> list[Problem]:
    expected = "stand-ins that can take part"
    return [Problem(f"the rehearsal of {one.label}", one.result.failure, expected) for one in told.outcomes if one.result.failure]


def _course(here: Standins, rounds: tuple[RoundDemand, ...], told: Rehearsed, shortened: bool) -> Course:
    study, participants = here.study, here.study.participants
    notes = ["Bytes are those of the messages of this very study, rehearsed on rows that stand in for the sites' own."]
    if shortened:
        notes.append("A long training was rehearsed for three rounds, and the third was taken for all that follow.")
    notes += [
        f"On stand-ins the analysis {one.label} came to no result ({one.result.failure}); its later rounds are not known."
        for one in told.outcomes
        if one.result.failure
    ]
    return Course(
        study=study.digest,
        title=study.about.title,
        roster=tuple(here.tables),
        rounds=rounds,
        deadline_s=units.seconds(participants.round_deadline),
        quorum=participants.quorum,
        keeps_roster=any(one.method.exact for one in study.analyses),
        notes=tuple(notes),
        patience=participants.patience,
        on_loss=participants.on_loss,
    )
