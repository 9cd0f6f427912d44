"""Settings of boosting, and the variables that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field, model_validator

from huizhen.data.examples import SITE
from huizhen.data.folds import Aside
from huizhen.errors import StudyError
from huizhen.methods.method import Names, Spec, Use
from huizhen.methods.scores.aim import outcome_uses
from huizhen.methods.scores.setting import Rule, aside_mistakes, survival_of
from huizhen.methods.survival.followup import SurvivalSpec
from huizhen.methods.trees.growing import Shape

__all__ = ["BoostingSpec", "drawn_from", "needs", "reads"]

LEAVES = 2**24  # of all trees together: some gigabyte of forest


class BoostingSpec(Spec):
    """Settings under ``[method.boosting]``.

    Attributes:
        task: ``classification`` (of two or more levels), ``regression`` or ``cox``.
        outcome: what is predicted, for classification and regression.
        time, event: follow-up and the condition under which the event came, for cox.
        strata: for cox: ``site``, alone or with other variables: risk sets are compared within the sites only.
        resolution: for cox over sites: width of the finest interval of the joint grid of times.
        covariates: what trees may split by.
        weights: a variable by which rows count, or "".
        trees: how many are grown at most (for several classes: one for each class so often).
        depth: splits from the root to a leaf at most.
        learning_rate: by which a tree's leaves are multiplied.
        l2: lambda, the penalty on the square of a leaf.
        min_split_gain: a split gains more than this (XGBoost's gamma).
        min_child_weight: the least sum of hessians in a child.
        min_rows_per_leaf: the least rows in a leaf; never fewer than the policies' minimum.
        bins: of each covariate at most, that of the missing among them.
        monotone: +1 or -1 for covariates, all numbers, with which predictions may only rise, or only fall.
        early_stopping: so many trees without a smaller loss on the validation rows end the growth; 0: none.
        validation, test: rows kept from learning: a share, or a condition.
        confidence: of intervals.
    """

    task: Literal["classification", "regression", "cox"]
    covariates: Names
    outcome: str = ""
    time: str = ""
    event: str = ""
    strata: Names = ()
    resolution: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    weights: str = ""
    trees: int = Field(default=100, ge=1, le=10_000)
    depth: int = Field(default=6, ge=1, le=12)
    learning_rate: float = Field(default=0.3, gt=0, le=1)
    l2: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    min_split_gain: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    min_child_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    min_rows_per_leaf: int = Field(default=1, ge=1)
    bins: int = Field(default=256, ge=3, le=256)
    monotone: Mapping[str, Literal[-1, 1]] = Field(default_factory=dict)
    early_stopping: int = Field(default=0, ge=0)
    validation: Rule = 0.0
    test: Rule = 0.0
    confidence: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> BoostingSpec:
        problems = []
        if not self.covariates:
            problems.append("covariates: found none, expected the names of variables")
        wanted = ("time", "event") if self.task == "cox" else ("outcome",)
        spare = ("outcome",) if self.task == "cox" else ("time", "event", "strata")
        problems += [f'{name}: found none, expected it with task = "{self.task}"' for name in wanted if not getattr(self, name)]
        problems += [f'{name}: has no meaning with task = "{self.task}"; leave it out' for name in spare if getattr(self, name)]
        if self.strata and SITE not in self.strata:
            problems.append('strata: expected "site" among them, for risk sets within sites; or none, for joint risk sets')
        problems += [f"monotone: {name} is not among the covariates" for name in self.monotone if name not in self.covariates]
        outcome = {self.outcome, self.time, self.weights, SITE}
        problems += [f"covariates: {name} is not to be learnt from; leave it out" for name in self.covariates if name in outcome]
        if (leaves := self.trees * 2**self.depth) > LEAVES:
            problems.append(
                f"trees, depth: found up to {leaves:,} leaves, expected at most {LEAVES:,}; grow fewer trees, or shallower ones"
            )
        problems += aside_mistakes(self.aside, self.early_stopping)
        try:
            _ = self.survival
        except StudyError as error:
            problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def aside(self) -> Aside:
        return Aside(self.validation, self.test)

    @property
    def survival(self) -> SurvivalSpec | None:
        """What the joint grid of times needs to know."""
        return survival_of(self.task, self.time, self.event, self.resolution, self.strata)

    @property
    def shape(self) -> Shape:
        return Shape(self.depth, self.learning_rate)


def _outcome(spec: BoostingSpec) -> tuple[Use, ...]:
    return outcome_uses(spec.task, (spec.time if spec.task == "cox" else spec.outcome,), spec.event)


def needs(spec: BoostingSpec) -> Iterable[str]:
    """What a row must have; covariates may be missing."""
    names = [use.name for use in _outcome(spec)]
    return dict.fromkeys([*names, *([spec.weights] if spec.weights else []), *(name for name in spec.strata if name != SITE)])


def reads(spec: BoostingSpec) -> Iterable[Use]:
    """All that a study reads for it."""
    uses = [*_outcome(spec), *(Use(name, "any") for name in spec.covariates)]
    uses += [Use(spec.weights, "number")] if spec.weights else []
    uses += [Use(name, "any") for name in spec.strata]
    known = {use.name for use in uses}
    uses += [Use(name, kind) for name, kind in spec.aside.uses.items() if name not in known]
    return [use for use in dict.fromkeys(uses) if use.name != SITE]


def drawn_from(spec: BoostingSpec) -> list[str]:
    """The variables whose content draws what is set aside."""
    return sorted(dict.fromkeys([*spec.covariates, *needs(spec)]))
