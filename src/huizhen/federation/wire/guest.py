"""A guest's conversation with the hub: ask to join by an invitation, and ask again what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from nats.errors import Error as NatsError

from huizhen import canonical
from huizhen.federation.wire.access import Access, connect
from huizhen.federation.wire.certificates import pem_of
from huizhen.federation.wire.invitations import Invitation, guest_pair
from huizhen.federation.wire.subjects import join_subject, joined_inbox

__all__ = ["ask_to_join", "guest_access"]

STATES = ("pending", "admitted", "refused")
SILENCE_S = 2.0
AGAIN_S = 0.5


def guest_access(invitation: Invitation, proxy: str = "") -> Access:
    """The way to the hub of whoever holds an invitation."""
    authority, inbox = pem_of(invitation.authority), joined_inbox(invitation.id)
    return Access(invitation.addresses, authority, guest_pair(invitation.secret), invitation.token, "guest", inbox, proxy)


async def ask_to_join(
    invitation: Invitation, body: Mapping[str, Any], *, wait_s: float, again_s: float = AGAIN_S, proxy: str = ""
) -> tuple[str, str]:
    """Send a join request until it is admitted or refused, or the time is over.

    Args:
        invitation: by which it is asked.
        body: see `invitations.join_body`.
        wait_s: how long to wait for a person at the hub.
        again_s: how long to wait between two tries.
        proxy: as of `Access`.

    Returns:
        What the hub says, ``pending``, ``admitted`` or ``refused``, or ``silent`` where no hub answers; and the token, if admitted.

    Raises:
        FederationError: the server cannot be reached or refuses the guest, e.g. because the invitation expired.
    """
    client = await connect(guest_access(invitation, proxy))
    content, subject = canonical.encode(dict(body)), join_subject(invitation.id)
    loop = asyncio.get_running_loop()
    until, state, token = loop.time() + wait_s, "silent", ""
    try:
        while True:
            try:
                said = await client.request(subject, content, timeout=SILENCE_S)
                state, token = _told(said.data, state)
            except (TimeoutError, NatsError):
                pass  # asked again below
            if state in ("admitted", "refused") or loop.time() >= until:
                return state, token
            await asyncio.sleep(min(again_s, max(until - loop.time(), 0)))
    finally:
        await client.close()


def _told(content: bytes, before: str) -> tuple[str, str]:
    try:
        answer = canonical.decode(content)
        state, token = answer["state"], answer["token"]
    except (ValueError, KeyError, TypeError):
        return before, ""
    return (state, token) if state in STATES and isinstance(token, str) else (before, "")
