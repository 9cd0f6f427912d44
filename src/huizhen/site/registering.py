"""What a site's sources hold, taken over into its registry; a source that fails keeps none of the others from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huizhen.clock import Clock
from huizhen.data.connectors.opening import changes
from huizhen.data.connectors.options import Options
from huizhen.data.deidentify.events import Treatment
from huizhen.data.deidentify.keyfile import create_secret, load_secret
from huizhen.data.deidentify.secret import Secret
from huizhen.data.events.schema import Changes, SyncReport
from huizhen.data.events.store import Registry
from huizhen.errors import CallerError, HuizhenError, Problem, SiteError
from huizhen.site.settings import REGISTRY, Settings

__all__ = ["REGISTRY", "Connected", "connected", "made_key", "sync"]


@dataclass(frozen=True, slots=True)
class Connected:
    """A source that is read into the registry.

    Attributes:
        synced: when its last sync ended, ISO 8601; "" where none did.
        events: in the registry.
        treated: what de-identification did to them since the source was last read whole, with its number.
    """

    alias: str
    kind: str
    about: str
    synced: str
    events: int
    treated: Mapping[str, int] = field(default_factory=dict)


def connected(settings: Settings, root: Path) -> tuple[Connected, ...]:
    """The sources of the registry, and what it holds of them. Exact, so for the site's own eyes only."""
    origins = Registry(root / REGISTRY).manifest.origins
    found = []
    for alias, options in settings.connected.items():
        origin = origins.get(alias)
        if origin is None:
            found.append(Connected(alias, options.kind, options.about, "", 0))
            continue
        rows = sum(segment.rows for segment in origin.segments)
        found.append(Connected(alias, options.kind, options.about, origin.synced, rows, dict(origin.treated)))
    return tuple(found)


def sync(settings: Settings, root: Path, aliases: Sequence[str], clock: Clock) -> Iterator[SyncReport | HuizhenError]:
    """Brings the registry up to date, source by source; all of them where none is named.

    Raises:
        CallerError: no source of the registry has such an alias.
        SiteError: the key for de-identification cannot be used, or is gone.
    """
    problems = [_unknown(settings, alias) for alias in aliases if alias not in settings.connected]
    if problems or not settings.connected:
        raise CallerError("There is no such source.", problems or [_unknown(settings, "")])
    registry = Registry(root / REGISTRY)
    made_key(settings, root)
    secret = None if settings.deidentify.as_is else load_secret(settings.key_path)
    for alias in aliases or settings.connected:
        options = settings.connected[alias]
        try:
            yield registry.sync(alias, _changes(settings, options, alias, registry, secret), now=clock.now())
        except HuizhenError as error:
            yield type(error)(error.message, [_of_source(alias, problem) for problem in error.problems])


def made_key(settings: Settings, root: Path) -> Path | None:
    """Makes the key where none is there and none is needed yet to know again what was read before; where it is then.

    Raises:
        SiteError: the key is gone by which the registry was made, or none can be written.
    """
    path = settings.key_path
    if settings.deidentify.as_is or not settings.connected or path.exists():
        return None
    held = [alias for alias, origin in Registry(root / REGISTRY).manifest.origins.items() if origin.agreed]
    if held:
        found = f"no such file, and sources that were de-identified by the key: {', '.join(held)}"
        remedy = "Bring the key back; with a new one (huizhen data key FILE) everything is read again under other pseudonyms"
        problem = Problem(str(path), found, "the key of this site", remedy)
        raise SiteError("The key for de-identification cannot be used.", [problem])
    create_secret(path)
    return path


def _changes(settings: Settings, options: Options, alias: str, registry: Registry, secret: Secret | None) -> Changes:
    """What a source delivers, de-identified as the configuration says."""
    if secret is None:
        return changes(options, settings.folder, registry.cursor(alias, options.digest))
    treatment = Treatment(settings.deidentify.plan(secret.mark), secret, alias)
    held = registry.cursor(alias, treatment.settings(options.digest))
    return treatment.changes(changes(options, settings.folder, treatment.opened(held)))


def _of_source(alias: str, problem: Problem) -> Problem:
    where = problem.where if problem.where.startswith("source.") else f"source.{alias}: {problem.where}"
    return Problem(where, problem.found, problem.expected, problem.remedy)


def _unknown(settings: Settings, alias: str) -> Problem:
    known = ", ".join(settings.connected)
    return Problem("source", alias[:64] or "no source with a kind", f"one of: {known}" if known else "a source with a kind")
