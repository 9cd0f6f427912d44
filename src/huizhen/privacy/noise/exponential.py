"""Coins that fall with probability exp(-x), decided exactly and fast.

A draw of 32 random bits says that a uniform number lies in an interval of width 2**-32. Floating point compares that interval with
exp(-x) and decides only where both lie apart by far more than its own error. Where they do not (about one draw in 10**9), exact
rational arithmetic decides, with as many further bits as it takes. So floating point has no part in the law of a coin: it never
decides otherwise than exact arithmetic would, as long as its exponential is right to one part in 2**30 (it is to one in 2**50).
This takes the place of algorithm 1 of Canonne, Kamath and Steinke (2020), whose coins have the same law.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.noise.source import Entropy, words

__all__ = ["GUARD", "coins_below_exp", "exp_between", "geometric"]

GUARD = 2.0**-30  # relative distance at which floating point is believed
BITS = 32
DIGITS = 40  # first precision of the exact comparison, doubled until it decides
MOST = 22  # exp(-23) lies below one word


def coins_below_exp(
    entropy: Entropy, exponents: NDArray[np.float64], exact: Callable[[int], Fraction], *, guard: float = GUARD
) -> NDArray[np.bool_]:
    """Independent coins, True with probability exp(-x).

    Args:
        exponents: x >= 0, right to one part in 2**35 of 1 + x, float64 (n,).
        exact: x itself, by position.
        guard: distance at which floating point is believed; infinite: never.

    Returns:
        bool (n,).
    """
    drawn = words(entropy, exponents.size)
    limit = np.exp(-exponents)
    limit *= 2.0**BITS
    apart = drawn + 0.5
    apart -= limit
    fallen = apart < 0
    limit *= guard
    limit += 0.5
    for position in np.flatnonzero(np.abs(apart, out=apart) <= limit).tolist():
        fallen[position] = _Uniform(entropy, int(drawn[position])).is_below_exp(exact(position))
    return fallen


def geometric(entropy: Entropy, count: int) -> NDArray[np.int64]:
    """How many coins of probability exp(-1) fall before the first that does not: P(v >= k) = exp(-k); int64 (count,), exact."""
    drawn = words(entropy, count)
    place = np.searchsorted(STEPS, drawn, side="right")
    values = MOST + 1 - place
    for position in np.flatnonzero(STEPS[place - 1] == drawn).tolist():  # the word's interval holds a step
        values[position] = _Uniform(entropy, int(drawn[position])).steps_above()
    return values


def exp_between(exponent: Fraction, digits: int) -> tuple[Fraction, Fraction]:
    """Numbers below and above exp(-x), for x >= 0, that many digits apart (Python's decimal exponential is correctly rounded)."""
    low, high = (Context(digits, rounding) for rounding in (ROUND_FLOOR, ROUND_CEILING))
    above, below = (
        (-context.divide(Decimal(exponent.numerator), Decimal(exponent.denominator))).exp(context) for context in (low, high)
    )
    return Fraction(below.next_minus(low)), Fraction(above.next_plus(low))


class _Uniform:
    """A uniform number in [0, 1) of which as many bits are drawn as its comparisons need."""

    def __init__(self, entropy: Entropy, word: int) -> None:
        self._entropy, self._number, self._bits = entropy, word, BITS

    def is_below_exp(self, exponent: Fraction) -> bool:
        digits = DIGITS
        while True:
            if exponent <= self._bits:
                below, above = exp_between(exponent, digits)
                if Fraction(self._number + 1, 1 << self._bits) <= below:
                    return True
                if Fraction(self._number, 1 << self._bits) >= above:
                    return False
            elif self._number:  # at least 2**-bits, and exp(-x) lies below that: no need to compute what is so small
                return False
            self._number = self._number << BITS | int(words(self._entropy, 1)[0])
            self._bits += BITS
            digits *= 2

    def steps_above(self) -> int:
        steps = 0
        while self.is_below_exp(Fraction(steps + 1)):
            steps += 1
        return steps


STEPS = np.array([0] + [int(exp_between(Fraction(k), DIGITS)[0] * (1 << BITS)) for k in range(MOST, 0, -1)], dtype=np.uint32)
