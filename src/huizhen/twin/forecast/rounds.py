"""One turn of every kind of round, looked at by itself: seconds by site, bytes that leave, and the bars of a Gantt chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from huizhen.twin.course import Course, RoundDemand, StageDemand, Use
from huizhen.twin.forecast.foreseen import Bar, RoundShare, SiteShare
from huizhen.twin.forecast.prepared import groups_of, own_uses, raw_compute
from huizhen.twin.forecast.witness import Place
from huizhen.twin.mirror import Device, Mirror
from huizhen.twin.quantity import exactly
from huizhen.twin.simulate.forecast import Forecast
from huizhen.twin.simulate.models import Computing, Models, Protecting
from huizhen.twin.simulate.play import enact
from huizhen.twin.simulate.timeline import Span

__all__ = ["bars_of", "kinds_of", "settled_in_turn", "sites_of"]

NO_LOAD = exactly(0.0, "1")
ONCE = exactly(1.0, "count")
SHOWN = 24  # sites of a Gantt chart


def kinds_of(
    course: Course, mirror: Mirror, wise: Models, raw: Models, left: Mapping[Place, Sequence[Mapping[str, float]]]
) -> tuple[RoundShare, ...]:
    """Every kind of round.

    Args:
        wise: the models as taught; raw: before any lesson.
        left: bytes of answers by place and site; of a step of several kinds, for each.
    """
    found, alike = list[RoundShare](), Counter[tuple[str, str]]()
    for one in course.rounds:
        turn = alike[one.analysis, one.step]
        answers = {place: each[min(turn, len(each) - 1)] for place, each in left.items()}
        found.append(_kind(course, one, mirror, wise, raw_compute(raw.compute), answers))
        alike[one.analysis, one.step] += 1
    return tuple(found)


def _kind(
    course: Course, one: RoundDemand, mirror: Mirror, wise: Models, raw: Computing, left: Mapping[Place, Mapping[str, float]]
) -> RoundShare:
    taught, plain, known = _Sum(wise.compute, wise.protect), _Sum(raw, wise.protect), dict[str, dict[str, str]]()
    work, unlearnt = dict.fromkeys(course.roster, 0.0), dict.fromkeys(course.roster, 0.0)
    idle = {name: replace(one, load=NO_LOAD) for name, one in mirror.devices.items()}
    leaves, line = dict.fromkeys(course.roster, 0.0), dict.fromkeys(course.roster, 0.0)
    for stage in one.stages:
        for site in course.roster:
            device = idle[mirror.sites[site].device]
            work[site] += taught.of(stage, site, device)
            unlearnt[site] += plain.of(stage, site, device)
            if site in stage.work and (site not in known or stage.work[site].flop):
                known[site] = groups_of(stage.work[site], device)
        for site, size in left.get((one.analysis, one.step, stage.stage), {}).items():
            leaves[site] = leaves.get(site, 0.0) + size
    played = enact(_alone(course, one), mirror, wise)
    for span in played.spans:
        if span.site and span.part in ("download", "upload"):
            line[span.site] += span.ends_s - span.begins_s
    return RoundShare(one.analysis, one.step, one.times, played.seconds, work, unlearnt, line, leaves, known)


@dataclass(slots=True)
class _Sum:
    """Seconds of a site in a stage: its work and its own protections; alike questions are asked once."""

    compute: Computing
    protect: Protecting
    known: dict[tuple[int, tuple[Use, ...], str], float] = field(default_factory=dict)

    def of(self, stage: StageDemand, site: str, device: Device) -> float:
        work, uses = stage.work.get(site), own_uses(stage.protect.get(site, ()))
        key = (id(work), uses, device.name)
        if key not in self.known:
            own = self.compute(work, device).value if work is not None and work.operations else 0.0
            self.known[key] = own + sum(self.protect(use, device).value for use in uses)
        return self.known[key]


def _alone(course: Course, one: RoundDemand) -> Course:
    return replace(course, rounds=(replace(one, times=ONCE),))


def bars_of(course: Course, mirror: Mirror, models: Models, *, travels: bool) -> tuple[str, tuple[Bar, ...]]:
    """The round that takes most of the time, as bars; "" and none where nothing takes any.

    Args:
        travels: False where sites have turns, so that what looks like waiting for a line stands before the work.
    """
    played = {place: enact(_alone(course, one), mirror, models) for place, one in enumerate(course.rounds)}
    if not any(one.seconds for one in played.values()):
        return "", ()
    most = max(played, key=lambda place: course.rounds[place].times.value * played[place].seconds)
    some = {"", *course.roster[:SHOWN]}
    spans = [span for span in played[most].spans if span.site in some]
    bars = _bars(spans) if travels else _in_turn(spans)
    one = course.rounds[most]
    return f"{one.analysis}: {one.step}", bars


def _bars(spans: Iterable[Span]) -> tuple[Bar, ...]:
    return tuple(Bar(one.site, one.part, one.stage, one.begins_s, one.ends_s) for one in spans)


def _in_turn(spans: Sequence[Span]) -> tuple[Bar, ...]:
    """Work stands where it is done: when its turn ends, and not when it was asked for."""
    later = {(one.site, one.stage): one.ends_s - one.begins_s for one in spans if one.part == "upload"}
    return tuple(
        Bar(one.site, one.part, one.stage, one.begins_s + wait, one.ends_s + wait)
        for one in spans
        if one.part in ("compute", "protect", "aggregate")
        for wait in [0.0 if one.part == "aggregate" else later.get((one.site, one.stage), 0.0)]
    )


def settled_in_turn(forecast: Forecast) -> Forecast:
    """Where sites have their turns one after another, waiting for a turn is the work of the others."""
    parts = dict(forecast.parts)
    parts["compute"] = parts["compute"] + parts["upload"] + parts["download"]
    parts["upload"], parts["download"] = np.zeros_like(parts["upload"]), np.zeros_like(parts["download"])
    return replace(forecast, parts=parts)


def sites_of(course: Course, rows: Mapping[str, int], kinds: Sequence[RoundShare]) -> tuple[SiteShare, ...]:
    """Every site's part of the whole."""
    found = []
    for site in course.roster:
        down = up = flop = 0.0
        for one in course.rounds:
            for stage in one.stages:
                down += one.times.value * stage.down.get(site, 0)
                up += one.times.value * stage.up.get(site, 0)
                flop += one.times.value * (stage.work[site].flop if site in stage.work else 0.0)
        left = sum(kind.times.value * kind.left.get(site, 0.0) for kind in kinds)
        work = sum(kind.times.value * kind.work_s.get(site, 0.0) for kind in kinds)
        found.append(SiteShare(site, float(rows.get(site, 0)), down, up, left, work, flop))
    return tuple(found)
