"""Telling the servers of a changed account: who was revoked is cut off at once, not when it next connects."""

from __future__ import annotations

import asyncio
import json

from nats.aio.client import Client
from nats.errors import Error as NatsError

from huizhen.errors import FederationError, Problem
from huizhen.federation.wire.access import Access, connect

__all__ = ["push", "push_account"]

UPDATE = "$SYS.REQ.CLAIMS.UPDATE"  # answered by every server that keeps accounts itself ("full" resolver)


async def push(client: Client, token: str, *, timeout_s: float = 3.0) -> None:
    """Hand an account's token to the servers, over a connection of the system account; when this returns it is in force.

    Raises:
        FederationError: no server took it.
    """
    try:
        answer = await client.request(UPDATE, token.encode("ascii"), timeout=timeout_s)
        content = json.loads(answer.data)
        code = content.get("data", {}).get("code") or content.get("error", {}).get("code")
    except (TimeoutError, NatsError, ValueError, AttributeError) as error:
        raise _not_taken(type(error).__name__) from None
    if code != 200:
        raise _not_taken(f"code {code}")


def push_account(access: Access, token: str, *, timeout_s: float = 3.0) -> None:
    """The same from a program without a connection of its own: connect, hand over, close. Raises as `push` and `connect`."""

    async def once() -> None:
        client = await connect(access, timeout_s=timeout_s)
        try:
            await push(client, token, timeout_s=timeout_s)
        finally:
            await client.close()

    asyncio.run(once())


def _not_taken(found: str) -> FederationError:
    problem = Problem("NATS server", found, "that it takes the account", "It takes effect when the hub next starts its server.")
    return FederationError("The server does not take the changed account.", [problem])
