"""A forest: what boosting has learned, and what it says about new rows.

Thresholds and leaf values are float32 numbers, as in XGBoost and ONNX, so that a row goes the same way everywhere. No number of
rows stands in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.methods.description.levels import locate
from huizhen.methods.scores.aim import Aim
from huizhen.methods.trees.objective import probabilities

__all__ = [
    "LEAF",
    "SET_BYTES",
    "Forest",
    "Tree",
    "goes_left",
    "inputs",
    "leaf_values",
    "margins",
    "predict",
    "trees_facts",
    "trees_from",
]

LEAF = -1  # in place of a covariate
SET_BYTES = 32  # a bit for each of 256 levels


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; nodes in the order in which they were made, the root first.

    Attributes:
        output: to which output its leaves add.
        covariate: int32 (node,), LEAF where there is no split.
        cut: int32 (node,): bins below it go left; 0 for categories and leaves.
        threshold: float32 (node,): values below it go left; 0 for categories and leaves.
        missing_left: uint8 (node,): where the missing, and levels that the split does not know, go.
        child: int32 (node,): the left child; the right one follows it.
        value: float32 (node,): what a leaf adds; 0 elsewhere.
        gain: float32 (node,): how much the split lowered the loss, twice; 0 for leaves.
        left: uint8 (node, 32): for a split by a category, a bit for each level that goes left.
    """

    output: int
    covariate: NDArray[np.int32]
    cut: NDArray[np.int32]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.uint8]
    child: NDArray[np.int32]
    value: NDArray[np.float32]
    gain: NDArray[np.float32]
    left: NDArray[np.uint8]


