"""Whole numbers of thousands of bits: by gmpy2 where it is installed, else by Python itself, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from huizhen.errors import Problem
from huizhen.privacy.paillier.stripes import in_stripes

__all__ = ["PYTHON", "Arithmetic", "fastest", "gmp", "slowness"]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How large numbers are made, raised to powers, read and written; ``+ - * // %`` are the numbers' own.

    Attributes:
        name: ``gmpy2`` or ``Python``.
        number: a number of this arithmetic from an int.
        power: (base, exponent, modulus) to base^exponent mod modulus; the time taken tells about the exponent.
        secret_powers: (bases, exponent, modulus) to the power of each base, for a secret exponent and an odd modulus; gmpy2 takes
            the same time whatever the exponent's bits (GMP's ``mpz_powm_sec``) and counts in several threads at once, Python can
            neither.
        read: little-endian bytes to a number.
        write: (number, length) to little-endian bytes.
    """

    name: str
    number: Callable[[int], int]
    power: Callable[[int, int, int], int]
    secret_powers: Callable[[Sequence[int], int, int], list[int]]
    read: Callable[[bytes], int]
    write: Callable[[int, int], bytes]


def _read(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little")


def _write(number: int, length: int) -> bytes:
    return number.to_bytes(length, "little")


def _powers(bases: Sequence[int], exponent: int, modulus: int) -> list[int]:
    return [pow(base, exponent, modulus) for base in bases]


PYTHON = Arithmetic("Python", int, pow, _powers, _read, _write)


def gmp(threads: int = 1) -> Arithmetic:
    """The arithmetic of gmpy2, 5 to 7 times as fast.

    Args:
        threads: in which it may raise many numbers to a power, at least 1.

    Raises:
        ImportError: gmpy2 is not installed.
        AttributeError: it is older than 2.2.
    """
    import gmpy2

    number: Any = gmpy2.mpz
    from_bytes = number.from_bytes  # since 2.2

    def powers(bases: Sequence[int], exponent: int, modulus: int) -> list[int]:
        with gmpy2.context(allow_release_gil=True):  # of this thread; else the others would wait for it
            return [gmpy2.powmod_sec(base, exponent, modulus) for base in bases]

    return Arithmetic(
        "gmpy2",
        number,
        gmpy2.powmod,
        lambda bases, exponent, modulus: in_stripes(lambda some: powers(some, exponent, modulus), bases, threads=threads),
        lambda encoded: from_bytes(encoded, "little"),
        lambda value, length: number(value).to_bytes(length, "little"),
    )


@cache
def fastest(threads: int = 1) -> Arithmetic:
    """gmpy2's arithmetic where it can be imported, else Python's; `slowness` says what the latter costs."""
    try:
        return gmp(threads)
    except (ImportError, AttributeError):
        return PYTHON


def slowness(arithmetic: Arithmetic) -> Problem | None:
    """What a program shows before it encrypts with Python's own arithmetic; None with gmpy2."""
    if arithmetic.name == "gmpy2":
        return None
    return Problem(
        "protection.sum",
        "paillier without gmpy2: encrypting takes about 5 times as long, opening a total about 7 times",
        "gmpy2 2.2 or later",
        "Install huizhen[paillier]; the results are the same either way.",
    )
