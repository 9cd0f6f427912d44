"""What the lab saw, as facts in a long table: one line of JSON each, with the plan's digest, so that runs can be put together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from huizhen.clock import moment, written
from huizhen.errors import CallerError, Problem
from huizhen.twin.lab.plan import Configuration
from huizhen.twin.lab.readings import makespan, rounds_of

__all__ = ["JUDGED", "Observation", "line_of", "observations", "of_study", "repeated"]

JUDGED = ("round", "step", "transfer", "makespan", "bytes")  # parts that forecasts are compared in


@dataclass(frozen=True, slots=True)
class Observation:
    """One number.

    Attributes:
        plan: its digest.
        part: ``round``, ``stage``, ``step`` (processor seconds of a round's slowest site), ``transfer``, ``makespan``, ``bytes``
            (of all lines both ways), ``up`` and ``down`` (bytes of one line), ``processor`` (seconds of one program).
        subject: what of it: a step as ``analysis/step``, a site, a program; "" for the whole.
        place: which of several: the round's number; 0 where there is one.
        at: when it was seen, aware, UTC.
    """

    plan: str
    configuration: str
    repetition: int
    part: str
    subject: str
    place: int
    seen: float
    unit: str
    at: datetime


def of_study(
    plan: str,
    one: Configuration,
    repetition: int,
    events: Sequence[Mapping[str, object]],
    carried: Mapping[str, tuple[int, int]],
    spent: Mapping[str, float],
    at: datetime,
) -> list[Observation]:
    """What is to be kept of one run of a study."""

    def seen(part: str, subject: str, place: int, value: float, unit: str) -> Observation:
        return Observation(plan, one.name, repetition, part, subject, place, value, unit, at)

    found = []
    for each in rounds_of(events):
        subject = f"{each.analysis}/{each.step}"
        found.append(seen("round", subject, each.round, each.took, "s"))
        found += [seen("stage", f"{subject}/{place}", each.round, took, "s") for place, took in enumerate(each.stages)]
        if each.cpu:
            found.append(seen("step", subject, each.round, max(each.cpu.values()), "s"))
    found.append(seen("makespan", "", 0, makespan(events), "s"))
    for site in one.sites:
        found += [seen(way, site, 0, count, "byte") for way, count in zip(("up", "down"), carried[site])]
    found.append(seen("bytes", "", 0, sum(sum(carried[site]) for site in one.sites), "byte"))
    return found + [seen("processor", program, 0, seconds, "s") for program, seconds in spent.items()]


def line_of(one: Observation) -> str:
    """A line of the file."""
    return json.dumps({**asdict(one), "at": written(one.at)}, ensure_ascii=False)


def observations(text: str) -> list[Observation]:
    """The observations in a file.

    Raises:
        CallerError: lines that are none, by their numbers; at most ten are named.
    """
    found, wrong = [], []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            fact = json.loads(line)
            found.append(Observation(**{**fact, "at": moment(fact["at"])}))
        except (ValueError, KeyError, TypeError):
            wrong.append(Problem(f"line {number}", "another form", "an observation of the lab"))
    if wrong:
        raise CallerError("The observations cannot be read.", wrong[:10])
    return found


def repeated(seen: Iterable[Observation]) -> Mapping[str, list[float]]:
    """What was seen of the same thing in every repetition."""
    found: dict[str, list[float]] = {}
    for one in seen:
        found.setdefault(f"{one.configuration} {one.part} {one.subject} {one.place}", []).append(one.seen)
    return found
