"""A run's events as structured lines: one JSON object a line, for operators and for whoever analyses runs later.

Lines hold names, steps, times and sizes; never a value that left a site, nor one that did not, nor one made of them: measures of a
roster that was given up would tell of the sites that left it.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog

from huizhen.errors import MachineError, Problem
from huizhen.federation.events import Event

__all__ = ["EventLog"]


class EventLog:
    """Appends events to a file; a run that is resumed goes on below what is there."""

    def __init__(self, path: Path, stack: ExitStack, *, run: str, study: str) -> None:
        try:
            file = stack.enter_context(path.open("a", encoding="utf-8"))
        except OSError as error:
            found = error.strerror or type(error).__name__
            raise MachineError("The event log cannot be written.", [Problem(str(path), found, "a writable file")]) from None
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
        self._log: Any = structlog.wrap_logger(structlog.WriteLogger(file), processors=[stamp, render], run=run, study=study)

    def watch(self, event: Event) -> None:
        """Write one event."""
        facts: dict[str, Any] = {"analysis": event.analysis, "round": event.round, "at_s": round(event.at_s, 6)}
        facts |= {name: value for name, value in (("site", event.site), ("step", event.step), ("detail", event.detail)) if value}
        if event.kind == "answered":
            facts |= {"cpu_s": round(event.cpu_s, 6), "bytes": sum(part.bytes for part in event.leaving)}
        if event.progress is not None:
            facts |= {"done": event.progress.done, "of": event.progress.of}
        if event.comparing is not None:
            facts |= {} if event.comparing.whose is None else {"whose": event.comparing.whose or "pooled"}
            facts |= {"place": event.comparing.place, "places": event.comparing.of}
        self._log.msg(event.kind, **facts)
