"""A trained network for other programs: weights by name, a card that says what goes in and what comes out, and ONNX.

LABEL.json   what the network is, how inputs are prepared, what the outputs mean
LABEL.npz    every weight under its name in the network, float32, no pickle
LABEL.onnx   the network itself: `input` (row, ...) prepared as the card says, `output` (row, ...); where torch can write it

A number is learned on a joint scale. The files give it in the outcome's own unit: ONNX holds the step from one to the other, and in
the weights it goes into the last layer. Where that is no linear layer, the card says how outputs of these weights are read.

Where every site keeps its own normalisation layers the card names them, and there is no ONNX: without them it is no network.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.design.columns import Design
from huizhen.methods.networks import Network, build, kind
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.learner import Learner, learner_of
from huizhen.methods.training.state import alone
from huizhen.methods.training.store import Store
from huizhen.privacy.result import Result

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

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
SCALED = "of LABEL.npz alone: mean = shift + scale * output; LABEL.onnx gives the mean itself"
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
    named = weights_by_name(learner, _rescaled(learner, weights))
    missing = _missing(learner) if model["own_layers"] else []
    files = {
        "json": card(result, missing, scaled=_last_layer(learner) is None),
        "npz": _npz({name: named[name] for name in named if name not in missing}),
    }
    written = None if missing else onnx(learner, weights)
    return files if written is None else {**files, "onnx": written}


def card(result: Result, missing: Sequence[str] = (), *, scaled: bool = False) -> bytes:
    """What the network is, how inputs are prepared and what outputs mean, as JSON.

    Args:
        missing: weights that stay at sites.
        scaled: whether the weights give a number on the scale that it was learned on.
    """
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
    if scaled and aim.task == "regression":
        told |= {"output_of_weights": SCALED, "shift": aim.shift, "scale": aim.scale}
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
                _in_own_unit(store.module, learner.aim).eval(),
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


def _in_own_unit(module: Module, aim: Aim) -> Module:
    """The module with the step from the scale of learning to the outcome's own unit behind it, where there is one."""
    from torch import nn

    if (aim.shift, aim.scale) == (0.0, 1.0):
        return module

    class OwnUnit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, inputs: Tensor) -> Tensor:
            found: Tensor = self.inner(inputs) * aim.scale + aim.shift
            return found

    return OwnUnit()


def _rescaled(learner: Learner, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weights with the step to the outcome's own unit in the last layer; as they are where it is not linear."""
    aim, last = learner.aim, _last_layer(learner)
    if last is None or (aim.shift, aim.scale) == (0.0, 1.0):
        return weights
    found = weights.copy()
    named = weights_by_name(learner, found)
    for name in (f"{last}.weight", f"{last}.bias"):
        shift = aim.shift if name.endswith("bias") else 0.0
        named[name][...] = named[name].astype(np.float64) * aim.scale + shift
    return found


def _last_layer(learner: Learner) -> str | None:
    """The name of the linear layer, with a constant, whose output is the network's; None where there is none."""
    import torch
    from torch import nn

    module = kind(learner.network.name).on_paper(learner.network.inputs, learner.network.outputs, learner.network.settings).eval()
    given: dict[str, Any] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            layer.register_forward_hook(lambda _layer, _inputs, output, name=name: given.__setitem__(name, output))
    with torch.no_grad():
        output = module(torch.empty(2, *learner.network.inputs, device="meta"))
    return next((name for name, each in given.items() if each is output), None)


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
