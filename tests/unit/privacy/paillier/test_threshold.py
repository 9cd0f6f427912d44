"""Enough holders open a total together; fewer have nothing, and a wrong part is found."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from huizhen.errors import FederationError
from huizhen.privacy.paillier.cipher import encrypt
from huizhen.privacy.paillier.threshold import deal, open_partly, open_together

SITES = ("east", "north", "west")


@pytest.fixture
def each(private, slots, pool, seal):
    return {site: encrypt(np.arange(-2, 3), private.public, slots, pool=pool, seal=seal(site)) for site in SITES}


@pytest.fixture
def opened(private, slots, seal):
    def open_with(parts, holders=4, needed=3):
        return open_together(parts, private.public, slots, holders=holders, needed=needed, seals=[seal(site) for site in SITES])

    return open_with


def test_any_three_of_four_holders_open_a_total(private, slots, entropy, each, opened):
    parts = [open_partly(each, share, slots) for share in deal(private, holders=4, needed=3, entropy=entropy(0))]
    for chosen in itertools.permutations(parts, 3):
        np.testing.assert_array_equal(opened(chosen), 3 * np.arange(-2, 3))
    np.testing.assert_array_equal(opened(parts), 3 * np.arange(-2, 3))


def test_too_few_holders_open_nothing(private, slots, entropy, each, opened):
    parts = [open_partly(each, share, slots) for share in deal(private, holders=4, needed=3, entropy=entropy(0))]
    for chosen in (parts[:2], [parts[0], parts[1], parts[1]], []):
        with pytest.raises(FederationError, match="at least 3 parts"):
            opened(chosen)
    with pytest.raises(FederationError, match="part is wrong"):
        opened(parts[:2], needed=2)  # two points of a parabola, taken for a line


@pytest.mark.parametrize("spoil", [lambda x, n: x + 1, lambda x, n: 0, lambda x, n: x + n * n, lambda x, n: n, lambda x, n: -x])
def test_a_wrong_part_is_found(private, slots, entropy, each, opened, spoil):
    parts = [open_partly(each, share, slots) for share in deal(private, holders=2, needed=2, entropy=entropy(0))]
    spoilt = dataclasses.replace(parts[1], numbers=[spoil(parts[1].numbers[0], private.public.n)])
    with pytest.raises(FederationError, match="part is wrong"):
        opened([parts[0], spoilt], holders=2, needed=2)
    with pytest.raises(FederationError, match="part is wrong"):
        opened([parts[0], dataclasses.replace(spoilt, numbers=[])], holders=2, needed=2)


def test_parts_of_different_totals_open_nothing(private, slots, entropy, each, opened):
    shares = deal(private, holders=2, needed=2, entropy=entropy(0))
    other = {**each, "west": each["north"]}
    with pytest.raises(FederationError, match="different totals"):
        opened([open_partly(each, shares[0], slots), open_partly(other, shares[1], slots)], holders=2, needed=2)


def test_no_holder_helps_to_open_fewer_than_three_sites(private, slots, entropy, each):
    share, _ = deal(private, holders=2, needed=2, entropy=entropy(0))
    with pytest.raises(FederationError, match="at least 3 sites"):
        open_partly({site: each[site] for site in SITES[:2]}, share, slots)


def test_enough_holders_cannot_be_made_to_open_a_site_counted_twice(private, slots, entropy, each, opened):
    forged = {**each, "west": each["north"]}
    parts = [open_partly(forged, share, slots) for share in deal(private, holders=2, needed=2, entropy=entropy(0))]
    with pytest.raises(FederationError, match="not the sum"):
        opened(parts, holders=2, needed=2)


def test_shares_lie_on_a_polynomial_whose_start_is_the_secret(private, entropy):
    shares = deal(private, holders=5, needed=3, entropy=entropy(0))
    differences = np.array([share.value for share in shares], dtype=object)
    assert (np.diff(differences, 3) == 0).all()
    assert (np.diff(differences, 2) != 0).all()
    start = 3 * differences[0] - 3 * differences[1] + differences[2]
    secret, rest = divmod(start, math.factorial(5))
    assert rest == 0
    assert secret % math.lcm(private.p - 1, private.q - 1) == 0
    assert secret % private.public.n == 1


def test_a_share_hides_the_secret_by_128_bits(private, entropy):
    share, _ = deal(private, holders=2, needed=2, entropy=entropy(0))
    assert share.value.bit_length() >= 2 * 2048 + 120
    assert str(share.value) not in repr(share)
    other, _ = deal(private, holders=2, needed=2, entropy=entropy(1))
    assert other.value != share.value


@pytest.mark.parametrize(("holders", "needed"), [(1, 1), (3, 1), (3, 4), (33, 3), (0, 0)])
def test_a_key_is_shared_among_a_few(private, entropy, holders, needed):
    with pytest.raises(FederationError, match="at least 2"):
        deal(private, holders=holders, needed=needed, entropy=entropy(0))
