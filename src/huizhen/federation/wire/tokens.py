"""NATS tokens: who vouches for whom, from the operator by the account to each actor (JSON Web Tokens, RFC 7519).

A token is ``header.claims.signature``, each base64url without padding, signed with an NKey (`alg` ``ed25519-nkey``) over the
first two. The operator signs accounts, an account signs its users; the server believes nothing else. The fields are those of
version 2 of NATS (source: nats-io/jwt).
"""

from __future__ import annotations

import hashlib
import json
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.federation.wire.nkeys import KeyKind, KeyPair, is_public, verify
from huizhen.federation.wire.subjects import Permissions

__all__ = ["FOR_EVER", "Token", "account_token", "check_user_token", "credentials", "operator_token", "read_token", "user_token"]

HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
LONGEST = 1_000_000  # characters; an account's token grows with its revocations
FOR_EVER = 253_402_300_799  # end of the year 9999: no token of a revoked key is good, whatever clock it was issued by
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Token:
    """A token whose signature was found good.

    Attributes:
        kind: of whom it speaks.
        subject: the public NKey of whom it speaks.
        issuer: the public NKey that signed it.
        name: as people know the subject.
        issued: seconds since 1970, UTC.
        expires: seconds since 1970, UTC; 0 where it never does.
        nats: the part of the claims that NATS defines.
    """

    kind: KeyKind
    subject: str
    issuer: str
    name: str
    issued: int
    expires: int
    nats: Mapping[str, Any]

    @property
    def permissions(self) -> Permissions:
        """What a user may do."""
        publish, subscribe = (tuple(self.nats.get(way, {}).get("allow", ())) for way in ("pub", "sub"))
        return Permissions(publish, subscribe)

    @property
    def revoked(self) -> Mapping[str, int]:
        """An account's revocations: public NKey of a user, and until when its tokens were issued that count no more."""
        return dict(self.nats.get("revocations", {}))


def operator_token(operator: KeyPair, *, name: str, system_account: str, now: datetime) -> str:
    """The operator, who vouches for itself and names the account in which servers speak of themselves."""
    return _signed(operator, operator.public, name, now, {"type": "operator", "system_account": system_account})


def account_token(
    operator: KeyPair, account: str, *, name: str, now: datetime, connections: int, revoked: Mapping[str, int]
) -> str:
    """An account without JetStream and without ways into other accounts.

    Args:
        operator: who signs.
        account: public NKey.
        connections: at most so many at once; -1 for no limit.
        revoked: by public NKey of a user: tokens issued until then (seconds since 1970) count no more; `FOR_EVER` for all.
    """
    limits = {
        "subs": UNLIMITED, "data": UNLIMITED, "payload": UNLIMITED, "imports": 0, "exports": 0, "wildcards": False,
        "conn": connections, "leaf": UNLIMITED, "mem_storage": 0, "disk_storage": 0, "streams": 0, "consumer": 0,
    }  # fmt: skip
    claims: dict[str, Any] = {"type": "account", "limits": limits, "default_permissions": {"pub": {}, "sub": {}}}
    if revoked:
        claims["revocations"] = dict(sorted(revoked.items()))
    return _signed(operator, account, name, now, claims)


def user_token(
    account: KeyPair,
    user: str,
    *,
    name: str,
    now: datetime,
    expires: datetime | None,
    allowed: Permissions,
    payload_bytes: int = UNLIMITED,
    subscriptions: int = UNLIMITED,
    connects: tuple[str, ...] = ("STANDARD", "WEBSOCKET"),
) -> str:
    """A user of an account: an actor, a guest or the hub.

    Args:
        account: who signs.
        user: public NKey.
        expires: the server closes the connection then; None for never.
        allowed: all that it may do; an empty side allows nothing.
        payload_bytes: its largest message; -1 for the server's own limit.
        subscriptions: at most so many at once on a connection; -1 for no limit.
        connects: as what it may connect; ``LEAFNODE`` for a server that passes on what others say.
    """
    claims = {
        "type": "user", "subs": subscriptions, "data": UNLIMITED, "payload": payload_bytes,
        "pub": _side(allowed.publish), "sub": _side(allowed.subscribe),
        "allowed_connection_types": list(connects),
    }  # fmt: skip
    return _signed(account, user, name, now, claims, expires)


