"""What a method asks in a study with noise: each step, how often, and what of its answer carries noise.

A method states this from its settings and the declared variables alone, before any row is read, so that what the study will spend
is known, and reserved, before it starts. What a method does not state here does not leave a site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from huizhen.privacy.release import EMPTY, Sensitivity

__all__ = ["NoisyPart", "NoisyStep"]


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
    """

    step: str
    times: int
    parts: Mapping[str, NoisyPart] = field(default_factory=lambda: EMPTY)
    rows: tuple[str, ...] = ()
    ones: tuple[str, ...] = ()
    seen: bool = False
    rest: Literal["refused", "withheld"] = "refused"
