"""Generalised linear models: linear, logistic, Poisson and gamma regression, equal to the fit on the pooled rows.

Definitions follow R's `glm` where libraries differ: the dispersion is Pearson's chi-square over the residual degrees of freedom; t
tests and t intervals where it is estimated (gaussian, gamma), z otherwise; the dispersion counts as a parameter in `aic` and `bic`
(statsmodels does not count it: see `aic_without_dispersion`); the gamma likelihood is taken at deviance / sum of weights; `lr_chi2`
is the fall of the deviance from the null model over the dispersion, as in R's `anova(..., test = "LRT")`.

What leaves a site: sums over its rows of the columns, their products, the score and information in each round; for a binomial model
the number of rows in each class. In a study with noise: noisy sums over rows that are cut to their declared ranges, and nothing
else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from huizhen.data.examples import SITE
from huizhen.errors import NotEstimable, Problem, StudyError
from huizhen.methods.description.levels import ask_levels
from huizhen.methods.design.agreement import DESIGN_STEPS, agree
from huizhen.methods.design.columns import Design
from huizhen.methods.design.formula import Factor, Formula, Term, parse
from huizhen.methods.design.labels import agree_labels
from huizhen.methods.linear.effects import term_tests
from huizhen.methods.linear.family import Saturated, default_link, family_of
from huizhen.methods.linear.fitted import Fitted, glm_result
from huizhen.methods.linear.model import RESPONSE, Model, ask_response, response
from huizhen.methods.linear.noisyfit import FEWEST_ROUNDS, ROUNDS, fit_moments, fit_scores
from huizhen.methods.linear.noisymodel import NoisyModel, noisy_model
from huizhen.methods.linear.noisyresult import noisy_result
from huizhen.methods.linear.noisysums import MOMENTS, NOISY_STEPS, SCORES, noisy_step
from huizhen.methods.linear.prediction import linear_predictor, predict
from huizhen.methods.linear.scoring import SCORING_STEPS, Fit, Search, fit, squared_scores
from huizhen.methods.method import ScriptedMethod, Spec, Use
from huizhen.privacy.noisysteps import NoisyStep
from huizhen.privacy.release import Question, Terms, Total, Variable
from huizhen.privacy.result import Result

__all__ = ["GLM", "GlmSpec", "linear_predictor", "predict"]

NAME = "glm"
Floats = NDArray[np.float64]


class GlmSpec(Spec):
    """Settings under ``[method.glm]``.

    Attributes:
        formula: e.g. ``y ~ age + sex*stage``; see `formula`.
        family: ``gaussian``, ``binomial``, ``poisson`` or ``gamma``.
        link: "" for R's default (identity, logit, log, inverse).
        offset: a variable that is added to the linear predictor, e.g. a log of person-time.
        weights: a variable of weights.
        weights_kind: ``prior`` as in R (a variance is divided by it; for a binomial model the number of trials) or ``frequency``
            (so many equal rows).
        ridge: lambda of the penalty 0.5 * lambda * (sum of squared coefficients without the intercept), on the columns as the
            formula gives them; with ``scale(x)`` terms this is scikit-learn's C = 1 / lambda on standardised columns.
        site_effects: adds ``site`` as a category.
        confidence: of the intervals.
        standard_errors: ``model``; ``robust`` (sandwich, HC0); ``robust-hc1`` (times n / (n - p)).
        tests: ``wald`` and ``likelihood-ratio`` tests for each term.
        tolerance: the last step is at most this many standard errors.
        max_iterations: rounds of scoring at most.
    """

    formula: str
    family: Literal["gaussian", "binomial", "poisson", "gamma"]
    link: Literal["", "identity", "log", "logit", "probit", "cloglog", "inverse"] = ""
    offset: str = ""
    weights: str = ""
    weights_kind: Literal["prior", "frequency"] = "prior"
    ridge: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    site_effects: bool = False
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    standard_errors: Literal["model", "robust", "robust-hc1"] = "model"
    tests: Annotated[tuple[Literal["wald", "likelihood-ratio"], ...], Field(strict=False)] = ()
    tolerance: Annotated[float, Field(gt=0, le=1e-4)] = 1e-10
    max_iterations: Annotated[int, Field(ge=1, le=1000)] = 50

    @field_validator("formula")
    @classmethod
    def _readable(cls, text: str) -> str:
        try:
            parsed = parse(text)
        except StudyError as error:
            raise ValueError(str(error.problems[0])) from None
        if parsed.response is None:
            raise ValueError(f'found "{text}", expected a response before the ~')
        return text

    @model_validator(mode="after")
    def _consistent(self) -> GlmSpec:
        family_of(self.family, self.link or default_link(self.family))
        if self.ridge and (self.tests or self.standard_errors != "model"):
            raise ValueError(
                "with a ridge penalty there are no tests of terms and no robust standard errors; set ridge = 0 for them"
            )
        if self.weights_kind == "frequency" and not self.weights:
            raise ValueError('weights_kind = "frequency" needs weights, the name of a variable')
        return self


def _reads(spec: GlmSpec) -> Iterable[Use]:
    parsed = parse(spec.formula)
    assert parsed.response is not None
    bare = spec.family == "binomial" and not parsed.response.calls
    uses = [Use(parsed.response.variable, "any" if bare else "number"), *parsed.uses()]
    uses += [Use(name, "number") for name in (spec.offset, spec.weights) if name]
    # Which site holds a row is known without reading it.
    return [use for use in uses if use.name != SITE]


def _program(spec: GlmSpec, terms: Terms) -> Generator[Question, Total, Result]:
    if terms.noise:
        return (yield from _with_noise(spec, terms))
    formula, notes = parse(spec.formula), []
    if spec.site_effects:
        formula, note = yield from _with_sites(formula)
        notes.append(note)
    model = yield from _agree_model(spec, formula, terms)
    sums, mean = yield from ask_response(NAME, model, terms.min_cell_count)
    design = yield from agree(NAME, formula, terms, uses=model.variables)
    _refuse_too_few(model, design, sums.rows)
    search = Search(spec.ridge, spec.tolerance, spec.max_iterations)
    null = yield from _null(model, design.select([0] if design.intercept else []), mean, sums.rows)
    mean_only = null if design.intercept else (yield from _null(model, Design.ones(design.rows), mean, sums.rows))
    if mean_only is not None:
        _refuse_constant(model, mean_only, sums, mean)
    base = null.coefficients if null else None
    found = yield from fit(NAME, model, design, search, rows=sums.rows, base=_padded(base, design))
    squared = None
    if spec.standard_errors != "model":
        squared = yield from squared_scores(NAME, model, design, found)
    fitted = Fitted(
        model, design, found, null, mean_only, sums, mean, squared, hc1=spec.standard_errors == "robust-hc1", ridge=spec.ridge
    )
    tests = None
    if spec.tests:
        tests = yield from term_tests(NAME, fitted, formula, terms, search, lambda design: _padded(base, design), kinds=spec.tests)
    return glm_result(NAME, fitted, terms, confidence=spec.confidence, tests=tests, notes=notes)


def _with_sites(formula: Formula) -> Generator[Question, Total, tuple[Formula, str]]:
    """The formula with the site as a category, unless there is one site only."""
    (rows,) = yield from ask_levels(NAME, [(SITE, ())])
    if len(rows) == 1:
        return formula, "All rows are from one site, so there is no site effect to estimate."
    note = "Site effects: the sums of each site's own column stand in the total, so the total shows each site's weight in the fit."
    return formula.plus(Term((Factor(SITE),))), note


def _agree_model(spec: GlmSpec, formula: Formula, terms: Terms) -> Generator[Question, Total, Model]:
    outcome = formula.response
    assert outcome is not None
    family = family_of(spec.family, spec.link or default_link(spec.family))
    if outcome.variable in formula.variables:
        raise NotEstimable(f"{outcome.variable} stands on both sides of the formula")
    declared = terms.variables.get(outcome.variable)
    levels: tuple[str, ...] = ()
    if declared is not None and declared.kind == "category":
        if spec.family != "binomial" or outcome.calls:
            raise NotEstimable(f"{outcome} is a category, and the {spec.family} family needs a number")
        levels = (yield from agree_labels(NAME, [outcome], terms))[outcome]
        if len(levels) != 2:
            raise NotEstimable(f"{outcome} has {len(levels)} levels, and a binomial response has two; the second counts as 1")
    return Model(outcome, family, levels, spec.offset, spec.weights, spec.weights_kind == "frequency")


def _refuse_too_few(model: Model, design: Design, rows: float) -> None:
    least = len(design.columns) + model.family.estimates_dispersion
    if rows < least:
        raise NotEstimable(
            f"{rows:.0f} rows are too few for {len(design.columns)} coefficients; at least {least} are needed: leave out terms"
        )


def _refuse_constant(model: Model, mean_only: Fit, sums: Saturated, mean: float) -> None:
    if model.family.is_rounding(mean_only.deviance, mean, mean_only.deviance, sums) and not model.offset:
        raise NotEstimable(f"{model.outcome} is the same in all rows, so nothing can be learnt about what it depends on")


def _null(model: Model, design: Design, mean: float, rows: float) -> Generator[Question, Total, Fit | None]:
    """The model of the intercept alone (with the offset), or of the offset alone; None where it gives some row no possible mean."""
    with np.errstate(all="ignore"):
        start = np.full(len(design.columns), model.family.link.forward(np.array([mean]))[0])
    if not np.all(np.isfinite(start)):
        return None
    try:
        if model.offset and len(start):
            return (yield from fit(NAME, model, design, Search(), rows=rows, base=start))
        # Without an offset the mean response is the estimate, whatever the link.
        return (yield from fit(NAME, model, design, Search(), rows=rows, start=start))
    except NotEstimable:
        return None


def _padded(base: Floats | None, design: Design) -> Floats | None:
    """Coefficients of `design` that give every row the mean of the intercept alone, which is a possible one."""
    if base is None or not design.intercept:
        return None
    return np.concatenate([base[:1], np.zeros(len(design.columns) - 1)])


def _with_noise(spec: GlmSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """The same model from sums whose every row is bounded; see `linear.noisyfit`."""
    noisy = _noisy_model(spec, terms.variables, "patient")
    if spec.family == "gaussian":
        found = yield from fit_moments(NAME, noisy, terms, spec.ridge)
    else:
        found = yield from fit_scores(NAME, noisy, terms, spec.ridge, _noisy_rounds(spec))
    return noisy_result(NAME, noisy, found, terms, confidence=spec.confidence, ridge=spec.ridge)


def _noisy_model(spec: GlmSpec, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> NoisyModel:
    family = family_of(spec.family, spec.link or default_link(spec.family))
    return noisy_model(parse(spec.formula), family, spec.offset, variables, level)


def _noisy_rounds(spec: GlmSpec) -> int:
    return max(FEWEST_ROUNDS, min(ROUNDS, spec.max_iterations))


def _noised(spec: GlmSpec, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> tuple[NoisyStep, ...]:
    """One matrix of moments (gaussian), or all rounds of scoring."""
    problems = []
    if spec.weights:
        found, expected = "weights, by which one patient may count as many", "every row once"
        problems.append(Problem("weights", found, expected, "Leave weights out"))
    if spec.site_effects:
        problems.append(Problem("site_effects", "the site as a category", "a variable with declared levels", "Leave it out"))
    if spec.tests:
        problems.append(Problem("tests", "refits, which spend anew", "no tests of terms", "Read the table of coefficients"))
    if spec.standard_errors != "model":
        found, expected = "squared scores, which spend anew", "'model'"
        problems.append(Problem("standard_errors", found, expected, "Set standard_errors = 'model'"))
    try:
        noisy = _noisy_model(spec, variables, level)
    except StudyError as error:
        raise StudyError(error.message, [*problems, *error.problems]) from None
    if problems:
        raise StudyError("Noise cannot be added.", problems)
    if spec.family == "gaussian":
        return (noisy_step(MOMENTS, noisy.columns, 1),)
    return (noisy_step(SCORES, noisy.columns, _noisy_rounds(spec)),)


GLM = ScriptedMethod(
    name=NAME,
    spec=GlmSpec,
    program=_program,
    steps={**DESIGN_STEPS, **SCORING_STEPS, **NOISY_STEPS, RESPONSE: response},
    reads=_reads,
    noised=_noised,
)
