"""Joining from a site's side: make keys here, ask, show the fingerprint, wait for a person, keep the token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from huizhen.clock import Clock
from huizhen.errors import CallerError, FederationError, Problem
from huizhen.federation.wire.guest import ask_to_join
from huizhen.federation.wire.invitations import join_body, read_code
from huizhen.site.folder import SiteFolder, create_identity, open_identity

__all__ = ["RENEW_BEFORE", "begin", "join", "renewal_due"]

RENEW_BEFORE = timedelta(days=60)  # two thirds of a token's life: a hub that is away for weeks costs nothing


def begin(code: str, root: Path) -> SiteFolder:
    """The identity for a code: made now, or the one that the same code made before.

    Raises:
        CallerError: the code is none, or the folder joined by another one.
    """
    invitation = read_code(code)
    if not (root / "identity" / "hub.json").exists():
        return create_identity(root, invitation)
    folder = open_identity(root)
    if folder.invitation != invitation.id:
        problem = Problem(str(root), "the identity of another invitation", "an empty folder", "Name another one with --dir")
        raise CallerError("This folder joined already.", [problem])
    return folder


def join(
    code: str, root: Path, *, clock: Clock, wait_s: float, shown: Callable[[SiteFolder], None] = lambda _: None, proxy: str = ""
) -> str:
    """Ask to join, and wait for a person at the hub; may be called again with the same code, from where it was left.

    Args:
        code: what the hub printed.
        root: the site's folder.
        clock: the time.
        wait_s: how long to wait for admission.
        shown: is given the folder once the keys are there, to show its fingerprint.
        proxy: ``http://host:port`` of an HTTP proxy; "" for none.

    Returns:
        ``admitted``; ``pending`` where nobody decided in that time; ``silent`` where the hub's program does not answer.

    Raises:
        CallerError: see `begin`.
        FederationError: the hub cannot be reached, or refuses.
    """
    folder = begin(code, root)
    shown(folder)
    if folder.admitted:
        return "admitted"
    invitation = folder.open_invitation()
    body = join_body(invitation, folder.pair, folder.identity)
    state, token = asyncio.run(ask_to_join(invitation, body, wait_s=wait_s, proxy=proxy))
    if state == "refused":
        remedy = "Ask the hub's operator for a new invitation, and join in an empty folder."
        problem = Problem(folder.name, "a refusal by the hub", "an invitation that is valid and was not used", remedy)
        raise FederationError("The hub does not let this site join.", [problem])
    if state == "admitted":
        folder.keep_token(token, clock.now())
    return state


def renewal_due(folder: SiteFolder, now: datetime) -> bool:
    """Whether the site should ask for a fresh token: its own is good for less than 60 days. Raises as `SiteFolder.expires`."""
    return folder.expires - now < RENEW_BEFORE
