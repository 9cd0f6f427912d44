"""What residuals teach, level by level: a factor for the operator, for the device, for the model on the device, for the path.

The logarithm of seen over predicted is a sum of effects, one of each level, and noise. Effects are shrunk towards zero by as much
as their level varies: a device that ran once moves a little, one that ran often wholly, and what never ran has the factor 1 and the
uncertainty of its level. The variances of the levels are estimated with the effects.

Source: best linear unbiased prediction, with restricted maximum likelihood by expectation-maximisation; Harville 1977 (Journal of
the American Statistical Association 72:320), Searle, Casella & McCulloch 1992 (Variance Components, chapter 8).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError, Problem

__all__ = ["Factors", "Seen", "fitted"]

Array = NDArray[np.float64]
NOTHING: Mapping[str, float] = MappingProxyType({})
PRIOR_SD = 0.25  # of the effects of a level of which nothing is known: a fifth either way is usual between like devices
PRIOR_WEIGHT = 2.0  # groups that the prior counts for
NOISE_SD = 0.05  # of a repetition, before any was seen
STEPS = 100
SMALLEST = 1e-10  # variance
AT_90 = 1.6448536269514722  # standard deviations to either end of a 90 % interval


@dataclass(frozen=True, slots=True)
class Seen:
    """One comparison.

    Attributes:
        groups: the group that it belongs to, by level: ``{"device": "north", "model": "densenet@north"}``; levels may be missing.
        predicted: without any factor; seen: in the same unit; both above 0.
        weight: 1, or less for what is old.
    """

    groups: Mapping[str, str]
    predicted: float
    seen: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Factors:
    """What was learnt.

    Attributes:
        levels: in order.
        effects: mean of the logarithm, by ``level:group``, in the order of `covariance`.
        covariance: of the effects: float64 (effect, effect). A device and the only model that ran on it are hardly told apart;
            their sum is well known.
        spreads: standard deviation of the effects of each level.
        noise: standard deviation of the logarithm of a repetition.
        count: comparisons that it rests on.
    """

    levels: tuple[str, ...]
    effects: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    covariance: Array = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)
    spreads: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    noise: float = NOISE_SD
    count: int = 0

    def factor(self, groups: Mapping[str, str]) -> tuple[float, float]:
        """The median factor for these groups, and the standard deviation of its logarithm, noise of one repetition included."""
        asked = {level: f"{level}:{groups[level]}" for level in self.levels if level in groups}
        known = [place for place, name in enumerate(self.effects) if name in asked.values()]
        strange = [level for level, name in asked.items() if name not in self.effects]
        mean = sum(self.effects.get(name, 0.0) for name in asked.values())
        variance = self.noise**2 + float(self.covariance[np.ix_(known, known)].sum())
        variance += sum(self.spreads.get(level, PRIOR_SD) ** 2 for level in strange)
        return math.exp(mean), math.sqrt(max(variance, 0.0))

    def interval(self, predicted: float, groups: Mapping[str, str]) -> tuple[float, float, float]:
        """Median, and the ends between which a repetition lies with probability 0.90.

        >>> median, low, high = Factors(("device",)).interval(10.0, {})
        >>> median, round(low, 2), round(high, 2)
        (10.0, 9.21, 10.86)
        """
        factor, sd = self.factor(groups)
        median = predicted * factor
        return median, median * math.exp(-AT_90 * sd), median * math.exp(AT_90 * sd)


def fitted(levels: Sequence[str], seen: Sequence[Seen]) -> Factors:
    """The factors that these comparisons teach.

    Raises:
        CallerError: a comparison that is not of positive numbers, or of a level that is not named.
    """
    _check(levels, seen)
    if not seen:
        return Factors(tuple(levels))
    names = sorted({f"{level}:{group}" for one in seen for level, group in one.groups.items()})
    column = {name: place for place, name in enumerate(names)}
    level_of = np.array([list(levels).index(name.split(":", 1)[0]) for name in names], dtype=np.int64)
    design = np.zeros((len(seen), len(names)))
    for row, one in enumerate(seen):
        for level, group in one.groups.items():
            design[row, column[f"{level}:{group}"]] = 1.0
    ratio = np.array([math.log(one.seen / one.predicted) for one in seen])
    weight = np.array([one.weight for one in seen])
    effects, covariance, spreads, noise = _expected(design, ratio, weight, level_of, len(levels))
    found, told = dict(zip(names, effects.tolist())), dict(zip(levels, spreads.tolist()))
    return Factors(tuple(levels), MappingProxyType(found), covariance, MappingProxyType(told), noise, len(seen))


def _expected(
    design: Array, ratio: Array, weight: Array, level_of: NDArray[np.int64], levels: int
) -> tuple[Array, Array, Array, float]:
    """Effects, their covariance, the spread of each level and the noise; expectation and maximisation in turn."""
    spreads, noise = np.full(levels, PRIOR_SD**2), NOISE_SD**2
    weighted = design.T * weight
    gram, moment, total = weighted @ design, weighted @ ratio, float(weight.sum())
    effects: Array = np.zeros(len(level_of))
    covariance: Array = np.eye(len(level_of))
    for _ in range(STEPS):
        covariance = np.asarray(np.linalg.inv(gram / noise + np.diag(1.0 / spreads[level_of])), np.float64)
        effects = covariance @ moment / noise
        before = np.append(spreads, noise)
        second = effects**2 + np.diag(covariance)
        for level in range(levels):
            own = second[level_of == level]
            spreads[level] = max((own.sum() + PRIOR_WEIGHT * PRIOR_SD**2) / (len(own) + PRIOR_WEIGHT), SMALLEST)
        left = ratio - design @ effects
        explained = float((weight * left**2).sum() + np.trace(covariance @ gram))
        noise = max((explained + PRIOR_WEIGHT * NOISE_SD**2) / (total + PRIOR_WEIGHT), SMALLEST)
        if np.allclose(before, np.append(spreads, noise), rtol=1e-6, atol=0):
            break
    return effects, covariance, np.sqrt(spreads), math.sqrt(noise)


def _check(levels: Sequence[str], seen: Sequence[Seen]) -> None:
    problems = []
    for place, one in enumerate(seen):
        for what, value in (("predicted", one.predicted), ("seen", one.seen), ("weight", one.weight)):
            if not (math.isfinite(value) and value > 0):
                problems.append(Problem(f"comparison {place}, {what}", f"{value:g}", "a finite number above 0"))
        strange = [level for level in one.groups if level not in levels]
        problems += [Problem(f"comparison {place}", f"level {level}", f"one of {', '.join(levels)}") for level in strange]
    if problems:
        raise CallerError("Nothing can be learnt from these comparisons.", problems)
