"""Predictions for the patients of a table in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from huizhen.data.records import open_source, table
from huizhen.embedded.sources import Table
from huizhen.methods import prediction
from huizhen.privacy.result import Result

__all__ = ["predict"]


def predict(result: Result, patients: Table) -> NDArray[np.float64]:
    """Predictions for new patients, float64 (row,): mean or probability (glm), hazard relative to the average patient (cox).

    Raises:
        CallerError: the method predicts nothing.
        DataError: the table lacks a variable of the model, or holds text where a number belongs.
    """
    variables = prediction.variables_of(result)
    if isinstance(patients, str | Path):
        rows = open_source(patients).read(variables, site="new")
    else:
        rows = table(patients, variables=variables, site="new")
    return prediction.predict(result, rows)
