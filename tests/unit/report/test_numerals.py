"""Numbers for the eye lose no meaning, and all their digits stand behind them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.report import numerals

DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--", ",")


def read(text):
    return float(text.translate(DIGITS).replace("\u00a0×\u00a010", "e"))


@given(st.floats(min_value=-1e307, max_value=1e307))
def test_a_short_number_is_right_to_three_digits(number):
    assert read(numerals.short(number)) == pytest.approx(number, rel=6e-3, abs=0)


@given(st.floats())
def test_an_exact_number_is_read_back_without_loss(number):
    assert str(float(numerals.exact(number))) == str(number)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0004, "<0.001"),
        (0.001, "0.001"),
        (0.0494, "0.049"),
        (0.9996, ">0.999"),
        (1.0, ">0.999"),
        (0.0, "<0.001"),
        (math.nan, "–"),
    ],
)
def test_p_values_are_printed_as_journals_do(value, text):
    assert numerals.p_value(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (228, "228"),
        (12345, "12,345"),
        (-0.552612, "−0.5526"),
        (0.95, "0.95"),
        (0, "0"),
        (1.2e-12, "1.20\u00a0×\u00a010⁻¹²"),
        (math.inf, "∞"),
        (3e300, "3.00\u00a0×\u00a010³⁰⁰"),
    ],
)
def test_numbers_are_written_for_the_eye(value, text):
    assert numerals.short(value) == text


def test_a_column_has_decimals_for_its_smallest_number():
    assert numerals.column_decimals((0.011067, -0.552612, 0.463728)) == 4
    assert numerals.column_decimals((62.4, 928.8)) == 1
    assert numerals.column_decimals((1e-9, 1.0)) is None
    assert numerals.column_decimals((None, math.nan, 0.0)) is None


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (17014, "17 kB"), (1_234_567, "1.23 MB"), (5e12, "5 TB")]
)
def test_bytes_go_in_steps_of_a_thousand(count, text):
    assert numerals.size(int(count)) == text


@pytest.mark.parametrize(("seconds", "text"), [(1.234, "1.2 s"), (11.62, "12 s"), (125, "2 min 5 s"), (90_000, "25.0 h")])
def test_times_are_told_in_seconds_minutes_or_hours(seconds, text):
    assert numerals.duration(seconds).en == text


@pytest.mark.parametrize(
    ("name", "is_p"),
    [
        ("p_value", True),
        ("lr_p", True),
        ("p_value_yates", True),
        ("fisher_p_value", True),
        ("ph.ecog", False),
        ("probability", False),
        ("alp", False),
    ],
)
def test_p_values_are_known_by_their_names(name, is_p):
    assert numerals.is_p_value(name) is is_p


def test_a_difference_of_nothing_is_zero_and_an_unknown_one_is_a_dash():
    assert numerals.difference(0.0) == "0"
    assert numerals.difference(None) == "–"
    assert numerals.difference(1.23e-12) == "1.2\u00a0×\u00a010⁻¹²"
