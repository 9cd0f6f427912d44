"""The twin's network as a play wants it: all transfers of a stage over the sites' own lines and the one that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from huizhen.twin.mirror import Mirror
from huizhen.twin.network.framing import TLS_ADDS, TLS_RECORD, Framing
from huizhen.twin.network.lines import medians, states
from huizhen.twin.network.star import Star, star
from huizhen.twin.network.starlines import star_lines
from huizhen.twin.network.topology import hub_paths
from huizhen.twin.simulate.models import Array, Transfers, Way

__all__ = ["Lines", "shared_lines"]

WAYS: tuple[Way, Way] = ("down", "up")


@dataclass(frozen=True, slots=True)
class Lines:
    """A star in either direction."""

    down: Star
    up: Star
    framing: Framing

    def together(self, way: Way, begins: Array, sizes: Array) -> Array:
        takes_part = np.isfinite(begins)
        if not takes_part.any():
            return np.full_like(begins, np.inf)
        stream = np.where(takes_part, _stream(sizes), 0.0)
        ends = star(self._of(way), stream, np.where(takes_part, begins, 0.0), framing=self.framing)
        return np.where(takes_part, ends, np.inf)

    def alone(self, way: Way, sizes: Array) -> Array:
        here = self._of(way)
        lone = replace(here, rate=np.minimum(here.rate, here.hub_rate), hub_rate=np.inf)
        return star(lone, _stream(sizes), 0.0, framing=self.framing)

    def _of(self, way: Way) -> Star:
        return self.down if way == "down" else self.up


def shared_lines(mirror: Mirror, roster: tuple[str, ...]) -> Transfers:
    """The lines of a roster. Of lines that several sites share, those that begin at the hub count, and all others are wide enough;
    where those are several, too, each site has its narrowest line for itself.

    Raises:
        CallerError: a site without a path to the hub, or a link that carries nothing.
    """
    framing, paths = Framing(), hub_paths(mirror, roster)

    def ways(here: Mirror) -> tuple[Star | None, Star | None]:
        known = states(here, list(paths.values()), mirror.at)
        down, up = (star_lines(paths, way, known, medians(known), framing=framing) for way in WAYS)
        return down, up

    of_hub = {name for name, link in mirror.links.items() if mirror.hub in (link.a, link.b)}
    for sharing in (set(mirror.links), of_hub):
        down, up = ways(_shared_by(mirror, sharing))
        if down is not None and up is not None:
            return Lines(down, up, framing)
    down, up = ways(_shared_by(mirror, set()))
    assert down is not None
    assert up is not None
    return Lines(down, up, framing)


def _shared_by(mirror: Mirror, some: set[str]) -> Mirror:
    """The mirror in which no other lines than these are shared."""
    return replace(mirror, links={name: replace(one, shared=one.shared and name in some) for name, one in mirror.links.items()})


def _stream(sizes: Array) -> Array:
    """`Framing.stream` of many."""
    return np.asarray(sizes + np.ceil(sizes / TLS_RECORD) * TLS_ADDS)
