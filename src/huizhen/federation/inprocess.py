"""The in-process engine: every site is an object in this process, with a thread of its own.

A site answers one ask at a time. A site that is still busy with an earlier ask when the deadline comes is silent, and what it
then finishes is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from huizhen.errors import FederationError, Problem
from huizhen.federation.rounds import Ask, Failed, Reply, Silent

__all__ = ["InProcessEngine", "Respondent"]


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
        self._threads = {site: ThreadPoolExecutor(1, thread_name_prefix=f"site-{site}") for site in respondents}

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._respondents)

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Mapping[str, Reply]:
        if strangers := [site for site in asks if site not in self._respondents]:
            problem = Problem("roster", ", ".join(strangers), f"sites of this engine: {', '.join(self._respondents)}")
            raise FederationError("A site is asked that is not here.", [problem])
        futures = {site: self._threads[site].submit(self._respond, site, ask) for site, ask in asks.items()}
        wait(futures.values(), timeout=deadline_s)
        return {site: self._collect(future) for site, future in futures.items()}

    def close(self) -> None:
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    def _respond(self, site: str, ask: Ask) -> Reply:
        try:
            return self._respondents[site].respond(ask)
        except Exception as error:  # a site's failure is part of the round's result; its text may hold values
            return Failed(f"the site's program broke ({type(error).__name__})")

    @staticmethod
    def _collect(future: Future[Reply]) -> Reply:
        if future.done():
            return future.result()
        future.cancel()  # an ask that has not begun is not answered any more
        return Silent()
