"""Predictions from a result, for the methods that have any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.data.records import open_source, table
from huizhen.embedded.sources import Table
from huizhen.errors import CallerError, Problem
from huizhen.methods import glm
from huizhen.methods.design.columns import Design
from huizhen.methods.hazards import prediction as cox_prediction
from huizhen.privacy.release import Variable
from huizhen.privacy.result import Result

__all__ = ["predict"]

PREDICTORS: Mapping[str, Callable[[Result, Examples], NDArray[np.float64]]] = {
    "glm": glm.predict,
    "cox": cox_prediction.partial_hazard,
}


def predict(result: Result, patients: Table) -> NDArray[np.float64]:
    """Predictions for new patients, float64 (row,): mean or probability (glm), hazard relative to the average patient (cox).

    Raises:
        CallerError: the method predicts nothing.
        DataError: the table lacks a variable of the model, or holds text where a number belongs.
    """
    if result.method not in PREDICTORS:
        problem = Problem(result.method, "a method without predictions", f"one of: {', '.join(PREDICTORS)}")
        raise CallerError("Nothing can be predicted.", [problem])
    variables = _variables(result)
    if isinstance(patients, str | Path):
        rows = open_source(patients).read(variables, site="new")
    else:
        rows = table(patients, variables=variables, site="new")
    return PREDICTORS[result.method](result, rows)


def _variables(result: Result) -> dict[str, Variable]:
    """What the model reads, and as what: a factor with levels is a category, any other a number."""
    design = Design.from_facts(result.facts["design"])
    return {
        piece.factor.variable: Variable("category", levels=piece.levels) if piece.levels else Variable("number")
        for piece in design.pieces
    }
