"""The noise of a whole study: how large for which part of which answer, and what all of it costs.

Every answer costs the same: that of one Gaussian of noise multiplier z (or one Laplace of epsilon 1 / z), whatever parts it has.
Of k parts or slices with a size of their own each gets noise of z sqrt(k) (Laplace: z k) times what one patient changes in it. The
smallest z for which all planned answers keep to the study's epsilon is found by the accountant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import NotEstimable, Problem, StudyError
from huizhen.privacy.accounting.epsilon import Spent, epsilon
from huizhen.privacy.accounting.events import (
    ComposedEvent,
    DiscreteGaussianEvent,
    DiscreteLaplaceEvent,
    GaussianEvent,
    PoissonSampledEvent,
    PrivacyEvent,
    SelfComposedEvent,
)
from huizhen.privacy.accounting.noise_for import noise_for
from huizhen.privacy.noise import DiscreteGaussian, DiscreteLaplace, Entropy, Grid, Shares, clip_l2
from huizhen.privacy.noise.shares import LEAST
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import Sensitivity

__all__ = ["NoisePlan", "PartNoise", "Slice", "StepNoise", "Wanted", "plan_noise", "plan_of_settings"]

Mechanism = Literal["discrete_gaussian", "gaussian", "discrete_laplace", "laplace"]
STEPS = 1 << 10  # of a fine grid in one standard deviation, at least; as which its events are accounted for
LEAST_OF_SHARE = float(LEAST) * (1 + 2.0**-20)  # variance, in steps; a little more than the least, for it is squared again
ROUNDED_DOWN = 1 - 2.0**-40  # of the noise multiplier in an event: more than floating point may have lost


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a study wants of noise.

    Attributes:
        level: whom it hides: one ``patient``, or all that one ``site`` changes. ``settings``: the study asks for none, and what
            noise there is stands in the settings of its methods.
        epsilon, delta: for the whole study.
        mechanism: see `docs/explanation/differential-privacy.md`.
        place: ``shares`` (a joint noise, a share from each site) or ``local`` (each site adds all of it).
        honest: of shares, how many make the noise whole.
        clip: of the level ``site``, the Euclidean norm to which a site's change is clipped.
    """

    level: Literal["patient", "site", "settings"]
    epsilon: float
    delta: float
    mechanism: Mechanism = "discrete_gaussian"
    place: Literal["shares", "local"] = "shares"
    honest: int = 1
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class Slice:
    """The noise of one array, or of one slice of it.

    Attributes:
        width: sigma of a Gaussian (of shares: of the whole), scale of a Laplace; in the unit of the values.
        grid: on which the values are put; of step 1 where counts stay whole.
        shares: how many shares make the noise whole; 1: each site adds all of it.
        sensitivity: what it hides, in the unit of the values.
        size: entries at most.
        event: what it costs.
    """

    width: float
    grid: Grid
    shares: int
    sensitivity: Sensitivity
    size: int
    event: DiscreteGaussianEvent | DiscreteLaplaceEvent

    @property
    def noise(self) -> DiscreteGaussian | DiscreteLaplace:
        """What each site adds, in steps of the grid."""
        if isinstance(self.event, DiscreteLaplaceEvent):
            return self.grid.laplace(self.width)
        return Shares(self.grid.gaussian(self.width).variance, self.shares).share

    @property
    def sd(self) -> float:
        """Standard deviation of what one site adds to an entry, in the unit of the values."""
        return math.sqrt(self.noise.variance) * self.grid.granularity

    def noisy(self, values: NDArray[Any], entropy: Entropy) -> NDArray[np.int64]:
        """The values in steps of the grid, with noise; int64 of the same shape.

        Raises:
            NotEstimable: values that are not finite, or too large for the grid.
        """
        steps = values if values.dtype == np.int64 and self.grid.granularity == 1 else self.grid.to_grid(values)
        return steps + self.noise.draw(values.shape, entropy)


