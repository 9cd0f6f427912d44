"""What Linux tells of its own machine in ``/proc``: parsed here, read by whoever samples it.

Formats: proc(5), of the Linux manual pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from huizhen.twin.warehouse.readings import Point, Series

__all__ = ["Snapshot", "snapshot", "used_between"]

SOURCE = "agent"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The machine at one moment.

    Attributes:
        busy, idle: clock ticks of all processors since it was started.
        memory, available: bytes.
        received, sent: bytes of all lines but the loopback, since it was started.
    """

    at: datetime
    busy: int
    idle: int
    memory: int
    available: int
    received: int
    sent: int


def snapshot(stat: str, meminfo: str, network: str, *, at: datetime) -> Snapshot:
    """The moment that the texts of ``/proc/stat``, ``/proc/meminfo`` and ``/proc/net/dev`` tell.

    Raises:
        ValueError: they are of another form.
    """
    ticks = [int(part) for part in stat.split("\n", 1)[0].split()[1:9]]  # user, nice, system, idle, iowait, irq, softirq, steal
    if not stat.startswith("cpu ") or len(ticks) < 8:
        raise ValueError("not the text of /proc/stat")
    idle = ticks[3] + ticks[4]
    sizes = {line.partition(":")[0]: line.partition(":")[2].split() for line in meminfo.splitlines()}
    if not {"MemTotal", "MemAvailable"} <= set(sizes):
        raise ValueError("not the text of /proc/meminfo")
    total, available = (int(sizes[name][0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    lines = [line.partition(":") for line in network.splitlines() if ":" in line]
    moved = [rest.split() for name, _, rest in lines if name.strip() != "lo"]
    return Snapshot(
        at, sum(ticks) - idle, idle, total, available, sum(int(one[0]) for one in moved), sum(int(one[8]) for one in moved)
    )


def used_between(first: Snapshot, then: Snapshot, *, site: str, device: str) -> tuple[Point, ...]:
    """What was used from one moment to a later one; nothing where the machine was started between them."""
    seconds = (then.at - first.at).total_seconds()
    ticks = then.busy + then.idle - first.busy - first.idle
    if seconds <= 0 or ticks <= 0 or min(then.busy - first.busy, then.received - first.received, then.sent - first.sent) < 0:
        return ()
    found = (
        ("cpu_load", "1", (then.busy - first.busy) / ticks),
        ("memory_used", "byte", float(then.memory - then.available)),
        ("memory_share", "1", (then.memory - then.available) / then.memory),
        ("bytes_in", "byte/s", (then.received - first.received) / seconds),
        ("bytes_out", "byte/s", (then.sent - first.sent) / seconds),
    )
    return tuple(Point(Series(site, device, metric, unit, SOURCE), then.at, value) for metric, unit, value in found)
