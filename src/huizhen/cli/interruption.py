"""Ctrl-C that is not lost: a library may swallow the exception when it comes while the library calls back."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interruption"]


class Interruption:
    """While it is entered, Ctrl-C raises as always and is also remembered; `heed` raises again what was swallowed."""

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Interruption:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else someone wants it ignored, or handles it
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def heed(self) -> None:
        """Called at every event of a run.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed and nobody has ended the run for it.
        """
        if self._asked:
            raise KeyboardInterrupt

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        raise KeyboardInterrupt
