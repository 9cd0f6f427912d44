"""A value as the twin knows it: with its unit, how sure it is, where it comes from, and when it was true.

>>> rate = Quantity(12.5e6, "byte/s", 12.5e6, 12.5e6, "declared", "iperf3 of March")
>>> rate.spread
1.0
>>> widened(rate, 1.2).high
15000000.0
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from huizhen.errors import CallerError, Problem

__all__ = ["PROVENANCES", "UNITS", "Provenance", "Quantity", "aged", "assumed", "declared", "exactly", "widened"]

Provenance = Literal["declared", "measured", "fitted", "assumed"]
PROVENANCES: tuple[Provenance, ...] = ("declared", "measured", "fitted", "assumed")
UNITS = ("1", "s", "byte", "byte/s", "flop", "flop/s", "petaflop/s-day", "W", "J", "CNY", "count")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value; positive or zero, for all that the twin predicts is.

    Attributes:
        value: the median.
        unit: one of `UNITS`.
        low, high: between them it lies with probability 0.90.
        provenance: ``declared`` by a person, ``measured``, ``fitted`` to measurements, or ``assumed`` for want of better.
        source: where from, for a reader.
        at: when it was true, aware, UTC; None: always.
    """

    value: float
    unit: str
    low: float
    high: float
    provenance: Provenance
    source: str = ""
    at: datetime | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.unit not in UNITS:
            problems.append(Problem("unit", self.unit, f"one of {', '.join(UNITS)}"))
        if self.provenance not in PROVENANCES:
            problems.append(Problem("provenance", str(self.provenance), f"one of {', '.join(PROVENANCES)}"))
        if not (0 <= self.low <= self.value <= self.high and math.isfinite(self.high)):
            problems.append(
                Problem("interval", f"{self.low:g}, {self.value:g}, {self.high:g}", "0 <= low <= value <= high, finite")
            )
        if problems:
            raise CallerError("A quantity is contradictory.", problems)

    @property
    def spread(self) -> float:
        """By what factor the ends of the interval lie from the median, 1 for what is exact."""
        if self.value == 0 or self.low == 0:
            return 1.0 if self.high == self.value else math.inf
        return math.sqrt(self.high / self.low)


def exactly(value: float, unit: str, source: str = "") -> Quantity:
    """What follows from a formula and is not in doubt."""
    return Quantity(value, unit, value, value, "fitted", source)


def declared(value: float, unit: str, source: str = "", *, spread: float = 1.0, at: datetime | None = None) -> Quantity:
    """What a person said; doubted by `spread`, a factor of at least 1."""
    return Quantity(value, unit, value / spread, value * spread, "declared", source, at)


def assumed(value: float, unit: str, source: str, *, spread: float = 2.0) -> Quantity:
    """What nobody said: a usual value, doubted by `spread`."""
    return Quantity(value, unit, value / spread, value * spread, "assumed", source)


def widened(quantity: Quantity, factor: float) -> Quantity:
    """The same median with an interval wider by `factor` on either side; at least 1."""
    return replace(quantity, low=quantity.low / factor, high=quantity.high * factor)


def aged(quantity: Quantity, now: datetime, *, doubles_s: float) -> Quantity:
    """The quantity as far as it may be relied on now: the logarithm of its spread grows by log 2 every `doubles_s` seconds."""
    if quantity.at is None:
        return quantity
    age_s = max((now - quantity.at).total_seconds(), 0.0)
    return widened(quantity, 2.0 ** min(age_s / doubles_s, 30.0))
