"""What a fitted model says about new patients: from its published result and their rows alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.errors import CallerError, Problem
from huizhen.methods.design.columns import Design
from huizhen.methods.features.coding import made
from huizhen.methods.features.telling import FEATURES, from_facts
from huizhen.methods.hazards.prediction import partial_hazard
from huizhen.methods.linear.prediction import predict as mean
from huizhen.methods.training import prediction as network
from huizhen.methods.trees import prediction as trees
from huizhen.privacy.release import Variable
from huizhen.privacy.result import Result

__all__ = ["predict", "variables_of"]

PREDICTORS: Mapping[str, Callable[[Result, Examples], NDArray[np.float64]]] = {
    "averaging": network.predict,
    "boosting": trees.predict,
    "cox": partial_hazard,
    "glm": mean,
}
# What others read stands in their design.
READS: Mapping[str, Callable[[Result], dict[str, Variable]]] = {
    "averaging": network.variables_of,
    "boosting": trees.variables_of,
}


def predict(result: Result, examples: Examples) -> NDArray[np.float64]:
    """Predictions, float64 (row,): mean or probability (glm), hazard relative to the average patient (cox).

    A forest's: probability of the positive level, or of each class (row, class); mean; hazard ratio. A network's are those of
    `huizhen.methods.training.prediction.predict`, which may have more axes.

    Raises:
        CallerError: the method predicts nothing.
    """
    _must_predict(result)
    if FEATURES in result.facts:
        features, fitted, _ = from_facts(result.facts[FEATURES])
        examples = made(features, fitted, examples)
    return PREDICTORS[result.method](result, examples)


def variables_of(result: Result) -> dict[str, Variable]:
    """What the model reads, and as what: a factor with levels is a category, any other a number; of features their variables.

    Raises:
        CallerError: the method predicts nothing.
    """
    _must_predict(result)
    seen = _seen_by_the_model(result)
    if FEATURES not in result.facts:
        return seen
    features, _, reads = from_facts(result.facts[FEATURES])
    return {**{name: variable for name, variable in seen.items() if name not in features.owner}, **reads}


def _seen_by_the_model(result: Result) -> dict[str, Variable]:
    if result.method in READS:
        return READS[result.method](result)
    design = Design.from_facts(result.facts["design"])
    return {
        piece.factor.variable: Variable("category", levels=piece.levels) if piece.levels else Variable("number")
        for piece in design.pieces
    }


def _must_predict(result: Result) -> None:
    if result.method not in PREDICTORS:
        problem = Problem(result.method, "a method without predictions", f"one of: {', '.join(PREDICTORS)}")
        raise CallerError("Nothing can be predicted.", [problem])
