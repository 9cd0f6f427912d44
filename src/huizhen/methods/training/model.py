"""A network that was learned, from its published result alone: what it says of new patients, how good it is, and files to take away."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from huizhen.data.examples import SITE, Examples
from huizhen.methods.method import Local
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.measure import quality
from huizhen.methods.training.features import Features
from huizhen.methods.training.learner import Learner, learner_of
from huizhen.methods.training.local import judge, prepare
from huizhen.methods.training.onnx_network import to_onnx
from huizhen.privacy.release import Terms, Variable
from huizhen.privacy.result import Result, Table

__all__ = ["appraise", "export", "inputs_of", "predict"]

FOLDS = ("training", "validation", "test")


def predict(result: Result, examples: Examples) -> NDArray[np.float64]:
    """What the network says of each row.

    Returns:
        ``binary``: probability of the positive level (row,). ``multiclass``, ``segmentation``: probabilities of the classes (row, class,
        ...). ``multilabel``: probability of each label (row, label). ``regression``: mean (row,). ``cox``: log hazard (row,).
        ``discrete_time``: hazard in each interval (row, interval).
    """
    learner, features = _learner(result.model), Features.from_facts(result.model["features"])
    rows = np.arange(examples.rows)
    outputs = learner.outputs(result.model["weights"], features.of(examples, rows, rows)).astype(np.float64)
    task = learner.aim.task
    if task in ("multiclass", "segmentation"):
        return np.asarray(softmax(outputs, axis=1))
    if task in ("multilabel", "discrete_time"):
        return np.asarray(expit(outputs))
    return np.asarray(expit(outputs[:, 0])) if task == "binary" else outputs[:, 0]


def inputs_of(result: Result) -> dict[str, Variable]:
    """What the network reads, and as what."""
    features = Features.from_facts(result.model["features"])
    if features.design is None:
        return {features.image: Variable("image", shape=tuple(result.model["network"]["inputs"]))}
    return {
        piece.factor.variable: Variable("category", levels=piece.levels) if piece.levels else Variable("number")
        for piece in features.design.pieces
        if piece.factor.variable != SITE
    }


def appraise(result: Result, spec: Any, terms: Terms, examples: Examples, fold: int) -> Mapping[str, Table]:
    """How good the network is on the rows of a fold among these; nothing where there are none."""
    rows = prepare(result.model, examples, Local())
    if not len(rows.targets[fold]):
        return {}
    learner = _learner(result.model)
    sums = judge(learner, learner.aim, result.model["weights"], rows, [fold])
    of_fold = {name.removeprefix(f"{FOLDS[fold]}/"): values for name, values in sums.items()}
    return quality(learner.aim, of_fold, confidence=spec.confidence, min_cell_count=terms.min_cell_count)


def export(result: Result) -> Mapping[str, bytes]:
    """``npz``: weights by name. ``json``: network, outputs and inputs in words. ``onnx``: the network, for any runtime.

    Raises:
        MachineError: torch or onnx is not installed.
    """
    learner, weights = _learner(result.model), np.asarray(result.model["weights"], np.float32)
    named: dict[str, Any] = {}
    start = 0
    for name, shape in learner.names:
        size = int(np.prod(shape))
        named[name] = weights[start : start + size].reshape(shape)
        start += size
    file = io.BytesIO()
    np.savez(file, **named)
    card = {name: result.model[name] for name in ("network", "aim", "features", "aside")}
    card |= {"facts": dict(result.facts), "rows": result.rows, "sites": len(result.roster)}
    words = json.dumps(card, ensure_ascii=False, indent=1, default=_plain).encode()
    return {"npz": file.getvalue(), "json": words, "onnx": to_onnx(learner, weights)}


def _learner(model: Mapping[str, Any]) -> Learner:
    return learner_of(Network.from_facts(model["network"]), Aim.from_facts(model["aim"]))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else list(value)
