"""Paths over the mirrored federation: the fastest, others beside it, and every place that no link leads to is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from huizhen.errors import CallerError
from huizhen.twin.mirror import Node, mirrored
from huizhen.twin.network.lines import drawn, medians, routed, states, weakest
from huizhen.twin.network.topology import Hop, alternatives, hub_paths, path
from huizhen.twin.quantity import declared, exactly
from lines_of_a_mirror import device, link, mirror_of, site

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DIAMOND = mirrored(
    "hub",
    "d",
    [Node("hub", "hub"), Node("east", "router"), Node("west", "router"), Node("north", "site"), Node("island", "site")],
    [
        link("hub-east", "hub", "east", rtt=0.010),
        link("hub-west", "hub", "west", rtt=0.004),
        link("east-north", "east", "north", rtt=0.010),
        link("north-west", "north", "west", rtt=0.008),
        link("hub-north", "hub", "north", rtt=0.050),
    ],
    [device()],
    [site("north"), site("island")],
    NOW,
)


def test_the_fastest_path_is_taken_and_its_links_know_their_direction():
    assert path(DIAMOND, "hub", "north").hops == (Hop("hub-west", True), Hop("north-west", False))
    assert path(DIAMOND, "north", "hub") == path(DIAMOND, "hub", "north").reverse
    assert path(DIAMOND, "north", "north").hops == ()


def test_alternatives_come_in_the_order_of_their_round_trips_and_end_when_there_are_no_more():
    found = alternatives(DIAMOND, "hub", "north", most=5)
    assert [[hop.link for hop in one.hops] for one in found] == [
        ["hub-west", "north-west"],
        ["hub-east", "east-north"],
        ["hub-north"],
    ]
    assert alternatives(DIAMOND, "hub", "north", most=2) == found[:2]


def test_every_site_that_no_link_leads_to_is_named_and_a_name_that_is_near_is_offered():
    with pytest.raises(CallerError) as error:
        hub_paths(DIAMOND)
    assert [problem.where for problem in error.value.problems] == ["island"]
    assert hub_paths(DIAMOND, ["north"])["north"] == path(DIAMOND, "hub", "north")
    with pytest.raises(CallerError, match="no path"):
        path(DIAMOND, "hub", "island")
    with pytest.raises(CallerError) as unknown:
        hub_paths(DIAMOND, ["nort", "atlantis"])
    assert [(problem.where, problem.expected) for problem in unknown.value.problems] == [
        ("nort", "north"),
        ("atlantis", "a node of the mirror"),
    ]


def test_what_a_path_relies_on_is_doubted_as_it_grows_old():
    rate = declared(1e6, "byte/s", spread=1.1, at=NOW)
    one = mirror_of([link("l", "hub", "north", there=rate)], ["north"])
    fresh, old = (
        states(one, [path(one, "hub", "north")], NOW + timedelta(days=days), doubles_s=86_400).relied_on for days in (0, 2)
    )
    assert fresh["l.there"] == rate
    assert old["l.there"].spread == pytest.approx(1.1 * 4)
    assert old["l.rtt"] == fresh["l.rtt"]


def test_a_line_that_carries_nothing_is_refused_with_every_reason():
    none = exactly(0.0, "byte/s")
    one = mirror_of([link("l", "hub", "north", there=none, loss=exactly(1.0, "1"))], ["north"])
    with pytest.raises(CallerError) as error:
        states(one, [path(one, "hub", "north")], NOW)
    assert [problem.where for problem in error.value.problems] == ["link l, there", "link l, loss"]


def test_an_unknown_queue_is_assumed_aloud():
    one = mirror_of([link("l", "hub", "north", queue=None)], ["north"])
    here = states(one, [path(one, "hub", "north")], NOW)
    assert "queue of link l" in here.notes[0]
    assert weakest(here.relied_on.values()) == "assumed"


def test_drawn_states_of_a_link_lie_in_its_interval_nine_times_in_ten():
    import numpy as np

    one = mirror_of([link("l", "hub", "north", there=declared(1e6, "byte/s", spread=1.5))], ["north"])
    here = states(one, [path(one, "hub", "north")], NOW)
    rng = np.random.default_rng(7)
    rates = [routed(path(one, "hub", "north"), here, drawn(here, rng)).ahead[0].rate for _ in range(2000)]
    inside = np.mean([1e6 / 1.5 <= rate <= 1.5e6 for rate in rates])
    assert 0.88 < inside < 0.92
    assert medians(here)["l", "there"] == 1e6
