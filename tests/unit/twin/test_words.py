"""The twin's words: quantities are doubted as they grow old, and a mirror is checked whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import CallerError
from huizhen.twin.mirror import Device, Link, MirrorSite, Node, mirrored
from huizhen.twin.quantity import Quantity, aged, assumed, declared, exactly, widened

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CPU = Device(
    "d",
    "cpu",
    2,
    declared(1e11, "flop/s"),
    declared(1e10, "byte/s"),
    declared(8e9, "byte"),
    declared(1, "1"),
    assumed(0.1, "1", "usual"),
)


def test_a_quantity_that_contradicts_itself_is_refused_with_every_mistake():
    with pytest.raises(CallerError) as error:
        Quantity(1.0, "furlong", 2.0, 3.0, "guessed")  # type: ignore[arg-type]
    assert [problem.where for problem in error.value.problems] == ["unit", "provenance", "interval"]


@given(st.floats(1e-6, 1e12), st.floats(1, 10), st.floats(0, 1e6), st.floats(0, 1e6))
def test_an_older_value_is_never_surer(value, spread, first_s, more_s):
    measured = declared(value, "s", spread=spread, at=NOW)
    younger = aged(measured, NOW + timedelta(seconds=first_s), doubles_s=3600)
    older = aged(measured, NOW + timedelta(seconds=first_s + more_s), doubles_s=3600)
    assert older.low <= younger.low <= measured.low <= value <= measured.high <= younger.high <= older.high
    assert older.value == value


def test_what_follows_from_a_formula_does_not_age_and_is_not_in_doubt():
    assert aged(exactly(3, "byte"), NOW, doubles_s=1).spread == 1
    assert widened(exactly(4, "byte"), 2).spread == 2


def test_a_clock_that_runs_behind_makes_nothing_surer():
    future = declared(1, "s", at=NOW + timedelta(hours=1))
    assert aged(future, NOW, doubles_s=60) == future


def test_a_mirror_names_every_end_that_hangs_in_the_air():
    rate, none = declared(1e6, "byte/s"), exactly(0, "1")
    link = Link("l", "hub", "nowhere", rate, declared(1e6, "s"), declared(0.02, "s"), none, exactly(0, "byte"))
    site = MirrorSite("north", "North", "abacus", declared(100, "count"), none)
    with pytest.raises(CallerError) as error:
        mirrored("hub", "d", [Node("hub", "hub")], [link], [CPU], [site], NOW)
    assert {problem.found for problem in error.value.problems} == {"nowhere", "s", "device abacus", "no node of its name"}


def test_a_name_stands_for_one_thing():
    with pytest.raises(CallerError, match="contradictory"):
        mirrored("hub", "d", [Node("hub", "hub"), Node("hub", "router")], [], [CPU], [], NOW)
