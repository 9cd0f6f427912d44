"""A run's events as structured lines: one JSON object a line, for operators and for whoever analyses runs later.

Lines hold names, steps, times and sizes; never a value that left a site, nor one that did not, nor one made of them: measures of a
roster that was given up would tell of the sites that left it.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog

from huizhen.errors import MachineError, Problem
from huizhen.federation.events import Event

__all__ = ["EventLog"]


class EventLog:
    """Appends events to a file; a run that is resumed goes on below what is there.

    Raises:
        MachineError: the file cannot be written, here or in `watch`.
    """

    def __init__(self, path: Path, stack: ExitStack, *, run: str, study: str) -> None:
        self._path = path
        try:
            file = _Lines(path)
        except OSError as error:
            raise _unwritten(path, error) from None
        stack.callback(file.close)
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
        self._log: Any = structlog.wrap_logger(file, processors=[stamp, render], run=run, study=study)

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
        try:
            self._log.msg(event.kind, **facts)
        except OSError as error:
            raise _unwritten(self._path, error) from None


class _Lines:
    """A file's end, to which each line comes whole or not at all: a full disk leaves no half of one behind."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def msg(self, line: str) -> None:
        content, before = f"{line}\n".encode(), os.fstat(self._file).st_size
        if os.write(self._file, content) < len(content):
            os.ftruncate(self._file, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    info = msg  # by which name structlog calls it

    def close(self) -> None:
        os.close(self._file)


def _unwritten(path: Path, error: OSError) -> MachineError:
    found = error.strerror or type(error).__name__
    return MachineError("The event log cannot be written.", [Problem(str(path), found, "a writable file")])
