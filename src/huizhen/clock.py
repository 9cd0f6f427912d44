"""Time, handed in: only this file knows the wall clock.

>>> clock = ManualClock()
>>> clock.advance(2.5)
>>> clock.seconds()
2.5
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "WallClock", "cpu_seconds", "moment", "process_seconds", "written"]


class Clock(Protocol):
    """What the programs may know of time."""

    def now(self) -> datetime:
        """The time of day, aware, UTC."""

    def seconds(self) -> float:
        """Monotonic seconds since an arbitrary start."""


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def seconds(self) -> float:
        return time.monotonic()


@dataclass(slots=True)
class ManualClock:
    """A clock that stands still until it is advanced; for tests and virtual time."""

    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    elapsed_s: float = field(default=0.0)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.elapsed_s)

    def seconds(self) -> float:
        return self.elapsed_s

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds} s")
        self.elapsed_s += seconds


def cpu_seconds() -> float:
    """Seconds of processor time that this thread has used."""
    return time.thread_time()


def written(time_: datetime) -> str:
    """An aware time as text: ISO 8601 (RFC 3339), UTC, whole microseconds only where there are any.

    >>> written(datetime(2026, 3, 1, 8, tzinfo=UTC))
    '2026-03-01T08:00:00+00:00'
    """
    return time_.astimezone(UTC).isoformat()


def moment(text: str) -> datetime:
    """The aware time that a text writes, in UTC.

    Raises:
        ValueError: no time, or one without its time zone.
    """
    try:
        time_ = datetime.fromisoformat(text)
    except ValueError:
        time_ = None
    if time_ is None or time_.tzinfo is None:
        raise ValueError("a time with its time zone, such as '2026-03-01T08:00:00+08:00'")
    try:
        return time_.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time with its time zone, such as '2026-03-01T08:00:00+08:00'") from None


def process_seconds() -> float:
    """Seconds of processor time that this process has used, over all its threads."""
    return time.process_time()
