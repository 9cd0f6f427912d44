"""The live line: what must be read stands on a terminal of any usual width, while learning and while comparing."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from huizhen.cli.progress import RoundBars
from huizhen.federation.events import Comparing, Event
from huizhen.privacy.release import Progress

MEASURES = {"loss": 0.11671234, "auc": 0.81931234, "log_loss": 0.24811234}


def shown(events, *, width, spoken="en"):
    """The lines as they stand after the last event."""
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    bars = RoundBars(console, spoken)
    for event in events:
        bars.watch(event)
    console.print(bars._progress.get_renderable())
    lines = console.export_text().splitlines()
    assert all(cell_len(line) <= width for line in lines)
    return [line.rstrip() for line in lines if line.strip()]


def training(done, at_s):
    return Event("asked", "a-network-with-a-long-label", done + 2, at_s, step="train", progress=Progress(done, 200, MEASURES))


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize(
    ("spoken", "rounds", "left"), [("en", "79/200 rounds", "0:02:01 left"), ("zh", "79/200 轮", "剩约 0:02:01")]
)
def test_rounds_done_time_left_and_measures_stand_on_every_terminal(width, spoken, rounds, left):
    (line,) = shown([training(0, 10.0), training(79, 89.0)], width=width, spoken=spoken)
    assert "a-network-with-…" in line
    assert rounds in line
    assert left in line
    assert "loss 0.1167" in line
    assert "auc 0.8193" in line
    assert ("log_loss 0.2481" in line) == (width > 80)


def comparing(whose, place, of, share, at_s, progress=None):
    return Event("comparing", "network", 9, at_s, step="train", progress=progress, comparing=Comparing(whose, place, of, share))


@pytest.mark.parametrize("width", [80, 100])
def test_the_comparison_has_a_line_with_the_model_its_progress_and_the_time_left(width):
    finished = Event("finished", "network", 9, 40.0)
    learning = [comparing("west", 1, 4, 0.0, 50.0), comparing("north", 2, 4, 0.25, 60.0, Progress(3, 12, {"auc": 0.8}))]
    (line,) = shown([training_of("network"), finished, *learning], width=width)
    assert "1/4 models" in line
    assert "north 3/12" in line
    assert "0:00:30 left" in line, "a quarter took 10 s"
    assert "auc 0.8" in line
    judging = [comparing(None, 1, 20, 0.0, 90.0), comparing(None, 11, 20, 0.5, 95.0)]
    (line,) = shown([*learning, *judging], width=width)
    assert "10/20 judgements" in line
    assert "0:00:05 left" in line
    (line,) = shown([*learning, *judging, Event("compared", "network", 9, 100.0)], width=width)
    assert "20/20" in line
    assert "compared with" in line


def training_of(label):
    return Event("asked", label, 3, 1.0, step="train", progress=Progress(1, 5, MEASURES))


def test_reading_has_a_line_until_the_first_question():
    reading = [Event("reading", "", 0, 0.0, site=site, step="read", progress=Progress(i, 3)) for i, site in enumerate("abc")]
    (line,) = shown(reading, width=80)
    assert "reading" in line
    assert "2/3 sites · c" in line
    (line,) = shown([*reading, training_of("network")], width=80)
    assert "reading" not in line
    assert "1/5 rounds" in line


def test_a_site_that_misses_a_round_of_learning_is_named_above_the_line():
    lost = Event("failed", "network", 4, 2.0, site="east", detail="training diverged")
    lines = shown([training_of("network"), lost], width=120)
    assert "round 4 goes on without east: training diverged" in lines[0]


def test_an_analysis_without_an_answer_keeps_its_place_although_it_was_compared():
    failed = Event("finished", "network", 9, 40.0, detail="the quorum is 3")
    (line,) = shown(
        [training_of("network"), failed, comparing("west", 2, 4, 0.2, 50.0), Event("compared", "network", 9, 60.0)], width=100
    )
    assert "no answer" in line
    assert "✓" not in line
