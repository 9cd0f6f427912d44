"""How the hub hears whoever wants to join, on a connection that is otherwise its members'."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from huizhen.federation.wire.subjects import answer_place
from huizhen.hub.joining import Joining

__all__ = ["answer_guests"]

GUESTS = "hz.join.*"


def answer_guests(joining: Joining) -> Callable[[Any], Awaitable[None]]:
    """Subscribes the answers to guests on a connection; what they send is read in a thread, for it takes disk and keys."""

    async def subscribe(client: Any) -> None:
        async def answer(message: Any) -> None:
            place = answer_place(message.subject, message.reply)
            if place is not None:
                told = await asyncio.to_thread(joining.answer_guest, message.subject, message.data)
                await client.publish(place, told)

        await client.subscribe(GUESTS, cb=answer)

    return subscribe
