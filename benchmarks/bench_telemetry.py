"""Ten million values of telemetry: how fast they are taken over, and how fast a conditional and a batched question are answered.

Beside each: the same question asked of all segments read whole, as a program without order and bounds would.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from huizhen.clock import WallClock, process_seconds
from huizhen.twin.warehouse.questions import During, Wanted
from huizhen.twin.warehouse.readings import Readings, Series, micros
from huizhen.twin.warehouse.telemetry import Telemetry

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SITES, METRICS, PARTS, PART = 100, ("cpu_load", "rtt", "rate_up", "loss", "memory_share"), 10, 1_000_000
UNITS = {"rtt": "s", "rate_up": "byte/s"}
DAYS = 90


def part(place: int, rng: np.random.Generator) -> Readings:
    """A tenth of the quarter: every series, evenly."""
    series = tuple(
        Series(f"site-{n:03}", "line", metric, UNITS.get(metric, "1"), "agent") for n in range(SITES) for metric in METRICS
    )
    which = np.tile(np.arange(len(series), dtype=np.int32), PART // len(series))
    step = DAYS * 86_400 * 10**6 // (PARTS * PART)
    times = micros(BEGIN) + (np.arange(PART, dtype=np.int64) + place * PART) * step
    return Readings(series, which, times, np.round(rng.random(PART), 4))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The telemetry, and what it took: seconds of processor time."""
    telemetry, rng = Telemetry(tmp_path_factory.mktemp("telemetry")), np.random.default_rng(1)
    spent = []
    for place in range(PARTS):
        readings, before = part(place, rng), process_seconds()
        report = telemetry.append(readings, now=BEGIN + timedelta(days=DAYS))
        spent.append(process_seconds() - before)
        assert (report.new, report.aside) == (PART, {})
    return telemetry, spent


def timed(act):
    """Wall and processor seconds, best of three; and the answer."""
    best = (float("inf"), float("inf"))
    for _ in range(3):
        wall, cpu = WallClock().seconds(), process_seconds()
        answer = act()
        best = min(best, (WallClock().seconds() - wall, process_seconds() - cpu))
    return *best, answer


def test_ten_million_values(told):
    telemetry, spent = told
    size = sum(path.stat().st_size for path in telemetry.folder.glob("*.parquet"))
    print(f"\n{PART / np.median(spent):,.0f} values per processor second taken over; {size / PARTS / PART:.1f} bytes a value")

    since, until = BEGIN + timedelta(days=40), BEGIN + timedelta(days=41)
    wall, cpu, found = timed(lambda: telemetry.read(Wanted("rtt", ("site-042",), since=since, until=until)))
    whole_wall, whole_cpu, everything = timed(lambda: telemetry.windows(Wanted("rtt"), every_s=86_400))
    print(f"one site, metric and day: {wall * 1e3:.0f} ms ({cpu * 1e3:.0f} ms of processor time), {len(found)} values")
    print(f"a metric of all sites, by the day: {whole_wall * 1e3:.0f} ms ({whole_cpu * 1e3:.0f} ms), {len(everything)} windows")
    assert len(found) == pytest.approx(PARTS * PART / SITES / len(METRICS) / DAYS, abs=2)
    assert cpu < whole_cpu / 2

    rng = np.random.default_rng(2)
    starts = [BEGIN + timedelta(hours=float(hour)) for hour in rng.integers(0, DAYS * 24 - 1, 1000)]
    asked = [During(f"site-{n % SITES:03}", "cpu_load", start, start + timedelta(hours=1)) for n, start in enumerate(starts)]
    wall, cpu, answers = timed(lambda: telemetry.during(asked))
    one_wall, one_cpu, _ = timed(lambda: [telemetry.during([one]) for one in asked[:20]])
    print(
        f"a batch of 1000 questions: {wall:.2f} s ({cpu:.2f} s); "
        f"one by one {one_wall / 20 * 1000:.1f} s ({one_cpu / 20 * 1000:.1f} s)"
    )
    assert sum(answer is not None for answer in answers) > 900
    assert cpu < one_cpu / 20 * 1000 / 5


def test_a_part_that_comes_again_is_known(told):
    telemetry, spent = told
    rng = np.random.default_rng(1)
    before = process_seconds()
    report = telemetry.append(part(0, rng), now=BEGIN + timedelta(days=DAYS))
    again = process_seconds() - before
    print(f"\na part of a million values that comes again: {again:.1f} s, {again / np.median(spent):.2f} of its first coming")
    assert (report.new, report.same) == (0, PART)
    assert again < 3 * np.median(spent)
