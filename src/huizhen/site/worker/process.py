"""The agent's side of a worker: starts it warm, asks it one thing at a time, ends it when it is late, and starts it anew.

A crash, a hang, a kill, too much memory or a worker that talks nonsense fails the answer that was asked for, by a code and a
sentence, and no other: the next question finds a fresh worker that has begun to read its rows.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from huizhen.clock import Clock, WallClock
from huizhen.federation.workplace import Unanswered, Worked
from huizhen.privacy.release import EMPTY, Question
from huizhen.site.worker.confine import Confinement
from huizhen.site.worker.frames import Ended, Frame, NotAFrame, receive, send
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.program import UNCONFINED
from huizhen.site.worker.ranks import LOST, RANK_LOST
from huizhen.site.worker.speech import Order, answer_from, question_to, taken
from huizhen.site.worker.started import REAP_S, Started, Starting

__all__ = ["CODES", "WorkerProcess"]

CODES = ("refused", "memory", "broke", "time", "processor", "ended", "nonsense", "network", "closed")
LONGEST = 4000  # characters of a worker's sentence that go on


class WorkerProcess:
    """A workplace in a process of its own.

    Args:
        order: study, source, and what is enabled.
        limits: of the process and of each answer.
        network: ``none``: the worker has no network, and does not start where the kernel cannot take it away; ``open``: it has.
        log: file for what the worker says; it stays at the site.
        starting: in place of limits, network and log: how workers are started, and one that waits.
    """

    def __init__(
        self,
        order: Order,
        *,
        limits: Limits | None = None,
        network: Confinement = "none",
        log: Path | None = None,
        clock: Clock | None = None,
        starting: Starting | None = None,
    ) -> None:
        assert starting is not None or log is not None
        self._order = order
        self._starting = starting or Starting(limits or Limits(), network, log or Path())
        self._limits = self._starting.limits
        self._clock = clock or WallClock()
        self._turn = threading.Lock()  # one answer at a time
        self._running: Started | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process, where one runs."""
        running = self._running
        return None if running is None else running.child.pid

    def start(self) -> None:
        """Starts the worker and lets it read its rows, without waiting for it.

        Raises:
            Unanswered: it cannot be started.
        """
        with self._turn:
            self._started()

    def open(self) -> int:
        """Waits until the worker holds its rows: how many the source has, for the site's own eyes.

        Raises:
            Unanswered: it cannot hold them, and why.
        """
        with self._turn:
            return self._opened().opened or 0

    def look(self) -> Mapping[str, Any]:
        """In place of opening: how the source would be read, and how many rows take part; of a worker that was not started yet.

        Raises:
            Unanswered: it cannot be looked at, and why.
        """
        with self._turn:
            running = self._started("look")
            reads, rows = self._heard(running, "looked", self._limits.open_s, reads=dict, rows=int)
            self._running = None
            self._starting.give_back(running)
            return {"reads": reads, "rows": int(rows)}

    def muster(self, analysis: str) -> int:
        with self._turn:
            (rows,) = self._asked(self._opened(), Frame("muster", {"analysis": analysis}), self._limits.answer_s, rows=int)
            if isinstance(rows, bool) or rows < 0:
                raise self._over(_nonsense())
            return int(rows)

    def answer(
        self, analysis: str, question: Question, kept: Mapping[str, Any], *, draw: bytes, course: str, counted: int | None = None
    ) -> Worked:
        with self._turn:
            running = self._opened()
            is_held = running.held[0] == analysis and running.held[1] is kept
            body = {
                "analysis": analysis,
                "question": question_to(question),
                "draw": draw,
                "course": course,
                "kept": None if is_held else kept,
                "counted": counted,
            }
            running.held = ("", EMPTY)
            kinds: dict[str, Any] = {"kept": object}
            frame = Frame("answer", body)
            said, seconds, after = self._asked(running, frame, self._limits.answer_s, answer=dict, cpu_s=float, **kinds)
            try:
                worked = Worked(
                    answer_from(said), kept if after is None else _mapping(after), seconds if 0 <= seconds < 1e9 else 0.0
                )
            except (ValueError, TypeError, KeyError, RecursionError):
                raise self._over(_nonsense()) from None
            running.held = (analysis, worked.kept)
            return worked

    def close(self) -> None:
        """Ends the worker, in the middle of an answer too; that answer then fails."""
        self._closed = True
        running, self._running = self._running, None
        if running is not None:
            running.end()

    def _started(self, first: Literal["open", "look"] = "open") -> Started:
        running = self._running
        if running is not None and running.opened is not None and running.child.ended() is not None:
            self._running = None  # it ended while nobody asked: no answer is lost by that
            running.end()
        if self._running is None:
            if self._closed:
                raise Unanswered("closed", "the worker was closed")
            running = self._running = self._starting.take()
            self._told(running, Frame(first, self._order.body()), self._limits.open_s)
        return self._running

    def _opened(self) -> Started:
        running = self._started()
        if running.opened is None:
            try:
                (running.opened,) = self._heard(running, "opened", self._limits.open_s, rows=int)
            except Unanswered:
                self._over(None, again=False)  # it would come to the same
                raise
        return running

    def _asked(self, running: Started, frame: Frame, within_s: float, **kinds: type) -> list[Any]:
        self._told(running, frame, within_s)
        return self._heard(running, _ANSWERS[frame.kind], within_s, **kinds)

    def _told(self, running: Started, frame: Frame, within_s: float) -> None:
        running.turn += 1
        until = self._clock.seconds() + within_s
        frame = Frame(frame.kind, {**frame.body, "turn": running.turn})
        try:
            send(running.line, frame, lambda: until - self._clock.seconds())
        except (TimeoutError, OSError) as error:
            raise self._over(self._why(running, error, within_s)) from None

    def _heard(self, running: Started, kind: str, within_s: float, **kinds: type) -> list[Any]:
        """What the worker says of the frame that it was told last; whatever is not that ends it."""
        until = self._clock.seconds() + within_s
        try:
            said = receive(running.line, most=self._limits.frame, left=lambda: until - self._clock.seconds())
            if said.body.get("turn") != running.turn or said.kind not in (kind, "failed"):
                raise NotAFrame
            if said.kind == kind:
                return taken(said.body, **kinds)
            code, sentence = taken(said.body, code=str, sentence=str)
        except (TimeoutError, OSError, ValueError) as error:
            raise self._over(self._why(running, error, within_s)) from None
        failure = Unanswered(code if code in CODES else "broke", sentence[:LONGEST])
        if code in ("memory", "ended") or (self._limits.ranks > 1 and kind == "answered"):
            self._over(failure)  # what could not be had is let go of with the process; ranks may still wait for each other
        raise failure

    def _over(self, failure: Unanswered | None, *, again: bool = True) -> Unanswered:
        """Ends the worker, and has the next begin to read its rows."""
        running, self._running = self._running, None
        if running is not None:
            running.end()
        if again and not self._closed and running is not None and running.opened is not None:
            try:
                self._started()
            except Unanswered:
                self._running = None
        return failure or _nonsense()

    def _why(self, running: Started, error: Exception, within_s: float) -> Unanswered:
        """Why there is no answer, in words that hold no data."""
        if self._closed:
            return Unanswered("closed", "the worker was closed")
        if isinstance(error, TimeoutError):
            return Unanswered("time", f"no answer within {within_s:g} s, which is this site's limit")
        if not isinstance(error, Ended | OSError):
            return _nonsense()
        status = running.child.ended(REAP_S)
        if status == UNCONFINED:
            remedy = "Set network = 'open' for the worker where that is meant"
            return Unanswered("network", f"the network cannot be taken away from the worker on this machine. {remedy}")
        if status == RANK_LOST:
            return Unanswered("ended", LOST)
        if status == -signal.SIGXCPU:
            return Unanswered("processor", f"more than {self._limits.cpu_s} s of processor time, which is this site's limit")
        if status is not None and status < 0:
            return Unanswered("ended", f"the worker was ended by {_name(-status)}; the next question starts it anew")
        return Unanswered("ended", "the worker ended in the middle of an answer; the next question starts it anew")


_ANSWERS = {"muster": "mustered", "answer": "answered"}


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _nonsense() -> Unanswered:
    return Unanswered("nonsense", "what the worker sent is no answer to what it was asked")


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value
