"""The engine across hospitals: asks go out to all sites at once; replies are taken one site after the other, as they were asked.

A large reply is announced, stays at its site and is pulled when its turn comes, while the one before it is added up: the hub holds
two of them at most, however many sites there are. Small ones are pulled as they are announced, so that sites with slow lines do not
wait for each other.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.rounds import Ask, Failed, Reply, Silent
from huizhen.federation.wire.carried import UNTOLD, ask_to, reply_from
from huizhen.federation.wire.loop import Loop
from huizhen.federation.wire.post import Arrived, Post
from huizhen.federation.wire.pulling import NoReply
from huizhen.privacy.release import Question

__all__ = ["WireEngine"]

LOOK_S = 0.2  # how often it is looked whether a site that is waited for is gone
AHEAD = 32 << 20  # bytes of replies that are pulled at once; a server lets 64 MB wait for one reader


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
        self._named: dict[str, tuple[str, Question]] = {}  # by site: the question of several stages that it was told last

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Iterator[tuple[str, Reply]]:
        if strangers := [site for site in asks if site not in self._keys]:
            problem = Problem("roster", ", ".join(strangers), f"sites of this engine: {', '.join(self._keys)}")
            raise FederationError("A site is asked that is not here.", [problem])
        gone = self._gone()
        arriving: dict[str, Future[Arrived]] = {site: Future() for site in asks if site not in gone}
        coming = _Coming(self._loop, self._post, self._named, arriving, self._gone, deadline_s)
        asking = self._loop.begin(coming.ask_all({site: (self._keys[site], asks[site]) for site in arriving}))
        return _in_order(list(asks), coming, asking, gone)

    def close(self) -> None:
        """The post and its loop belong to whoever made them."""


def _in_order(sites: list[str], coming: _Coming, asking: Future[Any], gone: Mapping[str, str]) -> Iterator[tuple[str, Reply]]:
    try:
        for place, site in enumerate(sites):
            reply = coming.reply(site) if site in coming.arriving else Failed(gone[site])
            if place + 1 < len(sites):
                coming.fetch_ahead(sites[place + 1])
            yield site, reply
            del reply  # it may be large, and the next one is on its way
    finally:
        asking.cancel()
        coming.cancel()


@dataclass(slots=True)
class _Coming:
    """The replies of one exchange.

    Attributes:
        named: the question that each site was told last, and its name.
        arriving: each site's, announced or here.
        gone: as of `WireEngine`.
    """

    loop: Loop
    post: Post
    named: dict[str, tuple[str, Question]]
    arriving: Mapping[str, Future[Arrived]]
    gone: Callable[[], Mapping[str, str]]
    deadline_s: float
    _room: int = AHEAD
    _fetching: dict[str, Future[dict[str, Any]]] = field(default_factory=dict)

    async def ask_all(self, asks: Mapping[str, tuple[str, Ask]]) -> None:
        """All of them in one go: to hand each over to the loop by itself takes longer than to ask."""
        await asyncio.gather(*(self._ask(site, *asked) for site, asked in asks.items()))

    async def _ask(self, site: str, key: str, ask: Ask) -> None:
        arriving = self.arriving[site]
        try:
            arrived = await self._asked(site, key, ask)
            if not arrived.is_here and arrived.size <= self._room:
                self._room -= arrived.size
                await arrived.bring(self.post, within_s=self.deadline_s)
        except asyncio.CancelledError:
            arriving.cancel()
            raise
        except Exception as error:
            if not arriving.done():
                arriving.set_exception(error)
        else:
            if not arriving.done():  # else the site is gone, and nobody waits
                arriving.set_result(arrived)

    async def _asked(self, site: str, key: str, ask: Ask) -> Arrived:
        """Tells a question of several stages once: with the weights of a network it is all that is large in a stage."""
        if ask.lane != "masked":
            return await self.post.ask(key, "ask", ask_to(ask), timeout_s=self.deadline_s)
        name, question = self.named.get(site, ("", None))
        if question is ask.question:
            arrived = await self.post.ask(key, "ask", ask_to(ask, named=name, told=True), timeout_s=self.deadline_s)
            if arrived.peek("reply") != UNTOLD["reply"]:
                return arrived
        name = secrets.token_hex(8)
        arrived = await self.post.ask(key, "ask", ask_to(ask, named=name), timeout_s=self.deadline_s)
        self.named[site] = name, ask.question
        return arrived

    def fetch_ahead(self, site: str) -> None:
        """While one reply is added up, the next one comes in, if it has been announced."""
        announced = self.arriving.get(site)
        if announced is None or not announced.done() or announced.exception() is not None or announced.result().is_here:
            return
        self._fetching[site] = self.loop.begin(announced.result().fetch(self.post, within_s=self.deadline_s))

    def reply(self, site: str) -> Reply:
        try:
            arrived: Arrived = self._awaited(site, self.arriving[site])
            if arrived.is_here:
                return reply_from(arrived.take())
            fetching = self._fetching.pop(site, None)
            return reply_from(self._awaited(site, fetching or self.loop.begin(arrived.fetch(self.post, within_s=self.deadline_s))))
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
            if not coming.done() and (reason := self.gone().get(site)) is not None:
                coming.cancel()
                raise _Gone(reason)
        return coming.result()

    def cancel(self) -> None:
        for fetching in self._fetching.values():
            fetching.cancel()
