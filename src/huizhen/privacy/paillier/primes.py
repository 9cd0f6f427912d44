"""Primes for a key: drawn from entropy that is handed in, tested by Miller and Rabin's test.

OpenSSL makes primes faster, but draws them from a source of its own and not congruent to 3 modulo 4. A key is made once, so that a
second or two do not matter; in the suite OpenSSL checks what is made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from huizhen.privacy.paillier.arithmetic import Arithmetic

__all__ = ["Entropy", "draw_prime", "is_composite", "small_factor"]

Entropy = Callable[[int], bytes]
ROUNDS = 40  # an odd composite passes one round with probability at most 1/4 (Rabin 1980), all with 2^-80


def _primes_below(limit: int) -> list[int]:
    sieve = bytearray([1]) * limit
    for number in range(2, math.isqrt(limit) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return [number for number in range(2, limit) if sieve[number]]


SMALL = _primes_below(2048)
PRODUCT_OF_SMALL = math.prod(SMALL)


def small_factor(number: int) -> bool:
    """Whether a number above 2048 has a prime factor below 2048."""
    return math.gcd(int(number), PRODUCT_OF_SMALL) != 1


def is_composite(number: int, bases: Iterable[int], arithmetic: Arithmetic) -> bool:
    """Whether one of the bases, each in [2, number - 2], witnesses that an odd number above 3 is no prime.

    The test of Miller and Rabin: FIPS 186-5, appendix B.3.1.
    """
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return any(_witnesses(base, number, odd, twos, arithmetic) for base in bases)


def _witnesses(base: int, number: int, odd: int, twos: int, arithmetic: Arithmetic) -> bool:
    power = arithmetic.power(base, odd, number)
    if power in (1, number - 1):
        return False
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return False
    return True


def draw_prime(bits: int, entropy: Entropy, arithmetic: Arithmetic) -> int:
    """A prime of `bits` bits (a multiple of 8) with the two highest bits set, congruent to 3 modulo 4.

    Each candidate is drawn anew, so that all such primes are equally likely. The two highest bits make the product of two such
    primes exactly twice as long.
    """
    frame = 3 << (bits - 2) | 3
    while True:
        candidate = int.from_bytes(entropy(bits // 8), "little") | frame
        if small_factor(candidate):
            continue
        number = arithmetic.number(candidate)
        if not is_composite(number, islice(_bases(number, entropy, bits // 8), ROUNDS), arithmetic):
            return candidate


def _bases(number: int, entropy: Entropy, length: int) -> Iterator[int]:
    while True:
        yield 2 + int.from_bytes(entropy(length), "little") % (number - 3)
