"""Ciphertexts as they travel: a header of 36 bytes, then numbers modulo n^2 one after the other, little-endian.

    4 bytes  HzP1
    16       identifier of the public key
    8        values
    4        bits of a value
    2        the most addends that the slots hold
    2        addends that are in it: 1 from a site, more in a total

All is checked before anything is computed with it; what does not fit is refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.privacy.paillier.arithmetic import Arithmetic
from huizhen.privacy.paillier.digits import Digits, join, split
from huizhen.privacy.paillier.keys import PublicKey
from huizhen.privacy.paillier.layout import Layout
from huizhen.privacy.paillier.slots import MOST_VALUES

__all__ = ["HEADER", "Ciphertexts", "encoded_bytes", "read_ciphertexts"]

HEADER = struct.Struct("<4s16sQIHH")
MARK = b"HzP1"


@dataclass(frozen=True, slots=True)
class Ciphertexts:
    """Encrypted numbers of a site, or their sum.

    Attributes:
        values: how many values they carry.
        addends: how many sites' ciphertexts are added up in them.
        digits: the numbers modulo n^2, as digits in base n.
    """

    values: int
    addends: int
    digits: list[Digits]

    def encoded(self, key: PublicKey, slots: Layout[Any], arithmetic: Arithmetic) -> bytes:
        """As they travel."""
        header = HEADER.pack(MARK, key.key_id, self.values, slots.bits, slots.addends, self.addends)
        n, length, write = arithmetic.number(key.n), key.ciphertext_bytes, arithmetic.write
        return header + b"".join([write(join(digits, n), length) for digits in self.digits])


def encoded_bytes(values: int, key: PublicKey, slots: Layout[Any]) -> int:
    """How many bytes so many values take, encrypted."""
    return HEADER.size + slots.numbers(values) * key.ciphertext_bytes


def read_ciphertexts(encoded: bytes, key: PublicKey, slots: Layout[Any], arithmetic: Arithmetic, *, sender: str) -> Ciphertexts:
    """The ciphertexts behind their bytes.

    Args:
        sender: for messages, e.g. ``site east``.

    Raises:
        FederationError: another length, key or layout than agreed, or a number that is no unit modulo n^2.
    """
    if len(encoded) < HEADER.size:
        raise _refused(sender, f"{len(encoded)} bytes", f"a header of {HEADER.size} bytes")
    mark, key_id, values, bits, most, addends = HEADER.unpack_from(encoded)
    problems = list(_header_problems(sender, (mark, key_id, bits, most), (MARK, key.key_id, slots.bits, slots.addends)))
    if not 1 <= values <= MOST_VALUES:
        problems.append(Problem(sender, f"{values} values", f"1 to {MOST_VALUES} values"))
    elif len(encoded) != (expected := encoded_bytes(values, key, slots)):
        problems.append(Problem(sender, f"{len(encoded)} bytes", f"{expected} bytes"))
    if not 1 <= addends <= slots.addends:
        problems.append(Problem(sender, f"{addends} addends", f"1 to {slots.addends} addends"))
    if slots.modulus_bits != key.bits:
        problems.append(Problem(sender, f"slots for {slots.modulus_bits} bits", f"slots for {key.bits} bits"))
    if problems:
        raise FederationError("Ciphertexts are refused.", problems)
    return Ciphertexts(values, addends, _units(encoded, key, arithmetic, sender))


def _header_problems(sender: str, found: tuple[object, ...], expected: tuple[object, ...]) -> Iterator[Problem]:
    names = ("another kind of message", "another key", "values of other bits", "slots for other numbers of addends")
    wanted = ("ciphertexts", "the round's key", "the round's bits", "the round's slots")
    for one, other, name, want in zip(found, expected, names, wanted, strict=True):
        if one != other:
            yield Problem(sender, name, want)


def _units(encoded: bytes, key: PublicKey, arithmetic: Arithmetic, sender: str) -> list[Digits]:
    n, length, read = arithmetic.number(key.n), key.ciphertext_bytes, arithmetic.read
    digits = [split(read(encoded[at : at + length]), n) for at in range(HEADER.size, len(encoded), length)]
    if max(high for _, high in digits) >= n:
        raise _refused(sender, "a number of n^2 or above", "numbers below n^2")
    product = arithmetic.number(1)
    for low, _ in digits:
        product = product * low % n
    # All are units modulo n if and only if their product is; 0 is none.
    if math.gcd(int(product), key.n) != 1:
        raise _refused(sender, "a number that is no unit modulo n", "units modulo n")
    return digits


def _refused(sender: str, found: str, expected: str) -> FederationError:
    return FederationError("Ciphertexts are refused.", [Problem(sender, found, expected)])
