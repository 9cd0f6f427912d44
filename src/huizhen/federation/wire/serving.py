"""A site's end of the engine: asks that come over the post are answered, of each run one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from huizhen.errors import HuizhenError
from huizhen.federation.rounds import Ask, Failed, Reply
from huizhen.federation.wire.carried import ask_from, reply_to

__all__ = ["Serving"]


MOST_RUNS = 1000  # whose turns are kept


class Serving:
    """Answers the verb ``ask``.

    Args:
        respond: the site's reply to an ask; it should not raise.
        settle: called before a reply leaves; makes durable what it rests on.
    """

    def __init__(self, respond: Callable[[Ask], Reply], *, settle: Callable[[], None] | None = None) -> None:
        self._respond, self._settle = respond, settle
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}  # by run: a long answer in one study keeps no other waiting

    def __call__(self, peer: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        ask = ask_from(body)
        with self._turn(ask.run):
            return reply_to(self._settled(self._replied(ask)))

    def _turn(self, run: str) -> threading.Lock:
        with self._lock:
            while len(self._turns) >= MOST_RUNS:
                self._turns.pop(next(iter(self._turns)))
            return self._turns.setdefault(run, threading.Lock())

    def _replied(self, ask: Ask) -> Reply:
        try:
            return self._respond(ask)
        except Exception as error:  # a site's failure is part of the round's result; its text may hold values
            return Failed(f"the site's program broke ({type(error).__name__})")

    def _settled(self, reply: Reply) -> Reply:
        try:
            if self._settle is not None:
                self._settle()
        except HuizhenError as error:
            return Failed(f"{error.message} Nothing leaves.")
        return reply
