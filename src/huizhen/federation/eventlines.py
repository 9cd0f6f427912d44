"""The newest events of each study as plain lines, for people who watch: names, steps, figures and sizes, never a value."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from huizhen.federation.events import Event
from huizhen.privacy.release import Progress

__all__ = ["EventLines", "event_from", "event_to"]

KEPT = 500  # lines of each study


@dataclass(slots=True)
class EventLines:
    """Lines by study, numbered from 0; safe to use from several threads."""

    _lines: dict[str, deque[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, study: str, event: Event) -> None:
        """One more."""
        with self._lock:
            lines = self._lines.setdefault(study, deque(maxlen=KEPT))
            lines.append((lines[-1][0] + 1 if lines else 0, event_to(event)))

    def since(self, study: str, number: int) -> list[list[Any]]:
        """The lines from a number on, as far as they are kept: number and line."""
        with self._lock:
            return [[place, line] for place, line in self._lines.get(study, ()) if place >= number]


def event_to(event: Event) -> dict[str, Any]:
    """An event as canonical values, without what left."""
    told: dict[str, Any] = {"kind": event.kind, "analysis": event.analysis, "round": event.round, "at_s": event.at_s}
    told |= {name: value for name, value in (("site", event.site), ("step", event.step), ("detail", event.detail)) if value}
    if event.progress is not None:
        told["progress"] = [event.progress.done, event.progress.of, dict(event.progress.measures)]
    return told


def event_from(told: dict[str, Any]) -> Event:
    """The event behind canonical values."""
    progress = told.get("progress")
    return Event(
        told["kind"],
        told["analysis"],
        told["round"],
        told["at_s"],
        site=told.get("site", ""),
        step=told.get("step", ""),
        detail=told.get("detail", ""),
        progress=None if progress is None else Progress(*progress),
    )
