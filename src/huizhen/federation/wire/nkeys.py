"""NKeys: the Ed25519 keys by which NATS knows an operator, an account and each actor.

An NKey as text is base32 without padding (RFC 4648, section 6) of a prefix byte, the 32 bytes of the key and CRC-16/XMODEM over
both, low byte first. A seed carries two prefix bytes: that it is a seed, and of what. Source: the format notes of the
nats-io/nkeys project.

    >>> pair = new_pair("user")
    >>> pair.public[0], verify(pair.public, b"nonce", pair.sign(b"nonce"))
    ('U', True)
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from binascii import Error, crc_hqx
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from huizhen.errors import FederationError, Problem

__all__ = ["KeyKind", "KeyPair", "is_public", "new_pair", "pair_from_bytes", "pair_from_seed", "verify"]

KeyKind = Literal["operator", "account", "user"]
PREFIXES: dict[KeyKind, int] = {"operator": 14 << 3, "account": 0, "user": 20 << 3}  # O, A and U in base32
SEED = 18 << 3  # S
KEY_BYTES = 32
PUBLIC_LETTERS = 56  # 35 bytes in base32


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private NKey that can be used, and is shown to nobody but whoever writes its file.

    Attributes:
        kind: what it may sign for.
        public: its public key as text, 56 letters, e.g. ``UD...``.
    """

    _private: Ed25519PrivateKey = field(repr=False)
    kind: KeyKind
    public: str

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature (RFC 8032), 64 bytes."""
        return self._private.sign(message)

    def seed(self) -> str:
        """The secret as text, 58 letters, e.g. ``SU...``; it goes into a file that only its owner can read, and nowhere else."""
        prefix = PREFIXES[self.kind]
        return _text(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + self._private.private_bytes_raw())


def new_pair(kind: KeyKind) -> KeyPair:
    """A fresh key from the system's secure source."""
    return _pair(kind, Ed25519PrivateKey.generate())


def pair_from_bytes(kind: KeyKind, secret: bytes) -> KeyPair:
    """The key whose 32 secret bytes are given, e.g. derived from another secret."""
    return _pair(kind, Ed25519PrivateKey.from_private_bytes(secret))


def pair_from_seed(text: str) -> KeyPair:
    """The key behind a seed.

    Raises:
        FederationError: it is no seed of a known kind, or a letter of it was changed (the text itself is never repeated).
    """
    raw = _raw(text.strip(), KEY_BYTES + 2)
    if raw is not None and raw[0] & 0xF8 == SEED:
        prefix = (raw[0] & 7) << 5 | raw[1] >> 3
        kind = next((kind for kind, known in PREFIXES.items() if known == prefix), None)
        if kind is not None:
            return pair_from_bytes(kind, raw[2:])
    problem = Problem("seed", f"{len(text.strip())} characters that are no seed", "58 letters that begin with SO, SA or SU")
    raise FederationError("A seed cannot be read.", [problem])


def is_public(text: object, kind: KeyKind) -> bool:
    """Whether `text` is a public NKey of this kind, letter by letter; such a key is also one token of a subject."""
    return _public_raw(text, kind) is not None


def verify(public: str, message: bytes, signature: bytes) -> bool:
    """Whether the holder of a public key (of any kind) signed a message."""
    raw = next((found for kind in PREFIXES if (found := _public_raw(public, kind)) is not None), None)
    if raw is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _pair(kind: KeyKind, private: Ed25519PrivateKey) -> KeyPair:
    return KeyPair(private, kind, _text(bytes([PREFIXES[kind]]) + private.public_key().public_bytes_raw()))


def _public_raw(text: object, kind: KeyKind) -> bytes | None:
    raw = _raw(text, KEY_BYTES + 1) if isinstance(text, str) and len(text) == PUBLIC_LETTERS else None
    return raw[1:] if raw is not None and raw[0] == PREFIXES[kind] else None


def _text(raw: bytes) -> str:
    return b32encode(raw + crc_hqx(raw, 0).to_bytes(2, "little")).decode("ascii").rstrip("=")


def _raw(text: str, length: int) -> bytes | None:
    """What a text encodes, if it is exactly the text of `length` bytes; base32 has spare bits, and one key has one text."""
    try:
        whole = b32decode(text + "=" * (-len(text) % 8))
    except (Error, ValueError):
        return None
    raw = whole[:-2]
    return raw if len(raw) == length and _text(raw) == text else None
