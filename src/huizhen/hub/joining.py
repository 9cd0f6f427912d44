"""Who may take part: invitations, requests to join, admission, renewal and revocation.

    invited --asks--> pending --a person compares fingerprints--> admitted --> revoked
                                                                     \\--renews before its token expires

Handlers take plain values and give plain values; they are called with what arrived on the subjects that their docstrings name.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from huizhen import canonical
from huizhen.clock import Clock
from huizhen.errors import CallerError, Problem
from huizhen.federation.wire.certificates import authority_digest, der_of
from huizhen.federation.wire.invitations import (
    SECRET_BYTES,
    Invitation,
    bind_key,
    fingerprint,
    guest_pair,
    read_join,
    write_code,
)
from huizhen.federation.wire.subjects import Role, guest_permissions, permissions
from huizhen.federation.wire.tokens import FOR_EVER, account_token, user_token
from huizhen.hub.actorsdb import Actor, ActorStore, OpenInvitation
from huizhen.hub.folder import HubFolder
from huizhen.hub.leaves import shut_leaves
from huizhen.hub.settings import check_settings
from huizhen.ids import NAME_RULE, is_name
from huizhen.ledger.keys import public_hex

__all__ = ["INVITATION_LASTS", "TOKEN_LASTS", "Joining", "named"]

INVITATION_LASTS = timedelta(hours=72)
TOKEN_LASTS = timedelta(days=90)
RENEWED_AFTER = TOKEN_LASTS / 3  # a token younger than this is given again, so that asking often costs nothing
ACTOR_SUBSCRIPTIONS, GUEST_SUBSCRIPTIONS = 1_000, 10  # so that no connection can fill the server's memory with them
GUEST_BYTES = 4_096  # the largest message of a guest


@dataclass(frozen=True, slots=True)
class Joining:
    """What the hub does about its actors.

    Attributes:
        folder: the hub's folder.
        store: its file of actors.
        clock: the time.
    """

    folder: HubFolder
    store: ActorStore
    clock: Clock

    def invite(self, name: str, role: Role = "site", *, lasts: timedelta = INVITATION_LASTS, addresses: Sequence[str] = ()) -> str:
        """A code for one actor, once; earlier codes for the same name are void.

        Args:
            name: as people know it.
            lasts: how long it is good.
            addresses: where this actor dials, a leaf node's say; none for the hub's own.

        Raises:
            CallerError: the name cannot be used or is taken.
        """
        settings = self.folder.settings
        check_settings(replace(settings, addresses=tuple(addresses) or settings.addresses))
        account, now = self.folder.pair("account"), self.clock.now()
        secret, id, expires = secrets.token_bytes(SECRET_BYTES), secrets.token_hex(8), now + lasts
        guest, name = guest_pair(secret), named(name)
        token = user_token(
            account,
            guest.public,
            name="guest",
            now=now,
            expires=expires,
            allowed=guest_permissions(id),
            payload_bytes=GUEST_BYTES,
            subscriptions=GUEST_SUBSCRIPTIONS,
        )
        until = int(expires.timestamp())
        self.store.invite(OpenInvitation(id, name, role, bind_key(secret), guest.public, until))
        dialled, hub = tuple(addresses) or settings.addresses, public_hex(self.folder.identity.public)
        authority = der_of(self.folder.authority)
        return write_code(Invitation(id, name, role, until, dialled, authority, account.public, hub, token, secret))

    def join(self, invitation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a guest on ``hz.join.<invitation>``: it may ask as often as it likes, and learns what became of it.

        Args:
            invitation: the last token of the subject, of which the server knows that the guest may use it.
            body: see `invitations.join_body`.

        Returns:
            ``{"state": "pending" | "admitted" | "refused", "token": ...}``; a token when admitted.
        """
        known = self.store.invitation(invitation)
        if known is None or known.void or known.expires <= self.clock.now().timestamp():
            return REFUSED
        request = read_join(body, known.bind)
        if request is None or (request.invitation, request.name) != (known.id, known.name):
            return REFUSED
        actor = self.store.ask(request, known.role, int(self.clock.now().timestamp()))
        if actor is None or actor.state == "revoked":
            return REFUSED
        return {"state": actor.state, "token": actor.token}

    def answer_guest(self, subject: str, content: bytes) -> bytes:
        """The same for what arrived on the wire: canonical CBOR in, canonical CBOR out, whatever the content is."""
        try:
            body = canonical.decode(content) if len(content) <= GUEST_BYTES else None
        except ValueError:
            body = None
        invitation = subject.removeprefix("hz.join.")
        return canonical.encode(self.join(invitation, body) if isinstance(body, Mapping) else REFUSED)

    def renew(self, sender: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an actor on ``hz.from.<sender>.renew`` with a token for the same key.

        Args:
            sender: the key in the subject, of which the server knows that it published there.
            body: ``{"key": sender}``.

        Returns:
            ``{"state": "admitted", "token": ...}`` or ``{"state": "refused", "token": ""}``.
        """
        actor = self.store.holder(sender)
        if actor is None or actor.state != "admitted" or not _is_key(body, sender):
            return REFUSED
        now = self.clock.now()
        if actor.expires - now.timestamp() > (TOKEN_LASTS - RENEWED_AFTER).total_seconds():
            return {"state": "admitted", "token": actor.token}
        try:
            return {"state": "admitted", "token": self._give_token(actor, now).token}
        except CallerError:  # revoked at this very moment
            return REFUSED

    def admit(self, name: str) -> Actor:
        """Let the pending actor of a name in; call this when a person has compared the fingerprints.

        Raises:
            CallerError: nobody of that name is waiting.
        """
        actor = self.store.actor(named(name))
        if actor.state != "pending":
            problem = Problem(actor.name, f"an actor, {actor.state}", "a pending actor", "See: huizhen hub pending")
            raise CallerError("Nobody of this name waits to be admitted.", [problem])
        return self._give_token(actor, self.clock.now())

    def revoke(self, name: str) -> Actor:
        """Shut out the actor of a name for ever; `account_token` has to reach the servers for it to take effect.

        Raises:
            CallerError: there is none of that name.
        """
        return self.store.revoke(named(name))

    def pending(self) -> tuple[Actor, ...]:
        """Those who wait to be admitted."""
        return tuple(actor for actor in self.store.actors() if actor.state == "pending")

    def fingerprint(self, actor: Actor) -> str:
        """What the actor's own side shows too, if nobody stands between."""
        return fingerprint(actor.name, actor.nkey, actor.identity, authority_digest(self.folder.authority))

    def account_token(self) -> str:
        """The account's token with all revocations, newer than all before."""
        issued = self.store.issue_time(int(self.clock.now().timestamp()))
        return account_token(
            self.folder.pair("operator"),
            self.folder.pair("account").public,
            name=self.folder.settings.name,
            now=datetime.fromtimestamp(issued, UTC),
            connections=self.folder.settings.connections,
            revoked=dict.fromkeys((*self.store.shut_out(), *shut_leaves(self.folder.root)), FOR_EVER),
        )

    def _give_token(self, actor: Actor, now: datetime) -> Actor:
        expires = now + TOKEN_LASTS
        token = user_token(
            self.folder.pair("account"),
            actor.nkey,
            name=actor.name,
            now=now,
            expires=expires,
            allowed=permissions(actor.role, actor.nkey),
            subscriptions=ACTOR_SUBSCRIPTIONS,
        )
        self.store.keep_token(actor.nkey, token, int(expires.timestamp()))
        given = self.store.holder(actor.nkey)
        assert given is not None
        return given


REFUSED: dict[str, Any] = {"state": "refused", "token": ""}


def _is_key(body: Mapping[str, Any], sender: str) -> bool:
    key = body.get("key")  # anything may have come: an array, say, is equal to nothing
    return len(body) == 1 and isinstance(key, str) and key == sender


def named(text: str) -> str:
    """The name of an actor as it stands in studies and subjects: ``West Lake Hospital`` is ``west-lake-hospital``.

    Raises:
        CallerError: nothing of the text can stand in a name.
    """
    name = re.sub(r"[^\w.]+", "-", unicodedata.normalize("NFKC", text).lower()).strip("-._")
    if not is_name(name):
        raise CallerError("This name cannot be used.", [Problem("name", repr(text), NAME_RULE)])
    return name