NODE_FIELDS = ("covariate", "cut", "threshold", "missing_left", "child", "value", "gain", "left")


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees, and what they read and mean.

    Attributes:
        names: the covariates.
        levels: of each that is a category, its levels; () for a number.
        categorical: which are categories.
        aim: what is predicted.
        base: margins before the first tree, float64 (output,).
        trees: in the order in which they were grown.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    categorical: tuple[bool, ...]
    aim: Aim
    base: NDArray[np.float64]
    trees: tuple[Tree, ...] = field(default=())

    def facts(self) -> dict[str, Any]:
        """As canonical values: arrays over the nodes of all trees."""
        return {
            "names": list(self.names),
            "levels": [list(levels) for levels in self.levels],
            "categorical": list(self.categorical),
            "aim": self.aim.facts(),
            "base": self.base,
            **trees_facts(self.trees),
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Forest:
        """The forest behind `facts`."""
        return cls(
            tuple(facts["names"]),
            tuple(tuple(levels) for levels in facts["levels"]),
            tuple(bool(each) for each in facts["categorical"]),
            Aim.from_facts(facts["aim"]),
            np.asarray(facts["base"], np.float64),
            trees_from(facts),
        )


def trees_facts(trees: Sequence[Tree]) -> dict[str, Any]:
    """Trees as arrays over all their nodes; sets of levels of the nodes that have one."""
    facts: dict[str, Any] = {
        "outputs": np.array([tree.output for tree in trees], np.int32),
        "nodes": np.array([len(tree.covariate) for tree in trees], np.int32),
    }
    for name in NODE_FIELDS:
        parts = [getattr(tree, name) for tree in trees]
        facts[name] = np.concatenate(parts) if parts else np.zeros((0, SET_BYTES) if name == "left" else 0, _DTYPES[name])
    sets = facts.pop("left")
    having = np.flatnonzero(sets.any(axis=1))
    return {**facts, "having": having.astype(np.int32), "sets": sets[having]}


def trees_from(facts: Mapping[str, Any], first: int = 0) -> tuple[Tree, ...]:
    """The trees behind `facts`, from number `first` on."""
    ends = np.cumsum(np.asarray(facts["nodes"])).tolist()
    start = ends[first - 1] if first else 0
    left = np.zeros(((ends[-1] if ends else 0) - start, SET_BYTES), np.uint8)
    having = np.asarray(facts["having"])
    chosen = having >= start
    left[having[chosen] - start] = np.asarray(facts["sets"]).reshape(-1, SET_BYTES)[chosen]
    arrays = {name: left if name == "left" else np.asarray(facts[name])[start:] for name in NODE_FIELDS}
    found, low = [], 0
    for output, end in zip(np.asarray(facts["outputs"])[first:].tolist(), ends[first:]):
        found.append(Tree(output, **{name: array[low : end - start] for name, array in arrays.items()}))
        low = end - start
    return tuple(found)


_DTYPES: Mapping[str, Any] = {
    "covariate": np.int32, "cut": np.int32, "threshold": np.float32, "missing_left": np.uint8,
    "child": np.int32, "value": np.float32, "gain": np.float32, "left": np.uint8,
}  # fmt: skip


def goes_left(tree: Tree, node: int, missing: int) -> NDArray[np.uint8]:
    """1 at the bins that go left, uint8 (256,).

    Args:
        missing: the bin of the missing.
    """
    if tree.left[node].any():
        table = np.unpackbits(tree.left[node], bitorder="little")
    else:
        table = (np.arange(8 * SET_BYTES) < tree.cut[node]).astype(np.uint8)
    table[missing] = tree.missing_left[node]
    return table


def leaf_values(tree: Tree, codes: NDArray[np.uint8], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a tree adds to rows of bins, float64 (row,).

    Args:
        codes: uint8 (row, covariate or more).
        sizes: bins of values of each covariate; the next is that of the missing.
    """
    tables = np.zeros((len(tree.covariate), 8 * SET_BYTES), np.uint8)
    for node in np.flatnonzero(tree.covariate != LEAF).tolist():
        tables[node] = goes_left(tree, node, int(sizes[tree.covariate[node]]))
    node_of = np.zeros(len(codes), np.int32)
    walking = np.flatnonzero(tree.covariate[node_of] != LEAF)
    while len(walking):
        at = node_of[walking]
        node_of[walking] = tree.child[at] + 1 - tables[at, codes[walking, tree.covariate[at]]]
        walking = walking[tree.covariate[node_of[walking]] != LEAF]
    return tree.value[node_of].astype(np.float64)


def margins(forest: Forest, examples: Examples) -> NDArray[np.float64]:
    """Sums of leaf values, raw as `Aim.outputs` says: float64 (row, output)."""
    found = np.empty((examples.rows, len(forest.base)))
    for rows in chunks(examples.rows):
        numbers = inputs(forest, examples, rows)
        here = np.tile(forest.base, (numbers.shape[0], 1))
        for tree in forest.trees:
            here[:, tree.output] += tree.value[_leaves(forest, tree, numbers)]
        found[rows] = here
    return found


def predict(forest: Forest, examples: Examples) -> NDArray[np.float64]:
    """Probability of the positive level, (row,), or of each class, (row, class); mean, (row,); hazard ratio, (row,): float64."""
    found = probabilities(forest.aim.task, margins(forest, examples).T).T
    return found if forest.aim.task == "multiclass" else np.ascontiguousarray(found[:, 0])


def inputs(forest: Forest, examples: Examples, rows: slice) -> NDArray[np.float32]:
    """What the forest, and its exports, take: numbers, and codes of levels from 0, float32 (row, covariate).

    Not a number where a value is missing, or a level is none of the forest's.
    """
    read = np.empty((rows.stop - rows.start, len(forest.names)), np.float32)
    for place, (name, levels, category) in enumerate(zip(forest.names, forest.levels, forest.categorical)):
        if category:
            codes = locate(examples, name, levels)(rows)
            read[:, place] = np.where(codes < 0, np.nan, codes)
        else:
            with np.errstate(over="ignore"):
                read[:, place] = examples.number(name)[rows]
    return read


def _leaves(forest: Forest, tree: Tree, numbers: NDArray[np.float32]) -> NDArray[np.int32]:
    """The leaf that each row comes to, int32 (row,)."""
    node = np.zeros(len(numbers), np.int32)
    category = np.array([*forest.categorical, False])
    walking = np.flatnonzero(tree.covariate[node] != LEAF)
    while len(walking):
        at = node[walking]
        covariate = tree.covariate[at]
        value = numbers[walking, covariate]
        goes = value < tree.threshold[at]
        by_level = category[covariate]
        if by_level.any():
            code = np.nan_to_num(value[by_level]).astype(np.int64)
            goes[by_level] = (tree.left[at[by_level], code >> 3] >> (code & 7).astype(np.uint8)) & 1
        goes = np.where(np.isnan(value), tree.missing_left[at] == 1, goes)
        node[walking] = tree.child[at] + np.where(goes, 0, 1)
        walking = walking[tree.covariate[node[walking]] != LEAF]
    return node
