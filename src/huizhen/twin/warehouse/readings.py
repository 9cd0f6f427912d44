"""Telemetry in memory: many values, each of a series; a series is one metric of one subject at one site from one source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Point", "Readings", "Series", "gathered", "joined", "micros", "time_of"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Series(NamedTuple):
    """One metric of one subject; the source is a kind of instrument, and no file, so that what is read twice tells nothing new."""

    site: str
    subject: str
    metric: str
    unit: str
    source: str


class Point(NamedTuple):
    """One value of one series; `value` in the series' unit, `time` aware."""

    series: Series
    time: datetime
    value: float


@dataclass(frozen=True, eq=False, slots=True)
class Readings:
    """Values in the order in which they came.

    Attributes:
        series: each once.
        which: int32 (value,), the place of its series.
        times: int64 (value,), microseconds since 1970, UTC.
        values: float64 (value,).
    """

    series: tuple[Series, ...]
    which: NDArray[np.int32]
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def taken(self, chosen: NDArray[np.bool_]) -> Readings:
        """Those that are chosen, with the same series."""
        return Readings(self.series, self.which[chosen], self.times[chosen], self.values[chosen])

    def points(self) -> Iterable[Point]:
        """One after another."""
        for which, time, value in zip(self.which.tolist(), self.times.tolist(), self.values.tolist()):
            yield Point(self.series[which], time_of(time), value)


def gathered(points: Iterable[Point]) -> Readings:
    """Readings of these points, in their order."""
    places: dict[Series, int] = {}
    rows = [(places.setdefault(one.series, len(places)), micros(one.time), one.value) for one in points]
    which, times, values = zip(*rows) if rows else ((), (), ())
    return Readings(tuple(places), np.array(which, np.int32), np.array(times, np.int64), np.array(values, np.float64))


def joined(several: Sequence[Readings]) -> Readings:
    """All of them, one after the other."""
    places: dict[Series, int] = {}
    which = [
        np.array([places.setdefault(one, len(places)) for one in part.series] or [0], np.int32)[part.which] for part in several
    ]
    times = [part.times for part in several]
    values = [part.values for part in several]
    if not several:
        return gathered(())
    return Readings(tuple(places), np.concatenate(which), np.concatenate(times), np.concatenate(values))


def micros(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - EPOCH) // timedelta(microseconds=1)


def time_of(micros_: int) -> datetime:
    """The time so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=int(micros_))