@dataclass(frozen=True, slots=True)
class PartNoise:
    """The noise of one part: of the whole, or of each slice along its last axis."""

    kind: Literal["counts", "histogram", "reals", "change"]
    slices: tuple[Slice, ...]

    def noisy(self, values: NDArray[Any], entropy: Entropy) -> NDArray[np.int64]:
        """The part as it leaves: whole numbers of steps; int64 of the same shape.

        Args:
            values: the part; of the kind ``change``, one site's change of weights, which is clipped here.
        """
        if self.kind == "change":
            values = clip_l2(values.astype(np.float64).reshape(-1), self.slices[0].sensitivity.l2).values.reshape(values.shape)
        if len(self.slices) == 1:
            return self.slices[0].noisy(values, entropy)
        return np.stack([one.noisy(values[..., place], entropy) for place, one in enumerate(self.slices)], axis=-1)

    def opened(self, steps: NDArray[np.int64]) -> NDArray[Any]:
        """A sum of such, in the unit of the values: int64 for counts, float32 for a change, else float64."""
        granularity = np.array([one.grid.granularity for one in self.slices])
        values: NDArray[np.float64] = steps * (granularity if len(granularity) > 1 else granularity[0])
        if self.kind in ("counts", "histogram"):
            whole: NDArray[np.int64] = np.rint(values).astype(np.int64)
            return np.maximum(whole, 0) if self.kind == "counts" else whole
        return values.astype(np.float32) if self.kind == "change" else values


