"""Joining: the code that a hub's operator hands over, the request that comes back, and the fingerprint that both compare.

1. The hub makes an invitation: 32 secret bytes, for one name and one role, once, until a time. Its *code* is handed over outside
the
   network.
2. Whoever holds the code connects as a guest that can use this invitation and nothing else, and sends a *join request*: the public
   halves of two keys made on its own machine, each signed by its private half, all bound to the invitation by HMAC (RFC 2104).
3. The operator admits it once the *fingerprint* read to them (by telephone, say) is the one that the hub shows.

What each step stops: the authority's certificate in the code, a false hub; the signatures, a request for somebody else's key; the
HMAC, a request by whoever did not see the code; the fingerprint, a code that fell into other hands.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from huizhen import canonical
from huizhen.errors import CallerError, HuizhenError, Problem
from huizhen.federation.wire.certificates import pem_of
from huizhen.federation.wire.nkeys import KeyPair, is_public, pair_from_bytes, verify
from huizhen.federation.wire.subjects import ROLES, Role, is_token
from huizhen.ids import is_name
from huizhen.ledger.keys import SigningKey, public_hex, read_public_hex

__all__ = [
    "SECRET_BYTES",
    "Invitation",
    "JoinRequest",
    "bind_key",
    "fingerprint",
    "guest_pair",
    "join_body",
    "read_code",
    "read_join",
    "write_code",
]

SECRET_BYTES = 32
MARK = "HZ1-"  # so that a person sees what it is, and a program which form it has
CHECK_BYTES = 4  # of SHA-256: finds a code that was cut or mistyped
LONGEST_CODE = 8_000  # characters
FACTS = ("version", "invitation", "name", "nkey", "identity")
FIELDS = frozenset({*FACTS, "nkey_signature", "identity_signature", "binding"})
SIGNED = b"huizhen join 1\0"  # what a signature under a join request begins with, and under nothing else


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a code carries.

    Attributes:
        id: one token of a subject.
        name: the name under which the actor will be known.
        role: what it may be.
        expires: seconds since 1970, UTC.
        addresses: where the hub's servers listen, e.g. ``tls://hub.example.org:4222``.
        authority: certificate of the hub's authority, DER.
        account: public NKey of the account that will vouch for the actor.
        hub: the hub's public identity key (`ledger.keys`), hexadecimal.
        token: the guest's token.
        secret: 32 bytes from which the guest's key and the HMAC's key are derived.
    """

    id: str
    name: str
    role: Role
    expires: int
    addresses: tuple[str, ...]
    authority: bytes
    account: str
    hub: str
    token: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A request whose form, signatures and binding are sound; whether it is admitted a person decides.

    Attributes:
        invitation: by which it was made.
        name: as whom it asks to join.
        nkey: public NKey of the connection.
        identity: public Ed25519 key by which it signs facts, hexadecimal.
    """

    invitation: str
    name: str
    nkey: str
    identity: str


def guest_pair(secret: bytes) -> KeyPair:
    """The key with which an invitation's guest connects; derived, so that the code carries one secret (HKDF, RFC 5869)."""
    return pair_from_bytes("user", _derived(secret, b"huizhen guest 1"))


def bind_key(secret: bytes) -> bytes:
    """The HMAC's key of an invitation, 32 bytes; all of the secret that the hub keeps."""
    return _derived(secret, b"huizhen bind 1")


def write_code(invitation: Invitation) -> str:
    """One line that can be copied: a mark, and base64url of the invitation with a check."""
    content = canonical.encode([1, *(getattr(invitation, name) for name in Invitation.__slots__)])
    return MARK + urlsafe_b64encode(content + hashlib.sha256(content).digest()[:CHECK_BYTES]).decode("ascii").rstrip("=")


def read_code(code: str) -> Invitation:
    """The invitation behind a code.

    Raises:
        CallerError: the code was cut or mistyped, or is none; the code is not repeated.
    """
    text = "".join(code.split())
    try:
        if not text.startswith(MARK) or len(text) > LONGEST_CODE:
            raise ValueError
        body = text.removeprefix(MARK)
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        content, check = raw[:-CHECK_BYTES], raw[-CHECK_BYTES:]
        if hashlib.sha256(content).digest()[:CHECK_BYTES] != check:
            raise ValueError
        version, *values = canonical.decode(content)
        if version != 1:
            raise ValueError
        invitation = Invitation(**dict(zip(Invitation.__slots__, values, strict=True)))
        return _checked(invitation)
    except (ValueError, TypeError, AttributeError, HuizhenError):
        problem = Problem("code", f"{len(text)} characters that are no invitation", "the whole line that the hub printed")
        raise CallerError("The invitation cannot be read.", [problem]) from None


