"""Primes are prime, composites are found out, and the same entropy gives the same prime."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.paillier.arithmetic import PYTHON, fastest
from huizhen.privacy.paillier.primes import SMALL, draw_prime, is_composite, small_factor

BASES = (2, 3, 5, 7)  # decide below 3,215,031,751 (Jaeschke 1993)


def slowly_prime(number):
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


@given(st.integers(6, 200_000).map(lambda number: 2 * number + 1))
def test_numbers_are_told_apart_as_by_trial_division(number):
    assert is_composite(number, BASES, PYTHON) == (not slowly_prime(number))


@pytest.mark.parametrize("pseudoprime", [2047, 3277, 4033, 561, 1105, 341550071728321])
def test_numbers_that_deceive_one_base_are_found_by_another(pseudoprime):
    assert is_composite(pseudoprime, (2, 3, 5, 7, 11, 13, 17, 19, 23), PYTHON)
    assert not is_composite(2047, (2,), PYTHON), "2047 = 23 x 89 deceives base 2, so one base would not do"


def test_small_primes_are_those_below_2048():
    assert [number for number in range(2048) if slowly_prime(number)] == SMALL
    assert small_factor(2039 * (2**521 - 1))
    assert not small_factor(2053 * (2**521 - 1))


def test_a_drawn_prime_has_its_length_and_its_last_bits():
    for seed in range(5):
        prime = draw_prime(256, random.Random(seed).randbytes, fastest())
        assert prime.bit_length() == 256
        assert prime >> 254 == 3
        assert prime % 4 == 3
        assert pow(2, prime - 1, prime) == 1
        assert prime == draw_prime(256, random.Random(seed).randbytes, PYTHON)
