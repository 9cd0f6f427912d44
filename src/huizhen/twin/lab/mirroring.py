"""A configuration of the lab as a mirrored federation: what a forecaster is told of the lines and machines before they run."""

from __future__ import annotations

from datetime import datetime

from huizhen.twin.lab.forecasters import PEAK
from huizhen.twin.lab.layout import UNSHAPED
from huizhen.twin.lab.plan import Configuration, LabPlan, Line
from huizhen.twin.mirror import Device, Link, Mirror, MirrorSite, Node, mirrored
from huizhen.twin.quantity import Quantity, assumed, declared, exactly

__all__ = ["mirror_of"]

HUB, JUNCTION = "hub", "junction"  # all lines meet in the junction; the hub's leads on from there
RUNS_ON = "the plan of the lab"
MEMORY, MEMORY_RATE = 4e9, 1e10  # bytes, and bytes a second: of one core's share, for want of better


def mirror_of(plan: LabPlan, one: Configuration, at: datetime, *, quota_is_kept: bool = True) -> Mirror:
    """The mirror of a configuration.

    Args:
        quota_is_kept: whether the sites' quotas of the processor hold where the lab runs (`LabReport.notes`).
    """
    hub = plan.lines[one.hub] if one.hub else Line()
    nodes = [Node(HUB, "hub"), Node(JUNCTION, "router"), *(Node(site, "site") for site in one.sites)]
    links = [_link("line of the hub", JUNCTION, HUB, hub)]
    links += [_link(f"line of {site}", site, JUNCTION, plan.lines[one.lines[site]]) for site in one.sites]
    cores = one.cores if quota_is_kept else 0.0
    devices = [_device(HUB, 0.0), *(_device(site, cores) for site in one.sites)]
    sites = [
        MirrorSite(site, site, site, exactly(plan.sites[site].rows, "count", RUNS_ON), exactly(0.0, "1", RUNS_ON))
        for site in one.sites
    ]
    return mirrored(HUB, HUB, nodes, links, devices, sites, at)


def _link(name: str, near: str, far: str, line: Line) -> Link:
    there, back = (_rate(rate) for rate in (line.up, line.down))
    nothing = exactly(0.0, "byte", RUNS_ON)
    return Link(name, near, far, there, back, declared(line.rtt_s, "s", RUNS_ON), declared(line.loss, "1", RUNS_ON), nothing)


def _rate(rate: float) -> Quantity:
    return declared(rate or float(UNSHAPED), "byte/s", RUNS_ON)


def _device(name: str, cores: float) -> Device:
    """A quota is told as the factor by which it lengthens what takes longer than one period."""
    factor = declared(max(1.0 / cores, 1.0) if cores else 1.0, "1", RUNS_ON)
    peak, rate = assumed(PEAK, "flop/s", "a core of a server"), assumed(MEMORY_RATE, "byte/s", "a core of a server")
    memory, load = assumed(MEMORY, "byte", "a core of a server"), exactly(0.0, "1", RUNS_ON)
    return Device(name, "cpu", max(int(cores), 1), peak, rate, memory, factor, load)
