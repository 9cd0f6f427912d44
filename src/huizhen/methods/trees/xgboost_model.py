"""A forest as XGBoost writes its models, in JSON.

    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(to_xgboost_json(forest)), "utf-8"))

A category is its code (the place of its level in `Forest.levels`), as `forest.inputs` gives it. XGBoost adds up in float32, so its
margins agree to about 1e-6. Format: XGBoost's model schema, version 2.1; newer releases read it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from huizhen.methods.trees.forest import LEAF, SET_BYTES, Forest, Tree

__all__ = ["to_xgboost_json"]

OBJECTIVES: dict[str, dict[str, Any]] = {
    "binary": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    "multiclass": {"name": "multi:softprob"},
    "regression": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
    "cox": {"name": "survival:cox"},
}
# A base score of which XGBoost makes the margin 0; where margins begin stands in last trees of one leaf each.
NEUTRAL = {"binary": "5E-1", "multiclass": "0E0", "regression": "0E0", "cox": "1E0"}


def to_xgboost_json(forest: Forest) -> dict[str, Any]:
    """The model as XGBoost reads it; write it with `json.dumps`."""
    outputs, task = len(forest.base), forest.aim.task
    grown = len(forest.trees)
    trees = [_tree(forest, tree, place) for place, tree in enumerate(forest.trees)]
    # Last, for float32 rounds a small number that is added to a large one.
    trees += [_constant(value, len(forest.names), grown + place) for place, value in enumerate(forest.base.tolist())]
    model = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
        "iteration_indptr": list(range(0, len(trees) + 1, outputs)),
        "tree_info": [*(tree.output for tree in forest.trees), *range(outputs)],
        "trees": trees,
    }
    objective = dict(OBJECTIVES[task])
    if task == "multiclass":
        objective["softmax_multiclass_param"] = {"num_class": str(outputs)}
    return {
        "learner": {
            "attributes": {},
            "feature_names": list(forest.names),
            "feature_types": ["c" if category else "float" for category in forest.categorical],
            "gradient_booster": {"model": model, "name": "gbtree"},
            "learner_model_param": {
                "base_score": NEUTRAL[task],
                "boost_from_average": "0",
                "num_class": str(outputs if task == "multiclass" else 0),
                "num_feature": str(len(forest.names)),
                "num_target": "1",
            },
            "objective": objective,
        },
        "version": [2, 1, 0],
    }


def _tree(forest: Forest, tree: Tree, number: int) -> dict[str, Any]:
    count, inner = len(tree.covariate), tree.covariate != LEAF
    parents = np.full(count, 2**31 - 1, np.int64)
    for side in (0, 1):
        parents[tree.child[inner] + side] = np.flatnonzero(inner)
    by_level = inner & np.array([*forest.categorical, False])[tree.covariate]
    sets = [_right(tree, node, len(forest.levels[tree.covariate[node]])) for node in np.flatnonzero(by_level).tolist()]
    sizes = [len(each) for each in sets]
    return {
        "base_weights": tree.value.tolist(),
        "categories": [level for each in sets for level in each],
        "categories_nodes": np.flatnonzero(by_level).tolist(),
        "categories_segments": (np.cumsum([0, *sizes])[:-1]).tolist(),
        "categories_sizes": sizes,
        "default_left": tree.missing_left.astype(int).tolist(),
        "id": number,
        "left_children": np.where(inner, tree.child, -1).tolist(),
        "loss_changes": tree.gain.tolist(),
        "parents": parents.tolist(),
        "right_children": np.where(inner, tree.child + 1, -1).tolist(),
        "split_conditions": np.where(inner, tree.threshold, tree.value).tolist(),
        "split_indices": np.where(inner, tree.covariate, 0).tolist(),
        "split_type": by_level.astype(int).tolist(),
        "sum_hessian": [0.0] * count,  # how much stands behind a leaf stays with the sites
        "tree_param": _tree_param(count, len(forest.names)),
    }


def _right(tree: Tree, node: int, levels: int) -> list[int]:
    """XGBoost's set: the levels that go right; one that no row has where all go left, for a set may not be empty."""
    goes = np.unpackbits(tree.left[node], bitorder="little")
    return np.flatnonzero(goes[:levels] == 0).tolist() or [min(levels, 8 * SET_BYTES - 1)]


def _constant(value: float, covariates: int, number: int) -> dict[str, Any]:
    single: dict[str, Any] = {
        "base_weights": [value], "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [],
        "default_left": [0], "left_children": [-1], "loss_changes": [0.0], "parents": [2**31 - 1], "right_children": [-1],
        "split_conditions": [value], "split_indices": [0], "split_type": [0], "sum_hessian": [0.0],
    }  # fmt: skip
    return {**single, "id": number, "tree_param": _tree_param(1, covariates)}


def _tree_param(nodes: int, covariates: int) -> dict[str, str]:
    return {"num_deleted": "0", "num_feature": str(covariates), "num_nodes": str(nodes), "size_leaf_vector": "1"}
