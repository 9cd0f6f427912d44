"""A forest as an ONNX model, for any runtime beside the patient.

Input ``inputs``: float32 (row, covariate), as `forest.inputs` gives it (a category is the code of its level, a missing value is not
a number). Outputs ``margins``: float32 (row, output), raw; ``predictions``: probabilities of the positive level or of each class,
means, hazard ratios. What inputs and levels are called stands in the model's properties. Format: ai.onnx.ml, operator
TreeEnsembleRegressor, version 3.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from huizhen.errors import MachineError, Problem
from huizhen.methods.trees.forest import LEAF, Forest, Tree

__all__ = ["to_onnx"]

LAST_STEP = {"binary": "Sigmoid", "multiclass": "Softmax", "regression": "Identity", "cox": "Exp"}
OPSETS = (("", 17), ("ai.onnx.ml", 3))
IR_VERSION = 8  # of 2022: every runtime in use reads it


def to_onnx(forest: Forest) -> bytes:
    """The serialised model.

    Raises:
        MachineError: the package onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError:
        problem = Problem("package onnx", "not installed", "installed", "Run: pip install 'huizhen[boosting]'")
        raise MachineError("A forest cannot be written as ONNX.", [problem]) from None
    outputs = len(forest.base)
    attributes: dict[str, Any] = _attributes(forest)
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["inputs"], ["margins"], domain="ai.onnx.ml", n_targets=outputs,
        base_values=forest.base.astype(np.float32).tolist(), post_transform="NONE", aggregate_function="SUM", **attributes,
    )  # fmt: skip
    last = helper.make_node(LAST_STEP[forest.aim.task], ["margins"], ["predictions"])
    graph = helper.make_graph(
        [trees, last],
        "forest",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, [None, len(forest.names)])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, outputs]) for name in ("margins", "predictions")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in OPSETS], ir_version=IR_VERSION)
    model.producer_name = "huizhen"
    levels = {name: list(levels) for name, levels in zip(forest.names, forest.levels) if levels}
    described = {"covariates": list(forest.names), "levels": levels, "outcome": replace(forest.aim, ends=()).facts()}
    helper.set_model_props(model, {name: json.dumps(value, ensure_ascii=False) for name, value in described.items()})
    return bytes(model.SerializeToString())


def _attributes(forest: Forest) -> dict[str, list[Any]]:
    """The nodes of all trees, field by field."""
    names = ("nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")
    found: dict[str, list[Any]] = {f"nodes_{name}": [] for name in ("treeids", *names)}
    found |= {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    trees = forest.trees or tuple(map(_nothing, range(len(forest.base))))
    for number, tree in enumerate(trees):
        for node in _nodes(forest, tree):
            found["nodes_treeids"].append(number)
            for name, value in zip(names, node):
                found[f"nodes_{name}"].append(value)
        for leaf in np.flatnonzero(tree.covariate == LEAF).tolist():
            for name, value in zip(("treeids", "nodeids", "ids", "weights"), (number, leaf, tree.output, float(tree.value[leaf]))):
                found[f"target_{name}"].append(value)
    return found


Fields = tuple[int, int, str, float, int, int, int]  # id, covariate, mode, value, where to if true, if false, whether if missing


def _nodes(forest: Forest, tree: Tree) -> list[Fields]:
    found: list[Fields] = []
    more = len(tree.covariate)  # numbers of the nodes of chains
    for node, covariate in enumerate(tree.covariate.tolist()):
        left, missing_left = int(tree.child[node]), int(tree.missing_left[node])
        if covariate == LEAF:
            found.append((node, 0, "LEAF", 0.0, 0, 0, 0))
        elif not forest.categorical[covariate]:
            found.append((node, covariate, "BRANCH_LT", float(tree.threshold[node]), left, left + 1, missing_left))
        else:
            chain = _chain(tree, node, len(forest.levels[covariate]))
            hit, other = (left + 1, left) if missing_left else (left, left + 1)
            numbers = [node, *range(more, more + len(chain) - 1)]
            more += len(chain) - 1
            for place, (number, level) in enumerate(zip(numbers, chain)):
                after = numbers[place + 1] if place + 1 < len(numbers) else other
                found.append((number, covariate, "BRANCH_EQ", float(level), hit, after, 0))
    return found


def _chain(tree: Tree, node: int, levels: int) -> list[int]:
    """The levels that do not go the way of the missing, asked for one by one: all else goes that way."""
    goes = np.unpackbits(tree.left[node], bitorder="little")[:levels]
    return np.flatnonzero(goes != tree.missing_left[node]).tolist() or [levels]


def _nothing(output: int) -> Tree:
    """A tree of one leaf that adds 0: an output without a tree would lose its base."""
    whole, half = np.zeros(1, np.int32), np.zeros(1, np.float32)
    return Tree(output, whole - 1, whole, half, np.zeros(1, np.uint8), whole, half, half, np.zeros((1, 32), np.uint8))
