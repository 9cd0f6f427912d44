"""Paths over the mirrored federation: the fastest by round trip, others beside it, and all of them from the hub at once.

A path is links with their direction. What stands on a path (rates, delays) is read in `huizhen.twin.network.lines`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from huizhen.errors import CallerError, Problem, closest
from huizhen.twin.mirror import Link, Mirror

__all__ = ["Hop", "Path", "alternatives", "hub_paths", "path"]

Ways = Mapping[str, Sequence[tuple[float, str, "Hop"]]]  # from a node: seconds, the next node, the link and its direction


@dataclass(frozen=True, slots=True)
class Hop:
    """A link, from its `a` to its `b` (forward) or back."""

    link: str
    forward: bool


@dataclass(frozen=True, slots=True)
class Path:
    """Links one after another; none where source and target are one node."""

    source: str
    target: str
    hops: tuple[Hop, ...]

    @property
    def reverse(self) -> Path:
        """The same links the other way."""
        return Path(self.target, self.source, tuple(Hop(one.link, not one.forward) for one in reversed(self.hops)))

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


def path(mirror: Mirror, source: str, target: str) -> Path:
    """The path with the shortest round trip; of equals the one with fewer links, then by the links' names.

    Raises:
        CallerError: source or target is no node, or no link leads from one to the other.
    """
    _known(mirror, (source, target))
    hops = _fastest(_ways(mirror), source, target)
    if hops is None:
        raise CallerError("The mirrored federation has no path.", [_unreached(target, source)])
    return Path(source, target, hops)


def alternatives(mirror: Mirror, source: str, target: str, *, most: int) -> tuple[Path, ...]:
    """Up to `most` paths without a circle, the fastest first (Yen, Management Science 17 (1971) 712-716)."""
    found, ways = [path(mirror, source, target)], _ways(mirror)
    waiting: list[tuple[float, int, tuple[str, ...], tuple[Hop, ...]]] = []
    while len(found) < most:
        for hops in _deviations(mirror, ways, [one.hops for one in found], source, target):
            entry = (_seconds(mirror, hops), len(hops), tuple(hop.link for hop in hops), hops)
            if entry not in waiting:
                heapq.heappush(waiting, entry)
        known = {one.hops for one in found}
        while waiting and waiting[0][-1] in known:
            heapq.heappop(waiting)
        if not waiting:
            break
        found.append(Path(source, target, heapq.heappop(waiting)[-1]))
    return tuple(found)


def hub_paths(mirror: Mirror, sites: Sequence[str] | None = None) -> Mapping[str, Path]:
    """From the hub to every site (all of the mirror's, if none are named).

    Raises:
        CallerError: naming every site that is unknown, or that no link leads to.
    """
    names = tuple(mirror.sites) if sites is None else tuple(sites)
    _known(mirror, names)
    came = _tree(_ways(mirror), mirror.hub)
    lost = [_unreached(name, mirror.hub) for name in names if name not in came]
    if lost:
        raise CallerError("The mirrored federation has no path.", lost)
    return {name: Path(mirror.hub, name, _back_to_source(came, name)) for name in names}


def _unreached(name: str, source: str) -> Problem:
    return Problem(name, "no path", f"links that lead from {source} to it", "Name its link in the mirrored federation")


def _known(mirror: Mirror, names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in mirror.nodes]
    if unknown:
        near = {name: closest(name, tuple(mirror.nodes)) for name in unknown}
        raise CallerError(
            "A place is not in the mirrored federation.",
            [Problem(name, "no node of its name", near[name] or "a node of the mirror") for name in unknown],
        )


def _ways(mirror: Mirror) -> Ways:
    ways: dict[str, list[tuple[float, str, Hop]]] = {name: [] for name in mirror.nodes}
    for link in mirror.links.values():
        ways[link.a].append((link.rtt.value, link.b, Hop(link.name, True)))
        ways[link.b].append((link.rtt.value, link.a, Hop(link.name, False)))
    return ways


Came = Mapping[str, tuple[str, Hop] | None]


def _tree(ways: Ways, source: str, *, shut: frozenset[str] = frozenset(), without: frozenset[Hop] = frozenset()) -> Came:
    """Dijkstra's shortest paths: every node that is reached, and from where."""
    came: dict[str, tuple[str, Hop] | None] = {}
    queue: list[tuple[float, int, str, str, str, bool]] = [(0.0, 0, "", source, "", True)]
    while queue:
        seconds, hops, link, node, before, forward = heapq.heappop(queue)
        if node in came:
            continue
        came[node] = (before, Hop(link, forward)) if link else None
        for more, following, hop in ways[node]:
            if following not in came and following not in shut and hop not in without:
                heapq.heappush(queue, (seconds + more, hops + 1, hop.link, following, node, hop.forward))
    return came


def _back_to_source(came: Came, target: str) -> tuple[Hop, ...]:
    hops: list[Hop] = []
    while (step := came[target]) is not None:
        target, hop = step
        hops.append(hop)
    return tuple(reversed(hops))


def _fastest(
    ways: Ways, source: str, target: str, *, shut: frozenset[str] = frozenset(), without: frozenset[Hop] = frozenset()
) -> tuple[Hop, ...] | None:
    came = _tree(ways, source, shut=shut, without=without)
    return _back_to_source(came, target) if target in came else None


def _deviations(
    mirror: Mirror, ways: Ways, found: Sequence[tuple[Hop, ...]], source: str, target: str
) -> Iterator[tuple[Hop, ...]]:
    """Paths that leave the last one found at each of its nodes, by a link that no path found takes from there."""
    last = found[-1]
    nodes = [source]
    for hop in last:
        nodes.append(_far(mirror.links[hop.link], hop))
    for i in range(len(last)):
        taken = frozenset(one[i] for one in found if one[:i] == last[:i] and len(one) > i)
        rest = _fastest(ways, nodes[i], target, shut=frozenset(nodes[:i]), without=taken)
        if rest is not None:
            yield last[:i] + rest


def _far(link: Link, hop: Hop) -> str:
    return link.b if hop.forward else link.a


def _seconds(mirror: Mirror, hops: Sequence[Hop]) -> float:
    return sum(mirror.links[hop.link].rtt.value for hop in hops)
