"""Telemetry is kept once in whatever order it comes, set aside where it cannot be true, made coarser as it grows old."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import huizhen
from huizhen.errors import CallerError, MachineError
from huizhen.twin.warehouse.manifest import read_manifest
from huizhen.twin.warehouse.quality import outlying
from huizhen.twin.warehouse.questions import During, Retention, Wanted
from huizhen.twin.warehouse.readings import Point, Series, gathered, joined
from huizhen.twin.warehouse.telemetry import Telemetry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def load(site="north", *, metric="cpu_load", unit="1", subject="server", source="agent"):
    return Series(site, subject, metric, unit, source)


def hourly(series, values, *, until=NOW):
    """One value an hour, the last one at `until`."""
    return [Point(series, until - (len(values) - 1 - place) * HOUR, value) for place, value in enumerate(values)]


@pytest.fixture
def telemetry(tmp_path):
    return Telemetry(tmp_path / "telemetry")


def held(telemetry, metric="cpu_load", **more):
    return [tuple(point) for point in telemetry.read(Wanted(metric, **more)).points()]


def test_what_was_told_is_read_by_site_and_time(telemetry):
    north, south = hourly(load(), [0.1, 0.2, 0.3]), hourly(load("south"), [0.5])
    report = telemetry.append(gathered([*north, *south]), now=NOW)
    assert (report.new, report.same, report.contradicted, report.aside) == (4, 0, 0, {})
    assert held(telemetry) == [*north, *south]
    assert held(telemetry, sites=("north",), since=NOW - HOUR, until=NOW) == north[1:2]
    assert held(telemetry, "rtt") == []
    assert held(telemetry, subjects=("laptop",)) == []


def test_telemetry_that_was_never_written_is_empty(telemetry):
    assert held(telemetry) == []
    assert telemetry.windows(Wanted("rtt")) == ()
    assert telemetry.aside() == {}


def test_a_file_that_is_taken_over_twice_tells_nothing_new(telemetry):
    readings = gathered(hourly(load(), [0.1, 0.2, math.nan]))
    telemetry.append(readings, now=NOW)
    before, aside = held(telemetry), telemetry.aside()
    again = telemetry.append(joined([readings, readings]), now=NOW)
    assert (again.new, again.same) == (0, 4)
    assert (held(telemetry), telemetry.aside()) == (before, aside)


POINTS = st.lists(
    st.builds(
        lambda site, hours, value: Point(load(site), NOW - hours * HOUR, value),
        st.sampled_from(["north", "south"]),
        st.integers(-2, 6),
        st.sampled_from([0.0, 0.25, 0.5, 2.0, -1.0, math.nan]),
    ),
    max_size=12,
)


@settings(max_examples=10, deadline=None)
@given(POINTS, st.integers(0, 12), st.randoms(use_true_random=False))
def test_the_order_and_the_parts_in_which_telemetry_comes_do_not_matter(tmp_path_factory, points, cut, random):
    folder = tmp_path_factory.mktemp("telemetry")
    one, other = Telemetry(folder / "one"), Telemetry(folder / "other")
    shuffled = random.sample(points, len(points))
    one.append(gathered(points), now=NOW)
    for part in (shuffled[cut:], shuffled[:cut], shuffled):
        other.append(gathered(part), now=NOW)
    assert (held(one), one.aside()) == (held(other), other.aside())


def test_two_values_at_one_time_are_both_held_and_neither_is_believed(telemetry):
    telemetry.append(gathered(hourly(load(), [0.1, 0.2])), now=NOW)
    report = telemetry.append(gathered([Point(load(), NOW, 0.9)]), now=NOW)
    assert report.contradicted == 1
    assert held(telemetry) == hourly(load(), [0.1], until=NOW - HOUR)
    assert telemetry.append(gathered([Point(load(), NOW, 0.9)]), now=NOW).new == 0  # it is held


def test_what_cannot_be_true_is_set_aside_with_its_reason(telemetry):
    wrong = [
        Point(load(), NOW, math.nan),
        Point(load(), NOW - HOUR, math.inf),
        Point(load(), NOW - 2 * HOUR, -0.1),
        Point(load(), NOW - 3 * HOUR, 1.2),
        Point(load(), NOW + 3 * MINUTE, 0.5),
        Point(load(unit="s"), NOW, 0.5),
        Point(load(metric="mood"), NOW, 0.5),
    ]
    sound = [Point(load(), NOW + MINUTE, 0.5), Point(load(metric="clock_offset", unit="s"), NOW, -0.2)]
    report = telemetry.append(gathered([*wrong, *sound]), now=NOW)
    assert report.new == 2
    expected = {
        ("no finite number", "north", "cpu_load"): 2,
        ("below zero", "north", "cpu_load"): 1,
        ("above what is possible", "north", "cpu_load"): 1,
        ("in the future", "north", "cpu_load"): 1,
        ("another unit", "north", "cpu_load"): 1,
        ("unknown metric", "north", "mood"): 1,
    }
    assert report.aside == telemetry.aside() == expected
    assert held(telemetry) == [Point(load(), NOW + MINUTE, 0.5)]


def test_a_clock_that_was_set_back_and_a_gap_are_remarked(telemetry):
    steady = hourly(load(), [0.1] * 6, until=NOW - DAY) + hourly(load(), [0.2] * 6)
    back = [Point(load("south"), NOW, 0.1), Point(load("south"), NOW - HOUR, 0.2)]
    report = telemetry.append(gathered([*steady, *back]), now=NOW)
    assert [(one.site, one.what, one.count) for one in report.remarks] == [("north", "gap", 1), ("south", "out of order", 1)]


def test_a_site_whose_telemetry_lies_is_named(telemetry):
    rng = np.random.default_rng(4)
    sites = [f"site-{number}" for number in range(8)]
    rtt = [
        Point(load(site, metric="rtt", unit="s"), NOW - n * MINUTE, (30.0 if site == "site-5" else 0.03) * (1 + rng.random()))
        for site in sites
        for n in range(50)
    ]
    report = telemetry.append(gathered(rtt), now=NOW)
    (outlier,) = report.outliers
    assert (outlier.site, outlier.metric) == ("site-5", "rtt")
    assert outlier.deviation > 3.5
    assert [one.site for one in telemetry.outliers(since=NOW - DAY, until=NOW + DAY)] == ["site-5"]
    assert telemetry.outliers(since=NOW - 3 * DAY, until=NOW - 2 * DAY) == ()


def test_sites_that_agree_but_for_one_name_that_one_and_few_sites_name_nobody():
    same = {(f"s{number}", "cpu_load"): 0.5 for number in range(9)}
    assert outlying(same) == ()
    (outlier,) = outlying({**same, ("s9", "cpu_load"): 0.9})
    assert outlier.site == "s9"
    assert outlying({("a", "rtt"): 0.01, ("b", "rtt"): 0.01, ("c", "rtt"): 90.0}) == ()
    # Hospitals send different amounts: that is no lie.
    assert outlying({**{(f"s{n}", "bytes_out"): 1.0 for n in range(9)}, ("s9", "bytes_out"): 1e9}) == ()


def test_windows_have_their_count_median_and_ends(telemetry):
    telemetry.append(gathered([Point(load(), NOW - DAY + n * MINUTE, n / 120) for n in range(120)]), now=NOW)
    first, second = telemetry.windows(Wanted("cpu_load"), every_s=3600)
    assert (first.begins, first.count, second.count) == (NOW - DAY, 60, 60)
    assert first.median == pytest.approx(29.5 / 120)
    assert (first.low, first.high) == (pytest.approx(np.quantile(np.arange(60) / 120, [0.05, 0.95])[0]), pytest.approx(56.05 / 120))


def test_a_batch_of_questions_is_answered_one_by_one(telemetry):
    telemetry.append(gathered([*hourly(load(), [0.1, 0.2, 0.3]), *hourly(load("south"), [0.7])]), now=NOW)
    asked = [
        During("south", "cpu_load", NOW - HOUR, NOW + HOUR),
        During("north", "cpu_load", NOW - 2 * HOUR, NOW),
        During("north", "cpu_load", NOW + HOUR, NOW + DAY),
        During("north", "rtt", NOW - DAY, NOW + DAY),
    ]
    south, north, later, rtt = telemetry.during(asked)
    assert (south.median, south.count) == (0.7, 1)
    assert (north.median, north.count) == (pytest.approx(0.15), 2)
    assert (later, rtt, telemetry.during([])) == (None, None, ())


def test_what_is_old_is_kept_by_the_hour_and_what_is_older_is_deleted(telemetry):
    minutes = [Point(load(), NOW - 12 * DAY + n * MINUTE, (n % 60) / 100) for n in range(12 * 24 * 60)]
    telemetry.append(gathered(minutes), now=NOW)
    telemetry.append(gathered([Point(load(), NOW - 11 * DAY, 0.99)]), now=NOW)  # contradicts one of them
    telemetry.retain(Retention(whole_days=2, coarse_days=10), now=NOW)
    readings = telemetry.read(Wanted("cpu_load"))
    assert len(readings) == 2 * 24 * 60 + 8 * 24
    before = telemetry.windows(Wanted("cpu_load", until=NOW - 2 * DAY), every_s=3600)
    assert {one.count for one in before} == {60}
    assert {(one.low, one.high, round(one.median, 9)) for one in before} == {(0.0, 0.59, 0.295)}
    assert min(one.begins for one in before) == NOW - 10 * DAY
    files = {path.name for path in telemetry.folder.glob("*.parquet")}
    assert telemetry.retain(Retention(whole_days=2, coarse_days=10), now=NOW) == 0
    assert held(telemetry) == [tuple(point) for point in readings.points()]
    assert len(list(telemetry.folder.glob("*.parquet"))) <= len(files)


def test_what_was_made_coarser_is_not_counted_again_when_its_file_comes_back(telemetry):
    points = [Point(load(), NOW - 5 * DAY + n * MINUTE, 0.5) for n in range(120)]
    telemetry.append(gathered(points), now=NOW)
    telemetry.retain(Retention(whole_days=2, coarse_days=10), now=NOW)
    report = telemetry.append(gathered(points), now=NOW)
    assert (report.new, report.aside) == (0, {("older than what is kept", "north", "cpu_load"): 120})
    assert sum(one.count for one in telemetry.windows(Wanted("cpu_load"))) == 120


def test_a_retention_that_keeps_nothing_whole_is_refused():
    with pytest.raises(CallerError, match="cannot be kept like this"):
        Retention(whole_days=30, coarse_days=7)


def test_many_small_writings_are_merged_and_none_is_lost(telemetry):
    for number in range(16):
        telemetry.append(gathered([Point(load(), NOW - number * MINUTE, 0.5)]), now=NOW)
    assert len(held(telemetry)) == 16
    assert len(read_manifest(telemetry.folder).segments) < 6


def test_several_programs_write_at_once_and_lose_nothing(telemetry):
    def write(site):
        for number in range(5):
            telemetry.append(gathered([Point(load(site), NOW - number * MINUTE, 0.5)]), now=NOW)

    threads = [threading.Thread(target=write, args=(f"site-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held(telemetry)) == 15


KILLED = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from huizhen.twin.warehouse import telemetry as room
from huizhen.twin.warehouse.readings import Point, Series, gathered

folder, place = Path(sys.argv[1]), sys.argv[2]
now = datetime(2026, 3, 1, tzinfo=UTC)
def batch(number):
    return gathered([Point(Series("north", "server", "cpu_load", "1", "agent"), now - timedelta(minutes=number), 0.5)])
telemetry = room.Telemetry(folder)
for number in range(14):
    telemetry.append(batch(number), now=now)
def killing(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
owner = room if hasattr(room, place) else room.Engine
setattr(owner, place, killing)
if place == "coarser":
    telemetry.retain(room.Retention(1, 1), now=now + timedelta(days=9))
telemetry.append(batch(14), now=now)
"""


