"""Large integers packed are large integers unpacked, and a sum that was altered, or is of other sites, is not opened."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.privacy.paillier.cipher import add, decrypt, encrypt
from huizhen.privacy.paillier.seals import LARGE_PRIME, Seal
from huizhen.privacy.paillier.wide import MOST_WIDE_BITS, WideSlots

SITES = ("east", "north", "west")
SHAPES = st.builds(WideSlots, st.sampled_from([49, 64, 512]), st.integers(3, 1024), st.sampled_from([2048, 3072]))


def seal_of(site, context=b"round 1"):
    return Seal(b"c" * 32, site.encode().ljust(32), context)


def sum_of(each):
    """Messages added as the hub's ciphertexts add them."""
    return [sum(int.from_bytes(one, "little") for one in column).to_bytes(384, "little") for column in zip(*each, strict=True)]


@settings(deadline=None)
@given(SHAPES, st.integers(1, 9), st.sampled_from(["any", "largest", "smallest"]), st.integers(0, 99))
def test_the_sum_of_numbers_is_the_sum_of_values(slots, size, kind, seed):
    half, rng = 1 << (slots.bits - 1), random.Random(seed)
    draw = {"any": lambda: rng.randrange(-half, half), "largest": lambda: half - 1, "smallest": lambda: -half}[kind]
    values = {site: [draw() for _ in range(size)] for site in SITES}
    each = [slots.messages(values[site], seal_of(site)) for site in SITES]
    assert {len(messages) for messages in each} == {slots.numbers(size)}
    assert all(int.from_bytes(one, "little") < 1 << (slots.modulus_bits - 1) for messages in each for one in messages)
    opened = slots.opened(sum_of(each), size, [seal_of(site) for site in SITES])
    assert opened == [sum(column) for column in zip(*values.values(), strict=True)]


def test_as_many_sums_as_there_may_be_stay_below_the_modulus_of_the_tags():
    slots = WideSlots(MOST_WIDE_BITS, 1024, 2048)
    assert slots.addends * ((1 << slots.bits) - 1) < LARGE_PRIME
    assert slots.width * slots.count < slots.modulus_bits
    assert slots.addends * LARGE_PRIME < 1 << (640 - 1), "a sum of tags, in the smallest modulus"


def test_reals_stand_three_and_counts_thirty_to_a_number():
    assert (WideSlots(512, 5, 2048).count, WideSlots(64, 5, 2048).count) == (2047 // 515, 2047 // 67) == (3, 30)


@pytest.mark.parametrize("change", ["one more", "the prime more", "moved up a slot", "numbers exchanged", "the tag", "above all"])
def test_a_sum_that_was_altered_is_not_opened(change):
    slots, values = WideSlots(512, 5, 2048), [5, -6, 7, 8]
    numbers = [int.from_bytes(one, "little") for one in sum_of([slots.messages(values, seal_of(site)) for site in SITES])]
    numbers = {
        "one more": lambda a, b, t: (a + 1, b, t),
        "the prime more": lambda a, b, t: (a + (LARGE_PRIME << slots.width), b, t),
        "moved up a slot": lambda a, b, t: (a, b << slots.width, t),
        "numbers exchanged": lambda a, b, t: (b, a, t),
        "the tag": lambda a, b, t: (a, b, t + 1),
        "above all": lambda a, b, t: (a, b, t + (1 << 2000)),
    }[change](*numbers)
    altered = [number.to_bytes(384, "little") for number in numbers]
    with pytest.raises(FederationError, match=r"not the sum|out of range"):
        slots.opened(altered, len(values), [seal_of(site) for site in SITES])


@pytest.mark.parametrize(
    "seals",
    [("east", "north"), ("east", "north", "south"), (("east", b"round 2"), ("north", b"round 2"), ("west", b"round 2"))],
)
def test_a_sum_of_other_sites_or_of_another_round_is_not_opened(seals):
    slots = WideSlots(64, 5, 2048)
    total = sum_of([slots.messages([1, 2], seal_of(site)) for site in SITES])
    with pytest.raises(FederationError, match="not the sum"):
        slots.opened(total, 2, [seal_of(one) if isinstance(one, str) else seal_of(*one) for one in seals])


def test_a_value_out_of_range_is_found_in_the_sum():
    slots = WideSlots(64, 3, 2048)
    wider = WideSlots(66, 3, 2048)
    each = [slots.messages([1], seal_of(site)) for site in SITES[:2]]
    total = sum_of([*each, wider.messages([2**65 - 1], seal_of("west"))])
    with pytest.raises(FederationError, match="out of range"):
        slots.opened(total, 1, [seal_of(site) for site in SITES])


@pytest.mark.parametrize("values", [[], [2**63], [-(2**63) - 1]])
def test_values_that_do_not_fit_are_refused_and_not_named(values):
    with pytest.raises(FederationError, match="could overflow") as refusal:
        WideSlots(64, 3, 2048).messages(values, seal_of("east"))
    assert not values or str(abs(values[0])) not in str(refusal.value)


@pytest.mark.parametrize("shape", [(48, 3, 2048), (513, 3, 2048), (64, 0, 2048), (64, 1025, 2048), (64, 3, 512)])
def test_wide_slots_out_of_range_are_refused(shape):
    with pytest.raises(FederationError, match="from"):
        WideSlots(*shape)


@pytest.mark.parametrize(("values", "sites"), [(4, SITES), (2, (*SITES, "south"))])
def test_a_total_of_another_shape_is_refused(values, sites):
    slots = WideSlots(512, 3, 2048)
    total = sum_of([slots.messages([1, 2], seal_of(site)) for site in SITES])
    with pytest.raises(FederationError, match="does not fit"):
        slots.opened(total, values, [seal_of(site) for site in sites])


def test_what_is_encrypted_added_and_opened_is_the_sum(private, pool):
    slots, values = WideSlots(512, 3, 2048), {site: [place * 10**140, -place] for place, site in enumerate(SITES)}
    each = {site: encrypt(values[site], private.public, slots, pool=pool, seal=seal_of(site)) for site in SITES}
    opened = decrypt(add(each, private.public, slots), private, slots, seals=[seal_of(site) for site in SITES])
    assert opened == [3 * 10**140, -3]
