"""How parts are found by name: our own and those of others enter by the same door, Python entry points.

Installed is not enabled: a program asks for the names that its configuration allows, and only those are imported.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from huizhen.errors import MachineError, Problem

__all__ = ["installed", "load"]


def installed(group: str) -> tuple[str, ...]:
    """Names that installed packages offer in an entry-point group, e.g. ``huizhen.methods``, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load(group: str, name: str) -> Any:
    """The object behind one name.

    Raises:
        MachineError: nothing, or more than one package, offers that name.
    """
    points = [point for point in entry_points(group=group) if point.name == name]
    if len(points) != 1:
        found = "no package" if not points else f"{len(points)} packages"
        expected = f"one of: {', '.join(installed(group))}"
        raise MachineError("A part is not to be had.", [Problem(f"{group}.{name}", found, expected)])
    return points[0].load()
