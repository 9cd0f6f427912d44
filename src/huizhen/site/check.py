"""What is wrong at a site before its agent starts: configuration, keys, sources, methods; everything at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from huizhen import extension
from huizhen.data.deidentify.keyfile import load_secret
from huizhen.data.records import open_source
from huizhen.errors import HuizhenError, Problem, closest
from huizhen.federation.study import METHODS
from huizhen.ledger.keys import load_key
from huizhen.site.eventcounts import registry_of
from huizhen.site.folder import open_identity
from huizhen.site.settings import RegistrySection, Settings, read_settings

__all__ = ["check_site", "checked_settings"]

NETWORKS = "huizhen.networks"


def check_site(configuration: Path, keys: Iterable[Path]) -> tuple[Problem, ...]:
    """Everything that would keep an agent from its work; nothing where all is well. No row is read.

    Args:
        configuration: the site's TOML file.
        keys: files of private keys that the agent needs.
    """
    problems = [problem for path in keys for problem in _key(path)]
    try:
        settings = read_settings(configuration)
    except HuizhenError as error:
        return (*problems, *(error.problems or [Problem(str(configuration), error.message, "a site's configuration")]))
    return (*problems, *_named(configuration.parent, settings), *checked_settings(settings))


def checked_settings(settings: Settings) -> tuple[Problem, ...]:
    """What a valid configuration names that is not there: sources, methods, networks."""
    enabled, policy = settings.enabled, settings.policy
    sources = [problem for alias in settings.sources for problem in _source(settings, alias)]
    sources += [problem for alias in settings.connected for problem in _connected(settings, alias)]
    sources += list(_secret(settings))
    named = (
        ("enabled.methods", METHODS, enabled.methods),
        ("enabled.networks", NETWORKS, enabled.networks),
        ("policy.methods", METHODS, policy.methods),
        ("accept.methods", METHODS, settings.accept.methods),
        ("accept.at_once", METHODS, settings.accept.at_once),
    )
    missing = [
        problem for where, group, names in named if not isinstance(names, str) for problem in _installed(where, group, names)
    ]
    return (*sources, *missing)


def _named(root: Path, settings: Settings) -> Iterator[Problem]:
    """Whether the site calls itself as the hub admitted it, where it has joined one."""
    if not (root / "identity" / "hub.json").is_file():
        return
    try:
        name = open_identity(root).name
    except HuizhenError as error:
        yield from error.problems
        return
    if name != settings.site.name:
        yield Problem("site.name", repr(settings.site.name), f"{name!r}, as the hub admitted it")


def _key(path: Path) -> Iterator[Problem]:
    try:
        load_key(path)
    except HuizhenError as error:
        yield from error.problems


def _source(settings: Settings, alias: str) -> Iterator[Problem]:
    source = settings.sources[alias]
    try:
        if isinstance(source, RegistrySection) and not source.mapping:
            registry_of(settings.path_of(alias))
        else:
            open_source(settings.path_of(alias))
    except HuizhenError as error:
        for problem in error.problems:
            yield Problem(f"source.{alias}: {problem.where}", problem.found, problem.expected, problem.remedy)


def _connected(settings: Settings, alias: str) -> Iterator[Problem]:
    """A source of the registry that is a file or folder: whether it is there. Databases and servers are left in peace."""
    path = getattr(settings.connected[alias], "path", "")
    if path and not (settings.folder / path).exists():
        yield Problem(f"source.{alias}: {path}", "no such file or folder", "a source", "Look whether the disk is mounted")


def _secret(settings: Settings) -> Iterator[Problem]:
    """Whether the key for de-identification, where there is one yet, can be used."""
    path = settings.folder / settings.deidentify.key_file
    if settings.connected and not settings.deidentify.as_is and path.exists():
        try:
            load_secret(path)
        except HuizhenError as error:
            yield from error.problems


def _installed(where: str, group: str, names: Iterable[str]) -> Iterator[Problem]:
    known = extension.installed(group)
    for name in names:
        if name not in known:
            near = closest(name, known)
            yield Problem(where, repr(name), f"one of: {', '.join(known)}", f"Did you mean {near}?" if near else "")
