"""What the usual formula says: the largest of every site's bytes over its bandwidth plus operations over peak, round after round.

No round trip, no sharing, no handling, no doubt: it stands beside every forecast as what that has to be better than.
"""

from __future__ import annotations

from huizhen.twin.course import Course, StageDemand
from huizhen.twin.mirror import Mirror
from huizhen.twin.network.topology import hub_paths

__all__ = ["naive_seconds", "narrowest"]


def naive_seconds(course: Course, mirror: Mirror) -> float:
    """Seconds of the whole course."""
    rates = narrowest(mirror, course.roster) if mirror.links else {}
    return sum(
        one.times.value
        * sum(max((_site(stage, site, mirror, rates) for site in course.roster), default=0.0) for stage in one.stages)
        for one in course.rounds
    )


def _site(stage: StageDemand, site: str, mirror: Mirror, rates: dict[str, tuple[float, float]]) -> float:
    device = mirror.devices[mirror.sites[site].device]
    work = stage.work[site].flop / device.peak.value if site in stage.work else 0.0
    if site not in rates:
        return work
    down, up = rates[site]
    return work + stage.down.get(site, 0) / down + stage.up.get(site, 0) / up


def narrowest(mirror: Mirror, roster: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Bytes a second from the hub to each site, and back, on the narrowest link of its path.

    Raises:
        CallerError: sites that are unknown, or that no link leads to.
    """
    found = {}
    for site, path in hub_paths(mirror, roster).items():
        ways = [(mirror.links[hop.link].there.value, mirror.links[hop.link].back.value, hop.forward) for hop in path.hops]
        down = min((there if forward else back for there, back, forward in ways), default=float("inf"))
        up = min((back if forward else there for there, back, forward in ways), default=float("inf"))
        found[site] = (down, up)
    return found
