"""What a method asks in a study with noise: each step, how often, and what of its answer carries noise.

A method states this from its settings and the declared variables alone, before any row is read, so that what the study will spend
is known, and reserved, before it starts. What a method does not state here does not leave a site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from huizhen.privacy.release import EMPTY, Sensitivity

__all__ = ["NoisyPart", "NoisyStep", "NoisyTraining"]


@dataclass(frozen=True, slots=True)
class NoisyPart:
    """A part of an answer that carries noise.

    Attributes:
        kind: ``counts`` of patients, whose noisy sum is cut to be 0 or more; ``histogram``: counts that are added up further, so
            that negative ones are left; ``reals``; ``change`` of a network's weights, clipped to the study's `clip`.
        sensitivity: what one patient changes: of the whole part, or of each slice along its last axis, each with noise of its
            own size. Empty for a ``change``.
        size: entries of the part, or of each slice, at most.
    """

    kind: Literal["counts", "histogram", "reals", "change"]
    sensitivity: tuple[Sensitivity, ...] = ()
    size: int = 1


@dataclass(frozen=True, slots=True)
class NoisyTraining:
    """Noise that a step's answer holds already when the method gives it: that of DP-SGD (Abadi et al. 2016, algorithm 1).

    Attributes:
        rate: probability with which a step of training takes a row, above 0 to 1; 0: it depends on each site's number of rows, so
            that what an answer costs is not known beforehand.
        steps: steps of training behind one answer.
        noise: standard deviation of a step's noise / the most that one row changes its sum by; 0: the study's own multiplier.
        delta: at which the method tells what it spent.
    """

    rate: float
    steps: int
    noise: float = 0.0
    delta: float = 1e-6


@dataclass(frozen=True, slots=True)
class NoisyStep:
    """A step of a method in a study with noise.

    Attributes:
        step: its name.
        times: how many different questions of this step a site answers, at most.
        parts: those that carry noise, by name.
        rows: parts that hold the number of the site's rows, then zeros: told as they are where the level is the site.
        ones: parts of one number each by which the site's weight is told: every site weighs 1, and its `change` is divided by it.
        seen: whether the hub sees each site's answer of this step by itself, so that each site adds all of the noise.
        rest: what becomes of all other parts: the answer is ``refused``, or they are ``withheld`` (zeros leave in their place).
        training: the noise that is in the answer already. Its parts leave as they are: `rows` and `computed`.
        computed: parts that hold nothing but what that noise hides.
        withheld: parts in whose place zeros leave, whatever becomes of the others.
        beside: whether other parts than these may leave with them, exactly, where a site lets exact answers out.
        facts: what a question of this step must say, word for word; of any other, no answer leaves.
        noise_at: where in these facts the study's own multiplier stands, as keys one inside the other; (): nowhere.
        louder: how many times the study's own multiplier the noise of this step is.
    """

    step: str
    times: int
    parts: Mapping[str, NoisyPart] = field(default_factory=lambda: EMPTY)
    rows: tuple[str, ...] = ()
    ones: tuple[str, ...] = ()
    seen: bool = False
    rest: Literal["refused", "withheld"] = "refused"
    training: NoisyTraining | None = None
    computed: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    beside: bool = False
    facts: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    noise_at: tuple[str, ...] = ()
    louder: float = 1.0
