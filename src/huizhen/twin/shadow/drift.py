"""Whether a model still fits: a two-sided cumulative sum over its residuals, and how far the intervals open when it does not.

A residual is told in standard deviations of what the model itself had expected. While the model is right they are of mean 0 and
size 1, and the sums stay near 0; a shift of one standard deviation is noticed after about ten residuals, and a false alarm comes
about once in 900 (for a threshold of 5 and an allowance of one half).

Source: Page 1954 (Biometrika 41:100); Montgomery, Introduction to Statistical Quality Control, section 9.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from huizhen.twin.functional import Residual
from huizhen.twin.quantity import Quantity, widened
from huizhen.twin.shadow.factors import AT_90

__all__ = ["Watched", "opened", "standardised", "watched"]

ALLOWANCE, THRESHOLD = 0.5, 5.0
LARGEST = 4.0  # a single residual counts for no more: one hanging site is no drift
EXACT_SD = 1e-3  # of the logarithm of what was predicted as exact


@dataclass(frozen=True, slots=True)
class Watched:
    """How a model stands.

    Attributes:
        above, below: the two sums; what was seen longer than predicted counts above.
        alarms: residuals at which a drift was noticed.
        since: residuals since the last alarm.
        away: mean of the standardised residuals since the drift began, 0 where there is none.
    """

    above: float = 0.0
    below: float = 0.0
    alarms: int = 0
    since: int = 0
    away: float = 0.0

    @property
    def drifted(self) -> bool:
        return self.alarms > 0 and self.away != 0.0


def standardised(residual: Residual) -> float:
    """By how many of its own standard deviations a prediction was passed; of logarithms."""
    predicted = residual.predicted
    sd = max(math.log(predicted.spread) / AT_90, EXACT_SD) if math.isfinite(predicted.spread) else math.inf
    if predicted.value == 0 or residual.seen <= 0:
        return 0.0 if predicted.value == residual.seen else math.copysign(math.inf, residual.seen - predicted.value)
    return math.log(residual.seen / predicted.value) / sd


def watched(residuals: Iterable[Residual]) -> Watched:
    """The state after these residuals, in order of time. After an alarm the sums begin anew; as many residuals that fit again, on
    average, as it took to notice close the matter."""
    above = below = away = 0.0
    alarms = since = run = 0
    recent: list[float] = []
    for residual in residuals:
        z = max(-LARGEST, min(LARGEST, standardised(residual)))
        above, below = max(0.0, above + z - ALLOWANCE), max(0.0, below - z - ALLOWANCE)
        run = run + 1 if above or below else 0
        recent = [*recent, z][-max(run, 1) :]
        since += 1
        if max(above, below) > THRESHOLD:
            alarms, since, away = alarms + 1, 0, sum(recent) / len(recent)
            above = below = 0.0
            run = 0
        elif away and since >= 10 and abs(sum(recent) / len(recent)) < 1.0:
            away = 0.0
    return Watched(above, below, alarms, since, away)


def opened(quantity: Quantity, state: Watched) -> Quantity:
    """The prediction with an interval that reaches to where the last residuals lie; as it was where nothing drifted."""
    if not state.drifted:
        return quantity
    sd = max(math.log(quantity.spread) / AT_90, EXACT_SD) if math.isfinite(quantity.spread) else 0.0
    return widened(quantity, math.exp(abs(state.away) * sd))
