"""A course and models made ready for a play: what was witnessed and what earlier runs taught goes into the seconds of work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from huizhen.twin.course import Course, Operation, RoundDemand, StageDemand, Use, Work
from huizhen.twin.forecast.witness import Witnessed
from huizhen.twin.mirror import Device
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.factors import AT_90
from huizhen.twin.shadow.learnt import Learnt
from huizhen.twin.simulate.models import Computing, Models

__all__ = ["groups_of", "handled", "own_uses", "raw_compute", "taught"]

HANDLING = "handling"  # its shape: nanoseconds on the machine that forecasts, and whether they hold all of the work
LINE = "aes-256-gcm"
LEAST_S = 2e-5
SPREAD = 1.35  # of what was witnessed on stand-ins beside what comes on rows


def handled(course: Course, seen: Witnessed, rows: Mapping[str, int], models: Models, here: Device) -> Course:
    """The course with the handling of every ask and reply as operations.

    Args:
        rows: of each site.
        here: the machine that was witnessed.
    """
    if not seen.answering:
        return course
    return replace(course, rounds=tuple(_round(one, seen, rows, models, here) for one in course.rounds))


def _round(one: RoundDemand, seen: Witnessed, rows: Mapping[str, int], models: Models, here: Device) -> RoundDemand:
    return replace(one, stages=tuple(_stage(one, stage, seen, rows, models, here) for stage in one.stages))


def _stage(
    one: RoundDemand, stage: StageDemand, seen: Witnessed, rows: Mapping[str, int], models: Models, here: Device
) -> StageDemand:
    fixed, slope = seen.answering.get((one.analysis, one.step, stage.stage), (0.0, 0.0))
    work, known = {}, dict[tuple[int, int, tuple[Use, ...]], Work]()
    for site in stage.down:
        own, uses = stage.work.get(site), own_uses(stage.protect.get(site, ()))
        key = (id(own), rows.get(site, 0), uses)
        if key not in known:  # sites that do the same share it: a model is asked once
            there = own or Work(f"{one.analysis}.{one.step}", (), rows.get(site, 0))
            guarded = sum(models.protect(use, here).value for use in uses)
            is_whole = not there.operations or slope > 0.0  # what rows cost was seen: it is not to be reckoned once more
            took = max(fixed + slope * rows.get(site, 0) - guarded, LEAST_S)
            known[key] = _with(there, took, 1.0, is_whole=is_whole)
        work[site] = known[key]
    adding = _with(stage.adding, seen.leading, float(len(stage.down)), is_whole=False)
    return replace(stage, work=MappingProxyType(work), adding=adding)


def own_uses(uses: Iterable[Use]) -> tuple[Use, ...]:
    """What protects the answer, without the one sealing and the one opening of the line."""
    return tuple(one for one in uses if one.algorithm != LINE or one.times > 1)


def _with(work: Work, seconds: float, calls: float, *, is_whole: bool) -> Work:
    handling = Operation(HANDLING, (round(seconds * 1e9), int(is_whole)), 0.0, 0.0, calls)
    return replace(work, operations=(*work.operations, handling))


def raw_compute(compute: Computing) -> Computing:
    """Seconds of work with its handling, before any lesson."""

    def seconds(work: Work, device: Device) -> Quantity:
        handling = sum(one.shape[0] * 1e-9 * one.calls for one in work.operations if one.kind == HANDLING)
        is_whole = any(one.kind == HANDLING and one.shape[1] for one in work.operations)
        rest = () if is_whole else tuple(one for one in work.operations if one.kind != HANDLING)
        told = compute(replace(work, operations=rest), device) if rest else Quantity(0.0, "s", 0.0, 0.0, "measured")
        own = handling * device.factor.value / _idle(device.load.value)
        doubt = SPREAD * min(max(device.factor.spread, 1.0), 3.0)
        idler, busier = (_idle(device.load.value) / _idle(load) for load in (device.load.low, device.load.high))
        low, high = told.low + own / doubt * idler, told.high + own * doubt * busier
        return Quantity(told.value + own, "s", low, high, told.provenance, told.source)

    return seconds


def taught(models: Models, learnt: Learnt) -> Models:
    """The models with what earlier runs taught about devices, and about models on devices."""
    raw = raw_compute(models.compute)
    if not learnt.work.count:
        return replace(models, compute=raw)

    def seconds(work: Work, device: Device) -> Quantity:
        told = raw(work, device)
        factor, sd = learnt.work.factor(groups_of(work, device))
        if told.value <= 0:
            return told
        middle = told.value * factor
        is_known = f"device:{device.name}" in learnt.work.effects
        if not is_known:
            return Quantity(middle, "s", told.low * factor, told.high * factor, told.provenance, told.source)
        ends = math.exp(AT_90 * sd)
        return Quantity(middle, "s", middle / ends, middle * ends, "fitted", "earlier runs")

    return replace(models, compute=seconds)


def _idle(load: float) -> float:
    return max(1.0 - load, 0.05)


def groups_of(work: Work, device: Device) -> dict[str, str]:
    """Whom a lesson about this work on this device belongs to."""
    return {"device": device.name, "model": f"{work.label}@{device.name}"}
