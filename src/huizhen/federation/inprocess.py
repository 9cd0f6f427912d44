"""The in-process engine: every site is an object in this process.

A round begins with one worker that goes from site to site: small questions are answered in less time than it takes to wake a
thread for each. When a site takes long, another worker takes the sites that are left, up to one for each processor core; when
sites hang, up to one for each site, so that none keeps another from answering. A site answers one ask at a time. A site that has
not replied at the deadline is silent, and what it then finishes is dropped.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Protocol

from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.rounds import Ask, Failed, Reply, Silent

__all__ = ["InProcessEngine", "Respondent"]

LONG_S = 0.01  # no reply for longer, and another worker helps: ten times what a small question and its ledger entry take
HANGING_S = 0.5  # no reply for longer, and there may be more workers than cores


class Respondent(Protocol):
    """A site, as an engine sees it."""

    site: str

    def respond(self, ask: Ask) -> Reply:
        """The site's reply; it should not raise."""


class InProcessEngine:
    """Carries asks by calling.

    Args:
        respondents: the sites.
        settle: called with each site that replied, before its reply is handed on; makes durable what the reply rests on.
    """

    name = "in-process"

    def __init__(self, respondents: Mapping[str, Respondent], *, settle: Callable[[str], None] | None = None) -> None:
        self._respondents = dict(respondents)
        self._settle = settle
        self._turns = {site: threading.Lock() for site in respondents}
        self._stages: SimpleQueue[_Stage | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)  # workers that wait for a stage
        self._workers: list[threading.Thread] = []

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._respondents)

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Iterator[tuple[str, Reply]]:
        if strangers := [site for site in asks if site not in self._respondents]:
            problem = Problem("roster", ", ".join(strangers), f"sites of this engine: {', '.join(self._respondents)}")
            raise FederationError("A site is asked that is not here.", [problem])
        stage = _Stage(asks, time.monotonic() + deadline_s)
        helpers, cores, seen, patience = 1, os.cpu_count() or 1, 0, LONG_S
        self._call_worker(stage)
        while not stage.wait(patience) and stage.left_s > 0:
            if stage.replied == seen and stage.waiting and helpers < len(asks):
                self._call_worker(stage)
                helpers += 1
                patience = LONG_S if helpers < cores else HANGING_S
            seen = stage.replied
        replies = stage.close()
        if self._settle is not None:
            replies = {site: self._settled(site, reply) for site, reply in replies.items()}
        return iter(replies.items())

    def _settled(self, site: str, reply: Reply) -> Reply:
        """All sites are settled together: one wait after another, and no work between that the wait would push out of the cache."""
        if self._settle is None or isinstance(reply, Silent):
            return reply
        try:
            self._settle(site)
        except HuizhenError as error:
            return Failed(f"{error.message} Nothing leaves.")
        return reply

    def close(self) -> None:
        for _ in self._workers:
            self._stages.put(None)
        self._workers = []

    def _call_worker(self, stage: _Stage) -> None:
        """Hands the stage to an idle worker; one that hangs at a site is not idle, so there may have to be a new one."""
        if not self._idle.acquire(blocking=False):
            # A daemon: a site that hangs for ever must not keep the program from ending.
            self._workers.append(threading.Thread(target=self._work, name=f"sites-{len(self._workers)}", daemon=True))
            self._workers[-1].start()
        self._stages.put(stage)

    def _work(self) -> None:
        while (stage := self._stages.get()) is not None:
            while (site := stage.next_site()) is not None:
                if self._turns[site].acquire(timeout=max(stage.left_s, 0)):
                    try:
                        stage.reply(site, self._respond(site, stage.asks[site]))
                    finally:
                        self._turns[site].release()
            self._idle.release()

    def _respond(self, site: str, ask: Ask) -> Reply:
        try:
            return self._respondents[site].respond(ask)
        except Exception as error:  # a site's failure is part of the round's result; its text may hold values
            return Failed(f"the site's program broke ({type(error).__name__})")


class _Stage:
    """One exchange: sites that wait for a worker, and the replies so far. After `close`, replies are dropped."""

    def __init__(self, asks: Mapping[str, Ask], ends_s: float) -> None:
        self.asks = asks
        self.waiting = deque(asks)
        self._ends_s = ends_s
        self._finished: SimpleQueue[None] = SimpleQueue()
        self._replies: dict[str, Reply] = {}

    @property
    def left_s(self) -> float:
        return self._ends_s - time.monotonic()

    @property
    def replied(self) -> int:
        return len(self._replies)

    def wait(self, patience_s: float) -> bool:
        """Whether all replies are in, at the latest when patience or the deadline ends."""
        if not self.asks:
            return True
        try:
            self._finished.get(timeout=max(min(patience_s, self.left_s), 0))
        except Empty:
            return False
        return True

    def next_site(self) -> str | None:
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def reply(self, site: str, reply: Reply) -> None:
        self._replies[site] = reply
        if len(self._replies) == len(self.asks):
            self._finished.put(None)

    def close(self) -> dict[str, Reply]:
        """What came in time; sites that no worker has taken yet are not asked any more."""
        self.waiting.clear()
        replies = dict(self._replies)
        return {site: replies.get(site, Silent()) for site in self.asks}
