"""A program's line to the federation: a connection that is kept, the post over it, and a face for code that does one thing a time.

The connection comes back by itself; where the server has ended it for good (a token expired, a certificate changed), a new one is
made with whatever access holds by then. What was asked and not answered meanwhile is asked again at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from nats.aio.client import Client

from huizhen.errors import HuizhenError
from huizhen.federation.wire.access import Access, connect, renewed, settled
from huizhen.federation.wire.engine import WireEngine
from huizhen.federation.wire.loop import Loop
from huizhen.federation.wire.post import LARGEST, Handler, Post
from huizhen.federation.wire.pulling import NoReply
from huizhen.federation.wire.ways import HUB, Way

__all__ = ["Bus"]

SOON_S, LATER_S = 0.2, 30.0  # waits before a new connection is tried, doubling
CLOSE_S = 5.0
WORKERS = 16
Subscribe = Callable[[Client], Awaitable[Any]]


class Bus:
    """As a context: it listens and speaks when the context is entered, and is closed when it is left.

    Args:
        access: how to connect; called whenever a connection is made.
        way: the subjects.
        verbs: what is answered: `(peer, body) -> body`, in a thread; None: it only asks, beside another program of the same key.
        told: is told, in a sentence, when the hub cannot be reached, and when it can be again.
        back: is called, in a thread, whenever the connection stands, first included.
        besides: subscribes what is heard beside the post.
        patient: whether to go on trying where the first connection fails; else that raises.
        largest: bytes of a message that is taken in.
        largest_ask: bytes of a request that is taken in.

    Raises:
        FederationError: the first connection fails, unless `patient`.
    """

    def __init__(
        self,
        access: Callable[[], Access],
        way: Way,
        verbs: Mapping[str, Handler] | None,
        *,
        told: Callable[[str], None] | None = None,
        back: Callable[[], None] | None = None,
        besides: Subscribe | None = None,
        patient: bool = False,
        largest: int = LARGEST,
        largest_ask: int = LARGEST,
    ) -> None:
        self._access, self._way, self._verbs = access, way, verbs
        self._largest, self._largest_ask = largest, largest_ask
        self._told, self._back, self._besides, self._patient = told or (lambda _: None), back, besides, patient
        self._loop = Loop("bus")
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="bus")
        self._client: Client | None = None
        self._post: Post | None = None
        self._ended = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._made = 0  # connections so far

    def __enter__(self) -> Self:
        try:
            self._loop.run(self._open())
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def loop(self) -> Loop:
        """Where the connection lives."""
        return self._loop

    @property
    def is_connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    def ask(self, verb: str, body: Mapping[str, Any], *, timeout_s: float = 30.0, peer: str = HUB) -> dict[str, Any]:
        """The reply of a peer, the whole of it.

        Raises:
            NoReply: none came in time.
            FederationError: the peer says why not, or what came cannot be read.
        """
        return self._loop.run(self._asked(verb, body, timeout_s, peer))

    def engine(self, keys: Mapping[str, str], gone: Callable[[], Mapping[str, str]] | None = None) -> WireEngine:
        """The engine over sites with these keys; `gone` as of `WireEngine`."""
        assert self._post is not None
        return WireEngine(self._loop, self._post, keys, gone)

    def asking(self, verb: str, body: Mapping[str, Any], *, timeout_s: float, peer: str = HUB) -> Future[dict[str, Any]]:
        """As `ask`, without waiting; its result raises what `ask` raises."""
        return self._loop.begin(self._asked(verb, body, timeout_s, peer))

    def renew(self) -> None:
        """Goes over to a new connection with what access holds now, without a gap in which a message is lost."""
        self._loop.run(self._renew())

    def close(self) -> None:
        """Lets go of everything. May be called twice."""
        if not self._loop.is_closed:
            self._loop.run(self._shut())
            self._let_go()

    async def _asked(self, verb: str, body: Mapping[str, Any], timeout_s: float, peer: str) -> dict[str, Any]:
        if self._post is None:
            raise NoReply("the hub cannot be reached")
        return await (await self._post.ask(peer, verb, body, timeout_s=timeout_s)).fetch(self._post)

    # --- within the loop --------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            await self._connect()
        except HuizhenError as error:
            if not self._patient:
                raise
            self._told(str(error))
            self._ended.set()
        self._keeper = asyncio.create_task(self._keep())

    async def _connect(self) -> None:
        self._ended.clear()
        client = await connect(self._access(), back=self._on_back, closed=self._when_closed())
        await self._heard_on(client)
        self._client = client
        self._on_back()

    async def _heard_on(self, client: Client) -> None:
        if self._post is None:
            post = Post(
                client, self._way, verbs=self._verbs, workers=self._workers, largest=self._largest, largest_ask=self._largest_ask
            )
            await post.open()
            self._post = post
        else:
            await self._post.listen(client)
        if self._besides is not None:
            await self._besides(client)
        await settled(client)  # a flush of nats-py may overtake what was subscribed just now

    def _on_back(self) -> None:
        if self._post is not None:
            self._post.nudge()
        if self._back is not None:
            self._workers.submit(self._back)

    async def _keep(self) -> None:
        """Makes a new connection whenever the last one is closed for good."""
        while True:
            await self._ended.wait()
            wait_s = SOON_S
            while self._ended.is_set():
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LATER_S)
                try:
                    await self._connect()
                except HuizhenError as error:
                    self._told(str(error))

    async def _renew(self) -> None:
        if self._client is not None:
            options = {"back": self._on_back, "closed": self._when_closed()}
            self._client = await renewed(self._client, self._access(), self._heard_on, **options)

    def _when_closed(self) -> Callable[[str], None]:
        """What is called when the connection that is made now is closed for good; of those before it, nothing is."""
        self._made += 1
        mine = self._made

        def closed(_why: str) -> None:
            if mine == self._made:
                self._ended.set()

        return closed

    async def _shut(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        if self._post is not None:
            await self._post.close()
        if self._client is not None:
            try:
                await asyncio.wait_for(self._client.close(), CLOSE_S)
            except (TimeoutError, OSError):
                self._client = None

    def _let_go(self) -> None:
        self._loop.close()
        self._workers.shutdown(wait=False, cancel_futures=True)
