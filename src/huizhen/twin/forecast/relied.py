"""What a forecast relied on: every input with its interval, where it comes from, and how old it was."""

from __future__ import annotations

from datetime import datetime

from huizhen.twin.course import Course
from huizhen.twin.forecast.foreseen import Relied
from huizhen.twin.mirror import Mirror
from huizhen.twin.quantity import Quantity

__all__ = ["relied_on"]

MOST = 60  # inputs that are told
LINK = ("there", "back", "rtt", "loss")
DEVICE = ("factor", "load", "peak")


def relied_on(course: Course, mirror: Mirror, now: datetime) -> tuple[Relied, ...]:
    """The inputs, the least sure first."""
    used = {mirror.hub_device, *(mirror.sites[site].device for site in course.roster)}
    found: list[tuple[str, Quantity]] = []
    for name in sorted(used):
        found += [(f"device.{name}.{what}", getattr(mirror.devices[name], what)) for what in DEVICE]
    for link in mirror.links.values():
        found += [(f"link.{link.name}.{what}", getattr(link, what)) for what in LINK]
    for one in course.rounds:
        if one.times.low < one.times.high:
            found.append((f"times.{one.analysis}.{one.step}", one.times))
    found = _once(found)
    told = [Relied(name, value, None if value.at is None else max((now - value.at).total_seconds(), 0.0)) for name, value in found]
    return tuple(sorted(told, key=lambda one: -one.value.spread))[:MOST]


def _once(found: list[tuple[str, Quantity]]) -> list[tuple[str, Quantity]]:
    """Inputs that are alike in all but whose they are, once: ``link.*.rtt``."""
    alike: dict[tuple[str, str, Quantity], list[str]] = {}
    for name, value in found:
        alike.setdefault((name.split(".", 1)[0], name.rsplit(".", 1)[1], value), []).append(name)
    return [
        (names[0] if len(names) == 1 else f"{kind}.*.{what} ({len(names)})", value) for (kind, what, value), names in alike.items()
    ]
