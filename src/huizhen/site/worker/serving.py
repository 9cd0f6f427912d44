"""What a worker does with what it is told: opens the source, musters rows, answers; in one word each, and one at a time.

A failure is told by a code and a sentence without a patient's value. What an exception says, which may quote data, goes to the
worker's own output, from where the site's log takes it.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huizhen import extension
from huizhen.clock import process_seconds
from huizhen.data.deidentify.keyfile import load_secret
from huizhen.data.records import open_source
from huizhen.errors import HuizhenError, MachineError, Problem
from huizhen.federation.breaking import where_it_broke
from huizhen.federation.study import METHODS, Study
from huizhen.federation.workplace import Here, Workplace
from huizhen.privacy.release import EMPTY
from huizhen.site.eventcounts import cohorts_of
from huizhen.site.worker.events import Events, has_rows
from huizhen.site.worker.frames import Ended, Frame, NotAFrame, receive, send
from huizhen.site.worker.limits import Limits, allow_cpu
from huizhen.site.worker.ranks import DONE, Group, Ranks, RanksLost, computed_together
from huizhen.site.worker.seeing import seen
from huizhen.site.worker.speech import Order, answer_to, is_draw, question_from, taken

__all__ = ["NETWORKS", "Place", "serve", "warm"]

NETWORKS = "huizhen.networks"  # the entry-point group
MEMORY = "the site ran out of memory; a smaller batch, or a smaller network, needs less"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process stands: its network, its rank, and the file by which the ranks of a worker meet."""

    network: str
    rank: int
    meeting: str


def serve(number: int, limits: Limits, place: Place) -> None:
    """Answers whatever comes on a socket, until the other side hangs up."""
    line = socket.socket(fileno=number)
    threading.Thread(target=_end_with, args=(number,), daemon=True).start()
    team = Group(place.rank, limits.ranks, place.meeting, limits.answer_s) if limits.ranks > 1 else None
    others = Ranks(limits, place.network, place.meeting) if team is not None and place.rank == 0 else None
    worker = _Worker(limits, team, others)
    while True:
        try:
            frame = receive(line, most=limits.frame)
        except (Ended, NotAFrame):
            return
        allow_cpu(limits)
        _say(line, worker.hear(frame))


def warm(methods: Sequence[str]) -> None:
    """Loads methods before they are asked for; what cannot be loaded is said when it is."""
    extension.enable_only(METHODS, methods or extension.installed(METHODS))
    for name in methods:
        with suppress(HuizhenError, ImportError):
            extension.load(METHODS, name)


def _say(line: socket.socket, frame: Frame) -> None:
    try:
        send(line, frame)
    except Ended:
        os._exit(0)
    except TypeError:  # raised before a byte is sent
        traceback.print_exc()
        unfit = "the method's answer holds what cannot be sent; the site's operator can look into it"
        send(line, Frame("failed", {"code": "broke", "sentence": unfit, "turn": frame.body["turn"]}))


def _end_with(number: int) -> None:
    """Ends this process when the agent is gone, in the middle of an answer too: nobody waits for it."""
    gone = select.poll()
    gone.register(number, select.POLLRDHUP)
    gone.poll()
    os._exit(0)


