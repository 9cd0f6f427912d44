"""What a published forest says about rows: predictions, how good they are, and the forest as files for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.errors import Problem, StudyError
from huizhen.methods.scores.measure import measure, quality
from huizhen.methods.trees.forest import Forest, margins
from huizhen.methods.trees.forest import predict as of_forest
from huizhen.methods.trees.onnx_model import to_onnx
from huizhen.methods.trees.rows import read_outcome
from huizhen.methods.trees.spec import BoostingSpec, drawn_from
from huizhen.methods.trees.xgboost_model import to_xgboost_json
from huizhen.privacy.release import Terms, Variable
from huizhen.privacy.result import Result, Table

__all__ = ["appraise", "predict", "to_files", "variables_of"]


def predict(result: Result, examples: Examples) -> NDArray[np.float64]:
    """As `forest.predict`; a covariate may be missing in a row, and a level that the forest does not know counts as missing.

    Raises:
        StudyError: the result holds no model, or the rows lack a covariate.
    """
    forest = _forest(result)
    lacking = [name for name in forest.names if name not in examples.columns]
    if lacking:
        raise StudyError(
            "The model cannot be applied to these rows", [Problem(name, "no such column", "a column") for name in lacking]
        )
    return of_forest(forest, examples)


def variables_of(result: Result) -> dict[str, Variable]:
    """What the forest reads, and as what."""
    forest = _forest(result)
    each = zip(forest.names, forest.levels, forest.categorical)
    return {name: Variable("category", levels) if category else Variable("number") for name, levels, category in each}


def appraise(result: Result, spec: BoostingSpec, terms: Terms, examples: Examples, fold: int) -> Mapping[str, Table]:
    """How good the forest is on the rows of a fold among these; nothing where there are none that count."""
    forest = _forest(result)
    facts = {
        "aim": forest.aim.facts(),
        "weights": spec.weights,
        "aside": [spec.validation, spec.test],
        "drawn_from": drawn_from(spec),
    }
    outcome = read_outcome(examples, facts)
    chosen = outcome.fold == fold
    if not (outcome.weights()[chosen] > 0).any():
        return {}
    weight = None if outcome.weight is None else outcome.weight[chosen]
    sums = measure(forest.aim, margins(forest, examples)[chosen], forest.aim.targets(examples)[chosen], weight)
    return quality(forest.aim, sums, confidence=spec.confidence, min_cell_count=terms.min_cell_count)


def to_files(result: Result) -> Mapping[str, bytes]:
    """The forest as XGBoost's JSON and as ONNX, by suffix.

    Raises:
        MachineError: the package onnx is not installed.
    """
    forest = _forest(result)
    written: dict[str, Any] = to_xgboost_json(forest)
    return {"xgboost.json": json.dumps(written, allow_nan=False).encode(), "onnx": to_onnx(forest)}


def _forest(result: Result) -> Forest:
    if result.failure or not result.model:
        raise StudyError("There is no model to predict from", [Problem("result", result.failure or "no forest", "a fitted model")])
    return Forest.from_facts(result.model)
