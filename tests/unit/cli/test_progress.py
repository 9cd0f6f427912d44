"""The live line of an analysis: rounds done, the newest measures, the time left, and sites that are lost."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from huizhen.cli.progress import RoundBars
from huizhen.federation.events import Event
from huizhen.privacy.release import Progress

MEASURES = {"loss": 0.41, "auc": 0.8312}


@pytest.fixture
def console():
    return Console(width=130, record=True, file=io.StringIO(), force_terminal=True, color_system=None)


def shown(console, events):
    """The line after the last of these events."""
    bars = RoundBars(console, "en")
    with bars:
        for event in events:
            bars.watch(event)
    return console.export_text().splitlines()[-1]


def asked(done, at_s, kind="asked", of=10):
    return Event(kind, "averaging", 4 + done, at_s, step="train", detail="east, north, west", progress=Progress(done, of, MEASURES))


def test_a_round_that_is_asked_is_not_done_yet(console):
    assert "0/10" in shown(console, [asked(0, 0.0)])


def test_a_round_that_is_folded_counts_when_the_next_one_is_asked(console):
    assert "1/10" in shown(console, [asked(0, 0.0), asked(0, 2.0, "folded"), asked(1, 2.0)])


def test_measures_and_the_time_that_is_left_stand_beside_the_rounds(console):
    line = shown(console, [asked(2, 10.0), asked(3, 14.0), asked(4, 18.0)])
    assert "4/10" in line
    assert "auc 0.8312" in line
    assert "0:00:24" in line, "four seconds a round, six rounds left"


def test_the_last_judgement_and_the_end_show_all_rounds_done(console):
    end = [asked(9, 0.0), asked(7, 3.0, of=7), Event("finished", "averaging", 12, 4.0)]
    assert "7/7" in shown(console, end)


def test_a_site_that_is_lost_in_a_round_is_said_above_the_line(console):
    shown(console, [asked(0, 0.0), Event("silent", "averaging", 4, 1.0, site="north", step="train", detail="no reply")])
    text = console.export_text(clear=False)
    assert "north" in text or "north" in console.file.getvalue()


def test_a_round_without_progress_counts_the_sites_that_have_replied(console):
    events = [Event("asked", "cox", 2, 0.0, step="newton", detail="east, north, west")]
    events += [Event("answered", "cox", 2, 1.0, site=site, step="newton") for site in ("east", "north")]
    assert "2/3" in shown(console, events)
