"""What is encrypted is what is masked: the same numbers, as integers, and the same total back."""

import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.federation.encrypted.bundles import bundles_of, values_of, words_of
from huizhen.privacy.masking import short, words
from huizhen.privacy.release import Answer, Part


def answers(sites, seed, size):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-30, 30, 4)
    return [
        Answer(
            {
                "sums": Part(rng.normal(size=4) * scale, 9),
                "counts": Part(rng.integers(-(2**40), 2**40, (2, 3)), 9),
                "change": Part(rng.normal(size=size).astype(np.float32), 9),
                "levels": Part(rng.integers(-3000, 3000, size).astype(np.int16), 9),
            },
            9 + place,
        )
        for place in range(sites)
    ]


def added(each):
    first, *others = each
    total = {name: list(values) if isinstance(values, list) else values.copy() for name, values in first.items()}
    for values in others:
        for name, more in values.items():
            total[name] = [a + b for a, b in zip(total[name], more, strict=True)] if isinstance(more, list) else total[name] + more
    return total


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 9), st.integers(0, 99), st.sampled_from([0, 1, 5000]), st.booleans())
def test_the_total_is_that_of_masked_sums(sites, seed, size, known):
    each = answers(sites, seed, size)
    outline = words.outline_of(each[0])
    coding = words.Coding(sites, 16, {"change": np.full(short.runs(size), 3, np.int8)} if known else {})
    coded = [words.encode(one, outline, coding, secrets.token_bytes) for one in each]
    masked = words.decode(words.add_words(coded, [], [], words.empty(outline, coding)), outline, coding, ("east",))
    bundles = bundles_of(outline, coding, 2048)
    for one in coded:
        assert {name: len(values) for name, values in values_of(one).items()} == {name: b.values for name, b in bundles.items()}
    total = words.decode(words_of(added(map(values_of, coded)), outline, coding), outline, coding, ("east",))
    for name, values in masked[0].sums.items():
        np.testing.assert_array_equal(total[0].sums[name], values)
    assert total[0].rows == masked[0].rows
    for name, heights in masked[1].items():
        assert np.abs(total[1][name].astype(int) - heights).max(initial=0) <= 1, "a random cell is 0 once in 65,536 times"


def test_every_value_fits_its_slots_to_the_largest():
    """What `words.encode` lets pass is what slots hold."""
    for bits, known in ((16, {"change": np.full(1, 3, np.int8)}), (16, {})):
        coding = words.Coding(3, bits, known)
        most = 2**63 // 3
        answer = Answer(
            {
                "counts": Part(np.array([most - 1, 1 - most]), 9),
                "sums": Part(np.array([2.0**157, -(2.0**157), 5e-324]), 9),
                "change": Part(np.array([1e30, -1e30], np.float32), 9),
            },
            9,
        )
        outline = words.outline_of(answer)
        values = values_of(words.encode(answer, outline, coding, secrets.token_bytes))
        for name, bundle in bundles_of(outline, coding, 2048).items():
            half = 1 << (bundle.layout.bits - 1)
            assert all(-half <= int(value) < half for value in values[name]), name


def test_numbers_that_no_one_meets_are_rounded():
    coding = words.Coding(3)
    answer = Answer({"sums": Part(np.array([4e-52, 1e-70, -1e-70, 2.0**-224]), 9)}, 9)
    outline = words.outline_of(answer)
    opened = added([values_of(words.encode(answer, outline, coding, secrets.token_bytes))] * 3)
    total = words.decode(words_of(opened, outline, coding), outline, coding, ("east",))[0].sums["sums"]
    assert total.tolist() == [pytest.approx(3 * 4e-52, rel=1e-15), 0.0, -3 * 2.0**-224, 3 * 2.0**-224]


@pytest.mark.parametrize(("key_bits", "numbers"), [(2048, 100), (3072, 72)])
def test_five_reals_stand_in_a_number_and_sizes_cost_little(key_bits, numbers):
    answer = Answer({"sums": Part(np.zeros(495), 9), "change": Part(np.zeros(10**6, np.float32), 9)}, 9)
    outline = words.outline_of(answer)
    bundles = bundles_of(outline, words.Coding(5, 16, {"change": np.zeros(245, np.int8)}), key_bits)
    assert bundles["real"].numbers == numbers, "495 reals, five (seven) to a number, and a tag"
    assert bundles["sizes.change"].numbers < 40
