"""What is encrypted, added and opened is the sum; what was altered, replayed or left out is not opened."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.privacy.paillier.cipher import add, decrypt, encrypt
from huizhen.privacy.paillier.ciphertexts import HEADER
from huizhen.privacy.paillier.obfuscators import Pool, Table
from huizhen.privacy.paillier.slots import Slots

SITES = ("east", "north", "west")


@pytest.fixture
def encrypted(private, slots, pool, seal):
    rng = np.random.default_rng(0)
    values = {site: rng.integers(-32768, 32767, 110, endpoint=True) for site in SITES}  # two ciphertexts each
    return values, {site: encrypt(values[site], private.public, slots, pool=pool, seal=seal(site)) for site in SITES}


def numbers_of(encoded):
    return [int.from_bytes(encoded[at : at + 512], "little") for at in range(HEADER.size, len(encoded), 512)]


def with_numbers(encoded, numbers, addends=None):
    header = encoded[: HEADER.size] if addends is None else encoded[: HEADER.size - 2] + addends.to_bytes(2, "little")
    return header + b"".join(number.to_bytes(512, "little") for number in numbers)


def test_the_total_of_the_sites_is_opened(private, slots, seal, encrypted):
    values, ciphertexts = encrypted
    total = add(ciphertexts, private.public, slots)
    opened = decrypt(total, private, slots, seals=[seal(site) for site in SITES])
    np.testing.assert_array_equal(opened, sum(values.values()))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(SITES), st.integers(2, 48), st.integers(3, 9), st.integers(0, 99))
def test_sums_do_not_depend_on_the_order_of_sites_or_of_adding(private, pool, seal, order, bits, addends, seed):
    slots, rng, half = Slots(bits, addends, 2048), np.random.default_rng(seed), 1 << (bits - 1)
    values = {site: rng.integers(-half, half - 1, 5, endpoint=True) for site in SITES}
    each = {site: encrypt(values[site], private.public, slots, pool=pool, seal=seal(site)) for site in SITES}
    at_once = add({site: each[site] for site in order}, private.public, slots)
    first = add({site: each[site] for site in order[:2]}, private.public, slots)
    assert at_once == add({"first": first, order[2]: each[order[2]]}, private.public, slots)
    opened = decrypt(at_once, private, slots, seals=[seal(site) for site in SITES])
    np.testing.assert_array_equal(opened, sum(values.values()))


def test_the_same_values_never_look_the_same(private, slots, pool, seal):
    values = np.zeros(300, np.int64)
    one, other = (encrypt(values, private.public, slots, pool=pool, seal=seal("east")) for _ in range(2))
    assert len({*numbers_of(one), *numbers_of(other)}) == 6


def test_adding_is_multiplying_numbers(private, slots, encrypted):
    _, ciphertexts = encrypted
    square = private.public.n**2
    expected = [a * b * c % square for a, b, c in zip(*map(numbers_of, ciphertexts.values()), strict=True)]
    assert numbers_of(add(ciphertexts, private.public, slots)) == expected


@pytest.mark.parametrize("lie", ["one site as three", "a site twice", "a site left out", "one number of one site", "shifted slots"])
def test_a_hub_that_lies_about_what_it_added_gets_nothing_opened(private, slots, seal, encrypted, lie):
    _, ciphertexts = encrypted
    square = private.public.n**2
    east, north, west = (numbers_of(ciphertexts[site]) for site in SITES)
    whole = [a * b * c % square for a, b, c in zip(east, north, west, strict=True)]
    forged = {
        "one site as three": [pow(a, 3, square) for a in east],
        "a site twice": [a * a * b % square for a, b in zip(east, north, strict=True)],
        "a site left out": [a * b % square for a, b in zip(east, north, strict=True)],
        "one number of one site": [whole[0], pow(east[1], 3, square)],
        "shifted slots": [whole[0] * pow(east[0], 1 << 64, square) % square, whole[1]],
    }[lie]
    with pytest.raises(FederationError, match=r"not the sum|out of range"):
        decrypt(with_numbers(ciphertexts["east"], forged, 3), private, slots, seals=[seal(site) for site in SITES])


def test_numbers_added_to_a_total_or_put_in_another_order_are_found(private, slots, seal, encrypted):
    _, ciphertexts = encrypted
    total = add(ciphertexts, private.public, slots)
    n = private.public.n
    first, second = numbers_of(total)
    one_more = (1 + (1 << slots.start) * n) % n**2
    for forged in ([first * one_more % n**2, second], [first * (1 + n) % n**2, second], [second, first]):
        with pytest.raises(FederationError, match=r"not the sum|out of range"):
            decrypt(with_numbers(total, forged), private, slots, seals=[seal(site) for site in SITES])


def test_a_packet_of_another_round_is_found(private, slots, pool, seal, encrypted):
    values, ciphertexts = encrypted
    late = encrypt(values["west"], private.public, slots, pool=pool, seal=seal("west", b"round 0"))
    total = add({**ciphertexts, "west": late}, private.public, slots)
    with pytest.raises(FederationError, match="not the sum"):
        decrypt(total, private, slots, seals=[seal(site) for site in SITES])


def test_a_site_that_dropped_out_is_left_out_of_both(private, slots, seal, encrypted):
    values, ciphertexts = encrypted
    total = add({site: ciphertexts[site] for site in ("east", "west")}, private.public, slots)
    np.testing.assert_array_equal(
        decrypt(total, private, slots, seals=[seal("east"), seal("west")]), values["east"] + values["west"]
    )
    with pytest.raises(FederationError, match="not the sum"):
        decrypt(total, private, slots, seals=[seal("east"), seal("north")])


def test_seals_must_be_of_one_round_and_of_different_sites(private, slots, seal, encrypted):
    _, ciphertexts = encrypted
    total = add(ciphertexts, private.public, slots)
    for seals, reason in (
        ([seal("east"), seal("north")], "3 addends"),
        ([seal("east"), seal("north"), seal("west", b"round 2")], "different rounds"),
        ([seal("east"), seal("north"), seal("north")], "twice"),
        ([], "3 addends"),
    ):
        with pytest.raises(FederationError, match=reason):
            decrypt(total, private, slots, seals=seals)


def test_a_site_that_encrypts_values_out_of_range_is_found(private, slots, pool, seal):
    small, wide = np.array([-5, 6]), Slots(16, 5, 2048)
    each = {site: encrypt(small, private.public, slots, pool=pool, seal=seal(site)) for site in ("east", "north")}
    rows = wide.rows(small)
    rows[0, 1] = 2**19 - 1  # more than five values of 16 bits
    message = int.from_bytes(wide.join(rows, seal("west").tags(rows))[0], "little")
    n = private.public.n
    each["west"] = with_numbers(each["east"], [(1 + message * n) * pow(private.public.h, n * 77, n * n) % (n * n)])
    with pytest.raises(FederationError, match=r"out of range|not the sum"):
        decrypt(add(each, private.public, slots), private, slots, seals=[seal(site) for site in SITES])


def test_values_that_do_not_fit_spend_no_obfuscator(private, slots, pool, seal):
    pool.fill(3)
    with pytest.raises(FederationError, match="could overflow"):
        encrypt(np.array([32768]), private.public, slots, pool=pool, seal=seal("east"))
    assert len(pool) == 3


def test_pool_slots_and_key_belong_together(private, another, slots, pool, seal):
    with pytest.raises(FederationError, match="of another one"):
        encrypt(np.zeros(1, np.int64), another.public, slots, pool=pool, seal=seal("east"))
    with pytest.raises(FederationError, match="of another one"):
        encrypt(np.zeros(1, np.int64), private.public, Slots(16, 5, 3072), pool=pool, seal=seal("east"))


def test_a_total_for_another_key_is_not_opened(private, another, slots, seal, entropy):
    pool = Pool(Table.of(another.public), entropy(1), process=lambda: 1)
    each = {site: encrypt(np.arange(3), another.public, slots, pool=pool, seal=seal(site)) for site in SITES}
    with pytest.raises(FederationError, match="another key"):
        decrypt(add(each, another.public, slots), private, slots, seals=[seal(site) for site in SITES])


def test_more_addends_than_slots_hold_are_not_added(private, pool, seal):
    slots = Slots(16, 2, 2048)
    each = {site: encrypt(np.arange(3), private.public, slots, pool=pool, seal=seal(site)) for site in SITES}
    with pytest.raises(FederationError, match="at most 2 addends"):
        add(each, private.public, slots)


def test_different_numbers_of_values_are_not_added(private, slots, pool, seal):
    each = {
        site: encrypt(np.arange(size), private.public, slots, pool=pool, seal=seal(site))
        for site, size in (("east", 3), ("west", 4))
    }
    with pytest.raises(FederationError, match="site west: found 4 values, expected 3"):
        add(each, private.public, slots)
    with pytest.raises(FederationError, match="no ciphertexts"):
        add({}, private.public, slots)