def credentials(token: str, user: KeyPair) -> bytes:
    """A user's token and seed in the file format in which a NATS server reads them; a secret."""
    parts = (b"NATS USER JWT", token), (b"USER NKEY SEED", user.seed())
    return b"\n".join(b"-----BEGIN %b-----\n%b\n------END %b------\n" % (head, text.encode("ascii"), head) for head, text in parts)


def read_token(text: str) -> Token:
    """A token, whole: its form, its signature by its issuer, and that this kind of issuer may speak of this kind of subject.

    Raises:
        FederationError: anything of that is not so. The token itself is not repeated.
    """
    try:
        return _read(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found = str(error) if type(error) is ValueError else "another form"
        problem = Problem("token", found, "a NATS token of version 2 with the signature of its issuer")
        raise FederationError("A token is not sound.", [problem]) from None


def check_user_token(text: str, *, account: str, user: str, allowed: Permissions, now: datetime) -> Token:
    """The token of a user, if it is what an actor was promised: by this account, for this key, with these permissions, not expired.

    Raises:
        FederationError: it is not; all differences at once.
    """
    token = read_token(text)
    wrong = [
        Problem(f"token: {what}", "another one", "what was agreed on joining")
        for what, found, expected in (
            ("kind", token.kind, "user"),
            ("subject", token.subject, user),
            ("issuer", token.issuer, account),
            ("permissions", token.permissions, allowed),
        )
        if found != expected
    ]
    if token.expires and token.expires <= now.timestamp():
        until = datetime.fromtimestamp(token.expires, UTC).isoformat()
        wrong.append(Problem("token: expiry", until, "a time to come", "Ask the hub's operator for a new invitation."))
    if wrong:
        raise FederationError("This token is not the one that was promised.", wrong)
    return token


ISSUERS: dict[str, KeyKind] = {"operator": "operator", "account": "operator", "user": "account"}


def _read(text: str) -> Token:
    if not isinstance(text, str) or len(text) > LONGEST or text.count(".") != 2:
        raise ValueError("no three parts of at most a million characters")
    signed, _, signature = text.rpartition(".")
    header, claims = (json.loads(_bytes(part)) for part in signed.split("."))
    if header != HEADER:
        raise ValueError("another header")
    nats = claims["nats"]
    kind = nats["type"]
    if nats["version"] != 2 or kind not in ISSUERS:
        raise ValueError("another version or kind")
    if not is_public(claims["sub"], kind) or not is_public(claims["iss"], ISSUERS[kind]):
        raise ValueError("an issuer that may not speak of this subject")
    if not verify(claims["iss"], signed.encode("ascii"), _bytes(signature)):
        raise ValueError("a signature that is not the issuer's")
    times = claims["iat"], claims.get("exp", 0)
    if any(type(time) is not int or not 0 <= time <= FOR_EVER for time in times):
        raise ValueError("times that are no whole seconds")
    return Token(kind, claims["sub"], claims["iss"], str(claims.get("name", "")), *times, nats)


def _signed(
    issuer: KeyPair, subject: str, name: str, now: datetime, nats: Mapping[str, Any], expires: datetime | None = None
) -> str:
    claims: dict[str, Any] = {"iss": issuer.public, "sub": subject, "name": name, "iat": int(now.timestamp())}
    if expires is not None:
        claims["exp"] = int(expires.timestamp())
    claims["nats"] = {**nats, "version": 2}
    # The server does not check the token's number; it is made as its own tools make it, of the claims without it.
    claims["jti"] = b32encode(hashlib.sha256(_json(claims)).digest()).decode("ascii").rstrip("=")
    signed = f"{_text(_json(HEADER))}.{_text(_json(claims))}"
    return f"{signed}.{_text(issuer.sign(signed.encode('ascii')))}"


def _side(subjects: tuple[str, ...]) -> dict[str, list[str]]:
    # An empty list of what is allowed means everything to the server: nothing is said by denying all.
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _text(raw) != text:
        raise ValueError("characters that are no base64url")
    return raw
