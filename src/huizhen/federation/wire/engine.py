"""The engine across hospitals: asks go out to all sites at once; replies are taken one site after the other, as they were asked.

A large reply is announced, stays at its site and is pulled when its turn comes, while the one before it is added up: the hub holds
two of them at most, however many sites there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from typing import Any

from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.rounds import Ask, Failed, Reply, Silent
from huizhen.federation.wire.carried import ask_to, reply_from
from huizhen.federation.wire.loop import Loop
from huizhen.federation.wire.post import Arrived, NoReply, Post

__all__ = ["WireEngine"]

LOOK_S = 0.2  # how often it is looked whether a site that is waited for is gone


class _Gone(Exception):
    """A site is not waited for any more."""


class WireEngine:
    """Carries asks over the post.

    Args:
        loop: where the post lives.
        keys: each site's key, by its name.
        gone: sites that are not asked any more, each with the reason; looked at before each exchange, and while one is waited for.
    """

    name = "wire"

    def __init__(
        self, loop: Loop, post: Post, keys: Mapping[str, str], gone: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        self._loop, self._post, self._keys, self._gone = loop, post, dict(keys), gone or dict

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Iterator[tuple[str, Reply]]:
        if strangers := [site for site in asks if site not in self._keys]:
            problem = Problem("roster", ", ".join(strangers), f"sites of this engine: {', '.join(self._keys)}")
            raise FederationError("A site is asked that is not here.", [problem])
        gone = self._gone()
        arriving = {
            site: self._loop.begin(self._post.ask(self._keys[site], "ask", ask_to(ask), timeout_s=deadline_s))
            for site, ask in asks.items()
            if site not in gone
        }
        return self._in_order(list(asks), arriving, gone, deadline_s)

    def _in_order(
        self, sites: list[str], arriving: Mapping[str, Future[Arrived]], gone: Mapping[str, str], deadline_s: float
    ) -> Iterator[tuple[str, Reply]]:
        fetching = dict[str, Future[dict[str, Any]]]()
        try:
            for place, site in enumerate(sites):
                reply = self._reply(site, arriving[site], fetching, deadline_s) if site in arriving else Failed(gone[site])
                if place + 1 < len(sites) and sites[place + 1] in arriving:
                    self._fetch_ahead(sites[place + 1], arriving[sites[place + 1]], fetching, deadline_s)
                yield site, reply
                del reply  # it may be large, and the next one is on its way
        finally:
            for asked in arriving.values():
                asked.cancel()
            for fetched in fetching.values():
                fetched.cancel()

    def _fetch_ahead(
        self, site: str, announced: Future[Arrived], fetching: dict[str, Future[dict[str, Any]]], deadline_s: float
    ) -> None:
        """While one reply is added up, the next one comes in, if it has been announced."""
        if announced.done() and announced.exception() is None and not announced.result().is_here:
            fetching[site] = self._loop.begin(announced.result().fetch(self._post, within_s=deadline_s))

    def _reply(
        self, site: str, announced: Future[Arrived], fetching: dict[str, Future[dict[str, Any]]], deadline_s: float
    ) -> Reply:
        try:
            arrived: Arrived = self._awaited(site, announced)
            coming = fetching.pop(site, None)
            return reply_from(self._awaited(site, coming or self._loop.begin(arrived.fetch(self._post, within_s=deadline_s))))
        except _Gone as gone:
            return Failed(str(gone))
        except NoReply:
            return Silent()
        except HuizhenError as error:
            return Failed(error.message)

    def _awaited(self, site: str, coming: Future[Any]) -> Any:
        """What comes of a site, unless it is gone meanwhile: a deadline may be hours away."""
        while not coming.done():
            wait((coming,), LOOK_S)
            if not coming.done() and (reason := self._gone().get(site)) is not None:
                coming.cancel()
                raise _Gone(reason)
        return coming.result()

    def close(self) -> None:
        """The post and its loop belong to whoever made them."""
