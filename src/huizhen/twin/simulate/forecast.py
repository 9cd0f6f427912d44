"""What a play comes to: how long a study takes, in parts and with its doubt, how likely it ends in time, and what it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from huizhen.twin.functional import Prediction
from huizhen.twin.quantity import Quantity
from huizhen.twin.simulate.models import Array
from huizhen.twin.simulate.timeline import Played

__all__ = ["Forecast"]

LOW, HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a study.

    Attributes:
        seconds: of each draw, (draw,); draw 0 is of the medians, without doubt.
        parts: of them, by name, (draw,) each; they add up to `seconds`.
        ends: share of the draws that come to a result; late: share in which a site misses a deadline.
        restarts, rounds, bytes: (draw,).
        median: draw 0 in full, with its timeline; None of a play too large for one.
        why: reasons of draws without a result, with how many there were of each.
    """

    course: str
    seconds: Array
    parts: Mapping[str, Array]
    ends: float
    late: float
    restarts: Array
    rounds: Array
    bytes: Array
    median: Played | None
    why: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def prediction(self) -> Prediction:
        """The total in seconds with its parts, which add up to it."""
        parts = {name: _quantity(values, float(np.mean(values))) for name, values in self.parts.items()}
        total = sum(one.value for one in parts.values())
        return Prediction(_quantity(self.seconds, total), parts, notes=self.notes)

    def within(self, seconds: float) -> float:
        """Probability that the study has come to its end after so many seconds."""
        return float(np.mean(self.seconds <= seconds))

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the draws has ended."""
        return float(np.quantile(self.seconds, share))


def _quantity(values: Array, value: float) -> Quantity:
    low, high = (float(each) for each in np.quantile(values, [LOW, HIGH]))
    return Quantity(value, "s", min(low, value), max(high, value), "fitted", "plays under virtual time")
