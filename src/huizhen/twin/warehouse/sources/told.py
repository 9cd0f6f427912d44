"""What reading a source yields: points, and the lines that could not be read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from huizhen.errors import DataError, Problem
from huizhen.twin.warehouse.readings import Point

__all__ = ["Told", "Unread", "json_of", "number", "refused"]


@dataclass(frozen=True, slots=True)
class Unread:
    """A line or entry that could not be read, and why; never what stands there."""

    place: int
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a source tells."""

    points: tuple[Point, ...]
    unread: tuple[Unread, ...] = ()


def json_of(text: str, what: str) -> Any:
    """The value that a text of JSON holds.

    Raises:
        DataError: it holds none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise refused([Problem(what, "a text that is not JSON", f"{what} in JSON")]) from None


def number(found: Any) -> float | None:
    """A number, or None for anything else."""
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def refused(problems: Iterable[Problem]) -> DataError:
    return DataError("The measurements cannot be read.", list(problems))
