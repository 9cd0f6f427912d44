"""A course on a mirror as arrays: what every site takes in every stage, and how far each figure may be off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError, Problem
from huizhen.federation.wire.pulling import PIECE
from huizhen.twin.course import Course, StageDemand, Use, Work
from huizhen.twin.mirror import Device, Mirror
from huizhen.twin.quantity import Quantity
from huizhen.twin.simulate.models import Array, Models, Transfers

__all__ = ["Block", "Doubted", "RoundSheet", "Sheet", "StageSheet", "sheet_of"]

NINETY = 1.6448536269514722  # standard deviations from the median to either end of an interval of 90 %
MUSTER = "muster"


@dataclass(frozen=True, slots=True)
class Doubted:
    """Medians, and the logarithms of how far either end of their intervals lies from them; arrays of one shape."""

    value: Array
    above: Array
    below: Array

    def drawn(self, deviations: Array) -> Array:
        """The values at so many standard deviations from the median, of a logarithm normal on either side of it."""
        steps = deviations / NINETY
        return np.asarray(self.value * np.exp(np.where(steps > 0, steps * self.above, steps * self.below)))


@dataclass(frozen=True, slots=True)
class StageSheet:
    """One stage; arrays are (site,), in roster order.

    Attributes:
        compute, protect: seconds at each site; sealing: at the hub, before it asks; add: for each reply.
        down, up: bytes; pulled: whether the reply is announced and pulled.
    """

    stage: str
    down: Array
    up: Array
    pulled: bool
    compute: Doubted
    protect: Doubted
    sealing: Doubted
    add: Doubted


@dataclass(frozen=True, slots=True)
class RoundSheet:
    """One kind of round; `place` among all."""

    analysis: str
    step: str
    place: int
    times: Doubted
    stages: tuple[StageSheet, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One analysis: its muster, if it has one, and its rounds."""

    muster: RoundSheet | None
    rounds: tuple[RoundSheet, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All of it.

    Attributes:
        devices: which device each site has, (site,), and how many there are, the hub's last.
        silent: probability of not answering a round, (site,).
        lines: how far a site's line may be off, (site,).
    """

    course: Course
    roster: tuple[str, ...]
    blocks: tuple[Block, ...]
    transfers: Transfers
    devices: NDArray[np.intp]
    device_count: int
    silent: Array
    lines: Doubted
    jitter: float


def sheet_of(course: Course, mirror: Mirror, models: Models) -> Sheet:
    """The arrays of a course on a mirror.

    Raises:
        CallerError: sites of the course that the mirror does not know; all of them.
    """
    if unknown := [site for site in course.roster if site not in mirror.sites]:
        expected = "a site of the mirrored federation"
        raise CallerError(
            "This course cannot be played here.",
            [Problem(f"site {site}", "a site that is not in the mirror", expected) for site in unknown],
        )
    writer = _Writer(course, mirror, models)
    rounds = [
        RoundSheet(one.analysis, one.step, place, _row([one.times]), tuple(writer.stage(stage) for stage in one.stages))
        for place, one in enumerate(course.rounds)
    ]
    labels = list(dict.fromkeys(one.analysis for one in rounds))
    blocks = [_block([one for one in rounds if one.analysis == label]) for label in labels]
    names = list(mirror.devices)
    own = [names.index(mirror.sites[site].device) for site in course.roster]
    silent = np.array([mirror.sites[site].falls_silent.value for site in course.roster])
    return Sheet(
        course,
        course.roster,
        tuple(blocks),
        models.transfers(mirror, course.roster),
        np.array(own, np.intp),
        len(names),
        silent,
        _lines(mirror, course.roster),
        models.jitter,
    )


def _block(rounds: list[RoundSheet]) -> Block:
    muster = rounds[0] if rounds[0].step == MUSTER else None
    return Block(muster, tuple(rounds if muster is None else rounds[1:]))


@dataclass(slots=True)
class _Writer:
    """Asks the models once for each different question: sites with the same device and work take the same."""

    course: Course
    mirror: Mirror
    models: Models

    def stage(self, stage: StageDemand) -> StageSheet:
        roster, mirror = self.course.roster, self.mirror
        own = [mirror.devices[mirror.sites[site].device] for site in roster]
        hub, known = mirror.devices[mirror.hub_device], dict[Any, Quantity]()
        compute = [self._worked(stage.work.get(site), device, known) for site, device in zip(roster, own, strict=True)]
        protect = [self._used(stage.protect.get(site, ()), device, known) for site, device in zip(roster, own, strict=True)]
        adding = self.models.compute(stage.adding, hub) if stage.adding.operations else NOTHING
        up = _bytes(stage.up, roster)
        return StageSheet(
            stage.stage,
            _bytes(stage.down, roster),
            up,
            bool(len(up)) and float(np.median(up)) > PIECE,
            _row(compute),
            _row(protect),
            _row([self._used(stage.sealing, hub, known)]),
            _row([_share(adding, len(roster))]),
        )

    def _worked(self, work: Work | None, device: Device, known: dict[Any, Quantity]) -> Quantity:
        if work is None or not work.operations:
            return NOTHING
        key = (id(work), device.name)
        if key not in known:
            known[key] = self.models.compute(work, device)
        return known[key]

    def _used(self, uses: tuple[Use, ...], device: Device, known: dict[Any, Quantity]) -> Quantity:
        key = (uses, device.name)
        if key not in known:
            each = [self.models.protect(one, device) for one in uses if one.times]
            low, value, high = (sum(getattr(one, name) for one in each) for name in ("low", "value", "high"))
            known[key] = Quantity(value, "s", low, high, "fitted")
        return known[key]


NOTHING = Quantity(0.0, "s", 0.0, 0.0, "fitted")


def _share(whole: Quantity, parts: int) -> Quantity:
    return Quantity(whole.value / parts, "s", whole.low / parts, whole.high / parts, "fitted")


def _bytes(told: Mapping[str, int], roster: tuple[str, ...]) -> Array:
    """Bytes by site; of one that was not rehearsed in this stage, as many as most have."""
    usual = float(np.median(list(told.values()))) if told else 0.0
    return np.array([float(told.get(site, usual)) for site in roster])


def _row(quantities: list[Quantity]) -> Doubted:
    value = np.array([one.value for one in quantities])
    above = np.array([math.log(one.high / one.value) if one.value > 0 else 0.0 for one in quantities])
    below = np.array([math.log(one.value / max(one.low, one.value / 1e3)) if one.value > 0 else 0.0 for one in quantities])
    return Doubted(value, above, below)


def _lines(mirror: Mirror, roster: tuple[str, ...]) -> Doubted:
    """How much slower or faster than expected a site's line is: the doubt of the rate at which it sends."""
    rates: dict[str, Quantity] = {}
    for link in mirror.links.values():
        rates.setdefault(link.a, link.there)
        rates.setdefault(link.b, link.back)
    relative = [_relative(rates[site]) if site in rates else Quantity(1.0, "1", 1.0, 1.0, "assumed") for site in roster]
    return _row(relative)


def _relative(rate: Quantity) -> Quantity:
    """Of a size that takes as much longer as the rate is smaller."""
    if rate.value <= 0:
        return Quantity(1.0, "1", 1.0, 1.0, "assumed")
    return Quantity(1.0, "1", rate.value / rate.high, rate.value / max(rate.low, rate.value / 1e3), rate.provenance)
