"""What a play asks of the models of seconds, and plain models for those who have no better ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.twin.course import Use, Work
from huizhen.twin.mirror import Device, Mirror
from huizhen.twin.quantity import Quantity, assumed

__all__ = [
    "Array",
    "Computing",
    "Models",
    "OwnLines",
    "Protecting",
    "Transfers",
    "Way",
    "by_rates",
    "by_size",
    "own_lines",
    "plain_models",
]

Array = NDArray[np.float64]
Way = Literal["down", "up"]
RATE = 5e8  # bytes a second that a protection works through, for want of better


class Computing(Protocol):
    """Seconds of work on a device."""

    def __call__(self, work: Work, device: Device) -> Quantity: ...


class Protecting(Protocol):
    """Seconds of one use of a protection on a device; all its times together."""

    def __call__(self, use: Use, device: Device) -> Quantity: ...


class Transfers(Protocol):
    """Transfers between the hub and the sites of a roster, in many lanes at once; one lane does not touch another."""

    def together(self, way: Way, begins: Array, sizes: Array) -> Array:
        """When each transfer of a lane has come, all of them sharing the lines.

        Args:
            begins: seconds, (lane, site); infinite: there is none.
            sizes: bytes, (lane, site).

        Returns:
            Seconds, (lane, site); infinite where there is none. The same factor on all rates never makes one later.
        """

    def alone(self, way: Way, sizes: Array) -> Array:
        """Seconds that each would take if it were the only one, (lane, site)."""


@dataclass(frozen=True, slots=True)
class Models:
    """All that a play rests on beside course and mirror.

    Attributes:
        transfers: of a mirror and a roster.
        jitter: standard deviation of the logarithm of what a site takes from round to round.
    """

    compute: Computing
    protect: Protecting
    transfers: Callable[[Mirror, tuple[str, ...]], Transfers]
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class OwnLines:
    """Every site has its own line to the hub, and no two share anything: latency, then size over rate.

    Attributes:
        latency_s, down, up: (site,), one way; bytes a second.
    """

    latency_s: Array
    down: Array
    up: Array

    def together(self, way: Way, begins: Array, sizes: Array) -> Array:
        return begins + self.alone(way, sizes)

    def alone(self, way: Way, sizes: Array) -> Array:
        return self.latency_s + sizes / (self.down if way == "down" else self.up)


def own_lines(mirror: Mirror, roster: tuple[str, ...]) -> OwnLines:
    """The lines at the sites' own nodes, as if the rest of the network were wide enough."""
    ends: dict[str, tuple[float, float, float]] = {}
    for link in mirror.links.values():
        for node, down, up in ((link.a, link.back, link.there), (link.b, link.there, link.back)):
            ends.setdefault(node, (link.rtt.value / 2, down.value, up.value))
    told = np.array([ends[site] for site in roster])
    return OwnLines(told[:, 0], told[:, 1], told[:, 2])


def by_rates(work: Work, device: Device) -> Quantity:
    """The larger of operations over peak and bytes over memory rate."""
    seconds = max(work.flop / device.peak.value, work.moved / device.memory_rate.value) * device.factor.value
    return assumed(seconds / max(1.0 - device.load.value, 0.05), "s", "operations and bytes over the data sheet's rates")


def by_size(use: Use, device: Device) -> Quantity:
    """Bytes over a usual rate."""
    return assumed(use.length * use.times / RATE * device.factor.value, "s", "size over a usual rate")


def plain_models(rates: Mapping[str, float] | None = None, *, jitter: float = 0.0) -> Models:
    """Data-sheet rates and own lines.

    Args:
        rates: units of length a second by algorithm, where another than the usual one is known.
    """
    known = rates or {}

    def protect(use: Use, device: Device) -> Quantity:
        if use.algorithm not in known:
            return by_size(use, device)
        return assumed(use.length * use.times / known[use.algorithm] * device.factor.value, "s", "size over a known rate")

    return Models(by_rates, protect, own_lines, jitter)
