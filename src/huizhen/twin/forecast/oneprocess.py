"""Several sites in one program: no lines, sites one after another, more beside each other only where they take long.

As `huizhen.federation.inprocess` does it: a round begins with one worker; for every hundredth of a second without a reply another
helps, up to one for each processor core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np

from huizhen.twin.course import Course, RoundDemand, StageDemand
from huizhen.twin.forecast.prepared import own_uses
from huizhen.twin.mirror import Device, Mirror, MirrorSite, Node, mirrored
from huizhen.twin.quantity import Quantity, assumed, declared, exactly
from huizhen.twin.simulate.models import Array, Transfers, Way

__all__ = ["HERE", "InTurn", "in_one_process", "in_turn", "one_process", "this_machine"]

HERE = "this-machine"
LOAD_SPREAD = 1.5
HELPS_AFTER_S = 0.01
PEAK, MEMORY_RATE, MEMORY = 2e10, 1e10, 8e9  # of a core, of a machine: usual for servers of these years


def this_machine(cores: int, load: float = 0.0) -> Device:
    """The machine that forecasts are made on; what its data sheet would say is assumed.

    Args:
        load: share of its time that others have, 0 to 1, as it was measured.
    """
    source = "a usual server"
    return Device(
        HERE,
        "cpu",
        cores,
        assumed(PEAK * cores, "flop/s", source, spread=3.0),
        assumed(MEMORY_RATE, "byte/s", source),
        assumed(MEMORY, "byte", source),
        exactly(1.0, "1", "by definition"),
        Quantity(load, "1", load / LOAD_SPREAD, min(load * LOAD_SPREAD, 0.95), "measured", "a rehearsal"),
    )


def one_process(sites: Mapping[str, float], device: Device, at: datetime) -> Mirror:
    """The federation of one program: all sites and the hub on one machine.

    Args:
        sites: rows by site.
    """
    nodes = [Node("hub", "hub"), *(Node(site, "site") for site in sites)]
    none = exactly(0.0, "1")
    there = [MirrorSite(site, site, device.name, declared(rows, "count", "its card"), none) for site, rows in sites.items()]
    return mirrored("hub", device.name, nodes, [], [device], there, at, ("All sites are in one process on this machine.",))


def in_one_process(course: Course) -> Course:
    """The course without lines: no bytes travel and no line is enciphered; what the hub does first, the first site waits for."""
    return replace(course, rounds=tuple(_round(one) for one in course.rounds))


def _round(one: RoundDemand) -> RoundDemand:
    return replace(one, stages=tuple(_stage(stage) for stage in one.stages))


def _stage(stage: StageDemand) -> StageDemand:
    protect = {site: own_uses(uses) for site, uses in stage.protect.items()}
    if first := next(iter(stage.down), ""):
        protect[first] = (*protect.get(first, ()), *own_uses(stage.sealing))
    none = MappingProxyType(dict.fromkeys(stage.down, 0))
    return replace(stage, down=none, up=none, protect=MappingProxyType(protect), sealing=())


@dataclass(frozen=True, slots=True)
class InTurn:
    """Nothing travels; a reply is there when its site's turn is over.

    Attributes:
        workers: at most.
    """

    workers: int

    def together(self, way: Way, begins: Array, sizes: Array) -> Array:
        if way == "down":
            return begins
        free = np.broadcast_to(HELPS_AFTER_S * np.arange(self.workers), (len(begins), self.workers)).copy()
        ends, lanes = np.full_like(begins, np.inf), np.arange(len(begins))
        for site in range(begins.shape[1]):
            takes = begins[:, site]
            there = np.isfinite(takes)
            worker = np.argmin(free, axis=1)
            done = free[lanes, worker] + np.where(there, takes, 0.0)
            ends[:, site] = np.where(there, done, np.inf)
            free[lanes, worker] = np.where(there, done, free[lanes, worker])
        return ends

    def alone(self, way: Way, sizes: Array) -> Array:
        return np.zeros_like(sizes)


def in_turn(cores: int) -> Callable[[Mirror, tuple[str, ...]], Transfers]:
    """`InTurn` for a play."""

    def transfers(_: Mirror, roster: tuple[str, ...]) -> Transfers:
        return InTurn(max(min(cores, len(roster)), 1))

    return transfers
