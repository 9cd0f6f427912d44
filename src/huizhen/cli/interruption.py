"""Ctrl-C that ends a run between two rounds, so that what was computed is kept; pressed twice it ends at once.

It is never lost: a library may swallow the exception when it comes while the library calls back, and the next event raises again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from huizhen.federation.events import Event

__all__ = ["Interruption"]

BETWEEN_ROUNDS = ("reading", "mustered", "resumed", "folded", "restarted", "finished", "comparing", "compared")


class Interruption:
    """While it is entered, Ctrl-C within a round waits for its end, and anywhere else raises as always.

    Args:
        waiting: is called when Ctrl-C was heard and the round is still to end; to tell the person who pressed it.
    """

    def __init__(self, waiting: Callable[[], None] = lambda: None) -> None:
        self._waiting = waiting
        self._in_round = False
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Interruption:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else someone wants it ignored, or handles it
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def heed(self, event: Event) -> None:
        """Called at every event of a run, after it was shown.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, and this event ends a round.
        """
        self._in_round = event.kind not in BETWEEN_ROUNDS
        if self._asked and not self._in_round:
            raise KeyboardInterrupt

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        again, self._asked = self._asked, True
        if again or not self._in_round:
            raise KeyboardInterrupt
        self._waiting()