@pytest.mark.parametrize("place", ["write", "durable", "write_manifest", "coarser"])
def test_a_writer_that_is_killed_leaves_the_telemetry_as_it_was(tmp_path, place):
    child = [sys.executable, "-c", KILLED, str(tmp_path / "telemetry"), place]
    done = subprocess.run(child, env={**os.environ, "PYTHONPATH": str(Path(huizhen.__file__).parent.parent)}, timeout=120)
    assert done.returncode == -signal.SIGKILL
    telemetry = Telemetry(tmp_path / "telemetry")
    assert len(held(telemetry)) == 14
    assert telemetry.append(gathered([Point(load(), NOW - 14 * MINUTE, 0.5)]), now=NOW).new == 1
    named = {one.name for one in read_manifest(telemetry.folder).segments}
    telemetry.append(gathered([]), now=NOW)
    assert {path.name for path in telemetry.folder.glob("*.parquet")} == named


@pytest.mark.parametrize("content", ["{", '{"format": 2}', '{"format": 1}'])
def test_a_damaged_manifest_and_a_damaged_segment_are_refused(telemetry, content):
    telemetry.append(gathered(hourly(load(), [0.5])), now=NOW)
    manifest = (telemetry.folder / "manifest.json").read_text()
    (telemetry.folder / "manifest.json").write_text(content)
    with pytest.raises(MachineError, match="telemetry cannot be used"):
        held(telemetry)
    (telemetry.folder / "manifest.json").write_text(manifest)
    (segment,) = telemetry.folder.glob("raw-*.parquet")
    segment.write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(MachineError, match="telemetry cannot be used"):
        held(telemetry)
