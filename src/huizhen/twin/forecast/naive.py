"""What the usual formula says: the largest of every site's bytes over its bandwidth plus operations over peak, round after round.

No round trip, no sharing, no handling, no doubt: it stands beside every forecast as what that has to be better than.
"""

from __future__ import annotations

from collections import deque

from huizhen.errors import CallerError, Problem
from huizhen.twin.course import Course, StageDemand
from huizhen.twin.mirror import Mirror

__all__ = ["check_reachable", "naive_seconds", "narrowest"]


def naive_seconds(course: Course, mirror: Mirror) -> float:
    """Seconds of the whole course."""
    rates = narrowest(mirror) if mirror.links else {}
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


def narrowest(mirror: Mirror) -> dict[str, tuple[float, float]]:
    """Bytes a second from the hub to each node that can be reached, and back, by the way with the fewest links."""
    found = {mirror.hub: (float("inf"), float("inf"))}
    ends: dict[str, list[tuple[str, float, float]]] = {}
    for link in mirror.links.values():
        ends.setdefault(link.a, []).append((link.b, link.there.value, link.back.value))
        ends.setdefault(link.b, []).append((link.a, link.back.value, link.there.value))
    waiting = deque([mirror.hub])
    while waiting:
        here = waiting.popleft()
        for other, away, back in ends.get(here, ()):
            if other not in found:
                found[other] = (min(found[here][0], away), min(found[here][1], back))
                waiting.append(other)
    return found


def check_reachable(mirror: Mirror, roster: tuple[str, ...]) -> None:
    """Every site of the roster is in the mirror, and links lead to it, and carry something.

    Raises:
        CallerError: all sites of which it is not so.
    """
    found = narrowest(mirror)
    problems = []
    for site in roster:
        if site not in mirror.sites:
            problems.append(Problem(f"site {site}", "a site that is not in the mirror", "a site of the mirrored federation"))
        elif site not in found:
            problems.append(Problem(f"site {site}", "no link that leads to the hub", "a path of links from the hub"))
        elif not min(found[site]) > 0:
            problems.append(Problem(f"site {site}", "a path of rate 0", "a path that carries something both ways"))
    if problems:
        raise CallerError("This federation is not declared whole.", problems)
