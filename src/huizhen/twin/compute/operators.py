"""Seconds of every operator on a calibrated device: overhead, arithmetic and memory, and a smooth correction by shape.

A kind's seconds are ``overhead + flop / rate + moved / rate``, fitted to its samples, times a factor that a Gaussian process learns
from the logarithms of its shape. Where samples are far the factor goes back to 1 and its uncertainty to what shapes do to it: far
from everything seen, the line of rates holds. A kind with few samples borrows the line and the factor of all plain operators.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from huizhen.twin.compute.process import Process, fitted_process
from huizhen.twin.course import Operation

__all__ = ["Expected", "OperatorModel", "Sample", "fitted_operators"]

Array = NDArray[np.float64]
FEWEST = 8  # samples of different shape for a model of its own
MOST = 400  # samples of a kind that are learnt from: the process takes their cube
STRANGE = 0.5  # standard deviation of the logarithm for a kind that was never run
POOLED = ""
PLAIN = 2  # entries of the shape of an operator that goes number by number
LANES = 16  # numbers of a vector register: channels are worked on so many at once


@dataclass(frozen=True, slots=True)
class Sample:
    """What one operation took.

    Attributes:
        seconds: processor time, the least of its repetitions.
        spread: of its repetitions: median distance from the least, over the least.
    """

    kind: str
    shape: tuple[int, ...]
    flop: float
    moved: float
    dtype: str
    seconds: float
    spread: float = 0.0
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds by rates: overhead, of a flop, of a byte."""

    overhead: float
    of_flop: float
    of_byte: float

    def seconds(self, flop: Array, moved: Array) -> Array:
        return np.asarray(self.overhead + flop * self.of_flop + moved * self.of_byte, np.float64)


