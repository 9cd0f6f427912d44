"""A path in numbers: each of its lines as one direction of a link, with rate, delay, queue, burst, loss and overhead.

Quantities are aged first, so what is old is doubted; `Condition` draws one of the states that a link may be in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from huizhen.errors import CallerError, Problem
from huizhen.twin.mirror import Link, Mirror
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.topology import Path
from huizhen.twin.quantity import PROVENANCES, Provenance, Quantity, aged, assumed

__all__ = ["Line", "Route", "States", "drawn", "medians", "routed", "spread_draws", "states", "weakest"]

DOUBLES_S = 30 * 86_400.0  # a link's rate of a month ago is twice as doubtful
LEAST_QUEUE = 65_536.0  # bytes; a usual queue holds what is under way, and not less than this
FROM_WEAK = ("assumed", "declared", "fitted", "measured")
PARTS = ("there", "back", "rtt", "loss", "overhead", "burst", "queue")
Z90 = 1.6448536269514722  # of the normal distribution: 90 % lie within


@dataclass(frozen=True, slots=True)
class Line:
    """One direction of a link.

    Attributes:
        rate: bytes a second on the wire, headers included; delay: seconds one way; queue, burst: bytes.
        loss: share of packets lost; overhead: bytes that it adds to each packet.
        shared: whether transfers share it. drops: whether its full queue drops packets; otherwise senders wait and take turns.
    """

    link: str
    forward: bool
    rate: float
    delay: float
    queue: float
    burst: float
    loss: float
    overhead: float
    shared: bool = True
    drops: bool = True

    @property
    def way(self) -> tuple[str, bool]:
        return self.link, self.forward

    def goodput(self, framing: Framing) -> float:
        """Bytes of a stream a second."""
        return self.rate / framing.per_byte(self.overhead)

    def storing(self, framing: Framing) -> float:
        """Seconds in which a packet is read in before it goes on; none where a bucket lets it pass at once."""
        return 0.0 if self.burst >= framing.mtu else (framing.mtu + self.overhead) / self.rate


@dataclass(frozen=True, slots=True)
class Route:
    """A path in numbers: lines ahead, and back for acknowledgements."""

    ahead: tuple[Line, ...]
    back: tuple[Line, ...]

    @property
    def rtt(self) -> float:
        return sum(line.delay for line in self.ahead + self.back)

    @property
    def delay(self) -> float:
        return sum(line.delay for line in self.ahead)

    @property
    def loss(self) -> float:
        return 1.0 - math.prod(1.0 - line.loss for line in self.ahead)

    def narrowest(self, framing: Framing) -> Line:
        return min(self.ahead, key=lambda line: (line.goodput(framing), line.link))


@dataclass(frozen=True, slots=True)
class States:
    """Links as they may be relied on now: aged quantities, by link and part."""

    links: Mapping[str, Link]
    relied_on: Mapping[str, Quantity]
    notes: tuple[str, ...]


def states(mirror: Mirror, paths: Iterable[Path], now: datetime, *, doubles_s: float = DOUBLES_S) -> States:
    """What the paths rely on, aged.

    Raises:
        CallerError: naming every link whose rate is 0, or whose loss is no share.
    """
    names = sorted({hop.link for one in paths for hop in one.hops})
    fresh, relied_on, notes, problems = {}, {}, [], []
    for name in names:
        link = _aged(mirror.links[name], now, doubles_s)
        if link.queue is None:
            link = replace(link, queue=_usual_queue(link))
            notes.append(f"The queue of link {name} is not known: assumed to hold what is under way on it.")
        fresh[name] = link
        for part in PARTS:
            relied_on[f"{name}.{part}"] = getattr(link, part)
        problems += [
            Problem(f"link {name}, {part}", "0 byte/s", "a rate above 0", "Remove the link, or give its rate")
            for part, rate in (("there", link.there), ("back", link.back))
            if rate.value <= 0
        ]
        if link.loss.value >= 1:
            problems.append(Problem(f"link {name}, loss", f"{link.loss.value:g}", "a share below 1"))
    if problems:
        raise CallerError("A link cannot carry anything.", problems)
    return States(fresh, relied_on, tuple(notes))


def medians(here: States) -> Mapping[tuple[str, str], float]:
    """The value of every part of every link."""
    return {(link.name, part): getattr(link, part).value for link in here.links.values() for part in PARTS}


def drawn(here: States, rng: np.random.Generator) -> Mapping[tuple[str, str], float]:
    """One state of every link, each part from its interval; the same generator gives the same."""
    values: dict[tuple[str, str], float] = {}
    for name in sorted(here.links):
        link = here.links[name]
        for part in PARTS:
            values[name, part] = float(spread_draws(getattr(link, part), rng.standard_normal(1))[0])
        values[name, "loss"] = min(values[name, "loss"], 0.99)
    return values


def spread_draws(quantity: Quantity, normal: np.ndarray) -> np.ndarray:
    """Values whose median and 5 and 95 % points are the quantity's, from standard normal numbers; log-normal on either side."""
    low = math.log(quantity.low / quantity.value) if quantity.low > 0 else -8.0
    high = math.log(quantity.high / quantity.value) if quantity.value > 0 else 0.0
    if quantity.value == 0:
        return np.asarray(np.maximum(normal, 0.0) * quantity.high / Z90)
    return np.asarray(quantity.value * np.exp(np.where(normal < 0, -low, high) * normal / Z90))


def routed(path: Path, here: States, values: Mapping[tuple[str, str], float]) -> Route:
    """The path in numbers, as of one state of its links."""
    ahead = tuple(_line(here.links[hop.link], hop.forward, values) for hop in path.hops)
    back = tuple(_line(here.links[hop.link], not hop.forward, values) for hop in reversed(path.hops))
    return Route(ahead, back)


def weakest(quantities: Iterable[Quantity]) -> Provenance:
    """The provenance that least may be relied on; ``fitted`` where nothing is relied on."""
    found = {one.provenance for one in quantities if one.spread > 1 or one.provenance == "assumed"} or {"fitted"}
    return next(one for one in PROVENANCES_FROM_WEAK if one in found)


PROVENANCES_FROM_WEAK: Sequence[Provenance] = sorted(PROVENANCES, key=FROM_WEAK.index)


def _aged(link: Link, now: datetime, doubles_s: float) -> Link:
    def old(one: Quantity) -> Quantity:
        return aged(one, now, doubles_s=doubles_s)

    return replace(
        link,
        there=old(link.there),
        back=old(link.back),
        rtt=old(link.rtt),
        loss=old(link.loss),
        overhead=old(link.overhead),
        burst=old(link.burst),
        queue=None if link.queue is None else old(link.queue),
    )


def _usual_queue(link: Link) -> Quantity:
    under_way = max(min(link.there.value, link.back.value) * link.rtt.value, LEAST_QUEUE)
    return assumed(under_way, "byte", "what is under way on the line")


def _line(link: Link, forward: bool, values: Mapping[tuple[str, str], float]) -> Line:
    name = link.name
    return Line(
        name,
        forward,
        values[name, "there" if forward else "back"],
        values[name, "rtt"] / 2,
        values[name, "queue"],
        values[name, "burst"],
        values[name, "loss"],
        values[name, "overhead"],
        link.shared,
        link.drops,
    )
