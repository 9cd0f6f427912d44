"""What a fitted generalised linear model says about rows, from its published result alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.errors import Problem, StudyError
from huizhen.methods.design.columns import Design
from huizhen.methods.linear.family import family_of
from huizhen.privacy.result import Result

__all__ = ["linear_predictor", "predict"]

Floats = NDArray[np.float64]


def predict(result: Result, examples: Examples) -> Floats:
    """Means of the response (probabilities for a binomial model), float64 (row,); NaN as in `linear_predictor`.

    Raises:
        StudyError: as `linear_predictor`.
    """
    with np.errstate(all="ignore"):
        return family_of(result.facts["family"], result.facts["link"]).inverse(linear_predictor(result, examples))


def linear_predictor(result: Result, examples: Examples) -> Floats:
    """Linear predictors, offset included, float64 (row,); NaN where a variable is missing or has a level unknown to the model.

    Raises:
        StudyError: the result holds no model, or the rows lack a variable of it.
    """
    if result.failure or "design" not in result.facts:
        raise StudyError("There is no model to predict from", [Problem("result", result.failure or "no design", "a fitted model")])
    design, offset = Design.from_facts(result.facts["design"]), result.facts["offset"]
    lacking = [name for name in (*design.variables, offset) if name and name not in examples.columns]
    if lacking:
        raise StudyError(
            "The model cannot be applied to these rows", [Problem(name, "no such column", "a column") for name in lacking]
        )
    eta = np.empty(examples.rows)
    coefficients = result.arrays["coefficients"]
    for rows in chunks(examples.rows):
        eta[rows] = coefficients @ design.matrix(examples, rows)
        for piece in design.pieces:
            if piece.levels:
                eta[rows][piece.codes(examples, rows) < 0] = np.nan
    return eta + examples.number(offset) if offset else eta
