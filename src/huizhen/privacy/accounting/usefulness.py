"""Whether anything is left under the noise: said in plain words before a study is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["POOR", "Usefulness", "usefulness"]

POOR = 10.0  # below this ratio, more than a tenth of what comes out is noise even if all units agree


@dataclass(frozen=True, slots=True)
class Usefulness:
    """What the noise leaves.

    Attributes:
        signal: the largest Euclidean norm that the sum of all rounds can have, in units of the clipping bound: all units agree.
        noise: the expected norm of the noise in it, in the same unit.
        is_useless: the noise is larger than any signal can be.
        words: the same for a reader.
    """

    signal: float
    noise: float
    is_useless: bool
    words: str

    @property
    def ratio(self) -> float:
        """Signal / noise; an upper bound, for units never all agree and few reach the bound."""
        return self.signal / self.noise


def usefulness(*, units: float, noise_multiplier: float, entries: int, rounds: int = 1) -> Usefulness:
    """What noise of so many clipping bounds leaves of a sum over units.

    A unit adds at most its clipping bound to the norm of a sum; noise adds its standard deviation in every entry. Over rounds with
    fresh noise, agreeing signals add up as the number of rounds, noise as its root. It is a judgement from above: what it calls
    useless is, and what it does not may still be.

    Args:
        units: how many are added up in a round: sites, or patients of a batch.
        noise_multiplier: standard deviation of the noise in each entry / clipping bound.
        entries: numbers in the sum: coefficients, or weights of a network.
        rounds: releases, each with fresh noise.

    >>> usefulness(units=5, noise_multiplier=6.0, entries=1_000_000, rounds=100).is_useless
    True
    >>> usefulness(units=2000, noise_multiplier=6.0, entries=20, rounds=100).is_useless
    False
    """
    if not (units > 0 and noise_multiplier > 0 and entries >= 1 and rounds >= 1):
        raise ValueError("Units, noise, entries and rounds must be above 0 to judge what the noise leaves.")
    signal = units * rounds
    noise = noise_multiplier * math.sqrt(entries * rounds)
    ratio = signal / noise
    figures = f"signal at most {_short(signal)}, noise {_short(noise)} times the clipping bound"
    if ratio < 1:
        more = _ceil(1 / ratio)
        words = f"Useless: {figures}. It would take at least {more} times as many patients or sites, or fewer numbers"
    elif ratio < POOR:
        words = f"Poor: {figures}. Expect large errors even if all units agree"
    else:
        words = f"May be useful: {figures}"
    return Usefulness(float(signal), noise, ratio < 1, f"{words}.")


def _short(value: float) -> str:
    """Two digits, written out."""
    return f"{float(f'{value:.2g}'):,.10g}"


def _ceil(value: float) -> int:
    """Rounded up to two digits: enough for a reader."""
    step: int = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step
