"""Settings of a Cox regression, and the variables that they name."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from huizhen.data.examples import SITE
from huizhen.errors import StudyError
from huizhen.methods.design.formula import Formula
from huizhen.methods.design.formula import parse as parse_formula
from huizhen.methods.hazards.hazard import Ties
from huizhen.methods.hazards.transform import TransformName
from huizhen.methods.method import Names, Use
from huizhen.methods.survival.followup import SurvivalSpec, outcome_uses

__all__ = ["CoxSpec", "reads"]

PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")


class CoxSpec(SurvivalSpec):
    """Settings of a Cox regression.

    Attributes:
        formula: the covariates as a formula, ``~ age + sex*ecog``; or else
        covariates: their names.
        ties: ``efron`` (as R and lifelines) or ``breslow``.
        ridge: lambda of the penalty ``lambda / 2 sum beta^2`` on coefficients in the user's units.
        weights: variable of case weights, or "".
        standard_errors: ``model``, ``robust`` (sandwich over rows) or ``robust by site`` (sandwich over sites).
        tests: for each term of the formula: ``wald``, ``likelihood-ratio`` (refits without the term).
        proportional_hazards: transforms of time by which to test proportional hazards.
        concordance: whether to count concordant pairs.
        baseline: whether to report the baseline hazard, where risk sets span sites.
        tolerance: largest last Newton step.
        max_iterations: the most Newton steps.
    """

    formula: str = ""
    covariates: Names = ()
    ties: Ties = "efron"
    ridge: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    weights: str = ""
    standard_errors: Literal["model", "robust", "robust by site"] = "model"
    tests: tuple[Literal["wald", "likelihood-ratio"], ...] = ()
    proportional_hazards: tuple[TransformName, ...] = ()
    concordance: bool = True
    baseline: bool = True
    tolerance: float = Field(default=1e-9, gt=0, lt=1e-3)
    max_iterations: int = Field(default=50, ge=1, le=1000)

    @field_validator("tests", "proportional_hazards", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        """A study file writes a list; one choice may stand alone."""
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    @field_validator("formula")
    @classmethod
    def _readable(cls, text: str) -> str:
        try:
            parsed = parse_formula(text) if text else None
        except StudyError as error:
            raise ValueError(str(error.problems[0])) from None
        if parsed is not None and parsed.response is not None:
            raise ValueError("found a left-hand side, expected none; the outcome stands in time and event")
        return text

    @model_validator(mode="after")
    def _says_one_thing(self) -> CoxSpec:
        if bool(self.formula) == bool(self.covariates):
            found = "both" if self.formula else "neither"
            raise ValueError(f"formula, covariates: found {found}, expected one of them")
        return self

    @property
    def parsed(self) -> Formula:
        """The covariates as a formula."""
        if self.formula:
            return parse_formula(self.formula)
        return parse_formula("~ " + " + ".join(name if PLAIN_NAME.fullmatch(name) else f"`{name}`" for name in self.covariates))


def reads(spec: CoxSpec) -> tuple[Use, ...]:
    """Outcome, strata, covariates and weights; the column ``site`` belongs to every table and is not one of them."""
    covariates = tuple(use for use in spec.parsed.uses() if use.name != SITE)
    weights = (Use(spec.weights, "number"),) if spec.weights else ()
    return tuple(dict.fromkeys((*outcome_uses(spec), *covariates, *weights)))
