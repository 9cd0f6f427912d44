"""Of a site's telemetry only coarse aggregates may leave, and seldom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import CallerError
from huizhen.twin.warehouse.leaving import Allowance, Leaving, Withheld, leaving
from huizhen.twin.warehouse.questions import Window

NOW = datetime(2026, 3, 2, tzinfo=UTC)
HOURS = timedelta(hours=1)
ALLOWED = Allowance(metrics=("cpu_load", "rtt"))
WINDOW = Window("north", "server", "cpu_load", "1", NOW - 6 * HOURS, 360, 0.4321, 0.1, 0.9)


def test_nothing_leaves_unless_the_site_allows_it():
    assert isinstance(leaving([WINDOW], Allowance(), now=NOW, last=None), Withheld)


def test_a_median_leaves_rounded_without_its_ends_and_is_what_the_ledger_says():
    found = leaving([WINDOW], ALLOWED, now=NOW, last=None)
    assert isinstance(found, Leaving)
    assert found.rows == (("north", "server", "cpu_load", "1", "2026-03-01T18:00:00+00:00", 0.4),)
    assert found.entry == {"window_s": 21600, "rows": [list(found.rows[0])]}


def test_what_is_not_allowed_not_over_or_rests_on_few_values_stays():
    wrong = [
        replace(WINDOW, metric="bytes_out", unit="byte/s"),
        replace(WINDOW, begins=NOW - 5 * HOURS),
        replace(WINDOW, count=29),
        replace(WINDOW, unit="s"),
    ]
    for one in wrong:
        assert isinstance(leaving([one], ALLOWED, now=NOW, last=None), Withheld)
    assert len(leaving([*wrong, WINDOW], ALLOWED, now=NOW, last=None).rows) == 1


def test_no_window_leaves_twice_and_none_soon_after_another():
    assert isinstance(leaving([WINDOW], ALLOWED, now=NOW, last=NOW - 2 * HOURS), Withheld)
    days = [replace(WINDOW, begins=NOW - hours * HOURS) for hours in (6, 12, 30, 36)]
    found = leaving(days, ALLOWED, now=NOW, last=NOW - 25 * HOURS)
    assert [row[4] for row in found.rows] == sorted(one.begins.isoformat() for one in days[:3])


@given(st.floats(1e-6, 1e6), st.integers(1, 20))
def test_a_rounded_value_says_no_more_than_its_scale(value, steps):
    window = replace(WINDOW, metric="rtt", unit="s", median=value)
    allowed = replace(ALLOWED, steps=steps)
    (row,) = leaving([window], allowed, now=NOW, last=None).rows
    assert abs(row[5] / value - 1) <= 10 ** (0.5 / steps) - 1 + 0.01
    again = leaving([replace(window, median=row[5])], allowed, now=NOW, last=None)
    assert again.rows[0][5] == row[5]


def test_an_allowance_that_lets_too_much_out_is_refused_with_all_its_mistakes():
    with pytest.raises(CallerError) as error:
        Allowance(metrics=("mood",), window_s=60, least=1, pause_s=1, steps=0)
    assert [problem.where for problem in error.value.problems] == ["metrics", "window_s", "least", "pause_s", "steps"]
