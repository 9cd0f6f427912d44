"""A key that no one has: a dealer cuts it into shares, and any `needed` of the holders open a total together.

    f(x) = D d + a_1 x + ... + a_(needed-1) x^(needed-1) over the integers,  D = holders!,  d = 0 mod lcm(p-1, q-1) and 1 mod n
    share i: f(i)        part i: c^(D f(i)) mod n^2        product of parts^(D l_i) = c^(D^3 d) = 1 + D^3 m n mod n^2

with l_i Lagrange's coefficients at 0, which D makes whole. The coefficients a_j are uniform and 2^128 times as large as what would
tell two secrets apart, so fewer than `needed` shares say nothing of d, to within 2^-128 for each coefficient. This is the sharing
of Rabin (A simplified approach to threshold and proactive RSA, CRYPTO 1998) and of Damgard and Dupont (Efficient threshold RSA
signatures with general moduli and no extra assumptions, PKC 2005) in the place of Damgard, Jurik and Nielsen's (2010), which needs
safe primes.

The dealer knows the key while `deal` runs and must forget it. Holders are trusted to compute what they say: a wrong part is found
when the parts are put together, and not whose it was. A holder cannot read the seals of a total before the parts are together, so
it takes every site's ciphertexts, whose senders the caller has made sure of, and adds them itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.privacy.paillier.arithmetic import Arithmetic, fastest
from huizhen.privacy.paillier.cipher import add, read_total
from huizhen.privacy.paillier.ciphertexts import read_ciphertexts
from huizhen.privacy.paillier.digits import join
from huizhen.privacy.paillier.holder import check_enough
from huizhen.privacy.paillier.keys import PrivateKey, PublicKey
from huizhen.privacy.paillier.layout import Layout, Values
from huizhen.privacy.paillier.primes import Entropy
from huizhen.privacy.paillier.seals import Seal

__all__ = ["PartialOpening", "Share", "deal", "open_partly", "open_together"]

SECRECY_BITS = 128
MOST_HOLDERS = 32


@dataclass(frozen=True, slots=True)
class Share:
    """A holder's share of a key.

    Attributes:
        public: the key.
        index: the holder's number, from 1.
        holders, needed: how many have shares, and how many open a total.
        value: f(index).
    """

    public: PublicKey
    index: int
    holders: int
    needed: int
    value: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class PartialOpening:
    """A holder's part in opening a total; it goes to who opens, sealed, and not to the hub.

    Attributes:
        index: the holder's number.
        total: the encrypted sum that it is a part of.
        numbers: a number modulo n^2 for each ciphertext.
    """

    index: int
    total: bytes
    numbers: Sequence[int]


def deal(private: PrivateKey, *, holders: int, needed: int, entropy: Entropy) -> tuple[Share, ...]:
    """A share for each holder; the dealer then forgets the key.

    Args:
        holders: 2 to 32.
        needed: 2 to `holders`.
        entropy: gives as many secret random bytes as asked for.

    Raises:
        FederationError: other numbers of holders.
    """
    if not 2 <= needed <= holders <= MOST_HOLDERS:
        problem = Problem("shares", f"{needed} of {holders} holders", f"at least 2, at most all, of at most {MOST_HOLDERS}")
        raise FederationError("A key is not shared like this.", [problem])
    n, order, whole = private.public.n, math.lcm(private.p - 1, private.q - 1), math.factorial(holders)
    secret = order * pow(order, -1, n)  # 0 modulo order, 1 modulo n
    bound = whole * n * n * (holders + 1) << SECRECY_BITS
    length = bound.bit_length() // 8 + 1 + SECRECY_BITS // 8
    coefficients = [int.from_bytes(entropy(length), "little") % bound for _ in range(needed - 1)]

    def polynomial(x: int) -> int:
        value = 0
        for coefficient in reversed([whole * secret, *coefficients]):
            value = value * x + coefficient
        return value

    return tuple(Share(private.public, index, holders, needed, polynomial(index)) for index in range(1, holders + 1))


def open_partly(
    ciphertexts: Mapping[str, bytes], share: Share, slots: Layout[Any], *, arithmetic: Arithmetic | None = None
) -> PartialOpening:
    """A holder's part in opening the sum of the sites' ciphertexts.

    Args:
        ciphertexts: by site; the caller has checked that each is what that site sent in this round, and that no other total of the
            round is opened (see `KeyHolder`).

    Raises:
        FederationError: fewer than three sites, or ciphertexts that cannot be added (see `cipher.add`).
    """
    check_enough(len(ciphertexts))
    arithmetic = arithmetic or fastest()
    key = share.public
    total = add(ciphertexts, key, slots, arithmetic=arithmetic)
    n, exponent = arithmetic.number(key.n), arithmetic.number(math.factorial(share.holders) * share.value)
    digits = read_ciphertexts(total, key, slots, arithmetic, sender="total").digits
    powers = arithmetic.secret_powers([join(one, n) for one in digits], exponent, n * n)
    return PartialOpening(share.index, total, [int(power) for power in powers])


def open_together(
    parts: Sequence[PartialOpening],
    key: PublicKey,
    slots: Layout[Values],
    *,
    holders: int,
    needed: int,
    seals: Sequence[Seal],
    arithmetic: Arithmetic | None = None,
) -> Values:
    """The sums of values, as the layout gives them, from the parts of at least `needed` holders.

    Raises:
        FederationError: too few parts, parts of different totals, a part that is wrong, or a total that its seals do not fit.
    """
    arithmetic = arithmetic or fastest()
    _check_parts(parts, holders, needed)
    chosen = parts[:needed]
    read = read_total(chosen[0].total, key, slots, seals=seals, arithmetic=arithmetic)
    if any(len(part.numbers) != len(read.digits) for part in chosen):
        raise _wrong_part()
    n, whole = arithmetic.number(key.n), math.factorial(holders)
    exponents = [_lagrange(part.index, [other.index for other in chosen], whole) for part in chosen]
    scale = pow(whole, -3, key.n)
    messages = []
    for column in zip(*(part.numbers for part in chosen), strict=True):
        messages.append(_opened(column, exponents, n, arithmetic) * scale % n)
    length = key.bits // 8
    return slots.opened([arithmetic.write(message, length) for message in messages], read.values, seals)


def _check_parts(parts: Sequence[PartialOpening], holders: int, needed: int) -> None:
    indices = {part.index for part in parts}
    if len(parts) < needed or len(indices) != len(parts) or not all(1 <= index <= holders for index in indices):
        problem = Problem("total", f"{len(parts)} parts", f"at least {needed} parts, each of another holder")
        raise FederationError("A total is not opened.", [problem])
    if len({part.total for part in parts}) != 1:
        raise FederationError("A total is not opened: the holders' parts are of different totals.")


def _lagrange(index: int, indices: Sequence[int], whole: int) -> int:
    """D l_i(0) = D times the product of j / (j - i) over the other indices j: a whole number."""
    others = [other for other in indices if other != index]
    return whole * math.prod(others) // math.prod(other - index for other in others)


def _opened(column: Sequence[int], exponents: Sequence[int], n: int, arithmetic: Arithmetic) -> int:
    square, product = n * n, arithmetic.number(1)
    for number, exponent in zip(column, exponents, strict=True):
        if not 0 < number < square or math.gcd(number, int(n)) != 1:
            raise _wrong_part()
        product = product * arithmetic.power(arithmetic.number(number), exponent, square) % square
    high, low = divmod(product, n)
    if low != 1:
        raise _wrong_part()
    return high


def _wrong_part() -> FederationError:
    return FederationError("A total is not opened: a holder's part is wrong. Ask the holders to compute their parts anew.")
