"""What a calibration runs: every algorithm's steps, as calls that do exactly that on made-up bytes.

Keys that protect nothing are made here and forgotten. What a library does not have (an older one without SM4, say) is left out.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

__all__ = ["BYTES", "Call", "Work", "basic_works"]

Call = Callable[[], Any]
BYTES = (16, 1024, 16_384, 65_536, 262_144, 1 << 20, 1 << 21, 1 << 22, 1 << 23)
SLOW_BYTES = (16, 1024, 65_536, 1 << 20)  # of what computes longer than memory takes: as straight a line
SLOW = ("sm3", "sha3-256", "sha3-384", "sha3-512", "md5", "sha-384", "sha-512")
NONCE = bytes(12)
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
DIGESTS: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
    "sm3": hashes.SM3,
    "sha3-256": hashes.SHA3_256,
    "sha3-384": hashes.SHA3_384,
    "sha3-512": hashes.SHA3_512,
    "sha-1": hashes.SHA1,
    "md5": hashes.MD5,
}


@dataclass(frozen=True, slots=True)
class Work:
    """One step of an algorithm.

    Attributes:
        lengths: at which it is measured, as the algorithm counts.
        prepared: for a length, the call that does it once, and again every time.
    """

    algorithm: str
    step: str
    lengths: tuple[int, ...]
    prepared: Callable[[int], Call]


def basic_works() -> Iterator[Work]:
    """Ciphers, hashes and signatures that are installed here."""
    yield from _aead("aes-128-gcm", lambda: AESGCM(bytes(16)))
    yield from _aead("aes-256-gcm", lambda: AESGCM(bytes(32)))
    yield from _aead("chacha20-poly1305", lambda: ChaCha20Poly1305(bytes(32)))
    yield from _cipher("sm4-gcm", lambda: Cipher(algorithms.SM4(bytes(16)), modes.GCM(NONCE)))
    yield from _cipher("sm4-ctr", lambda: Cipher(algorithms.SM4(bytes(16)), modes.CTR(bytes(16))))
    yield from _cipher("sm4-cbc", lambda: Cipher(algorithms.SM4(bytes(16)), modes.CBC(bytes(16))))
    yield from _old_ciphers()
    for name, digest in DIGESTS.items():
        yield Work(name, "hash", SLOW_BYTES if name in SLOW else BYTES, partial(_hash, digest()))
    yield from _agreements()
    yield from _signatures()
    for bits in (2048, 3072, 4096):
        yield from _rsa(bits)


def _aead(name: str, make: Callable[[], Any]) -> Iterator[Work]:
    def seal(length: int) -> Call:
        cipher, plain = make(), bytes(length)
        return lambda: cipher.encrypt(NONCE, plain, None)

    def opens(length: int) -> Call:
        cipher = make()
        sealed = cipher.encrypt(NONCE, bytes(length), None)
        return lambda: cipher.decrypt(NONCE, sealed, None)

    yield Work(name, "seal", BYTES, seal)
    yield Work(name, "open", BYTES, opens)
    yield Work(name, "keys", (32,), lambda length: lambda: secrets.token_bytes(length))


def _cipher(name: str, make: Callable[[], Cipher[Any]]) -> Iterator[Work]:
    try:
        make().encryptor()
    except UnsupportedAlgorithm:
        return

    def of(context: Callable[[Cipher[Any]], Any]) -> Callable[[int], Call]:
        def prepared(length: int) -> Call:
            whole = bytes(-(-length // 16) * 16)
            return lambda: context(make()).update(whole)

        return prepared

    yield Work(name, "seal", SLOW_BYTES, of(lambda cipher: cipher.encryptor()))
    yield Work(name, "open", SLOW_BYTES, of(lambda cipher: cipher.decryptor()))
    yield Work(name, "keys", (16,), lambda length: lambda: secrets.token_bytes(length))


def _old_ciphers() -> Iterator[Work]:
    try:
        from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
    except ImportError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from _cipher("3des-cbc", lambda: Cipher(TripleDES(bytes(range(24))), modes.CBC(bytes(8))))
        yield from _cipher("rc4", lambda: Cipher(ARC4(bytes(range(16))), None))


def _hash(digest: hashes.HashAlgorithm, length: int) -> Call:
    whole = bytes(length)

    def call() -> bytes:
        context = hashes.Hash(digest)
        context.update(whole)
        return context.finalize()

    return call


def _agreements() -> Iterator[Work]:
    one, other = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key()
    yield Work("x25519", "keys", (32,), lambda _: lambda: X25519PrivateKey.generate().public_key())
    yield Work("x25519", "open", (32,), lambda _: lambda: one.exchange(other))
    curve = ec.generate_private_key(ec.SECP256R1())
    peer = ec.generate_private_key(ec.SECP256R1()).public_key()
    yield Work("ecdsa-p256", "keys", (32,), lambda _: lambda: ec.generate_private_key(ec.SECP256R1()))
    yield Work("ecdh-p256", "open", (32,), lambda _: lambda: curve.exchange(ec.ECDH(), peer))
    try:
        private = MLKEM768PrivateKey.generate()
    except UnsupportedAlgorithm:
        return
    public = private.public_key()
    _, carried = public.encapsulate()
    yield Work("ml-kem-768", "keys", (1184,), lambda _: MLKEM768PrivateKey.generate)
    yield Work("ml-kem-768", "seal", (1088,), lambda _: public.encapsulate)
    yield Work("ml-kem-768", "open", (1088,), lambda _: lambda: private.decapsulate(carried))


def _signatures() -> Iterator[Work]:
    private = Ed25519PrivateKey.generate()
    lengths = (64, 4096, 262_144)

    def verified(length: int) -> Call:
        whole, public = bytes(length), private.public_key()
        signature = private.sign(whole)
        return lambda: public.verify(signature, whole)

    yield Work("ed25519", "keys", (32,), lambda _: Ed25519PrivateKey.generate)
    yield Work("ed25519", "sign", lengths, lambda length: partial(private.sign, bytes(length)))
    yield Work("ed25519", "verify", lengths, verified)
    for name, curve, digest in (("ecdsa-p256", ec.SECP256R1(), hashes.SHA256()), ("ecdsa-p384", ec.SECP384R1(), hashes.SHA384())):
        yield from _ecdsa(name, ec.generate_private_key(curve), ec.ECDSA(digest), lengths)


def _ecdsa(name: str, private: ec.EllipticCurvePrivateKey, scheme: ec.ECDSA, lengths: tuple[int, ...]) -> Iterator[Work]:
    def sign(length: int) -> Call:
        whole = bytes(length)
        return lambda: private.sign(whole, scheme)

    def verify(length: int) -> Call:
        whole, public = bytes(length), private.public_key()
        signature = private.sign(whole, scheme)
        return lambda: public.verify(signature, whole, scheme)

    yield Work(name, "sign", lengths, sign)
    yield Work(name, "verify", lengths, verify)
    if name != "ecdsa-p256":
        yield Work(name, "keys", (48,), lambda _: lambda: ec.generate_private_key(private.curve))


@cache
def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _rsa(bits: int) -> Iterator[Work]:
    name = f"rsa-{bits}-oaep"
    yield Work(name, "keys", (bits,), lambda _: lambda: rsa.generate_private_key(65537, bits))
    yield Work(name, "seal", (32,), lambda _: _sealed_with(_rsa_key(bits).public_key()))
    yield Work(name, "open", (32,), lambda _: _opened_with(_rsa_key(bits)))


def _sealed_with(public: rsa.RSAPublicKey) -> Call:
    return lambda: public.encrypt(bytes(32), OAEP)


def _opened_with(private: rsa.RSAPrivateKey) -> Call:
    sealed = private.public_key().encrypt(bytes(32), OAEP)
    return lambda: private.decrypt(sealed, OAEP)