@dataclass(frozen=True, slots=True)
class Curve:
    """One kind: its line, what shapes do to it, and how many samples there were."""

    line: Line
    process: Process
    width: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Seconds of some operations, calls counted.

    Attributes:
        seconds: float64 (operation,).
        variance: of the sum of the seconds, from what is not known of the factors.
        strange: kinds that were never run.
    """

    seconds: Array
    variance: float
    strange: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class OperatorModel:
    """The curves of a device, by kind and dtype; that of "" is of all plain operators."""

    curves: Mapping[tuple[str, str], Curve]

    def expect(self, operations: Sequence[Operation]) -> Expected:
        """Seconds of the operations on one core that has nothing else to do; remembered, for the same work is asked often."""
        return _remembered(self, tuple(operations))

    def _expect(self, operations: tuple[Operation, ...]) -> Expected:
        seconds, variance, strange = np.zeros(len(operations)), 0.0, []
        for key, places in _by_kind(operations).items():
            some = [operations[place] for place in places]
            curve, lacking = self._curve(key)
            mean, covariance = _at(curve, some)
            calls = np.array([one.calls for one in some])
            seconds[places] = calls * mean
            if lacking:
                strange.append(key[0])
                covariance = covariance + STRANGE**2
            weighted = calls * mean
            variance += float(weighted @ covariance @ weighted)
        return Expected(seconds, variance, tuple(sorted(strange)))

    def _curve(self, key: tuple[str, str]) -> tuple[Curve, bool]:
        """The curve of a kind, and whether it is that of others."""
        if key in self.curves:
            return self.curves[key], False
        plain = (key[0].removesuffix(".scattered"), key[1])
        return self.curves.get(plain) or self.curves[(POOLED, "")], True


@lru_cache(maxsize=512)
def _remembered(model: OperatorModel, operations: tuple[Operation, ...]) -> Expected:
    return model._expect(operations)


def fitted_operators(samples: Iterable[Sample]) -> OperatorModel:
    """The model that the samples teach."""
    by_kind: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        by_kind[(sample.kind, sample.dtype)].append(sample)
    apart = {key: _thinned(_apart(some)) for key, some in by_kind.items()}
    plain = [one for some in apart.values() for one in some if len(one.shape) <= PLAIN and one.moved]
    shared = _line(*_columns(plain or [one for some in apart.values() for one in some]))
    curves = {key: _fitted(some, shared) for key, some in apart.items()}
    curves[(POOLED, "")] = _of_all(plain, shared)
    return OperatorModel(curves)


def _apart(samples: Sequence[Sample]) -> list[Sample]:
    """One sample for each shape: the median of its seconds."""
    found: dict[tuple[object, ...], list[Sample]] = defaultdict(list)
    for one in samples:
        found[(one.shape, one.flop, one.moved)].append(one)
    return [sorted(some, key=lambda one: one.seconds)[len(some) // 2] for some in found.values()]


def _columns(samples: Sequence[Sample]) -> tuple[Array, Array, Array]:
    """Flop, bytes and seconds."""
    flop, moved, seconds = (np.array([getattr(one, name) for one in samples]) for name in ("flop", "moved", "seconds"))
    return flop, moved, seconds


def _fitted(samples: Sequence[Sample], shared: Line) -> Curve:
    flop, moved, seconds = _columns(samples)
    line = _line(flop, moved, seconds) if len(samples) >= FEWEST else _scaled(shared, samples)
    width = max((len(one.shape) for one in samples), default=0)
    values = np.log(seconds / line.seconds(flop, moved))
    features = _features(samples, width)
    return Curve(line, fitted_process(features, values), width, len(samples))


def _scaled(shared: Line, samples: Sequence[Sample]) -> Line:
    """The line of all plain operators, as many times as these few take."""
    flop, moved, seconds = _columns(samples)
    times = float(np.exp(np.median(np.log(seconds / shared.seconds(flop, moved)))))
    return Line(shared.overhead * times, shared.of_flop * times, shared.of_byte * times)


def _of_all(plain: Sequence[Sample], shared: Line) -> Curve:
    """What stands in for a kind that was never run: the line alone."""
    chosen = [Sample("", (), one.flop, one.moved, "", one.seconds) for one in _thinned(list(plain))[:: max(len(plain) // 50, 1)]]
    return _fitted(chosen, shared)


def _thinned(samples: list[Sample]) -> list[Sample]:
    """At most so many, evenly over their seconds."""
    if len(samples) <= MOST:
        return samples
    ordered = sorted(samples, key=lambda one: one.seconds)
    return [ordered[int(place)] for place in np.linspace(0, len(ordered) - 1, MOST)]


def _line(flop: Array, moved: Array, seconds: Array) -> Line:
    """The line with the least squares of logarithms."""

    def off(logs: Array) -> Array:
        overhead, of_flop, of_byte = np.exp(logs)
        return np.asarray(np.log((overhead + flop * of_flop + moved * of_byte) / seconds), np.float64)

    slowest = np.median(seconds / np.maximum(flop + moved, 1.0))
    start = np.log([max(float(seconds.min()), 1e-9), max(float(slowest), 1e-14), max(float(slowest), 1e-14)])
    found = least_squares(off, start, loss="soft_l1", bounds=(start - 14.0, start + 7.0))
    return Line(*(float(one) for one in np.exp(found.x)))


def _features(operations: Sequence[Operation | Sample], width: int) -> Array:
    """Logarithms of shape, flop and bytes, and of how full the last lanes are where there are channels: (operation, feature)."""
    rows = [[*(float(size) for size in (*one.shape, *[0] * width)[:width]), one.flop, one.moved] for one in operations]
    table = np.array(rows, np.float64).reshape(len(operations), width + 2)
    found = np.log1p(table)
    if width <= PLAIN:
        return found
    sizes = np.maximum(table[:, 1:3], 1.0)
    return np.hstack([found, np.log(np.ceil(sizes / LANES) * LANES / sizes)])


def _at(curve: Curve, operations: Sequence[Operation]) -> tuple[Array, Array]:
    flop, moved = (np.array([getattr(one, name) for one in operations]) for name in ("flop", "moved"))
    mean, covariance = curve.process.at(_features(operations, curve.width))
    return curve.line.seconds(flop, moved) * np.exp(mean), covariance


def _by_kind(operations: Sequence[Operation]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(operations):
        found[(one.kind, one.dtype)].append(place)
    return found