@dataclass(frozen=True, slots=True)
class StepNoise:
    """The noise of a step's answers, beside what the method states of the step."""

    planned: NoisyStep
    parts: Mapping[str, PartNoise]
    multiplier: float = 0.0  # the study's own

    @property
    def event(self) -> PrivacyEvent | None:
        """What one answer costs; None where it holds no noise, or noise of which that is not known."""
        events: tuple[PrivacyEvent, ...] = tuple(one.event for part in self.parts.values() for one in part.slices)
        training = self.planned.training
        if training is not None and training.rate:
            step = PoissonSampledEvent(training.rate, GaussianEvent(training.noise or self.multiplier))
            events = (*events, SelfComposedEvent(step, training.steps))
        return ComposedEvent(events) if events else None

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a question of this step must say."""
        return _with_noise(self.planned.facts, self.planned.noise_at, self.multiplier)


@dataclass(frozen=True, slots=True)
class NoisePlan:
    """The noise of a whole study.

    Attributes:
        multiplier: z, of one answer.
        steps: by label of the analysis and step.
        spent: what all planned answers cost together.
    """

    wanted: Wanted
    multiplier: float
    steps: Mapping[tuple[str, str], StepNoise]
    spent: Spent

    @property
    def events(self) -> tuple[PrivacyEvent, ...]:
        """What the whole study costs a site."""
        return _events(self.steps)

    def deviations(self, analysis: str, sites: int) -> dict[tuple[str, str], tuple[float, ...]]:
        """Standard deviation of the noise in a joint answer of so many sites, by step and part, for each slice."""
        return {
            (step, name): tuple(math.sqrt(1 if noise.planned.seen else sites) * one.sd for one in part.slices)
            for (label, step), noise in self.steps.items()
            if label == analysis
            for name, part in noise.parts.items()
        }


def plan_noise(wanted: Wanted, analyses: Mapping[str, tuple[NoisyStep, ...]]) -> NoisePlan:
    """The least noise for which all that the analyses state keeps to the wanted epsilon and delta.

    Args:
        analyses: what each states, by label; also of the step that counts rows.

    Raises:
        StudyError: no noise is enough, or none is planned.
        MachineError: the package dp-accounting is not installed.
    """
    if not _events(_sized(wanted, 1.0, analyses)):
        problem = Problem("protection.noise", "a study whose answers hold no noise", "at least one noisy answer", "Leave noise out")
        raise StudyError("The study's noise cannot be planned.", [problem])
    try:
        multiplier = noise_for(wanted.epsilon, wanted.delta, lambda z: _events(_sized(wanted, z, analyses)))
    except NotEstimable:
        remedy = "Allow a larger epsilon, or ask for less"
        problem = Problem("protection.noise.epsilon", f"{wanted.epsilon:g}", "an epsilon that some noise keeps to", remedy)
        raise StudyError("The study's noise cannot be planned.", [problem]) from None
    steps = _sized(wanted, multiplier, analyses)
    return NoisePlan(wanted, multiplier, steps, epsilon(_events(steps), wanted.delta))


def plan_of_settings(analyses: Mapping[str, tuple[NoisyStep, ...]]) -> NoisePlan:
    """The noise of a study that asks for none but what stands in the settings of its methods; its epsilon may be infinite.

    Args:
        analyses: what each states, by label; of the others nothing is known.
    """
    trainings = [step.training for steps in analyses.values() for step in steps if step.training is not None]
    asked = Wanted("settings", math.inf, min(one.delta for one in trainings), place="local")
    steps = _sized(asked, 0.0, analyses)
    unknown = any(not one.rate for one in trainings)
    spent = Spent(math.inf, math.inf, asked.delta) if unknown else epsilon(_events(steps), asked.delta)
    return NoisePlan(asked, 0.0, steps, spent)


def _with_noise(facts: Mapping[str, Any], place: tuple[str, ...], multiplier: float) -> Mapping[str, Any]:
    if not place:
        return facts
    inner = _with_noise(facts[place[0]], place[1:], multiplier) if len(place) > 1 else multiplier
    return {**facts, place[0]: inner}


def _events(steps: Mapping[tuple[str, str], StepNoise]) -> tuple[PrivacyEvent, ...]:
    return tuple(SelfComposedEvent(one.event, one.planned.times) for one in steps.values() if one.event is not None)


def _sized(wanted: Wanted, z: float, analyses: Mapping[str, tuple[NoisyStep, ...]]) -> dict[tuple[str, str], StepNoise]:
    return {(label, step.step): _step_noise(wanted, z, step) for label, steps in analyses.items() for step in steps}


def _step_noise(wanted: Wanted, z: float, step: NoisyStep) -> StepNoise:
    sensitivities = {name: _sensitivity(wanted, part) for name, part in step.parts.items()}
    pieces = sum(map(len, sensitivities.values()))
    gaussian = wanted.mechanism in GAUSSIAN
    multiplier = z * step.louder * (math.sqrt(pieces) if gaussian else pieces)
    shares = wanted.honest if wanted.place == "shares" and not step.seen else 1
    parts = {}
    for name, part in step.parts.items():
        make = _gaussian if gaussian else _laplace
        slices = tuple(make(wanted, multiplier, one, part, shares) for one in sensitivities[name])
        parts[name] = PartNoise(part.kind, slices)
    return StepNoise(step, parts, z)


def _sensitivity(wanted: Wanted, part: NoisyPart) -> tuple[Sensitivity, ...]:
    return (Sensitivity(math.inf, wanted.clip, part.size),) if part.kind == "change" else part.sensitivity


def _gaussian(wanted: Wanted, multiplier: float, hides: Sensitivity, part: NoisyPart, shares: int) -> Slice:
    width = multiplier * hides.l2
    if _stays_whole(wanted, part):
        width = max(width, math.sqrt(LEAST_OF_SHARE * shares))  # with less, nothing is proved of a sum of shares
        event = DiscreteGaussianEvent(width * ROUNDED_DOWN, hides.l2, part.size, shares)
        return Slice(width, Grid(1.0), shares, hides, part.size, event)
    grid = Grid.finer_than(width / math.sqrt(shares), steps=STEPS)
    if _is_rounded(part, grid):
        width += multiplier * grid.granularity * math.sqrt(part.size)
    # As coarse as the grid may be, and of a length that many parts share: so few different events have to be composed.
    event = DiscreteGaussianEvent(float(STEPS), STEPS / (multiplier * ROUNDED_DOWN), _power_of_two(part.size), shares)
    return Slice(width, grid, shares, hides, part.size, event)


def _laplace(wanted: Wanted, multiplier: float, hides: Sensitivity, part: NoisyPart, shares: int) -> Slice:
    width = multiplier * hides.l1
    if _stays_whole(wanted, part):
        event = DiscreteLaplaceEvent(width * ROUNDED_DOWN, math.ceil(hides.l1))
        return Slice(width, Grid(1.0), shares, hides, part.size, event)
    grid = Grid.finer_than(width, steps=STEPS)
    if _is_rounded(part, grid):
        width += multiplier * grid.granularity * part.size
    # One step that costs as much: randomised response, which nothing of the same epsilon exceeds (Kairouz, Oh, Viswanath 2015).
    return Slice(width, grid, shares, hides, part.size, DiscreteLaplaceEvent(multiplier * ROUNDED_DOWN, 1))


GAUSSIAN = ("discrete_gaussian", "gaussian")


def _stays_whole(wanted: Wanted, part: NoisyPart) -> bool:
    return part.kind in ("counts", "histogram") and wanted.mechanism.startswith("discrete")


def _is_rounded(part: NoisyPart, grid: Grid) -> bool:
    """Whether a sum is rounded. Counts lie on a grid of 1 and finer; one site's change is rounded towards zero, as its own."""
    return part.kind == "reals" or (part.kind != "change" and grid.granularity > 1)


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()
