"""Pulling: a message that is larger than a piece comes piece by piece, as its receiver asks for them.

What is announced takes memory as it comes: a peer that announces gigabytes costs nothing before it has sent them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import FederationError, Problem
from huizhen.federation.wire.ways import Way

__all__ = ["PIECE", "NoReply", "Patience", "Pulls", "Which"]

PIECE = 1 << 20  # bytes that travel in one message; below what a NATS server lets through
WINDOW = 4  # pieces asked for at once
Which = Literal["ask", "reply"]


@dataclass(frozen=True, slots=True)
class Patience:
    """When things are asked for again, in seconds.

    Attributes:
        again_s: a request is repeated after this, then after twice that, up to `seldom_s`.
        piece_s: a piece is asked for again after this, if no other piece of its message came meanwhile; without any for
            `given_up_s` the message is given up.
    """

    again_s: float = 0.5
    seldom_s: float = 5.0
    piece_s: float = 2.0
    given_up_s: float = 60.0


class NoReply(FederationError):
    """The other program has not replied in time."""


@dataclass(slots=True)
class _Pulling:
    """A message that is pulled: what came of it last, so that a slow line is not asked again for what is on its way."""

    whole: NDArray[np.uint8]
    came_s: float
    pieces: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)


class Pulls:
    """All that is being pulled.

    Args:
        way: the subjects.
        publish: sends a message to a subject.
        largest: the most bytes of a message that is taken in.
    """

    def __init__(
        self, way: Way, publish: Callable[[str, bytes], Awaitable[None]], largest: Mapping[Which, int], patience: Patience
    ) -> None:
        self._way, self._publish, self._largest, self._patience = way, publish, largest, patience
        self._pulls: dict[tuple[str, str, str], _Pulling] = {}

    async def pulled(self, peer: str, which: Which, nonce: str, size: int) -> memoryview:
        """All pieces of an announced message.

        Raises:
            FederationError: it is larger than is taken in here, or the peer has it no more.
            NoReply: no piece came for long.
        """
        if size > (most := self._largest[which]):
            raise FederationError(
                "A message is too large.", [Problem("message", f"{size} bytes", f"at most {most} bytes, as set here")]
            )
        # Not cleared: every byte is written over, and pages that no piece has reached yet take no memory.
        pulling = _Pulling(np.empty(size, np.uint8), asyncio.get_running_loop().time())
        self._pulls[peer, which, nonce] = pulling
        places = iter(range(0, size, PIECE))
        some = [asyncio.create_task(self._pull_some(peer, which, nonce, places, pulling)) for _ in range(WINDOW)]
        try:
            await asyncio.gather(*some)
        finally:
            for each in some:
                each.cancel()
            await asyncio.gather(*some, return_exceptions=True)
            del self._pulls[peer, which, nonce]
        await self._publish(f"{self._way.out(peer)}.done.{which}.{nonce}", b"")
        return pulling.whole.data

    async def _pull_some(self, peer: str, which: Which, nonce: str, places: Any, pulling: _Pulling) -> None:
        whole = pulling.whole.data
        for first in places:
            piece = await self._piece(peer, which, nonce, first, pulling)
            if len(piece) != min(PIECE, len(whole) - first):
                raise FederationError("A message cannot be read.", [Problem("piece", f"{len(piece)} bytes", "a whole piece")])
            whole[first : first + len(piece)] = piece

    async def _piece(self, peer: str, which: Which, nonce: str, first: int, pulling: _Pulling) -> bytes:
        loop, patience = asyncio.get_running_loop(), self._patience
        arriving: asyncio.Future[bytes] = loop.create_future()
        pulling.pieces[first] = arriving
        try:
            while loop.time() - pulling.came_s < patience.given_up_s:
                await self._publish(f"{self._way.out(peer)}.want.{which}.{nonce}.{first}", b"")
                asked_s = loop.time()
                # Pieces come in the order in which they were wanted: while others come, this one is on its way.
                while (left_s := max(asked_s, pulling.came_s) + patience.piece_s - loop.time()) > 0:
                    await asyncio.wait((arriving,), timeout=left_s)
                    if arriving.done():
                        return arriving.result()
            raise NoReply("no reply before the deadline", [Problem("a piece of a message", "nothing", "the rest of it")])
        finally:
            del pulling.pieces[first]

    def on_piece(self, peer: str, which: str, nonce: str, first: int, piece: bytes) -> None:
        """Takes a piece that has come; one that nobody waits for is dropped."""
        pulling = self._pulls.get((peer, which, nonce))
        arriving = None if pulling is None else pulling.pieces.get(first)
        if pulling is not None and arriving is not None and not arriving.done():
            pulling.came_s = asyncio.get_running_loop().time()
            arriving.set_result(piece)
