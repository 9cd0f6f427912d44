"""Results of perfSONAR: of pScheduler (a run with its result), and of its archive (a list of ``ts`` and ``val``).

Formats: pScheduler's result schemas for throughput and rtt, and the archive's event types (https://docs.perfsonar.net/). Rates are
in bits a second, round trips of streams in microseconds, histograms in milliseconds, durations as ISO 8601 writes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from huizhen.clock import moment
from huizhen.errors import Problem
from huizhen.twin.warehouse.readings import Point, Series
from huizhen.twin.warehouse.sources.told import Told, Unread, json_of, number, refused

__all__ = ["EVENT_TYPES", "archived", "scheduled"]

WHAT, SOURCE = "perfSONAR", "perfsonar"
EVENT_TYPES = ("throughput", "packet-loss-rate", "histogram-rtt", "histogram-owdelay")
_METRICS = {
    "throughput": ("rate_up", "byte/s"),
    "packet-loss-rate": ("loss", "1"),
    "histogram-rtt": ("rtt", "s"),
    "histogram-owdelay": ("one_way_delay", "s"),
}
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def archived(text: str, *, event_type: str, site: str, path: str) -> Told:
    """The points of a list of ``{"ts": seconds, "val": ...}``; of a histogram the median counts.

    Raises:
        DataError: no such list, or an event type that is not known.
    """
    rows, problems = json_of(text, WHAT), []
    if not isinstance(rows, list):
        problems.append(Problem(WHAT, "no list", "a list of ts and val"))
    if event_type not in _METRICS:
        problems.append(Problem(f"{WHAT}.event-type", event_type, f"one of {', '.join(_METRICS)}"))
    if problems:
        raise refused(problems)
    series = Series(site, path, *_METRICS[event_type], SOURCE)
    points, unread = [], []
    for place, row in enumerate(rows, start=1):
        time = number(row.get("ts")) if isinstance(row, dict) else None
        value = None if time is None else _value(event_type, row.get("val"))
        if time is None or value is None:
            unread.append(Unread(place, "an entry without ts or val"))
        else:
            points.append(Point(series, datetime.fromtimestamp(time, UTC), value))
    return Told(tuple(points), tuple(unread))


def _value(event_type: str, found: Any) -> float | None:
    if event_type.startswith("histogram"):
        return _median_ms(found)
    value = number(found)
    return None if value is None else value / 8 if event_type == "throughput" else value


def _median_ms(found: Any) -> float | None:
    """Seconds; the median of a histogram of milliseconds and counts."""
    if not isinstance(found, dict) or not found:
        return None
    try:
        bins = sorted((float(value), float(count)) for value, count in found.items())
    except (TypeError, ValueError):
        return None
    half, seen = sum(count for _, count in bins) / 2, 0.0
    for value, count in bins:
        seen += count
        if seen >= half > 0:
            return value / 1000
    return None


def scheduled(text: str, *, site: str, path: str) -> Told:
    """The points of a run of pScheduler with its ``start-time`` and its result: throughput, or round trips.

    Raises:
        DataError: no run, one that failed, or one of another test.
    """
    run = json_of(text, WHAT)
    result = (run.get("result") or run.get("result-merged")) if isinstance(run, dict) else None
    problems, begins = [], datetime(1970, 1, 1, tzinfo=UTC)
    if not isinstance(result, dict):
        problems.append(Problem(f"{WHAT}.result", "nothing", "the run of pScheduler with its result"))
        result = {}
    try:
        begins = moment(str((run or {}).get("start-time") if isinstance(run, dict) else None))
    except ValueError as error:
        problems.append(Problem(f"{WHAT}.start-time", "no time", str(error)))
    if result and not result.get("succeeded", False):
        problems.append(Problem(f"{WHAT}.succeeded", "a test that failed", "a test that was run to its end"))
    if result and not isinstance(result.get("intervals"), list) and not isinstance(result.get("roundtrips"), list):
        problems.append(Problem(f"{WHAT}.result", "another test", "throughput, or rtt"))
    if problems:
        raise refused(problems)
    if isinstance(result.get("intervals"), list):
        return _throughput(result["intervals"], begins, site, path)
    return _round_trips(result["roundtrips"], begins, site, path)


def _throughput(intervals: Iterable[Any], begins: datetime, site: str, path: str) -> Told:
    rate, rtt = Series(site, path, "rate_up", "byte/s", SOURCE), Series(site, path, "rtt", "s", SOURCE)
    points, unread = [], []
    for place, interval in enumerate(intervals, start=1):
        summary: Mapping[str, Any] = (interval.get("summary") if isinstance(interval, dict) else None) or {}
        bits, end = number(summary.get("throughput-bits")), number(summary.get("end"))
        if bits is None or end is None:
            unread.append(Unread(place, "an interval without throughput-bits or end"))
        elif not summary.get("omitted"):
            time = begins + timedelta(seconds=end)
            points.append(Point(rate, time, bits / 8))
            trips = [number(stream.get("rtt")) for stream in interval.get("streams") or [] if isinstance(stream, dict)]
            known = [value for value in trips if value]
            points += [Point(rtt, time, sum(known) / len(known) / 1e6)] if known else []
    return Told(tuple(points), tuple(unread))


def _round_trips(trips: list[Any], begins: datetime, site: str, path: str) -> Told:
    rtt, loss = Series(site, path, "rtt", "s", SOURCE), Series(site, path, "loss", "1", SOURCE)
    points, lost = [], 0
    for place, trip in enumerate(trips):
        seconds = _seconds(trip.get("rtt")) if isinstance(trip, dict) else None
        if seconds is None:
            lost += 1
        else:
            # A result does not say when each packet went; one a second is pScheduler's default.
            points.append(Point(rtt, begins + timedelta(seconds=place), seconds))
    if trips:
        points.append(Point(loss, begins, lost / len(trips)))
    return Told(tuple(points))


def _seconds(found: Any) -> float | None:
    match = _DURATION.fullmatch(found) if isinstance(found, str) else None
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = 3600 * hours + 60 * minutes + seconds
    return total if math.isfinite(total) else None
