"""The table ``[protection.noise]`` of a study file, and what a study must be like for its answers to carry noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from huizhen.errors import HuizhenError, Problem
from huizhen.federation.mistakes import Mistakes
from huizhen.privacy.noiseplan import GAUSSIAN, Wanted
from huizhen.privacy.noisysteps import NoisyStep
from huizhen.privacy.release import Variable

__all__ = ["NoiseSection", "check_noise", "of_settings", "stated", "wanted"]

LEAST_HONEST = 2 / 3  # of the roster, where the study does not say


class NoiseSection(BaseModel):
    """``[protection.noise]``: whom noise hides in the answers, and how well.

    Attributes:
        level: whom it hides: one ``patient``, or whatever one ``site`` changes.
        epsilon, delta: the promise, for the whole study.
        mechanism: the law of the noise.
        place: ``shares``: one noise, of which each site adds a share, so that nobody knows it; ``local``: each site adds all of it.
        honest: of shares: how many of the sites in a sum are trusted to have added theirs; 0: two thirds of them, rounded up.
        clip: of the level ``site``: the Euclidean norm to which a site's change of weights is clipped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    level: Literal["patient", "site"] = "patient"
    epsilon: float = Field(gt=0, le=1000, allow_inf_nan=False)
    delta: float = Field(gt=0, lt=1)
    mechanism: Literal["discrete_gaussian", "gaussian", "discrete_laplace", "laplace"] = "discrete_gaussian"
    place: Literal["shares", "local"] = "shares"
    honest: int = Field(default=0, ge=0, le=100_000)
    clip: float = Field(default=1.0, gt=0, le=1e6)


def wanted(noise: NoiseSection, sites: int) -> Wanted:
    """What the section asks of a roster of so many sites."""
    honest = noise.honest or math.ceil(LEAST_HONEST * sites)
    return Wanted(noise.level, noise.epsilon, noise.delta, noise.mechanism, noise.place, honest, noise.clip)


def check_noise(noise: NoiseSection, sum_: str, compress: str, sites: int, mistakes: Mistakes) -> None:
    """What the section itself says wrong.

    Args:
        sum_: how addends are added up; compress: how they are made smaller, or ``none``.
        sites: how many the study names, 0: none.
    """
    where = "protection.noise"
    if noise.place == "shares" and sum_ == "plain":
        remedy = "Use sum = 'masked', or place = 'local'"
        mistakes.add(f"{where}.place", "shares of noise in a plain sum", "a sum whose addends nobody sees", remedy)
    if compress != "none":
        found, expected = "compression of noisy numbers", "whole numbers of steps, which are added exactly"
        mistakes.add("protection.compress", found, expected, 'Set compress = "none"')
    if noise.mechanism not in GAUSSIAN and (noise.place == "shares" or noise.level == "site"):
        expected = "a Gaussian mechanism, for shares and for whole sites"
        mistakes.add(f"{where}.mechanism", repr(noise.mechanism), expected, "Use mechanism = 'discrete_gaussian'")
    if noise.place == "shares" and sites and noise.honest > sites:
        mistakes.add(f"{where}.honest", str(noise.honest), f"no more than the {sites} sites of the study")


def stated(
    method: Any, spec: Any, variables: Mapping[str, Variable], level: str, label: str, mistakes: Mistakes
) -> tuple[NoisyStep, ...]:
    """What an analysis asks in a study with noise; what cannot carry noise is a mistake."""
    noised = getattr(method, "noised", None)
    where = _where(method, label)
    if noised is None:
        expected = "tabulate, summary, quantile, glm or averaging"
        mistakes.add(where, "a method whose answers cannot carry noise", expected, "Leave [protection.noise] out, or this method")
        return ()
    return _found(lambda: noised(spec, variables, level), where, mistakes)


def of_settings(method: Any, spec: Any, label: str, mistakes: Mistakes) -> tuple[NoisyStep, ...]:
    """The noisy steps that an analysis states by its own settings, in a study that asks for no noise; () where it has none."""
    own = getattr(method, "noised_by_settings", None)
    return () if own is None else _found(lambda: own(spec), _where(method, label), mistakes)


def _where(method: Any, label: str) -> str:
    return f"method.{method.name}" + (f" ({label})" if label != method.name else "")


def _found(state: Callable[[], tuple[NoisyStep, ...]], where: str, mistakes: Mistakes) -> tuple[NoisyStep, ...]:
    try:
        return state()
    except HuizhenError as error:
        problems = error.problems or [Problem("", error.message, "settings whose answers can carry noise")]
        mistakes.extend(replace(each, where=f"{where}.{each.where}" if each.where else where) for each in problems)
        return ()
