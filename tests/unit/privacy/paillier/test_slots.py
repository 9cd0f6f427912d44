"""Values packed are values unpacked, sums of packed numbers are sums of values, and what could overflow is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.privacy.paillier.slots import MOST_ADDENDS, MOST_BITS, Slots

SHAPES = st.builds(Slots, st.integers(2, MOST_BITS), st.integers(1, MOST_ADDENDS), st.sampled_from([512, 2048, 3072]))


@st.composite
def packed(draw):
    slots = draw(SHAPES)
    half = 1 << (slots.bits - 1)
    size = draw(st.integers(1, 3 * slots.count))
    extremes = draw(st.sampled_from([(-half, half - 1), (half - 1, half - 1), (-half, -half)]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    sites = draw(st.sampled_from(sorted({1, min(2, slots.addends), min(7, slots.addends)})))
    return slots, [rng.integers(extremes[0], extremes[1], size, endpoint=True) for _ in range(sites)]


@settings(deadline=None)
@given(packed())
def test_the_sum_of_numbers_is_the_sum_of_values(case):
    slots, sites = case
    columns = zip(*(slots.pack(values) for values in sites), strict=True)
    total = slots.unpack([sum(column) for column in columns], addends=len(sites), values=sites[0].size)
    np.testing.assert_array_equal(total, np.sum(sites, axis=0))
    assert total.dtype == np.int64


@settings(deadline=None, max_examples=40)
@given(packed())
def test_slots_stand_where_the_page_says(case):
    slots, (values, *_) = case
    number = slots.pack(values)[0]
    for slot in range(min(slots.count, values.size)):
        stands = number >> (slots.start + slot * slots.width) & ((1 << slots.width) - 1)
        assert stands == int(values[slot]) + (1 << (slots.bits - 1))
    assert number & ((1 << slots.start) - 1) == 0


@settings(deadline=None, max_examples=200)
@given(SHAPES)
def test_no_sum_of_slots_and_tags_reaches_the_modulus_or_the_next_slot(slots):
    assert slots.addends * ((1 << slots.bits) - 1) < 1 << slots.width
    assert slots.addends * ((1 << 61) - 1) < 1 << slots.start
    assert slots.start + slots.count * slots.width <= slots.modulus_bits - 1
    assert slots.start + (slots.count + 1) * slots.width > slots.modulus_bits - 1


@settings(deadline=None)
@given(SHAPES, st.integers(0, 99))
def test_tags_add_up_below_the_slots(slots, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 2, slots.count * 2)
    tags = rng.integers(0, (1 << 61) - 1, 2).astype(np.uint64)
    rows = slots.rows(values)
    numbers = [int.from_bytes(one, "little") * slots.addends for one in slots.join(rows, tags)]
    back, sums = slots.split([number.to_bytes(slots.modulus_bits // 8, "little") for number in numbers])
    assert sums == [int(tag) * slots.addends for tag in tags]
    np.testing.assert_array_equal(back, rows * np.uint64(slots.addends))


def test_a_million_weights_of_five_sites_take_9616_ciphertexts():
    slots = Slots(16, 5, 2048)
    # 16 bits and 3 of headroom; (2047 - 61 - 3) / 19 slots; 1,000,000 / 104 numbers
    assert (slots.width, slots.count, slots.numbers(1_000_000)) == (19, 104, 9616)


def test_values_that_could_overflow_are_refused_and_not_named():
    slots = Slots(8, 5, 2048)
    slots.pack(np.array([-128, 127]))
    for outside in (-129, 128, 2**62, -(2**63)):
        with pytest.raises(FederationError, match="2 out of range, expected integers of 8 bits") as refusal:
            slots.pack(np.array([outside, 0, outside]))
        assert str(abs(outside)) not in str(refusal.value)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2), np.int64), np.zeros(0, np.int64), np.zeros(3, np.int32)])
def test_only_a_vector_of_int64_is_packed(values):
    with pytest.raises(FederationError, match="int64 in a row"):
        Slots(8, 5, 2048).pack(values)


@pytest.mark.parametrize("shape", [(1, 5, 2048), (49, 5, 2048), (16, 0, 2048), (16, 1025, 2048), (16, 5, 256)])
def test_slots_out_of_range_are_refused(shape):
    with pytest.raises(FederationError, match="from"):
        Slots(*shape)


def test_a_total_that_no_values_add_up_to_is_refused():
    slots = Slots(16, 5, 2048)
    fine = slots.pack(np.full(10, 32767))[0]
    assert slots.unpack([fine], addends=1, values=10).tolist() == [32767] * 10
    too_large = fine + (1 << slots.start)
    past_the_last_value = fine + (1 << (slots.start + 10 * slots.width))
    above_the_last_slot = fine + (1 << (slots.start + slots.count * slots.width))
    at_the_top = fine + (1 << 2047)
    for number in (too_large, past_the_last_value, above_the_last_slot, at_the_top):
        with pytest.raises(FederationError, match="out of range"):
            slots.unpack([number], addends=1, values=10)


@pytest.mark.parametrize(("addends", "values"), [(0, 10), (6, 10), (1, 0), (1, 105), (1, 10_000)])
def test_a_total_of_another_shape_is_refused(addends, values):
    slots = Slots(16, 5, 2048)
    with pytest.raises(FederationError, match="does not fit"):
        slots.unpack(slots.pack(np.zeros(10, np.int64)), addends=addends, values=values)
