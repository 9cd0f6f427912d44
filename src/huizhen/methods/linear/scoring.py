"""Fisher scoring over sums: the fit of a generalised linear model, and what a site adds up for it.

Each round asks every site for the score X'u, the information X'WX and the deviance at the present coefficients (McCullagh and
Nelder, 1989, section 2.5; the same steps as R's iteratively reweighted least squares, from the same first guess). Steps are halved
when the deviance grows or a mean leaves the family's domain. The columns are standardised.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from huizhen.data.examples import CHUNK, Examples, chunks
from huizhen.errors import NotEstimable
from huizhen.methods.design.agreement import named
from huizhen.methods.design.columns import INTERCEPT, Design
from huizhen.methods.linear.model import Model
from huizhen.methods.linear.separation import DIRECTION, is_suspect, refuse_separated, violations
from huizhen.methods.method import Local, Step
from huizhen.privacy.release import Answer, Part, Question, Total

__all__ = ["SCORING_STEPS", "Fit", "Search", "fit", "squared_scores"]

Floats = NDArray[np.float64]
SCORE, SQUARED = "glm.score", "glm.squared_scores"
MOST_HALVINGS = 40
# A step this small a part of the linear predictor is rounding.
ROUNDING = 1e-14
# How much the deviance may grow in a step without the step being halved, as R's control$epsilon.
GROWTH = 1e-8


@dataclass(frozen=True, slots=True)
class Search:
    """How the estimate is searched for.

    Attributes:
        ridge: 0.5 * ridge * sum of squared coefficients (in the user's units, without the intercept) is added to the loss.
        tolerance: the last step is at most this many standard errors.
        max_iterations: rounds at most.
    """

    ridge: float = 0.0
    tolerance: float = 1e-10
    max_iterations: int = 50


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A maximum of the (penalised) likelihood, on the standardised columns.

    Attributes:
        coefficients: float64 (column,).
        information: expected information at dispersion 1, without the penalty, float64 (column, column).
        penalty: diagonal of the penalty, float64 (column,).
        deviance, pearson: at the maximum.
        iterations: rounds it took.
    """

    coefficients: Floats
    information: Floats
    penalty: Floats
    deviance: float
    pearson: float
    iterations: int

    def inverse(self) -> Floats:
        """Inverse of the penalised information."""
        return _inverse(self.information + np.diag(self.penalty))


def fit(
    method: str,
    model: Model,
    design: Design,
    search: Search,
    *,
    rows: float,
    base: Floats | None = None,
    start: Floats | None = None,
) -> Generator[Question, Total, Fit]:
    """The fit of `model` on `design`.

    Args:
        method: the method that asks.
        model: response, family, offset and weights.
        design: the columns; may have none.
        search: penalty and when to stop.
        rows: rows that count, for the dispersion.
        base: coefficients whose means certainly lie in the family's domain, to fall back on.
        start: where to begin; by default R's first guess from the responses.

    Raises:
        NotEstimable: separation, a singular information, no valid or no converging step.
    """
    size = len(design.columns)
    penalty = search.ridge / design.scale**2 * np.array([float(name != INTERCEPT) for name in design.columns])
    if start is not None:
        coefficients = start
    else:
        first = yield _ask(method, model, design, None)
        coefficients = _solve(first.sums["information"] + np.diag(penalty), first.sums["score"])
    previous, least, halvings = base, np.inf, 0
    for iteration in range(1, search.max_iterations + 1):
        total = yield _ask(method, model, design, coefficients)
        information, score = total.sums["information"], total.sums["score"] - penalty * coefficients
        deviance, pearson, invalid = total.sums["fit"].tolist()
        objective = deviance + float(penalty @ coefficients**2)
        if invalid or objective - least > GROWTH * (abs(objective) + 0.1):
            coefficients, halvings = _halved(coefficients, previous, halvings + 1), halvings + 1
            continue
        step = _solve(information + np.diag(penalty), score)
        decrement, spread = sqrt(max(score @ step, 0.0)), sqrt(max(coefficients @ information @ coefficients, 0.0))
        dispersion = pearson / max(rows - size, 1.0) if model.family.estimates_dispersion else 1.0
        if decrement <= max(search.tolerance * sqrt(dispersion), ROUNDING * spread):
            return Fit(coefficients + step, information, penalty, deviance, pearson, iteration)
        if not search.ridge and is_suspect(model, iteration, step):
            facts = {**model.facts(), "design": design.facts(), "direction": step}
            found = yield Question(method, DIRECTION, facts, named((*design.variables, *model.variables)), size)
            refuse_separated(model, design, step, found)
        previous, least, halvings = coefficients, objective, 0
        coefficients = coefficients + step
    raise NotEstimable(
        f"The estimate did not settle within {search.max_iterations} rounds; leave out terms, join rare levels, add a ridge "
        "penalty (ridge = 1.0), or allow more rounds (max_iterations)"
    )


def squared_scores(method: str, model: Model, design: Design, found: Fit) -> Generator[Question, Total, Floats]:
    """Sum over rows of each row's score times itself, float64 (column, column): the middle of the robust covariance."""
    facts = {**model.facts(), "design": design.facts(), "coefficients": found.coefficients}
    total = yield Question(method, SQUARED, facts, named((*design.variables, *model.variables)), len(design.columns))
    squared: Floats = total.sums["squared"]
    return squared


def _ask(method: str, model: Model, design: Design, coefficients: Floats | None) -> Question:
    facts: dict[str, Any] = {**model.facts(), "design": design.facts(), "coefficients": coefficients}
    return Question(method, SCORE, facts, named((*design.variables, *model.variables)), len(design.columns))


def _halved(coefficients: Floats, previous: Floats | None, halvings: int) -> Floats:
    if previous is None:
        raise NotEstimable("No coefficients give every row a possible mean; choose another link or add an intercept")
    if halvings > MOST_HALVINGS:
        raise NotEstimable("No step makes the fit better without leaving the family's domain; choose another link or fewer terms")
    return (coefficients + previous) / 2.0


def _solve(matrix: Floats, vector: Floats) -> Floats:
    if not len(vector):
        return vector
    try:
        solved: Floats = cho_solve(cho_factor(matrix), vector)
    except (LinAlgError, ValueError):
        raise NotEstimable(
            "The rows do not determine the coefficients (singular information); leave out terms or add a ridge penalty (ridge = 1)"
        ) from None
    return solved


def _inverse(matrix: Floats) -> Floats:
    inverse = _solve(matrix, np.eye(len(matrix)))
    return (inverse + inverse.T) / 2.0


def score(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: score, information and fit at the coefficients; without coefficients, from R's first guess of the means."""
    model, design = Model.from_facts(question.facts), Design.from_facts(question.facts["design"], local)
    coefficients, size = question.facts["coefficients"], len(design.columns)
    gradient, information, measures = np.zeros(size), np.zeros((size, size)), np.zeros(3)
    buffer, weighted = np.empty((2, size, min(CHUNK, examples.rows)))
    for rows in chunks(examples.rows):
        x = design.standardised(examples, rows, out=buffer)
        response, offset, weights = model.observed(examples, rows)
        if coefficients is None:
            target, weight = model.family.first(response, weights)
            slope = weight * (target if offset is None else target - offset)
        else:
            eta = coefficients @ x if offset is None else coefficients @ x + offset
            slope, weight, deviance, pearson, valid = model.family.rows(response, eta, weights)
            measures += deviance, pearson, not valid
        gradient += x @ slope
        # One factor of the weight on either side makes the product symmetric, which halves its cost.
        half = np.multiply(x, np.sqrt(weight), out=weighted[:, : x.shape[1]])
        information += half @ half.T
    parts = {"score": gradient, "information": information, "fit": measures}
    return Answer({name: Part(values, examples.rows) for name, values in parts.items()}, examples.rows), local


def _squared(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    model, design = Model.from_facts(question.facts), Design.from_facts(question.facts["design"], local)
    coefficients, size = question.facts["coefficients"], len(design.columns)
    squared = np.zeros((size, size))
    for rows in chunks(examples.rows):
        x = design.standardised(examples, rows)
        response, offset, weights = model.observed(examples, rows)
        eta = coefficients @ x if offset is None else coefficients @ x + offset
        slope = model.family.rows(response, eta, weights).score
        if weights is not None and model.frequency:
            # So many equal rows, not one row of so much weight.
            slope = np.divide(slope, np.sqrt(weights), out=np.zeros_like(slope), where=weights > 0)
        x *= slope
        squared += x @ x.T
    return Answer({"squared": Part(squared, examples.rows)}, examples.rows), local


SCORING_STEPS: Mapping[str, Step] = MappingProxyType({SCORE: score, SQUARED: _squared, DIRECTION: violations})
