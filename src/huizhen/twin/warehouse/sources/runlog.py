"""The event log of a run (``events.jsonl``, see `huizhen.federation.eventlog`): how long sites took, and how much they sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from huizhen.clock import moment
from huizhen.twin.warehouse.readings import Point, Series
from huizhen.twin.warehouse.sources.told import Told, Unread, number

__all__ = ["runlog"]

SOURCE, HUB = "run log", "hub"
ANSWERS, LOST = ("answered", "passed"), ("silent", "failed")


def runlog(text: str) -> Told:
    """The points of a log. A line that a killed program left half written is named, and the others count.

    Of each answer: processor time, bytes, and seconds since it was asked for; of each round the seconds from the question until it
    was folded; of each run its length; of each site that fell silent or failed, one.
    """
    points: list[Point] = []
    unread: list[Unread] = []
    asked: dict[tuple[str, str, int], float] = {}
    opened: dict[tuple[str, str, int], float] = {}
    for place, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        event = _event(line)
        if event is None:
            unread.append(Unread(place, "a line that is no event"))
            continue
        points += _points(event, asked, opened)
    return Told(tuple(points), tuple(unread))


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
        event["time"] = moment(event["timestamp"])
        whole = all(isinstance(event[name], str) for name in ("event", "run", "study", "analysis"))
        return event if whole and number(event["at_s"]) is not None and isinstance(event["round"], int) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _points(
    event: Mapping[str, Any], asked: dict[tuple[str, str, int], float], opened: dict[tuple[str, str, int], float]
) -> list[Point]:
    kind, time, at_s = event["event"], event["time"], float(event["at_s"])
    key = (event["run"], event["analysis"], event["round"])
    subject = "/".join(part for part in (event["analysis"], str(event.get("step") or "")) if part)
    if kind == "asked":
        asked[key] = at_s  # of a round of several stages, the latest
        opened.setdefault(key, at_s)
        return []
    if kind in ANSWERS:
        site = str(event.get("site") or HUB)
        found = [(name, unit, number(event.get(told))) for name, unit, told in ANSWERED]
        taken = [("answer_seconds", "s", at_s - asked[key])] if key in asked else []
        return [_point(site, subject, name, unit, time, value) for name, unit, value in (*found, *taken) if value is not None]
    if kind in LOST:
        return [_point(str(event.get("site") or HUB), subject, "silent", "count", time, 1.0)]
    if kind == "folded" and key in opened:
        return [_point(HUB, subject, "round_seconds", "s", time, at_s - opened.pop(key))]
    if kind == "finished":
        return [_point(HUB, event["study"][:16], "run_seconds", "s", time, at_s)]
    return []


ANSWERED = (("answer_cpu", "s", "cpu_s"), ("answer_bytes", "byte", "bytes"))


def _point(site: str, subject: str, metric: str, unit: str, time: datetime, value: float) -> Point:
    return Point(Series(site, subject, metric, unit, SOURCE), time, value)
