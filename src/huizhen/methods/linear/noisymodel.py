"""A generalised linear model whose every row is bounded by what the study declares, for noise that hides a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Any, Literal

from huizhen.errors import Problem, StudyError
from huizhen.methods.description.noised import CANNOT, levels_declared, ranges_declared
from huizhen.methods.design.declared import Bounded, declared_design, is_category, reached, unbounded, undeclared
from huizhen.methods.design.formula import Factor, Formula
from huizhen.methods.linear.family import Family
from huizhen.methods.linear.model import Model
from huizhen.privacy.release import Variable

__all__ = ["NoisyModel", "noisy_model"]

Range = tuple[float, float]
CANONICAL = {"gaussian": "identity", "binomial": "logit", "poisson": "log"}
# How much of a row's length its information may take beside a score of length 1. Logistic: with m = max(mean, 1 - mean), a row has
# score m at most and 4 m (1 - m) of the largest information, and m^2 + 0.69 * 16 m^2 (1 - m)^2 <= 1 for all m from 1/2 to 1.
# Poisson: (y - m)^2 + m^2 <= 1 in units of the range's end for every y from 0 as long as m <= 0.7; beyond, some are shortened.
INFORMATION = {"binomial": 0.83, "poisson": 1.0}
# Of a gaussian row, the largest square of the response over that of its columns: more makes the products of the columns noisier,
# less those with the response. Near the best for coefficients (on columns and response within -1 and 1) of norm 0.3 to 0.6.
RESPONSE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class NoisyModel:
    """Response, family and columns, all bounded.

    Attributes:
        model: without weights.
        bounded: the columns.
        outcome: smallest and largest response that counts; others are cut to these.
        offset: the same of the offset; (0, 0) without one.
        ranges: declared ranges of all numbers that are read, by name.
    """

    model: Model
    bounded: Bounded
    outcome: Range
    offset: Range
    ranges: Mapping[str, Range]

    @property
    def columns(self) -> int:
        """Number of coefficients."""
        return len(self.bounded.design.columns)

    def facts(self) -> dict[str, Any]:
        """Canonical form, for a question."""
        return {
            **self.model.facts(),
            "design": self.bounded.design.facts(),
            "ranges": {name: [float(low), float(high)] for name, (low, high) in self.ranges.items()},
            "limits": [float(self.outcome[0]), float(self.outcome[1])],
        }

    @property
    def centred(self) -> tuple[float, float]:
        """Of a gaussian response less its offset: what is taken away, and what it is then divided by."""
        low, high = self.outcome[0] - self.offset[1], self.outcome[1] - self.offset[0]
        middle = (low + high) / 2 if self.bounded.design.intercept else 0.0
        return middle, max(high - middle, middle - low) / (sqrt(RESPONSE) * self.bounded.reach)

    @property
    def moment_unit(self) -> float:
        """Largest sum of squares of a row of columns and response."""
        return self.bounded.reach**2 * (1.0 + RESPONSE)

    def score_units(self, *, first: bool) -> tuple[float, float]:
        """Largest score of a row, and what its information is divided by so that a row is not longer than 1.

        Args:
            first: of the first guess, where the response takes the place of its mean.
        """
        low, high = self.outcome
        residual, weight = (1.0, 0.25) if self.model.family.name == "binomial" else (high - low, high)
        if first:  # weight y + 0.1, working response log(y + 0.1) - 0.1 / (y + 0.1), less the offset
            weight = high + 0.1
            residual = max(abs((y + 0.1) * log(y + 0.1) - 0.1) for y in (low, high, min(max(0.3, low), high)))
            residual += weight * max(abs(self.offset[0]), abs(self.offset[1]))
        reach = self.bounded.reach
        return residual * reach, weight * reach**2 / INFORMATION[self.model.family.name]


def noisy_model(
    formula: Formula, family: Family, offset: str, variables: Mapping[str, Variable], level: Literal["patient", "site"]
) -> NoisyModel:
    """The model as the study declares it.

    Raises:
        StudyError: something in it is not bounded; all is named.
    """
    problems: list[Problem] = []
    if CANONICAL.get(family.name) != family.link.name:
        expected = "gaussian with identity, binomial with logit or poisson with log"
        remedy = "Choose one of these, or leave [protection.noise] out"
        problems.append(Problem("family", f"{family.name} with {family.link.name}", expected, remedy))
    bounded, limits, around = None, (0.0, 1.0), (0.0, 0.0)
    outcome = formula.response
    assert outcome is not None
    if outcome.variable in formula.variables:
        problems.append(Problem(outcome.variable, "the response among the terms", "other variables after the ~", "Leave it out"))
    try:
        limits = _limits(outcome, family, variables, level)
    except StudyError as error:
        problems += error.problems
    try:
        bounded = declared_design(formula, variables, level)
        around = ranges_declared([offset], variables, level)[0] if offset else around
    except StudyError as error:
        problems += error.problems
    if problems or bounded is None:
        raise StudyError(CANNOT, list(dict.fromkeys(problems)))
    levels = variables[outcome.variable].levels if is_category(outcome, variables) else ()
    numbers = [name for name in (outcome.variable if not levels else "", offset) if name]
    ranges = {**bounded.ranges, **dict(zip(numbers, ranges_declared(numbers, variables, level)))}
    return NoisyModel(Model(outcome, family, levels, offset), bounded, limits, around, ranges)


def _limits(outcome: Factor, family: Family, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> Range:
    """Smallest and largest response."""
    if is_category(outcome, variables):
        count = levels_declared([outcome.variable], variables, level)[outcome.variable]
        if family.name == "binomial" and count == 2:
            return 0.0, 1.0
        wanted = "two levels, of which the second counts as 1" if family.name == "binomial" else "a number"
        raise StudyError(CANNOT, [Problem(str(outcome), f"a category of {count} levels", wanted)])
    if outcome.variable not in variables:
        raise StudyError(CANNOT, [undeclared(outcome.variable)])
    ((low, high),) = ranges_declared([outcome.variable], variables, level)
    found = reached(outcome, low, high)
    if found is None:
        raise StudyError(CANNOT, [unbounded(outcome)])
    if family.name == "binomial" and found != (0.0, 1.0):
        remedy = f"Set range = [0, 1], or type = 'category' and two levels, in [variables.{outcome.variable}]"
        raise StudyError(CANNOT, [Problem(str(outcome), f"a range from {found[0]:g} to {found[1]:g}", "0 and 1", remedy)])
    if family.name == "poisson" and (found[0] < 0 or found[1] <= found[0]):
        remedy = f"Set a range such as range = [0, 20] in [variables.{outcome.variable}]"
        raise StudyError(CANNOT, [Problem(str(outcome), f"a range from {found[0]:g} to {found[1]:g}", "0 or more", remedy)])
    return found
