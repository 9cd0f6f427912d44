"""Small mirrored federations for tests of the twin's network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from huizhen.twin.mirror import Device, Link, Mirror, MirrorSite, Node, mirrored
from huizhen.twin.network.lines import Line, Route
from huizhen.twin.quantity import Quantity, assumed, declared, exactly

__all__ = ["NOW", "device", "hub_and_sites", "link", "mirror_of", "route", "site"]

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SOME_QUEUE = exactly(100_000, "byte")


def device() -> Device:
    rate, much = declared(1e11, "flop/s"), declared(1e10, "byte/s")
    return Device("d", "cpu", 2, rate, much, declared(8e9, "byte"), exactly(1, "1"), assumed(0.1, "1", "usual"))


def site(name: str) -> MirrorSite:
    return MirrorSite(name, name.title(), "d", declared(100, "count"), exactly(0, "1"))


def link(
    name: str,
    a: str,
    b: str,
    *,
    rtt: float = 0.02,
    there: Quantity | float = 2.5e6,
    back: Quantity | float = 2.5e6,
    loss: Quantity | None = None,
    burst: float = 0.0,
    queue: Quantity | None = SOME_QUEUE,
    drops: bool = True,
) -> Link:
    def rate(value: Quantity | float) -> Quantity:
        return value if isinstance(value, Quantity) else exactly(value, "byte/s")

    none = exactly(0, "1")
    ends = (rate(there), rate(back), exactly(rtt, "s"), loss or none, exactly(0, "byte"))
    return Link(name, a, b, *ends, burst=exactly(burst, "byte"), queue=queue, drops=drops)


def mirror_of(links: Sequence[Link], sites: Sequence[str]) -> Mirror:
    places = {end for one in links for end in (one.a, one.b)} - {"hub", *sites}
    nodes = [Node("hub", "hub"), *(Node(name, "router") for name in sorted(places)), *(Node(name, "site") for name in sites)]
    return mirrored("hub", "d", nodes, links, [device()], [site(name) for name in sites], NOW)


def hub_and_sites(rates: Sequence[float], rtts: Sequence[float], hub: float, *, drops: bool = True) -> Mirror:
    """Sites s0, s1 ... with lines of their own to a router, and one line from there to the hub."""
    names = [f"s{i}" for i in range(len(rates))]
    own = [
        link(f"own {name}", "gate", name, there=rate, back=rate, rtt=rtt)
        for name, rate, rtt in zip(names, rates, rtts, strict=True)
    ]
    return mirror_of([link("hub line", "hub", "gate", there=hub, back=hub, rtt=0.0, drops=drops), *own], names)


def route(rate: float, rtt: float, *, hub: float | None = None, place: int = 0, burst: float = 0.0, queue: float = 1e5) -> Route:
    """A site's own line, and the hub's behind it; what lies back is wide."""
    far = Line(f"own {place}", False, 1e15, rtt / 2, 1e9, 1500, 0, 0)
    own = Line(f"own {place}", True, rate, rtt / 2, queue, burst, 0, 0)
    if hub is None:
        return Route((own,), (far,))
    shared = Line("hub line", True, hub, 0.0, queue, 1500, 0, 0)
    return Route((own, shared), (Line("hub line", False, 1e15, 0.0, 1e9, 1500, 0, 0), far))
