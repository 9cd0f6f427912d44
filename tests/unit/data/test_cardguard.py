"""Successive cards: no two numbers that were ever told can be subtracted to a few patients."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.data.cardguard import Entry, apart, banded, buckets_for, fresh, remembered, settle

LEAST = 5


def basis(patients, least=LEAST):
    """The sketch of a set of patients, made apart from the program."""
    mixed = np.zeros(buckets_for(least), np.uint16)
    for patient in patients:
        number = int.from_bytes(hashlib.md5(str(patient).encode()).digest()[:8], "little")
        mixed[number % len(mixed)] ^= np.uint16((number >> 32) & 0xFFFF)
    return mixed


def entry(patients, key=("patients",), within=()):
    return Entry(key, len(patients), basis(patients), within)


def publish(memory, *entries):
    """What one card tells, and what is remembered after it."""
    settled = settle(entries, memory, least=LEAST)
    before = [one for earlier in memory.values() for one in earlier]
    return [one.told for one in settled], remembered(before, fresh(settled, memory))


def test_a_number_stands_until_the_minimum_of_patients_has_come_or_gone():
    told, memory = publish({}, entry(range(100)))
    assert told == [100]
    for patients, expected in ((range(101), 100), (range(104), 100), (range(96), 100), (range(105), 105), (range(104), 105)):
        told, memory = publish(memory, entry(patients))
        assert told == [expected], len(patients)


def test_patients_who_are_exchanged_are_patients_who_came_and_went():
    _, memory = publish({}, entry(range(100)))
    others = [*range(50), *range(150, 203)]
    assert publish(memory, entry(others))[0] == [103]  # three more, and a hundred of them others


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sets(st.integers(0, 60), min_size=20), min_size=2, max_size=8))
def test_no_two_numbers_of_all_cards_are_of_nearly_the_same_patients(cards):
    memory, seen = {}, []
    for patients in cards:
        settled = settle([entry(patients)], memory, least=LEAST)
        for one in fresh(settled, memory):
            seen.append((one.told, patients))
        memory = remembered([one for earlier in memory.values() for one in earlier], fresh(settled, memory))
    for i, (one, first) in enumerate(seen):
        for other, second in seen[i + 1 :]:
            assert len(first ^ second) >= LEAST or one == other


def test_a_part_that_is_nearly_the_whole_is_withheld_beside_it():
    whole, part = entry(range(100)), entry(range(98), ("kind", "condition"), (("patients",),))
    assert publish({}, whole, part)[0] == [100, None]
    assert publish({}, whole, entry(range(95), ("kind", "condition"), (("patients",),)))[0] == [100, 95]
    assert publish({}, whole, entry(range(100), ("kind", "condition"), (("patients",),)))[0] == [100, 100]


def test_a_part_is_held_against_the_whole_of_earlier_cards_and_the_whole_against_earlier_parts():
    kind = ("kind", "condition")
    _, memory = publish({}, entry(range(100)), entry(range(60), kind, (("patients",),)))
    told, _ = publish(memory, entry(range(200)), entry(range(98), kind, (("patients",),)))
    assert told == [200, None]  # 98 less the 100 of the first card: two patients
    told, _ = publish(memory, entry(range(62)), entry(range(40), kind, (("patients",),)))
    assert told == [None, 40]  # 62 less the 60 of the first card


def test_a_number_that_fell_below_the_minimum_stands_while_few_have_gone():
    _, memory = publish({}, entry(range(6)))
    assert publish(memory, Entry(("patients",), None, basis(range(4))))[0] == [6]
    assert publish(memory, Entry(("patients",), None, basis(range(1))))[0] == [None]


def test_a_number_that_was_told_under_a_laxer_policy_stands_no_more():
    _, memory = publish({}, entry(range(6)))
    assert [one.told for one in settle([Entry(("patients",), None, basis(range(6)))], memory, least=10)] == [None]


def test_sketches_of_different_sizes_are_compared():
    small, large = basis(range(100)), basis(range(100), least=100)
    assert len(small) < len(large)
    assert apart(small, large) == 0
    assert 1 <= apart(basis(range(103)), large) <= 3


@pytest.mark.parametrize(
    ("part", "whole", "band"), [(0, 0, None), (0, 100, 0), (4, 100, 0), (50, 100, 1), (80, 100, 2), (96, 100, 3)]
)
def test_a_share_is_told_as_one_of_four_bands(part, whole, band):
    assert banded(part, whole, LEAST) == band


def test_few_missing_values_are_told_as_none_and_few_present_ones_too():
    assert {banded(part, 20, LEAST) for part in range(16, 21)} == {3}
    assert {banded(part, 20, LEAST) for part in range(5)} == {0}
