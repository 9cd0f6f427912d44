"""What a site's sources hold, taken over into its registry; a source that fails keeps none of the others from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from huizhen.clock import Clock
from huizhen.data.connectors.opening import changes
from huizhen.data.events.schema import SyncReport
from huizhen.data.events.store import Registry
from huizhen.errors import CallerError, HuizhenError, Problem
from huizhen.site.settings import REGISTRY, Settings

__all__ = ["REGISTRY", "Connected", "connected", "sync"]


@dataclass(frozen=True, slots=True)
class Connected:
    """A source that is read into the registry.

    Attributes:
        synced: when its last sync ended, ISO 8601; "" where none did.
        events: in the registry.
    """

    alias: str
    kind: str
    about: str
    synced: str
    events: int


def connected(settings: Settings, root: Path) -> tuple[Connected, ...]:
    """The sources of the registry, and what it holds of them. Exact, so for the site's own eyes only."""
    origins = Registry(root / REGISTRY).manifest.origins
    found = []
    for alias, options in settings.connected.items():
        origin = origins.get(alias)
        synced, rows = ("", 0) if origin is None else (origin.synced, sum(segment.rows for segment in origin.segments))
        found.append(Connected(alias, options.kind, options.about, synced, rows))
    return tuple(found)


def sync(settings: Settings, root: Path, aliases: Sequence[str], clock: Clock) -> Iterator[SyncReport | HuizhenError]:
    """Brings the registry up to date, source by source; all of them where none is named.

    Raises:
        CallerError: no source of the registry has such an alias.
    """
    problems = [_unknown(settings, alias) for alias in aliases if alias not in settings.connected]
    if problems or not settings.connected:
        raise CallerError("There is no such source.", problems or [_unknown(settings, "")])
    registry = Registry(root / REGISTRY)
    for alias in aliases or settings.connected:
        options = settings.connected[alias]
        try:
            found = changes(options, settings.folder, registry.cursor(alias, options.digest))
            yield registry.sync(alias, found, now=clock.now())
        except HuizhenError as error:
            yield type(error)(error.message, [_of_source(alias, problem) for problem in error.problems])


def _of_source(alias: str, problem: Problem) -> Problem:
    where = problem.where if problem.where.startswith("source.") else f"source.{alias}: {problem.where}"
    return Problem(where, problem.found, problem.expected, problem.remedy)


def _unknown(settings: Settings, alias: str) -> Problem:
    known = ", ".join(settings.connected)
    return Problem("source", alias[:64] or "no source with a kind", f"one of: {known}" if known else "a source with a kind")
