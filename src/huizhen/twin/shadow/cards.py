"""Error cards: how wrong forecasts have been, part by part, and by how much an interval has to be stretched to be honest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from huizhen.twin.functional import ErrorCard, Residual
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.drift import standardised
from huizhen.twin.shadow.factors import AT_90

__all__ = ["by_part", "card", "repeat_spread", "stretch", "stretched"]

SURE = 0.90
FEWEST = 10  # residuals below which intervals are left as they are


def card(about: str, residuals: Sequence[Residual], *, naive: Sequence[float] = (), spread: float = math.nan) -> ErrorCard:
    """The card of residuals of forecasts that were made before they were seen.

    Args:
        naive: what the usual formula said of each.
        spread: of repetitions, see `repeat_spread`.
    """
    told = [residual for residual in residuals if residual.seen > 0]
    if not told:
        return ErrorCard(about, 0, math.nan, math.nan, math.nan, spread)
    relative = np.array([residual.relative for residual in told])
    covered = float(np.mean([residual.covered for residual in told]))
    usual = math.nan
    if len(naive) == len(residuals):
        usual = float(np.mean([abs(said - one.seen) / one.seen for said, one in zip(naive, residuals) if one.seen > 0]))
    return ErrorCard(about, len(told), float(np.abs(relative).mean()), float(relative.mean()), covered, spread, usual)


def by_part(residuals: Iterable[Residual]) -> Mapping[str, ErrorCard]:
    """A card for each part, in the order in which the parts first came."""
    parts: dict[str, list[Residual]] = defaultdict(list)
    for residual in residuals:
        parts[residual.part].append(residual)
    return {part: card(part, some) for part, some in parts.items()}


def repeat_spread(repeated: Mapping[str, Sequence[float]]) -> float:
    """How much repetitions of the same thing differ: median over things of the mean relative distance from their median.

    No forecast can be better: an error is judged above it. nan where nothing was repeated.

    >>> round(repeat_spread({"a": [1.0, 1.1, 0.9], "b": [2.0]}), 3)
    0.067
    """
    found = [np.abs(np.array(some) / np.median(some) - 1).mean() for some in repeated.values() if len(some) > 1]
    return float(np.median(found)) if found else math.nan


def stretch(residuals: Sequence[Residual]) -> float:
    """By what power the 90 % intervals have to be stretched so that they would have covered 90 % of these residuals; 1 with few.

    It is the split-conformal quantile of the distances, in interval widths: for exchangeable residuals the next one is covered with
    probability of at least 0.90, whatever their distribution.

    Source: Vovk, Gammerman & Shafer 2005 (Algorithmic Learning in a Random World, section 4.1); Lei et al. 2018 (Journal of the
    American Statistical Association 113:1094), theorem 2.2.
    """
    if len(residuals) < FEWEST:
        return 1.0
    away = np.sort(np.abs([standardised(residual) / AT_90 for residual in residuals]))
    place = min(math.ceil((len(away) + 1) * SURE), len(away)) - 1
    return float(max(away[place], 0.1))


def stretched(quantity: Quantity, power: float) -> Quantity:
    """The interval stretched about its median, on the scale of logarithms."""
    if quantity.value == 0 or quantity.low == 0:
        return quantity
    low = quantity.value * (quantity.low / quantity.value) ** power
    high = quantity.value * (quantity.high / quantity.value) ** power
    return Quantity(quantity.value, quantity.unit, low, high, quantity.provenance, quantity.source, quantity.at)
