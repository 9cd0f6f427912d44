"""Cards: what a table's card tells, and that no small group and no patient can be seen in it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.canonical import decode, encode
from huizhen.data.card import describe
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.data.profile import Rule, cells, spread
from huizhen.data.records import open_source, table
from huizhen.privacy.release import Variable

SECRET = "SECRET-7f3a"
RULE = Rule(5, 10, 1)
RANDOM = np.random.default_rng(7)


def categories(**counts):
    """A category with so many rows of each level; `missing` counts rows without a value."""
    levels = tuple(level for level in counts if level != "missing")
    codes = [code for code, level in enumerate(levels) for _ in range(counts[level])] + [-1] * counts.get("missing", 0)
    return Categories(np.array(codes, np.int32), levels)


def card_of(column, **settings):
    (card,) = describe(Examples({"x": column}, len(column.missing())), name="t", **settings).variables
    return card


def test_a_card_tells_rows_kinds_units_missingness_and_levels(tmp_path):
    frame = pd.DataFrame(
        {
            "age": np.r_[RANDOM.integers(30, 90, 190), [np.nan] * 10],
            "sex": ["f"] * 120 + ["m"] * 80,
            "id": [f"P{k:05d}" for k in range(200)],
            "number": np.arange(200) + 5_000_000,
            "note": [f"{SECRET} came in with some kind of pain {k}" for k in range(100)] * 2,
            "seen": [f"20{10 + k % 10}-01-{k % 28 + 1:02d}" for k in range(200)],
            "born": [19_500_101 + 10_000 * (k % 40) for k in range(200)],
            "none": [None] * 200,
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    declared = {"age": Variable("number", unit="a")}
    cards = [describe(open_source(tmp_path / name), name="lung", variables=declared) for name in ("t.csv", "t.parquet")]
    for from_csv, from_parquet in zip(cards[0].variables, cards[1].variables):
        assert from_csv == from_parquet
    card = {variable.name: variable for variable in cards[0].variables}
    assert (cards[0].name, cards[0].rows) == ("lung", 200)
    assert {name: variable.kind for name, variable in card.items()} == {
        "age": "number",
        "sex": "category",
        "id": "identifier",
        "number": "identifier",
        "note": "text",
        "seen": "date",
        "born": "date",
        "none": "category",
    }
    assert (card["age"].unit, card["age"].missing, card["age"].missing_share) == ("a", 10, 0.05)
    assert card["age"].mean == pytest.approx(frame["age"].mean(), abs=0.5)
    assert dict(card["sex"].levels) == {"f": 120, "m": 80}
    assert (card["seen"].low, card["seen"].high) == (2010, 2019)
    assert (card["born"].low, card["born"].high) == (1950, 1989)
    assert card["none"].note == "no value in any row"
    assert "P00001" not in str(cards[0])
    assert SECRET not in str(cards[0])
    assert all(card[name].mean is None and not card[name].levels for name in ("id", "number", "note", "seen", "born"))


def test_a_table_that_is_too_small_is_not_described():
    card = describe(table({SECRET: ["a"] * 9}, variables={SECRET: Variable("category")}, site="n"), name="t", min_rows=10)
    assert (card.rows, card.variables) == (None, ())
    assert card.note == "fewer than 10 rows: nothing is told"


def test_a_variable_with_too_few_values_is_not_described():
    card = card_of(Numbers(np.array([1.0] * 4 + [2.0] * 5 + [np.nan] * 20)))
    assert (card.mean, card.sd, card.low, card.high, card.missing) == (None,) * 5
    assert card.note == "fewer than 10 values: nothing more is told"


def test_a_rare_level_is_not_named_and_takes_the_smallest_named_one_with_it():
    card = card_of(categories(a=50, b=30, c=20, rare=2))
    assert dict(card.levels) == {"a": 50, "b": 30}
    assert card.rarer_levels == 2
    assert card.missing == 0


def test_a_small_number_of_missing_values_is_withheld_and_cannot_be_had_by_subtraction():
    card = card_of(categories(a=50, b=30, missing=3))
    assert card.missing is None
    assert card.missing_share is None
    assert dict(card.levels) == {"a": 50}
    assert card_of(Numbers(np.r_[np.arange(50) / 7, [np.nan] * 3])).missing is None


def test_levels_that_are_not_in_the_rows_are_not_counted():
    assert card_of(Categories(np.zeros(20, np.int32), ("a", "b", "c"))).rarer_levels == 0


def test_counts_are_rounded_as_the_policy_says():
    card = describe(Examples({"x": categories(a=53, b=31)}, 84), name="t", round_to=10)
    assert card.rows == 80
    assert dict(card.variables[0].levels) == {"a": 50, "b": 30}


def test_a_mean_that_would_count_a_few_events_is_withheld():
    events = card_of(Numbers(np.r_[np.zeros(200), np.ones(3)]))
    assert (events.mean, events.sd, dict(events.levels)) == (None, None, {})
    doses = card_of(Numbers(np.r_[np.zeros(200), np.arange(1, 4)]))
    assert (doses.mean, dict(doses.levels)) == (None, {})


def test_numbers_that_are_codes_are_told_as_levels():
    assert dict(card_of(Numbers(np.r_[np.zeros(200), np.ones(60)])).levels) == {"0": 200, "1": 60}
    scattered = card_of(Numbers(np.r_[np.zeros(200), np.arange(60.0)]))
    assert not scattered.levels
    assert scattered.mean == pytest.approx(np.arange(60).sum() / 260, abs=1)


def test_a_constant_has_no_spread():
    assert card_of(Numbers(np.full(30, 61.5))).mean is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-50, 50) | st.floats(-1e6, 1e6, allow_subnormal=False), min_size=10, max_size=120))
def test_the_range_is_no_patients_own_value_and_leaves_enough_patients_outside(values):
    values = np.array(values, float)
    found = spread(values, RULE)
    for bound, beyond in ((found.low, lambda bound: values < bound), (found.high, lambda bound: values > bound)):
        if bound is not None:
            assert bound not in values
            assert beyond(bound).sum() >= RULE.min_cell_count


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(0, 12))
def test_what_is_told_of_levels_leaves_no_small_cell_to_be_derived(counts, missing):
    column = categories(**{f"l{k}": count for k, count in enumerate(counts)}, missing=missing)
    rows = sum(counts) + missing
    told = cells(column, RULE)
    unsaid = rows - sum(told.levels.values()) - (told.missing or 0)
    hidden = told.rarer + (told.missing is None)
    assert all(count >= 5 for count in told.levels.values())
    assert told.missing is None or told.missing == 0 or told.missing >= 5
    assert unsaid == 0 or unsaid >= 5 or not told.levels
    assert unsaid == 0 or hidden >= 2 or not told.levels


def test_small_changes_of_one_patient_rarely_show_in_the_mean():
    values = RANDOM.normal(60, 10, 400)
    told = {spread(np.r_[values, last], RULE).mean for last in (50.0, 60.0, 70.0)}
    assert len(told) == 1


def test_a_card_has_a_canonical_encoding():
    card = describe(Examples({"x": categories(a=50, b=30), "y": Numbers(RANDOM.normal(size=80))}, 80), name="t")
    assert decode(encode(card.to_dict())) == card.to_dict()
