"""Shares: as many as the threshold give the secret back, fewer give nothing away."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.masking.shamir import INVERSES, PRODUCTS, join, split


def counter(seed=0):
    """Bytes that differ from call to call; a test's stand-in for a secure source."""
    import random

    drawn = random.Random(seed)
    return drawn.randbytes


@given(st.binary(min_size=1, max_size=40), st.integers(1, 9), st.data())
def test_any_threshold_of_shares_gives_the_secret_back(secret, holders, data):
    threshold = data.draw(st.integers(1, holders))
    shares = dict(enumerate(split(secret, holders=holders, threshold=threshold, entropy=counter(len(secret))), 1))
    chosen = data.draw(st.permutations(sorted(shares)))[:threshold]
    assert join({holder: shares[holder] for holder in chosen}) == secret
    assert join(shares) == secret, "more do not harm"


def test_fewer_shares_are_equally_likely_whatever_the_secret():
    """One byte, two of three: each single share takes all 256 values, once each, over all coefficients."""
    for secret in (b"\x00", b"\x7f"):
        seen = Counter(split(secret, holders=3, threshold=2, entropy=lambda n, c=c: bytes([c] * n))[1] for c in range(256))
        assert len(seen) == 256


def test_the_field_has_inverses_and_no_zero_divisors():
    assert all(PRODUCTS[x, INVERSES[x]] == 1 for x in range(1, 256))
    assert (PRODUCTS[1:, 1:] != 0).all()
    assert PRODUCTS[0x57, 0x83] == 0xC1, "the example of FIPS 197, section 4.2"


def test_a_wrong_share_gives_a_wrong_secret():
    shares = dict(enumerate(split(b"secret", holders=4, threshold=3, entropy=counter()), 1))
    shares[2] = bytes(6)
    found = {combination: join({x: shares[x] for x in combination}) for combination in itertools.combinations(shares, 3)}
    assert [each for each, secret in found.items() if secret == b"secret"] == [(1, 3, 4)]


@pytest.mark.parametrize(("holders", "threshold"), [(2, 3), (3, 0), (256, 3)])
def test_numbers_that_cannot_be_are_refused(holders, threshold):
    with pytest.raises(ValueError, match="threshold"):
        split(b"x", holders=holders, threshold=threshold, entropy=counter())


@pytest.mark.parametrize("shares", [{}, {1: b"ab", 2: b"a"}, {0: b"a", 1: b"b"}])
def test_shares_that_do_not_fit_together_are_refused(shares):
    with pytest.raises(ValueError, match="shares"):
        join(shares)
