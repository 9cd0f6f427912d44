"""How parts are found by name: our own and those of others enter by the same door, Python entry points.

Installed is not enabled: a program asks for the names that its configuration allows, and only those are imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from huizhen.errors import MachineError, Problem

__all__ = ["enable_only", "installed", "load"]

_ENABLED: dict[str, frozenset[str]] = {}  # by group; a group that is not here is not limited


def enable_only(group: str, names: Iterable[str]) -> None:
    """From now on this process has no other names of a group than these; a second call can only take more away.

    For a program whose configuration names what may run in it, before anything is asked of it.
    """
    _ENABLED[group] = frozenset(names) & _ENABLED.get(group, frozenset(names))


def installed(group: str) -> tuple[str, ...]:
    """Names that installed packages offer in an entry-point group, e.g. ``huizhen.methods``, and that are enabled; sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group) if _is_enabled(group, point.name)}))


def load(group: str, name: str) -> Any:
    """The object behind one name.

    Raises:
        MachineError: nothing, or more than one package, offers that name, or it is not enabled.
    """
    if not _is_enabled(group, name):
        expected = f"one of: {', '.join(installed(group))}"
        problem = Problem(f"{group}.{name}", "a name that is not enabled here", expected, "Enable it in this site's configuration")
        raise MachineError("A part is not to be had.", [problem])
    points = [point for point in entry_points(group=group) if point.name == name]
    if len(points) != 1:
        found = "no package" if not points else f"{len(points)} packages"
        expected = f"one of: {', '.join(installed(group))}"
        raise MachineError("A part is not to be had.", [Problem(f"{group}.{name}", found, expected)])
    return points[0].load()


def _is_enabled(group: str, name: str) -> bool:
    return group not in _ENABLED or name in _ENABLED[group]
