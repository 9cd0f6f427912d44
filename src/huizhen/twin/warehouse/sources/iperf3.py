"""Reports of iperf3 (``iperf3 --json``): rates of each interval, round trips as the sender's kernel saw them, loss of UDP.

Format: the JSON that iperf3 3.x writes (https://software.es.net/iperf/); intervals that were omitted as warm-up are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from huizhen.errors import Problem
from huizhen.twin.warehouse.readings import Point, Series
from huizhen.twin.warehouse.sources.told import Told, Unread, json_of, number, refused

__all__ = ["iperf3"]

WHAT, SOURCE = "iperf3", "iperf3"


def iperf3(text: str, *, site: str, path: str) -> Told:
    """The points of one report.

    Args:
        site: where iperf3 ran as the client: what it sends goes up.
        path: the subject: the name of the path or link.

    Raises:
        DataError: no report, or one of a test that failed.
    """
    report = json_of(text, WHAT)
    problems = list(_problems(report))
    if problems:
        raise refused(problems)
    start = report["start"]
    begins = datetime.fromtimestamp(float(start["timestamp"]["timesecs"]), UTC)
    test = start.get("test_start") or {}
    metric = "rate_down" if test.get("reverse") else "rate_up"
    rate, rtt = (Series(site, path, name, unit, SOURCE) for name, unit in ((metric, "byte/s"), ("rtt", "s")))
    points, unread = [], []
    for place, interval in enumerate(report["intervals"], start=1):
        total = interval.get("sum") if isinstance(interval, dict) else None
        bits, end = (number((total or {}).get(name)) for name in ("bits_per_second", "end"))
        if bits is None or end is None:
            unread.append(Unread(place, "an interval without bits_per_second or end"))
        elif not (total or {}).get("omitted"):
            time = begins + timedelta(seconds=end)
            points.append(Point(rate, time, bits / 8))
            points += [Point(rtt, time, value) for value in _mean_rtt(interval)]
    points += _lost(report, Series(site, path, "loss", "1", SOURCE), begins)
    return Told(tuple(points), tuple(unread))


def _problems(report: Any) -> Iterable[Problem]:
    if not isinstance(report, dict):
        yield Problem(WHAT, "no report", "what iperf3 --json writes")
        return
    if report.get("error"):
        yield Problem(f"{WHAT}.error", "a test that failed", "a test that was run to its end")
    stamp = (report.get("start") or {}).get("timestamp") if isinstance(report.get("start"), dict) else None
    if not isinstance(stamp, dict) or number(stamp.get("timesecs")) is None:
        yield Problem(f"{WHAT}.start.timestamp.timesecs", "nothing", "seconds since 1970")
    if not isinstance(report.get("intervals"), list):
        yield Problem(f"{WHAT}.intervals", "nothing", "a list")


def _mean_rtt(interval: Mapping[str, Any]) -> list[float]:
    """Seconds, from the microseconds of the streams; receivers know none."""
    found = [number(stream.get("rtt")) for stream in interval.get("streams", []) if isinstance(stream, dict)]
    known = [value for value in found if value]
    return [sum(known) / len(known) / 1e6] if known else []


def _lost(report: Mapping[str, Any], series: Series, begins: datetime) -> list[Point]:
    total = (report.get("end") or {}).get("sum") or {}
    lost, end = number(total.get("lost_percent")), number(total.get("end"))
    return [] if lost is None else [Point(series, begins + timedelta(seconds=end or 0.0), lost / 100)]
