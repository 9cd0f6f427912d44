"""What a trained network says about new patients, on the scale that a reader wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from huizhen.data.examples import Examples
from huizhen.errors import CallerError, Problem
from huizhen.methods.design.columns import Design
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.features import Features
from huizhen.methods.training.learner import learner_of
from huizhen.privacy.release import Variable
from huizhen.privacy.result import Result

__all__ = ["MISSING", "predict", "variables_of"]

MISSING = (
    "joint weights without the normalisation layers, which every site keeps for itself",
    "a whole network",
    "Predict at a site, or train with own_layers = false",
)


def predict(result: Result, examples: Examples) -> NDArray[np.float64]:
    """Predictions; NaN where a covariate misses.

    Returns:
        float64. ``binary``: probability of the second class (row,). ``multiclass``, ``multilabel``: probabilities (row, class).
        ``regression``: mean (row,). ``cox``: hazard relative to an output of 0 (row,). ``discrete_time``: probability of surviving
        each interval (row, interval). ``segmentation``: probability of each class in each pixel (row, class, *space).

    Raises:
        CallerError: every site keeps layers of its own.
        MachineError: torch is not installed.
    """
    model = result.model
    if model["own_layers"]:
        raise CallerError("Nothing can be predicted.", [Problem("own_layers", *MISSING)])
    aim, features = Aim.from_facts(model["aim"]), Features.from_facts(model["features"])
    whole = examples.complete(variables_of(result))
    rows = np.flatnonzero(whole)
    learner = learner_of(Network.from_facts(model["network"]), aim)
    outputs = learner.outputs(np.asarray(model["weights"], np.float32), features.of(examples, rows, rows)).astype(np.float64)
    said = READ[aim.task](outputs)
    found = np.full((examples.rows, *said.shape[1:]), np.nan)
    found[rows] = said
    return found


def variables_of(result: Result) -> dict[str, Variable]:
    """What the network reads of a row, and as what."""
    features = result.model["features"]
    if features["design"] is None:
        return {features["image"]: Variable("image", shape=tuple(result.model["network"]["inputs"]))}
    return {
        piece.factor.variable: Variable("category", levels=piece.levels) if piece.levels else Variable("number")
        for piece in Design.from_facts(features["design"]).pieces
    }


READ: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "binary": lambda outputs: expit(outputs[:, 0]),
    "multiclass": lambda outputs: softmax(outputs, axis=1),
    "multilabel": expit,
    "regression": lambda outputs: outputs[:, 0],
    "cox": lambda outputs: np.exp(outputs[:, 0]),
    "discrete_time": lambda outputs: np.cumprod(expit(-outputs), axis=1, dtype=np.float64),
    "segmentation": lambda outputs: softmax(outputs, axis=1),
}
