"""A mirrored federation of which nobody declared anything: every site a machine like this one, on a usual line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from huizhen.twin.mirror import Device, Link, Mirror, MirrorSite, Node, mirrored
from huizhen.twin.quantity import Quantity, assumed, declared, exactly

__all__ = ["usual_mirror"]

MBIT = 125_000.0
SITE_RATE, HUB_RATE, RTT_S = 100 * MBIT, 1000 * MBIT, 0.02
ASSUMED = "No mirror was given: every site is assumed to be a machine like this one on a line of 100 Mbit/s and 20 ms."


def usual_mirror(sites: Mapping[str, float], device: Device, at: datetime) -> Mirror:
    """Sites on lines of 100 Mbit/s to the internet, and a hub with ten times as much.

    Args:
        sites: rows by site.
    """
    nodes = [Node("hub", "hub"), Node("internet", "router"), *(Node(site, "site") for site in sites)]
    links = [_line("hub", "hub", "internet", HUB_RATE, 0.002), *(_line(site, "internet", site, SITE_RATE, RTT_S) for site in sites)]
    none = exactly(0.0, "1")
    there = [MirrorSite(site, site, device.name, declared(rows, "count", "its card"), none) for site, rows in sites.items()]
    return mirrored("hub", device.name, nodes, links, [device], there, at, (ASSUMED,))


def _line(name: str, a: str, b: str, rate: float, rtt: float) -> Link:
    def usual(value: float, unit: str, spread: float) -> Quantity:
        return assumed(value, unit, "a usual line", spread=spread)

    loss, overhead = exactly(0.0, "1"), exactly(0.0, "byte")
    return Link(name, a, b, usual(rate, "byte/s", 2.0), usual(rate, "byte/s", 2.0), usual(rtt, "s", 2.0), loss, overhead)
