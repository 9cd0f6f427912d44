"""A site's end of the engine: asks that come over the post are answered, of each run one at a time.

The question of a sum in several stages is told once: the stages after the first name it. A site that does not know the name, for it
was started anew, says so, and is told it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from huizhen.errors import HuizhenError
from huizhen.federation.rounds import Ask, Failed, Reply
from huizhen.federation.wire.carried import UNTOLD, ask_from, name_in, reply_to
from huizhen.privacy.release import Question

__all__ = ["Serving"]


MOST_RUNS = 1000  # whose turns are kept


@dataclass(slots=True)
class _Turn:
    """Whose turn it is in a run, and the last question of it that has a name."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    told: tuple[str, Question | None] = ("", None)


class Serving:
    """Answers the verb ``ask``.

    Args:
        respond: the site's reply to an ask; it should not raise.
        settle: called before a reply leaves; makes durable what it rests on.
    """

    def __init__(self, respond: Callable[[Ask], Reply], *, settle: Callable[[], None] | None = None) -> None:
        self._respond, self._settle = respond, settle
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}  # by run: a long answer in one study keeps no other waiting

    def __call__(self, peer: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        name, is_name_only = name_in(body)
        turn = self._turn(str(body.get("run")))
        with turn.lock:
            kept = turn.told[1] if is_name_only and name and name == turn.told[0] else None
            if is_name_only and kept is None:
                return UNTOLD
            ask = ask_from(body, kept)
            turn.told = (name, ask.question) if name else ("", None)
            return reply_to(self._settled(self._replied(ask)))

    def _turn(self, run: str) -> _Turn:
        with self._lock:
            while len(self._turns) >= MOST_RUNS:
                self._turns.pop(next(iter(self._turns)))
            return self._turns.setdefault(run, _Turn())

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
