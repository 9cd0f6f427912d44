"""The in-process engine: every site is an object in this process.

A round begins with one worker that goes from site to site: small questions are answered in less time than it takes to wake a
thread for each. When a site takes long, more workers take the sites that are left, up to one for each processor core; when sites
hang, up to one for each site, so that none keeps another from answering. A site answers one ask at a time. A site that has not
replied at the deadline is silent, and what it then finishes is dropped.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from huizhen.errors import FederationError, Problem
from huizhen.federation.rounds import Ask, Failed, Reply, Silent

__all__ = ["InProcessEngine", "Respondent"]

LONG_S = 0.005  # a worker busy for longer gets help: five times what a small question takes at five sites
HANGING_S = 0.5  # all workers busy for longer, and there may be more of them than cores


class Respondent(Protocol):
    """A site, as an engine sees it."""

    site: str

    def respond(self, ask: Ask) -> Reply:
        """The site's reply; it should not raise."""


class InProcessEngine:
    """Carries asks by calling."""

    name = "in-process"

    def __init__(self, respondents: Mapping[str, Respondent]) -> None:
        self._respondents = dict(respondents)
        self._turns = {site: threading.Lock() for site in respondents}
        # A site that hangs keeps one worker, and one more may wait for its turn until the deadline.
        self._workers = ThreadPoolExecutor(2 * len(self._respondents) + 1, thread_name_prefix="sites")

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._respondents)

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Mapping[str, Reply]:
        if strangers := [site for site in asks if site not in self._respondents]:
            problem = Problem("roster", ", ".join(strangers), f"sites of this engine: {', '.join(self._respondents)}")
            raise FederationError("A site is asked that is not here.", [problem])
        stage = _Stage(asks, time.monotonic() + deadline_s)
        self._workers.submit(self._work, stage)
        helpers, cores, patience = 1, os.cpu_count() or 1, LONG_S
        while not stage.finished.wait(min(patience, stage.left_s)) and stage.left_s > 0:
            patience = LONG_S if helpers < cores else HANGING_S
            if stage.waiting and helpers < len(asks):
                self._workers.submit(self._work, stage)
                helpers += 1
        return stage.close()

    def close(self) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _work(self, stage: _Stage) -> None:
        while (site := stage.next_site()) is not None:
            if self._turns[site].acquire(timeout=max(stage.left_s, 0)):
                try:
                    stage.reply(site, self._respond(site, stage.asks[site]))
                finally:
                    self._turns[site].release()

    def _respond(self, site: str, ask: Ask) -> Reply:
        try:
            return self._respondents[site].respond(ask)
        except Exception as error:  # a site's failure is part of the round's result; its text may hold values
            return Failed(f"the site's program broke ({type(error).__name__})")


class _Stage:
    """One exchange: sites that wait for a worker, and the replies so far. After `close`, replies are dropped."""

    def __init__(self, asks: Mapping[str, Ask], deadline_s: float) -> None:
        self.asks = asks
        self.waiting = deque(asks)
        self.finished = threading.Event()
        self._deadline_s = deadline_s
        self._replies: dict[str, Reply] = {}
        if not asks:
            self.finished.set()

    @property
    def left_s(self) -> float:
        return self._deadline_s - time.monotonic()

    def next_site(self) -> str | None:
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def reply(self, site: str, reply: Reply) -> None:
        self._replies[site] = reply
        if len(self._replies) == len(self.asks):
            self.finished.set()

    def close(self) -> dict[str, Reply]:
        """What came in time; sites that no worker has taken yet are not asked any more."""
        self.waiting.clear()
        replies = dict(self._replies)
        return {site: replies.get(site, Silent()) for site in self.asks}
