"""A trained network for other programs: weights by name, a card that says what goes in and what comes out, and ONNX.

LABEL.json   what the network is, how inputs are prepared, what the outputs mean
LABEL.npz    every weight under its name in the network, float32, no pickle
LABEL.onnx   the network itself: `input` (row, ...) prepared as the card says, `output` (row, ...); where torch can write it

Where every site keeps its own normalisation layers the card names them, and there is no ONNX: without them it is no network.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.design.columns import Design
from huizhen.methods.networks import Network, build
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.learner import Learner, learner_of
from huizhen.methods.training.state import alone
from huizhen.methods.training.store import Store
from huizhen.privacy.result import Result

__all__ = ["card", "onnx", "to_files", "weights_by_name"]

MEANING: Mapping[str, str] = {
    "binary": "logit of the second class: probability = 1 / (1 + exp(-output))",
    "multiclass": "logits of the classes: probabilities = softmax(output)",
    "multilabel": "logit of each label: probability = 1 / (1 + exp(-output))",
    "regression": "mean",
    "cox": "log hazard, up to a constant",
    "discrete_time": "logit of the hazard in each interval, given survival up to it",
    "segmentation": "logits of the classes for each pixel: probabilities = softmax(output) over axis 1",
}
UINT8 = "uint8 images are divided by 255"
OTHERS = "other images: (pixel - mean of its channel) / sd of its channel"
COLUMNS = "columns coded as described, then (value - center) / scale"
INCOMPLETE = "the weights named in own_layers are not here: every site keeps its own; without them the network predicts nothing"
OPSET = 17  # understood by ONNX Runtime 1.12 and later


def to_files(result: Result) -> Mapping[str, bytes]:
    """The files of a trained network by suffix; without ``onnx`` where this torch cannot write it.

    Raises:
        MachineError: torch is not installed.
    """
    model = result.model
    aim, network = Aim.from_facts(model["aim"]), Network.from_facts(model["network"])
    learner = learner_of(network, aim)
    weights = np.asarray(model["weights"], np.float32)
    named = weights_by_name(learner, weights)
    missing = _missing(learner) if model["own_layers"] else []
    files = {"json": card(result, missing), "npz": _npz({name: named[name] for name in named if name not in missing})}
    written = None if missing else onnx(learner, weights)
    return files if written is None else {**files, "onnx": written}


def card(result: Result, missing: Sequence[str] = ()) -> bytes:
    """What the network is, how inputs are prepared and what outputs mean, as JSON; `missing`: weights that stay at sites."""
    model = result.model
    aim, features = Aim.from_facts(model["aim"]), model["features"]
    told: dict[str, Any] = {
        "network": dict(model["network"]),
        "task": aim.task,
        "outcome": list(aim.outcome),
        "classes": list(aim.levels),
        "threshold": aim.threshold,
        "event": aim.event,
        "ends": list(aim.ends),
        "output": MEANING[aim.task],
        "input": _prepared(features),
        "own_layers": list(missing),
        "rows": result.rows,
        "sites": len(result.roster),
    }
    if missing:
        told["incomplete"] = INCOMPLETE
    return json.dumps(_plain(told), ensure_ascii=False, indent=2).encode()


def _missing(learner: Learner) -> list[str]:
    """Names of the weights that stay at the sites."""
    own = weights_by_name(learner, learner.normalisation.astype(np.float32))
    return [name for name, belongs in own.items() if belongs.any()]


def weights_by_name(learner: Learner, weights: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The flat weights as the network's own arrays, views, by their names in it."""
    found, place = {}, 0
    for name, shape in learner.names:
        found[name] = weights[place : place + prod(shape)].reshape(shape)
        place += prod(shape)
    return found


def onnx(learner: Learner, weights: NDArray[np.float32]) -> bytes | None:
    """The network in ONNX, for any number of rows; None where this torch, or a package that it asks for, cannot write it."""
    import torch

    with alone(0):  # building draws, and weights are loaded at once
        store = Store(build(learner.network), torch.device("cpu"))
    store.load(weights)
    write: Any = torch.onnx.export  # writes into memory too, though its type does not say so
    axes = {"input": {0: "row"}, "output": {0: "row"}}
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing, and of a newer way of writing that asks for another package
            write(
                store.module.eval(),
                (torch.zeros(2, *learner.network.inputs),),
                stream,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, ImportError, TypeError, ValueError, AttributeError):
        return None
    return stream.getvalue()


def _prepared(features: Mapping[str, Any]) -> dict[str, Any]:
    """How a row becomes the network's input."""
    if features["design"] is None:
        return {
            "image": features["image"],
            "preparation": f"{UINT8}; {OTHERS}",
            "mean": features["mean"],
            "sd": features["sd"],
        }
    design = Design.from_facts(features["design"])
    told = {"columns": list(design.columns), "preparation": COLUMNS, "scale": features["scale"]}
    return {**told, "design": features["design"]}


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    stream = io.BytesIO()
    save: Any = np.savez  # its type takes every name for its one option
    save(stream, **arrays)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
