"""What was found of all rows for a study's features: means, knots, levels; small, canonical, and the same at every site."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.methods.features.declared import Features
from huizhen.methods.features.expression import Call
from huizhen.privacy.release import EMPTY

__all__ = ["Fitted", "Parameters"]

Parameters = Mapping[str, Any]
MOST_LEVELS = 501


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters by the key of their function (`declared.key_of`).

    Of ``standardise``: mean, sd. ``minmax``: low, high. ``impute``: value. ``quantiles``: cuts. ``spline``: knots. ``category``:
    levels, and whether the last of them is what few have.
    """

    parameters: Mapping[str, Parameters] = field(default_factory=lambda: EMPTY)

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {key: dict(found) for key, found in self.parameters.items()}

    @classmethod
    def told(cls, facts: Any, features: Features, *, whole: bool) -> Fitted:
        """What a question tells, once it is what these features need.

        Args:
            whole: whether nothing may lack.

        Raises:
            FederationError: it is something else.
        """
        calls = features.fitted_calls
        sound = isinstance(facts, Mapping) and set(facts) <= set(calls)
        sound = sound and all(_is_sound(calls[key][1], found) for key, found in facts.items())
        if not sound or (whole and set(facts) != set(calls)):
            problem = Problem("features", "other parameters than the study's features have", "those that the sites found together")
            raise FederationError("This is not asked by the study.", [problem])
        return cls({key: facts[key] for key in calls if key in facts})


def _is_sound(call: Call, found: Any) -> bool:
    if not isinstance(found, Mapping):
        return False
    if call.function == "category":
        levels = found.get("levels")
        return set(found) == {"levels", "other"} and type(found["other"]) is bool and _are_labels(levels)
    if call.word == "mode":
        return set(found) == {"value"} and isinstance(found["value"], str)
    if call.function in ("quantiles", "spline"):
        name, count = ("knots", 0) if call.function == "spline" else ("cuts", 1)
        return set(found) == {name} and _rise(found[name]) and len(found[name]) == call.numbers[0] - count
    names = {"standardise": ("mean", "sd"), "minmax": ("low", "high"), "impute": ("value",)}[call.function]
    if set(found) != set(names) or not all(type(found[name]) is float and math.isfinite(found[name]) for name in names):
        return False
    return not (call.function == "standardise" and found["sd"] <= 0) and not (
        call.function == "minmax" and found["low"] >= found["high"]
    )


def _are_labels(levels: Any) -> bool:
    if not isinstance(levels, list | tuple) or not 2 <= len(levels) <= MOST_LEVELS:
        return False
    return all(isinstance(level, str) for level in levels) and len(set(levels)) == len(levels)


def _rise(points: Any) -> bool:
    if not isinstance(points, list | tuple) or not all(type(point) is float and math.isfinite(point) for point in points):
        return False
    return all(low < high for low, high in pairwise(points))
