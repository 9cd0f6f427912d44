"""Paillier keys: made by the key holder, whose public half all sites encrypt with and whose private half never leaves.

    n = p q, p and q primes of equal length and congruent to 3 mod 4, gcd(p - 1, q - 1) = 2
    h = -x^2 mod n for a random unit x, from which obfuscators (h^n)^r mod n^2 are made

Sources: Paillier, Public-Key Cryptosystems Based on Composite Degree Residuosity Classes, EUROCRYPT 1999 (section 7 for decryption
modulo p and q); Damgard, Jurik and Nielsen, A generalization of Paillier's public-key system with applications to electronic
voting, Int. J. Inf. Secur. 9 (2010), section 4 on another way to encrypt, for h.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.privacy.paillier.arithmetic import Arithmetic, fastest
from huizhen.privacy.paillier.primes import SMALL, Entropy, draw_prime, is_composite, small_factor

__all__ = ["SIZES", "PrivateKey", "PublicKey", "make_key", "read_private_key", "read_public_key"]

SIZES = (2048, 3072)  # bits of n: 112 and 128 bits of security (NIST SP 800-57 part 1, table 2)
FEW = 8  # of the small primes, as bases for a number that nobody chose to deceive this test


@dataclass(frozen=True)
class PublicKey:
    """What sites encrypt and the hub adds with.

    Attributes:
        n: the modulus, 2048 or 3072 bits.
        h: base of the obfuscators, a unit modulo n.

    Raises:
        FederationError: n is even, of another length, a prime, or has a small factor; h is no unit, or 1 or -1. That n is the
            product of two large primes cannot be seen; who made the key must be known (see the docs).
    """

    n: int
    h: int

    def __post_init__(self) -> None:
        problems = list(_faults(self.n, self.h))
        if problems:
            raise FederationError("A public key for encrypted sums is refused.", problems)

    @property
    def bits(self) -> int:
        """Length of n."""
        return self.n.bit_length()

    @property
    def ciphertext_bytes(self) -> int:
        """Length of one ciphertext, a number modulo n^2."""
        return self.bits // 4

    @cached_property
    def key_id(self) -> bytes:
        """First 16 bytes of SHA-256 of n and h, little-endian at the length of n."""
        return hashlib.sha256(b"huizhen paillier key 1\0" + self._write(self.n) + self._write(self.h)).digest()[:16]

    def canonical(self) -> dict[str, bytes]:
        """Canonical values: n and h as little-endian bytes."""
        return {"n": self._write(self.n), "h": self._write(self.h)}

    def _write(self, number: int) -> bytes:
        return int(number).to_bytes(self.bits // 8, "little")


@dataclass(frozen=True)
class PrivateKey:
    """What opens a sum; its numbers are never shown.

    Attributes:
        p, q: the primes.
        public: the half that everyone may know.

    Raises:
        FederationError: the primes are not those of the public half, or not as `make_key` chooses them.
    """

    p: int = field(repr=False)
    q: int = field(repr=False)
    public: PublicKey

    def __post_init__(self) -> None:
        if not self._fits():
            problem = Problem("private key", "other numbers", "two primes whose product is the public key's n, as they were made")
            raise FederationError("A private key for encrypted sums is refused.", [problem])

    def open(self, numbers: Sequence[int], arithmetic: Arithmetic | None = None) -> list[int]:
        """The messages, in [0, n), of numbers modulo n^2 that are units: modulo p and q apart, then joined."""
        arithmetic = arithmetic or fastest()
        p, q = arithmetic.number(self.p), arithmetic.number(self.q)
        modulo_p = _half(p, q, numbers, arithmetic)
        modulo_q = _half(q, p, numbers, arithmetic)
        inverse = pow(self.q, -1, self.p)
        return [of_q + q * ((of_p - of_q) * inverse % p) for of_p, of_q in zip(modulo_p, modulo_q, strict=True)]

    def canonical(self) -> dict[str, bytes]:
        """Canonical values, to be kept as secret as the key itself."""
        length = self.public.bits // 16
        return {**self.public.canonical(), "p": int(self.p).to_bytes(length, "little"), "q": int(self.q).to_bytes(length, "little")}

    def _fits(self) -> bool:
        half = self.public.bits // 2
        if self.p * self.q != self.public.n or {self.p.bit_length(), self.q.bit_length()} != {half}:
            return False
        if self.p % 4 != 3 or self.q % 4 != 3 or math.gcd(self.p - 1, self.q - 1) != 2:
            return False
        return not any(is_composite(fastest().number(prime), SMALL[:FEW], fastest()) for prime in (self.p, self.q))


def make_key(bits: int, entropy: Entropy, arithmetic: Arithmetic | None = None) -> PrivateKey:
    """A fresh key.

    Args:
        bits: 2048 or 3072.
        entropy: gives as many secret random bytes as asked for, e.g. ``secrets.token_bytes``.

    Raises:
        FederationError: another number of bits.
    """
    if bits not in SIZES:
        raise FederationError("No key of this length is made.", [_size_problem(bits)])
    arithmetic = arithmetic or fastest()
    while True:
        p = draw_prime(bits // 2, entropy, arithmetic)
        q = draw_prime(bits // 2, entropy, arithmetic)
        if abs(p - q) >> (bits // 2 - 100) and math.gcd(p - 1, q - 1) == 2:  # FIPS 186-5, A.1.3: not too near each other
            break
    n = p * q
    x = _draw_unit(n, entropy, bits // 8)
    return PrivateKey(p, q, PublicKey(n, -x * x % n))


def read_public_key(values: Mapping[str, Any]) -> PublicKey:
    """The key behind `PublicKey.canonical`.

    Raises:
        FederationError: the values are not those of a key, or the key is refused.
    """
    return PublicKey(*_numbers(values, ("n", "h")))


def read_private_key(values: Mapping[str, Any]) -> PrivateKey:
    """The key behind `PrivateKey.canonical`.

    Raises:
        FederationError: the values are not those of a key, or the key is refused.
    """
    n, h, p, q = _numbers(values, ("n", "h", "p", "q"))
    return PrivateKey(p, q, PublicKey(n, h))


def _numbers(values: Mapping[str, Any], names: tuple[str, ...]) -> list[int]:
    found = [values.get(name) for name in names] if isinstance(values, Mapping) and set(values) == set(names) else []
    if not found or not all(isinstance(value, bytes) and len(value) <= max(SIZES) // 8 for value in found):
        expected = f"byte strings {', '.join(names)} of at most {max(SIZES) // 8} bytes"
        raise FederationError("A key for encrypted sums cannot be read.", [Problem("key", "other values", expected)])
    return [int.from_bytes(value, "little") for value in found if value is not None]


def _faults(n: int, h: int) -> list[Problem]:
    if n <= 0 or n.bit_length() not in SIZES:
        return [_size_problem(n.bit_length())]
    if n % 2 == 0 or small_factor(n):
        return [Problem("n", "a small factor", "a product of two large primes", "Ask the key holder for another key.")]
    problems = []
    if math.isqrt(n) ** 2 == n or not is_composite(fastest().number(n), SMALL[:FEW], fastest()):
        problems.append(Problem("n", "a prime or a square", "a product of two large primes", "Ask the key holder for another key."))
    if not 1 < h < n - 1 or math.gcd(n, h) != 1:
        problems.append(Problem("h", "no unit, or a trivial one", "a unit modulo n other than 1 and -1"))
    return problems


def _size_problem(bits: int) -> Problem:
    return Problem("key length", f"{bits} bits", " or ".join(f"{size}" for size in SIZES) + " bits")


def _draw_unit(n: int, entropy: Entropy, length: int) -> int:
    while True:
        # 16 bytes more than n has: the remainder is uniform to within 2^-128.
        x = int.from_bytes(entropy(length + 16), "little") % n
        if x > 1 and math.gcd(x, n) == 1:
            return x


def _half(p: int, q: int, numbers: Sequence[int], arithmetic: Arithmetic) -> list[int]:
    """Messages modulo p: L(c^(p-1) mod p^2) / L((1+n)^(p-1) mod p^2), where L(u) = (u - 1) / p and the divisor is -q mod p."""
    square = p * p
    scale = pow(int(-q % p), -1, int(p))
    powers = arithmetic.secret_powers([arithmetic.number(number) % square for number in numbers], p - 1, square)
    return [(power - 1) // p * scale % p for power in powers]
