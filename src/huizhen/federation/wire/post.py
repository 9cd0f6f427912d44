"""Requests that may be repeated, over messages that may be lost, doubled, late or out of order.

A request has a nonce and is sent again, at growing intervals and at once when a connection is back, until its reply is there or its
time is over. Whoever answers keeps the last replies by nonce: the same request has the same reply, however often it comes. What is
larger than a piece is announced and pulled by its receiver, who so never gets more than it asked for. Replies to requests that are
no longer waited for are dropped unread.

Rules, each with what it stops:

- a peer has so many requests worked on at once and so many replies kept, whatever others do (a flood harms whoever sends it);
- requests are as large as this program expects them at most, which is not as large as a reply may be;
- a reply that was announced in time must be here in time, too (a peer that sends a piece a minute holds up no study).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from nats.errors import Error as NatsError

from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.wire.message import Packed, pack, unpack
from huizhen.federation.wire.pulling import PIECE, NoReply, Patience, Pulls, Which
from huizhen.federation.wire.ways import Way

__all__ = ["PIECE", "Arrived", "Connection", "Handler", "Post"]

KEPT, KEPT_LARGE = 256, 8  # replies kept for a peer, and of those how many large ones that it has not pulled yet
AT_ONCE = 64  # requests of a peer that are worked on; one more is dropped, and comes again
LARGEST = 4 << 30
Handler = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class Connection(Protocol):
    """What is needed of a NATS connection."""

    async def publish(self, subject: str, payload: bytes) -> None: ...

    async def subscribe(self, subject: str, *, cb: Callable[[Any], Any]) -> Any: ...


PATIENCE = Patience()
EMPTY: Mapping[str, Packed] = MappingProxyType({})
GONE = pack({"error": "The reply was taken, or too many came after it.", "problems": []})


@dataclass(slots=True)
class Arrived:
    """A reply that has come, or been announced: `value` is the whole of it, once it is fetched.

    Attributes:
        size: bytes.
    """

    size: int
    _peer: str
    _nonce: str
    _value: dict[str, Any] | None

    @property
    def is_here(self) -> bool:
        return self._value is not None

    def peek(self, name: str) -> Any:
        """What a reply that is here holds under a name; None of one that has only been announced."""
        return None if self._value is None else self._value.get(name)

    def take(self) -> dict[str, Any]:
        """The reply that has come; not kept, so taken once."""
        value, self._value = self._value, None
        assert value is not None
        return value

    async def bring(self, post: Post, *, within_s: float | None = None) -> None:
        """Pulls it where it has only been announced, so that it is here; raises as `fetch`."""
        self._value = await self.fetch(post, within_s=within_s)

    async def fetch(self, post: Post, *, within_s: float | None = None) -> dict[str, Any]:
        """The reply, pulled where it has only been announced; not kept, so fetched once.

        Raises:
            NoReply: it is not here within that time, or no piece came for long.
        """
        if self.is_here:
            return self.take()
        try:
            async with asyncio.timeout(within_s):
                return _opened(await post.pulls.pulled(self._peer, "reply", self._nonce, self.size))
        except TimeoutError:
            expected = f"the whole of it within {within_s or 0:g} s"
            raise NoReply("no reply before the deadline", [Problem("an announced reply", "a part of it", expected)]) from None


@dataclass(slots=True)
class _Waiting:
    """A request of ours that has no reply yet: `stir` wakes whoever waits, to take what came or to send it again."""

    sent: Packed
    came: Arrived | FederationError | None = None
    is_worked_on: bool = False
    _stirred: asyncio.Future[None] | None = None

    def stir(self) -> None:
        if self._stirred is not None and not self._stirred.done():
            self._stirred.set_result(None)

    async def rest(self, at_most_s: float) -> None:
        """Until it is stirred, or so long; neither task nor lock, for there is one of these in every round of every site."""
        loop = asyncio.get_running_loop()
        self._stirred = loop.create_future()
        late = loop.call_later(at_most_s, self.stir)
        try:
            await self._stirred
        finally:
            late.cancel()
            self._stirred = None


class Post:
    """One program's post: it asks its peers and answers them.

    Args:
        connection: a NATS connection.
        way: the subjects.
        verbs: what is answered, by the verb of a request: `(peer, body) -> body`, called in a thread of `workers`. None:
            it only asks, and may do so beside another program of the same key, as long as what it asks fits into one piece.
        largest: the most bytes of a message that is taken in.
        largest_ask: the most bytes of a request that is taken in.
    """

    def __init__(
        self,
        connection: Connection,
        way: Way,
        *,
        verbs: Mapping[str, Handler] | None,
        workers: Executor,
        largest: int = LARGEST,
        largest_ask: int = LARGEST,
        patience: Patience = PATIENCE,
    ) -> None:
        self._connection, self._way, self._workers = connection, way, workers
        self._verbs, self._only_asks = verbs or {}, verbs is None
        self._patience = patience
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._at_work: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._given: dict[str, OrderedDict[str, Packed]] = {}  # by peer, the oldest first
        self.pulls = Pulls(way, self._publish, {"ask": min(largest, largest_ask), "reply": largest}, patience)

    async def open(self) -> None:
        """Begins to listen."""
        await self.listen(self._connection)

    async def listen(self, connection: Connection) -> None:
        """Begins to listen on another connection, which is spoken on from now; both may be heard until the old one is let go of."""
        await connection.subscribe(self._way.heard, cb=self._on_message)
        self._connection = connection

    def nudge(self) -> None:
        """The connection is back: all that waits is sent again at once."""
        for waiting in self._waiting.values():
            waiting.stir()

    # --- asking ----------------------------------------------------------------------------------------------------------

    async def ask(self, peer: str, verb: str, body: Mapping[str, Any], *, timeout_s: float) -> Arrived:
        """The reply to a request; large ones are announced only, and are pulled by `Arrived.fetch`.

        Raises:
            NoReply: none came in time.
            FederationError: the peer says why not, or its reply cannot be read.
        """
        nonce = secrets.token_hex(16)
        waiting = _Waiting(pack({"verb": verb, "body": body}))
        self._waiting[peer, nonce] = waiting
        try:
            async with asyncio.timeout(timeout_s):
                return await self._repeated(peer, nonce, waiting)
        except TimeoutError:
            how = "it has the request and works on it" if waiting.is_worked_on else "nothing came back"
            raise NoReply(
                "no reply before the deadline", [Problem(f"verb {verb}", how, f"a reply within {timeout_s:g} s")]
            ) from None
        finally:
            del self._waiting[peer, nonce]

    async def _repeated(self, peer: str, nonce: str, waiting: _Waiting) -> Arrived:
        patience = self._patience
        interval = patience.again_s
        while True:
            if waiting.is_worked_on:  # all of it is there: it is only asked after
                await self._publish(f"{self._way.out(peer)}.still.{nonce}", b"")
            else:
                await self._send(peer, "ask", nonce, waiting.sent)
            if waiting.came is None:
                await waiting.rest(interval)
            if isinstance(waiting.came, FederationError):
                raise waiting.came
            if waiting.came is not None:
                return waiting.came
            interval = patience.seldom_s if waiting.is_worked_on else min(2 * interval, patience.seldom_s)

    async def close(self) -> None:
        """Ends what is being answered."""
        for task in list(self._at_work.values()):
            task.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    # --- what comes in ---------------------------------------------------------------------------------------------------

    async def _on_message(self, message: Any) -> None:
        """Whatever comes: what is not of the protocol is dropped, for whoever sent it can do no better than ask again."""
        peer, tail = self._way.peer_and_tail(message.subject)
        if self._is_anothers(peer, tail):
            return
        with suppress(ValueError, FederationError):
            if tail[0] == "ask" and len(tail) == 2:
                await self._on_ask(peer, tail[1], message.data)
            elif tail[0] == "reply" and len(tail) == 2:
                self._on_reply(peer, tail[1], message.data)
            elif tail[0] == "working" and len(tail) == 2 and (peer, tail[1]) in self._waiting:
                self._waiting[peer, tail[1]].is_worked_on = True
            elif tail[0] == "still" and len(tail) == 2:
                await self._on_still(peer, tail[1])
            elif tail[0] == "unknown" and len(tail) == 2 and (peer, tail[1]) in self._waiting:
                waiting = self._waiting[peer, tail[1]]
                waiting.is_worked_on = False  # it was started anew: all of it again, at once
                waiting.stir()
            elif tail[0] == "want" and len(tail) == 4:
                await self._on_want(peer, tail[1], tail[2], int(tail[3]))
            elif tail[0] == "done" and len(tail) == 3 and tail[2] in self._given.get(peer, ()) and tail[1] == "reply":
                self._given[peer][tail[2]] = GONE
            elif tail[0] == "piece" and len(tail) == 4:
                self.pulls.on_piece(peer, tail[1], tail[2], int(tail[3]), message.data)

    def _is_anothers(self, peer: str, tail: tuple[str, ...]) -> bool:
        """Whether a program that only asks hears what is meant for another of the same key: it must not answer in its place."""
        if not self._only_asks:
            return False
        is_wanted_here = tail[0] == "want" and tail[1:2] == ("ask",) and (peer, "".join(tail[2:3])) in self._waiting
        return tail[0] in ("ask", "still") or (tail[0] == "want" and not is_wanted_here)

    async def _on_ask(self, peer: str, nonce: str, data: bytes) -> None:
        if (given := self._given_to(peer, nonce)) is not None:
            await self._send(peer, "reply", nonce, given)
        elif (peer, nonce) in self._at_work:
            await self._publish(f"{self._way.out(peer)}.working.{nonce}", b"")
        elif sum(whose == peer for whose, _ in self._at_work) < AT_ONCE:
            told = unpack(data)
            task = asyncio.create_task(self._answer(peer, nonce, told))
            self._at_work[peer, nonce] = task
            task.add_done_callback(lambda _: self._at_work.pop((peer, nonce), None))

    async def _on_still(self, peer: str, nonce: str) -> None:
        if (given := self._given_to(peer, nonce)) is not None:
            await self._send(peer, "reply", nonce, given)
        else:
            how = "working" if (peer, nonce) in self._at_work else "unknown"
            await self._publish(f"{self._way.out(peer)}.{how}.{nonce}", b"")

    async def _answer(self, peer: str, nonce: str, told: dict[str, Any]) -> None:
        try:
            if (size := told.get("announced")) is not None:
                told = _opened(await self.pulls.pulled(peer, "ask", nonce, _size(size)))
            handler = self._verbs.get(str(told.get("verb")))
            if handler is None:
                raise FederationError(
                    "This is not answered here.", [Problem("verb", "another", f"one of: {', '.join(self._verbs)}")]
                )
            body = await asyncio.get_running_loop().run_in_executor(self._workers, handler, peer, told.get("body", {}))
            reply = pack({"body": body})
        except NoReply:
            return  # the asker is gone; should it come back, it asks again
        except HuizhenError as error:
            problems = [[problem.where, problem.found, problem.expected, problem.remedy] for problem in error.problems]
            reply = pack({"error": error.message, "problems": problems})
        except Exception as error:  # its text may hold anything, so it stays here
            reply = pack({"error": f"the other program broke ({type(error).__name__})", "problems": []})
        self._keep(peer, nonce, reply)
        await self._send(peer, "reply", nonce, reply)

    def _keep(self, peer: str, nonce: str, reply: Packed) -> None:
        given = self._given.setdefault(peer, OrderedDict())
        given[nonce] = reply
        if reply.size > PIECE:
            for large in [key for key, each in given.items() if each.size > PIECE][:-KEPT_LARGE]:
                given[large] = GONE
        while len(given) > KEPT:
            given.popitem(last=False)

    def _given_to(self, peer: str, nonce: str) -> Packed | None:
        return self._given.get(peer, EMPTY).get(nonce)

    def _on_reply(self, peer: str, nonce: str, data: bytes) -> None:
        waiting = self._waiting.get((peer, nonce))
        if waiting is None or waiting.came is not None:
            return
        try:
            told = unpack(data)
            size = told.get("announced")
            waiting.came = Arrived(len(data), peer, nonce, _body(told)) if size is None else Arrived(_size(size), peer, nonce, None)
        except FederationError as error:
            waiting.came = error
        waiting.stir()

    async def _on_want(self, peer: str, which: str, nonce: str, first: int) -> None:
        waiting = self._waiting.get((peer, nonce))
        packed = (None if waiting is None else waiting.sent) if which == "ask" else self._given_to(peer, nonce)
        piece = b"" if packed is None or first < 0 else packed.piece(first, PIECE)
        await self._publish(f"{self._way.out(peer)}.piece.{which}.{nonce}.{first}", piece)

    async def _publish(self, subject: str, payload: bytes) -> None:
        """Sends, if the connection stands; what is lost is asked for again, on the connection that is made next."""
        with suppress(NatsError):
            await self._connection.publish(subject, payload)

    async def _send(self, peer: str, which: Which, nonce: str, packed: Packed) -> None:
        if packed.size > PIECE:
            packed = pack({"announced": packed.size})
        await self._publish(f"{self._way.out(peer)}.{which}.{nonce}", packed.whole())


def _opened(whole: memoryview) -> dict[str, Any]:
    told = unpack(whole)
    return _body(told) if "verb" not in told else told


def _body(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a reply holds.

    Raises:
        FederationError: the peer's words for why there is none.
    """
    body = told.get("body")
    if isinstance(body, dict):
        return body
    message, problems = told.get("error"), told.get("problems")
    try:
        said = [Problem(*map(str, problem)) for problem in problems or []]
    except TypeError:
        said = []
    raise FederationError(message if isinstance(message, str) else "A message cannot be read.", said)


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise FederationError("A message cannot be read.", [Problem("announced", "no size", "a number of bytes")])
    return value