class _Worker:
    """Rows, once they are opened, and what the agent knows to be kept here."""

    def __init__(self, limits: Limits, team: Group | None, others: Ranks | None) -> None:
        self._limits = limits
        self._team = team
        self._others = others
        self._here: Workplace | None = None
        self._held: tuple[str, Mapping[str, Any]] = ("", EMPTY)  # whose, and what the last answer left
        self._words: dict[str, Callable[[Mapping[str, Any]], Frame]] = {
            "look": self._look,
            "open": self._open,
            "muster": self._muster,
            "answer": self._answer,
        }

    def hear(self, frame: Frame) -> Frame:
        """What is said to a frame; never an exception."""
        said = self._said(frame)
        return Frame(said.kind, {**said.body, "turn": frame.body.get("turn")})

    def _said(self, frame: Frame) -> Frame:
        try:
            return self._words[frame.kind](frame.body)
        except RanksLost as error:
            return _failed("ended", str(error))
        except HuizhenError as error:
            return _failed("refused", str(error))
        except MemoryError:
            return _failed("memory", MEMORY)
        except Exception as error:  # its text may hold values: it stays at the site
            traceback.print_exc()
            if self._team is not None and self._others is None:
                os._exit(1)  # the others notice, and wait for it no longer
            if self._others is not None and not self._others.are_here():
                return _failed("ended", str(self._others.lost()))
            kind, place = type(error).__name__, where_it_broke(error)
            return _failed("broke", f"the site's program broke ({kind}{place}); the site's operator can look into it")

    def _look(self, body: Mapping[str, Any]) -> Frame:
        """What is here for a study that nobody has accepted yet."""
        order = Order.of(body)
        return Frame("looked", seen(_study(order), order.source, order.site))

    def _open(self, body: Mapping[str, Any]) -> Frame:
        order = Order.of(body)
        study = _study(order)
        if self._others is not None:
            self._others.tell(Frame("open", body))
        rows, here = 0, None
        if has_rows(study):
            examples = open_source(order.source, _opening(order.key)).read(order.variables, site=order.site)
            rows, here = examples.rows, Here(study, examples, secrets.token_bytes, team=self._team)
        self._here = Events(study, Path(order.source), here) if cohorts_of(study) else here
        if self._team is not None and self._others is None:
            return DONE
        if self._others is not None:
            self._others.hear(self._limits.open_s)
        return Frame("opened", {"rows": rows})

    def _muster(self, body: Mapping[str, Any]) -> Frame:
        (analysis,) = taken(body, analysis=str)
        return Frame("mustered", {"rows": self._rows.muster(analysis)})

    def _answer(self, body: Mapping[str, Any]) -> Frame:
        kinds: dict[str, Any] = {"kept": object, "counted": object}
        analysis, question, draw, course, kept, counted = taken(body, analysis=str, question=dict, draw=bytes, course=str, **kinds)
        if not is_draw(draw) or not (kept is None or isinstance(kept, dict)) or not (counted is None or type(counted) is int):
            raise ValueError
        if kept is None:  # what the last answer left is here
            whose, kept = self._held
            if whose != analysis:
                raise ValueError
        self._held = ("", EMPTY)
        asked = question_from(question)
        others = self._others if computed_together(asked) else None
        if others is not None:
            others.tell(Frame("answer", {**body, "kept": kept}))
        started_s = process_seconds()
        worked = self._rows.answer(analysis, asked, kept, draw=draw, course=course, counted=counted)
        if self._team is not None and self._others is None:
            return DONE
        if others is not None:
            others.hear(self._limits.answer_s)
        self._held = (analysis, worked.kept)
        return Frame(
            "answered",
            {
                "answer": answer_to(worked.answer),
                "kept": None if worked.kept is kept else worked.kept,
                "cpu_s": process_seconds() - started_s,
            },
        )

    @property
    def _rows(self) -> Workplace:
        if self._here is None:
            raise ValueError
        return self._here


def _study(order: Order) -> Study:
    """The study of an order; what is not enabled here is not even loaded.

    Raises:
        HuizhenError: it cannot run here, or is not the one that the order names.
    """
    extension.enable_only(METHODS, order.methods)
    extension.enable_only(NETWORKS, order.networks)
    _check_enabled(order)
    study = Study.parse(order.content)
    if study.digest != order.digest:
        problem = Problem("study", "another study than the site accepted", "the one with the accepted digest")
        raise MachineError("The worker was not started.", [problem])
    return study


def _check_enabled(order: Order) -> None:
    """Refuses a study with a method that this site has not enabled, before anything of it is loaded."""
    content = order.content.get("method")
    asked = list(content) if isinstance(content, Mapping) else []
    problems = [
        Problem(f"method.{name}", "a method that is not enabled here", f"one of: {', '.join(order.methods)}")
        for name in asked
        if name not in order.methods
    ]
    if problems:
        raise MachineError("This site does not run what the study asks for.", problems)


def _failed(code: str, sentence: str) -> Frame:
    return Frame("failed", {"code": code, "sentence": sentence})


def _opening(key: str) -> Callable[[str], Any] | None:
    """What opens the places of images; a site without a key has sealed none."""
    return load_secret(Path(key)).opened if key and Path(key).exists() else None
