"""The mirrored federation as facts: institutions, sites, devices, links and the hub, as of one moment.

A mirror is read from a file (`huizhen twin` commands), from the warehouse as of a time, or made of what a hub knows. It is checked
whole: names once, links between what exists, every site reachable from the hub, units that fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from huizhen.errors import CallerError, Problem
from huizhen.twin.quantity import Quantity, exactly

__all__ = ["Device", "Link", "Mirror", "MirrorSite", "Node", "mirrored"]

NO_BYTES = exactly(0, "byte")


@dataclass(frozen=True, slots=True)
class Device:
    """A machine that computes.

    Attributes:
        kind: ``cpu`` or ``gpu``.
        cores: that a study may use.
        peak: from its data sheet, flop/s of float32.
        memory_rate: bytes a second from and to memory.
        memory: bytes.
        factor: how many times the reference device's calibrated seconds this one takes; 1 for a device calibrated itself.
        load: share of it that others use, 0 to 1.
        calibration: name of the calibration pack that was run on it, "" for none.
    """

    name: str
    kind: str
    cores: int
    peak: Quantity
    memory_rate: Quantity
    memory: Quantity
    factor: Quantity
    load: Quantity
    calibration: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A place that links join: the hub, a site, or a router between."""

    name: str
    kind: str  # hub, site, router
    region: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A line between two nodes; both directions apart.

    Attributes:
        there, back: bytes a second from `a` to `b`, and from `b` to `a`, as its transport sees them before headers.
        rtt: seconds of a round trip over the empty line.
        loss: share of packets lost.
        overhead: bytes that the line adds to every packet (a tunnel), beside IP and TCP.
        shared: whether all flows over it share `there` and `back` (a hub's line), or each has them for itself.
        burst: bytes that pass at once after a pause, as a token bucket lets them.
        queue: bytes that may wait before either direction; what comes beyond is dropped. None: unknown.
        drops: False where the sending machine itself shapes the line: its connections wait for their turn, and lose nothing.
    """

    name: str
    a: str
    b: str
    there: Quantity
    back: Quantity
    rtt: Quantity
    loss: Quantity
    overhead: Quantity
    shared: bool = True
    burst: Quantity = NO_BYTES
    queue: Quantity | None = None
    drops: bool = True


@dataclass(frozen=True, slots=True)
class MirrorSite:
    """A site: which institution, which device works, how many rows its card tells.

    Attributes:
        rows: rounded, from the card.
        falls_silent: probability that it does not answer a round.
    """

    name: str
    institution: str
    device: str
    rows: Quantity
    falls_silent: Quantity


@dataclass(frozen=True, slots=True)
class Mirror:
    """The federation.

    Attributes:
        hub: the node of the hub; hub_device: what adds up there.
        at: as of when, aware, UTC.
    """

    hub: str
    hub_device: str
    nodes: Mapping[str, Node]
    links: Mapping[str, Link]
    devices: Mapping[str, Device]
    sites: Mapping[str, MirrorSite]
    at: datetime
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise CallerError("The mirrored federation is contradictory.", problems)


Named = TypeVar("Named", Device, Link, MirrorSite, Node)


def mirrored(
    hub: str,
    hub_device: str,
    nodes: Iterable[Node],
    links: Iterable[Link],
    devices: Iterable[Device],
    sites: Iterable[MirrorSite],
    at: datetime,
    notes: tuple[str, ...] = (),
) -> Mirror:
    """A mirror of these, by name."""
    return Mirror(hub, hub_device, _named(nodes), _named(links), _named(devices), _named(sites), at, notes)


def _named(some: Iterable[Named]) -> Mapping[str, Named]:
    found: dict[str, Named] = {}
    twice = [one.name for one in some if found.setdefault(one.name, one) is not one]
    if twice:
        raise CallerError(
            "The mirrored federation is contradictory.", [Problem(name, "twice", "every name once") for name in twice]
        )
    return MappingProxyType(found)


def _problems(mirror: Mirror) -> Iterable[Problem]:
    if mirror.hub not in mirror.nodes:
        yield Problem("hub", mirror.hub, "a node of the mirror")
    if mirror.hub_device not in mirror.devices:
        yield Problem("hub_device", mirror.hub_device, "a device of the mirror")
    for link in mirror.links.values():
        for end in (link.a, link.b):
            if end not in mirror.nodes:
                yield Problem(f"link {link.name}", end, "a node of the mirror", "Name the node, or remove the link")
        for what, quantity, unit in (("there", link.there, "byte/s"), ("back", link.back, "byte/s"), ("rtt", link.rtt, "s")):
            if quantity.unit != unit:
                yield Problem(f"link {link.name}, {what}", quantity.unit, unit)
    for site in mirror.sites.values():
        if site.device not in mirror.devices:
            yield Problem(f"site {site.name}", f"device {site.device}", "a device of the mirror")
        if site.name not in mirror.nodes:
            yield Problem(f"site {site.name}", "no node of its name", "a node, and links that lead from it to the hub")
