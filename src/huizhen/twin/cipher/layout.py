"""What leaves an algorithm, field by field: nonces, digests, ciphertexts and tags, each with its exact size.

The size is that of everything the receiver needs beside the key: where both sides know a nonce (of a key that serves one box
alone), it is not sent, and the size is smaller by as much.

>>> [(field.name, field.size) for field in layout("aes-256-gcm", 100)]
[('nonce', 12), ('ciphertext', 100), ('tag', 16)]
>>> sealed_size("sm4-cbc", 100).value
128
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from huizhen.errors import CallerError, Problem
from huizhen.twin.cipher import der
from huizhen.twin.cipher.ckks import read_ckks
from huizhen.twin.cipher.profiles import profile
from huizhen.twin.quantity import Quantity, exactly

__all__ = ["BOX_BYTES", "PUBLIC_KEY_BYTES", "RECORD", "Field", "layout", "sealed_size"]

Sort = Literal["drawn", "mark", "point", "count"]
NONCE, TAG, BLOCK, POINT, SM3_BYTES, KEM_BYTES = 12, 16, 16, 65, 32, 1088
RECORD = 1 << 14  # bytes of plain text in a record of TLS, RFC 8446 section 5.1
RECORD_HEADER, RECORD_KIND = 5, 1
BOX_BYTES = KEM_BYTES + TAG  # beside the content of a sealed box between two sites: its nonce is 0 and not sent
OAEP_BYTES = 2 * 32 + 2  # with SHA-256, RFC 8017 section 7.1.1
PUBLIC_KEY_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "x25519": 32,
        "ed25519": 32,
        "ml-kem-768": 1184,
        "ecdsa-p256": 65,
        "ecdsa-p384": 97,
        **dict.fromkeys(("sm2", "sm2-der", "sm2-sign", "sm2-sign-der"), POINT),  # 04, x, y
        "paillier-2048": 2 * 256,
        "paillier-3072": 2 * 384,  # n and h
    }
)
SIGNATURES = MappingProxyType({"ecdsa-p256": 32, "ecdsa-p384": 48, "sm2-sign-der": 32})  # bytes of each of two integers
DIGESTS = MappingProxyType(
    {"sha-1": 20, "md5": 16, "sm3": SM3_BYTES} | {f"{kind}-{n}": n // 8 for kind in ("sha", "sha3") for n in (256, 384, 512)}
)


@dataclass(frozen=True, slots=True)
class Field:
    """A run of bytes.

    Attributes:
        sort: how a stand-in fills it: ``drawn`` at random; ``mark``, which says that it is a stand-in; ``point`` of a curve, a 4
            and two coordinates; ``count`` is a record's header.
    """

    name: str
    size: int
    sort: Sort = "drawn"


def sealed_size(algorithm: str, length: int) -> Quantity:
    """Bytes that come of sealing, signing or hashing so many; exact, but for DER, whose integers may be a byte longer or shorter.

    Raises:
        CallerError: an algorithm whose size does not follow from a length (see `packets` and `compressed` for our own), or a length
            that it cannot take.
    """
    _check(algorithm, length)
    if algorithm in SIGNATURES:
        return _between(*der.of_integers(*[SIGNATURES[algorithm]] * 2), algorithm)
    if algorithm == "sm2-der":
        return _between(*der.of_integers(32, 32, octet_lengths=(SM3_BYTES, length)), algorithm)
    return exactly(sum(field.size for field in layout(algorithm, length)), "byte", profile(algorithm).standard)


def layout(algorithm: str, length: int) -> tuple[Field, ...]:
    """The fields of what leaves the algorithm, in order.

    Raises:
        CallerError: as `sealed_size`; also for DER, which has no fixed fields.
    """
    _check(algorithm, length)
    if algorithm.startswith("ckks-"):
        scheme = read_ckks(algorithm)
        each = (Field("header", 16, "mark"), Field("ciphertext", scheme.stored_bytes() - 16))
        return each * scheme.ciphertexts(length)
    if algorithm in SIGNATURES or algorithm == "sm2-der":
        problem = Problem("algorithm", algorithm, "one whose fields have fixed sizes", "Ask for its size instead")
        raise CallerError("The fields of this protection do not follow from its length.", [problem])
    return tuple(_LAYOUTS[algorithm](length))


def _check(algorithm: str, length: int) -> None:
    profile(algorithm)  # refuses what is not known
    problems = []
    if algorithm not in _LAYOUTS and algorithm not in SIGNATURES and algorithm != "sm2-der" and not algorithm.startswith("ckks-"):
        remedy = "Sizes of our own protections follow from what is protected: see packets and compressed"
        problems.append(Problem("algorithm", algorithm, "one whose size follows from a length alone", remedy))
    least = 1 if algorithm in ("sm2", "sm2-der") else 0  # a key stream of 0 bits is all 0, which GB/T 32918.4 refuses
    most = int(algorithm.split("-")[1]) // 8 - OAEP_BYTES if algorithm.endswith("-oaep") else None
    if length < least or (most is not None and length > most):
        expected = f"{least} or more" if most is None else f"from {least} to {most}"
        problems.append(Problem(f"length of {algorithm}", str(length), expected))
    if problems:
        raise CallerError("The size of this protection cannot be told.", problems)


def _between(least: int, middle: int, most: int, algorithm: str) -> Quantity:
    return Quantity(middle, "byte", least, most, "fitted", profile(algorithm).standard)


def _sealed(length: int) -> Iterator[Field]:
    yield Field("nonce", NONCE)
    yield Field("ciphertext", length)
    yield Field("tag", TAG, "mark")


def _blocks(block: int) -> Callable[[int], Iterator[Field]]:
    def fields(length: int) -> Iterator[Field]:
        yield Field("iv", block, "mark")
        yield Field("ciphertext", (length // block + 1) * block)  # always some padding: RFC 5652, section 6.3

    return fields


def _counter(length: int) -> Iterator[Field]:
    yield Field("iv", BLOCK, "mark")
    yield Field("ciphertext", length)


def _hybrid(bits: int) -> Callable[[int], Iterator[Field]]:
    def fields(length: int) -> Iterator[Field]:
        yield Field("wrapped key", bits // 8)
        yield from _sealed(length)

    return fields


def _sm2(length: int) -> Iterator[Field]:
    yield Field("point", POINT, "point")
    yield Field("digest", SM3_BYTES, "mark")
    yield Field("ciphertext", length)


def _records(length: int) -> Iterator[Field]:
    for first in range(0, length, RECORD):
        yield Field("header", RECORD_HEADER, "count")
        yield Field("ciphertext", min(RECORD, length - first) + RECORD_KIND)
        yield Field("tag", TAG, "mark")


def _fixed(name: str, size: int) -> Callable[[int], Iterator[Field]]:
    return lambda _length: iter([Field(name, size, "mark")])


def _stream(length: int) -> Iterator[Field]:
    yield Field("ciphertext", length, "mark")


_LAYOUTS: Mapping[str, Callable[[int], Iterator[Field]]] = MappingProxyType(
    {
        **dict.fromkeys(("aes-128-gcm", "aes-256-gcm", "chacha20-poly1305", "sm4-gcm"), _sealed),
        "sm4-ctr": _counter,
        "sm4-cbc": _blocks(BLOCK),
        "des-cbc": _blocks(8),
        "3des-cbc": _blocks(8),
        "rc4": _stream,
        **{f"rsa-{bits}-hybrid": _hybrid(bits) for bits in (2048, 3072, 4096)},
        **{f"rsa-{bits}-oaep": _fixed("ciphertext", bits // 8) for bits in (2048, 3072, 4096)},
        **{name: _fixed("digest", size) for name, size in DIGESTS.items()},
        **{name: _fixed("signature", 64) for name in ("ed25519", "sm2-sign")},
        "sm2": _sm2,
        "tls-1.3": _records,
        "x25519": _fixed("public key", 32),
        "ml-kem-768": _fixed("ciphertext", KEM_BYTES),
    }
)