def join_body(invitation: Invitation, pair: KeyPair, identity: SigningKey) -> dict[str, Any]:
    """The request to join: plain values, ready to be sent."""
    facts = {
        "version": 1,
        "invitation": invitation.id,
        "name": invitation.name,
        "nkey": pair.public,
        "identity": public_hex(identity.public),
    }
    signed = SIGNED + canonical.encode(facts)
    body = {**facts, "nkey_signature": pair.sign(signed), "identity_signature": identity.sign(signed)}
    return {**body, "binding": _binding(bind_key(invitation.secret), body)}


def read_join(body: Mapping[str, Any], bound_by: bytes) -> JoinRequest | None:
    """The request in a message, if it is sound and made by a holder of the invitation; else None.

    Why it is not is not told: whoever sends such a message did not use this program.

    Args:
        body: anything that could be decoded.
        bound_by: the HMAC's key of the invitation that the message names.
    """
    if set(body) != FIELDS or type(body["version"]) is not int or body["version"] != 1:
        return None
    texts = [body[name] for name in ("invitation", "name", "nkey", "identity")]
    proofs = [body[name] for name in ("nkey_signature", "identity_signature", "binding")]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(proof, bytes) for proof in proofs):
        return None
    request = JoinRequest(*texts)
    try:
        binding = _binding(bound_by, {name: body[name] for name in FIELDS - {"binding"}})
    except ValueError:  # half a character in a text: it cannot have come over the wire
        return None
    if not hmac.compare_digest(binding, proofs[2]):
        return None
    if not is_token(request.invitation) or not is_name(request.name) or not is_public(request.nkey, "user"):
        return None
    signed = SIGNED + canonical.encode({name: body[name] for name in FACTS})
    sound = verify(request.nkey, signed, proofs[0]) and _signed_by(request.identity, signed, proofs[1])
    return request if sound else None


def fingerprint(name: str, nkey: str, identity: str, authority_digest: bytes) -> str:
    """What both sides compare: 5 groups of 4 letters and digits (100 bits of SHA-256) over who joins, with which keys, which hub.

    To find other keys with the fingerprint of given ones takes 2^100 tries; it is read aloud, so it holds no 0, 1, 8 and 9
    (base32).
    """
    facts = {"for": "huizhen-fingerprint-1", "name": name, "nkey": nkey, "identity": identity, "authority": authority_digest}
    letters = b32encode(hashlib.sha256(canonical.encode(facts)).digest()).decode("ascii")
    return "-".join(letters[i : i + 4] for i in range(0, 20, 4))


def _checked(invitation: Invitation) -> Invitation:
    texts = (invitation.id, invitation.name, invitation.account, invitation.hub, invitation.token)
    sound = (
        all(isinstance(text, str) for text in texts)
        and is_token(invitation.id)
        and is_name(invitation.name)
        and invitation.role in ROLES
        and type(invitation.expires) is int
        and isinstance(invitation.addresses, list)
        and invitation.addresses
        and all(isinstance(address, str) for address in invitation.addresses)
        and is_public(invitation.account, "account")
        and len(invitation.secret) == SECRET_BYTES
    )
    if not sound:
        raise ValueError
    read_public_hex(invitation.hub)
    pem_of(invitation.authority)
    values = {name: getattr(invitation, name) for name in Invitation.__slots__}
    return Invitation(**{**values, "addresses": tuple(invitation.addresses)})


def _signed_by(identity: str, message: bytes, signature: bytes) -> bool:
    try:
        read_public_hex(identity).verify(signature, message)
    except (HuizhenError, InvalidSignature):
        return False
    return True


def _binding(key: bytes, body: Mapping[str, Any]) -> bytes:
    return hmac.digest(key, canonical.encode(dict(body)), "sha256")


def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=use).derive(secret)
