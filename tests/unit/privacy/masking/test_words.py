"""An answer in its rings: encode, mask, add, unmask and decode is adding."""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import FederationError, SiteError
from huizhen.privacy.masking import short, words
from huizhen.privacy.masking.streams import apply_masks
from huizhen.privacy.masking.words import Coding
from huizhen.privacy.release import Answer, Part


def answer(seed, rows=20):
    rng = np.random.default_rng(seed)
    parts = {
        "hessian": Part(rng.normal(size=(3, 3)) * 10.0 ** rng.integers(-9, 12, (3, 3)), rows),
        "classes": Part(rng.integers(0, 30, 2), rows, cells=True),
        "change": Part(rng.normal(size=(2, 2500)).astype(np.float32), rows),
        "offset": Part(rng.integers(-(2**40), 2**40, 4), rows),
    }
    return Answer(parts, rows)


def joint(answers, coding, masks=True):
    outline = words.outline_of(answers[0])
    each = [words.encode(one, outline, coding, secrets.token_bytes) for one in answers]
    seeds = [[secrets.token_bytes(16) for _ in answers] for _ in answers]
    if masks:
        for place, one in enumerate(each):
            apply_masks(one.arrays, [seeds[place][k] for k in range(place)], [seeds[k][place] for k in range(place + 1, len(each))])
    total = words.add_words(each, [], [], words.empty(outline, coding))
    return words.decode(total, outline, coding, tuple(f"site-{k}" for k in range(len(answers))))


@given(st.integers(2, 6), st.integers(0, 2**31))
@settings(deadline=None)
def test_a_masked_sum_is_the_sum(sites, seed):
    answers = [answer(seed + k, rows=10 + k) for k in range(sites)]
    total, heights = joint(answers, Coding(sites))
    assert total.rows == sum(one.rows for one in answers)
    for name in ("classes", "offset"):
        assert (total.sums[name] == sum(one.parts[name].values for one in answers)).all()
    exact = np.sum([one.parts["hessian"].values for one in answers], axis=0)
    assert total.sums["hessian"] == pytest.approx(exact, rel=1e-14, abs=1e-14 * np.abs(exact).max())
    again, _ = joint(answers, Coding(sites, heights=heights))
    for found, tolerance in ((total, 5e-6), (again, 2e-2)):
        assert np.abs(found.sums["change"] - sum(one.parts["change"].values for one in answers)).max() < tolerance
    assert again.sums["change"].dtype == np.float32


def test_masks_change_nothing_of_a_sum_not_even_the_last_bit():
    answers = [answer(k) for k in range(4)]
    masked, bare = joint(answers, Coding(4))[0], joint(answers, Coding(4), masks=False)[0]
    assert all((masked.sums[name] == bare.sums[name]).all() for name in bare.sums)


def test_a_network_in_16_bits_takes_half_the_bytes_of_its_weights():
    one = Answer({"change": Part(np.ones(1_000_000, np.float32), 20)}, 20)
    outline, heights = words.outline_of(one), {"change": np.zeros(short.runs(1_000_000), np.int8)}
    found = words.encode(one, outline, Coding(5, heights=heights), secrets.token_bytes)
    assert sum(array.nbytes for array in found.arrays) < 0.51 * 4_000_000


def test_labels_that_only_one_site_knows_are_not_masked_but_refused_in_words():
    keyed = Answer({"stage": Part(np.array([4, 5]), 9, cells=True, keys=("II", "III"))}, 9)
    with pytest.raises(SiteError, match="Declare the levels") as refused:
        words.outline_of(keyed)
    assert "III" not in str(refused.value)


@pytest.mark.parametrize("part", [Part(np.array([2**62]), 9), Part(np.array([1e300]), 9), Part(np.array([-(2**63)]), 9)])
def test_a_number_that_could_overflow_names_its_part_and_not_itself(part):
    one = Answer({"sum": part}, 9)
    with pytest.raises(SiteError, match="part 'sum'") as refused:
        words.encode(one, words.outline_of(one), Coding(3), secrets.token_bytes)
    assert "e+300" not in str(refused.value)
    assert str(2**62) not in str(refused.value)


def test_a_sum_with_fewer_patients_than_none_is_refused():
    answers = [answer(k) for k in range(3)]
    spoilt = replace(answers[0].parts["classes"], values=np.array([-500, 3]), cells=True)
    answers[0] = replace(answers[0], parts={**answers[0].parts, "classes": spoilt})
    with pytest.raises(FederationError, match="out of range"):
        joint(answers, Coding(3))


NO_OUTLINES = {
    "nothing": None,
    "text": "text",
    "another dtype": [["a", "addend", "int32", [2], False]],
    "a negative size": [["a", "addend", "int64", [-2], False]],
    "an individual part": [["a", "individual", "int64", [1], False]],
    "more than memory holds": [["a", "addend", "float64", [2**30], False]],
    "a name twice": [["a", "addend", "int64", [1], False]] * 2,
    "half of one": [["a"]],
}


@pytest.mark.parametrize("facts", NO_OUTLINES.values(), ids=NO_OUTLINES)
def test_an_outline_that_is_none_is_not_believed(facts):
    assert words.outline_from(facts) is None


def test_words_of_another_shape_or_ring_are_not_believed():
    one, coding = answer(1), Coding(3)
    outline = words.outline_of(one)
    sound = words.encode(one, outline, coding, secrets.token_bytes).facts()
    assert words.Words.from_facts(sound, outline, coding) is not None
    wrong = [
        {**sound, "whole": sound["whole"][:-1]},
        {**sound, "whole": sound["whole"].astype(np.int64)},
        {**sound, "real": sound["real"].ravel()},
        {**sound, "short": {}},
        {**sound, "short": {"change": sound["short"]["change"].astype(np.uint16)}},
        {**sound, "short": {"change": sound["short"]["change"].astype(np.uint32)}},
        {**sound, "more": 1},
        {**sound, "sizes": None},
        None,
    ]
    assert [words.Words.from_facts(facts, outline, coding) for facts in wrong] == [None] * len(wrong)
