"""Keys of an epoch: made by each site for some rounds, advertised under its identity, agreed upon in pairs, and then forgotten.

A pair's secret comes from X25519 (RFC 7748) *and* ML-KEM-768 (FIPS 203), joined by HKDF (RFC 5869): who wants it has to break both,
so what is recorded today stays hidden from the computers of tomorrow. An advert is signed (Ed25519, RFC 8032) over the study, run,
analysis, epoch and roster that it is for: a replayed or exchanged one does not verify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from huizhen import canonical
from huizhen.errors import MachineError, Problem

__all__ = ["Advert", "EpochKeys", "adverts_digest", "derive", "make_keys", "open_box", "seal_box", "verify"]

SHARED_BYTES, SIGNATURE_BYTES = 32, 64
X_BYTES, KEM_BYTES, CIPHERTEXT_BYTES = 32, 1184, 1088


@dataclass(frozen=True, slots=True)
class Advert:
    """What a site tells the others at the beginning of an epoch: two public keys, and its signature over them and their purpose."""

    agreement: bytes
    encapsulation: bytes
    signature: bytes = b""

    def message(self, purpose: Mapping[str, Any]) -> bytes:
        """What is signed. `purpose`: study, run, analysis, epoch, roster and the site itself."""
        return canonical.encode(["huizhen-advert-1", dict(purpose), self.agreement, self.encapsulation])

    def facts(self) -> dict[str, bytes]:
        """As canonical values."""
        return {"agreement": self.agreement, "encapsulation": self.encapsulation, "signature": self.signature}

    @classmethod
    def from_facts(cls, facts: Any) -> Advert | None:
        """The advert behind canonical values; None where they are no advert."""
        sizes = {"agreement": X_BYTES, "encapsulation": KEM_BYTES, "signature": SIGNATURE_BYTES}
        if not isinstance(facts, Mapping) or set(facts) != set(sizes):
            return None
        if any(not isinstance(facts[name], bytes) or len(facts[name]) != size for name, size in sizes.items()):
            return None
        return cls(**facts)


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """The private keys of a site for one epoch; never written anywhere."""

    agreement: X25519PrivateKey = field(repr=False)
    encapsulation: MLKEM768PrivateKey = field(repr=False)

    def advert(self) -> Advert:
        """The public keys, unsigned."""
        return Advert(self.agreement.public_key().public_bytes_raw(), self.encapsulation.public_key().public_bytes_raw())

    def agree(self, peer: Advert) -> bytes:
        """The X25519 secret shared with a peer.

        Raises:
            ValueError: the peer's key gives no secret (a point of small order).
        """
        return self.agreement.exchange(X25519PublicKey.from_public_bytes(peer.agreement))

    @staticmethod
    def encapsulate(peer: Advert) -> tuple[bytes, bytes]:
        """A fresh ML-KEM secret and what carries it to the peer.

        Raises:
            ValueError: the peer's key is none (FIPS 203, section 7.2).
        """
        return MLKEM768PublicKey.from_public_bytes(peer.encapsulation).encapsulate()

    def decapsulate(self, carried: bytes) -> bytes:
        """The ML-KEM secret that a peer has sent; of a false one, another secret (implicit rejection)."""
        return self.encapsulation.decapsulate(carried)


def make_keys() -> EpochKeys:
    """Fresh keys, from the operating system's source.

    Raises:
        MachineError: the cryptography here has no ML-KEM.
    """
    try:
        return EpochKeys(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate())
    except UnsupportedAlgorithm:
        problem = Problem("ML-KEM-768", "a cryptographic library without it", "cryptography 47 or newer from its own wheel")
        raise MachineError("Keys for masked sums cannot be made here.", [problem]) from None


def verify(advert: Advert, purpose: Mapping[str, Any], identity: Ed25519PublicKey) -> bool:
    """Whether the site of that identity made this advert for this purpose."""
    try:
        identity.verify(advert.signature, advert.message(purpose))
    except InvalidSignature:
        return False
    return True


def adverts_digest(adverts: Mapping[str, Advert]) -> bytes:
    """SHA-256 of all adverts: every site has put something into it that nobody could foresee."""
    return hashlib.sha256(canonical.encode({site: advert.facts() for site, advert in adverts.items()})).digest()


def derive(secret: bytes, *purpose: Any, size: int = SHARED_BYTES) -> bytes:
    """HKDF-SHA256 without salt; `purpose` (canonical values) is the info, so that no secret serves two purposes."""
    return HKDF(SHA256(), size, salt=None, info=canonical.encode(list(purpose))).derive(secret)


def seal_box(key: bytes, content: bytes, bound_to: bytes) -> bytes:
    """AES-256-GCM (NIST SP 800-38D). The key serves this one box, so the nonce may be 0."""
    return AESGCM(key).encrypt(bytes(12), content, bound_to)


def open_box(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The content of a box.

    Raises:
        cryptography.exceptions.InvalidTag: another key, another purpose, or a changed box.
    """
    return AESGCM(key).decrypt(bytes(12), sealed, bound_to)
