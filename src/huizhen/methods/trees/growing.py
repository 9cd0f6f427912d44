"""Growing trees, one for each output, level by level, from joint histograms.

In each round the sites are asked for the histograms of the smaller child of each split; its sibling's is the parent's less it,
exactly, because the sums are whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from huizhen.methods.trees.binning import Binning
from huizhen.methods.trees.forest import LEAF, SET_BYTES, Tree, trees_facts
from huizhen.methods.trees.split import PLAIN, WEIGHTED, Histogram, Node, Rules, Split, best_splits, weight
from huizhen.privacy.release import Question, Total

__all__ = ["Shape", "grow_trees"]

MOST_CELLS = 1 << 20  # of a histogram in one question: 24 MB for each site


@dataclass(frozen=True, slots=True)
class Shape:
    """How far trees grow.

    Attributes:
        depth: splits from the root to a leaf at most.
        learning_rate: by which the weight of a leaf is multiplied.
    """

    depth: int
    learning_rate: float


@dataclass(slots=True)
class _Growing:
    """A tree in the making: nodes in order, each with its sums, its histogram while it may be split, and its split."""

    output: int
    nodes: list[Node]
    splits: dict[int, Split] = field(default_factory=dict)
    children: dict[int, int] = field(default_factory=dict)
    histograms: dict[int, Histogram] = field(default_factory=dict)

    def split(self, node: int, split: Split) -> None:
        self.splits[node], self.children[node] = split, len(self.nodes)
        self.nodes += [split.left, split.right]

    def tree(self, binning: Binning, rules: Rules, learning_rate: float) -> Tree:
        count = len(self.nodes)
        tree = Tree(
            self.output,
            np.full(count, LEAF, np.int32),
            np.zeros(count, np.int32),
            np.zeros(count, np.float32),
            np.zeros(count, np.uint8),
            np.zeros(count, np.int32),
            np.zeros(count, np.float32),
            np.zeros(count, np.float32),
            np.zeros((count, SET_BYTES), np.uint8),
        )
        for node, sums in enumerate(self.nodes):
            split = self.splits.get(node)
            if split is None:
                tree.value[node] = learning_rate * weight(sums, rules)
                continue
            tree.covariate[node], tree.cut[node], tree.missing_left[node] = split.covariate, split.cut, split.missing_left
            tree.child[node], tree.gain[node], tree.left[node] = self.children[node], split.gain, split.levels
            cuts = binning.cuts[split.covariate]
            if not binning.categorical[split.covariate]:
                tree.threshold[node] = cuts[split.cut - 1] if split.cut <= len(cuts) else np.finfo(np.float32).max
        return tree


Asking = Callable[[int, Mapping[str, Any], Any], Question]  # level, growing trees, wanted: int32 (wanted, 2)


def grow_trees(
    asking: Asking, enough: Callable[[Total], bool], outputs: int, binning: Binning, rules: Rules, shape: Shape
) -> Generator[Question, Total, tuple[Tree, ...]]:
    """One tree for each output; none where the first round's total, with the loss before these trees, is `enough`."""
    trees = [_Growing(output, [Node((0, 0, 0))]) for output in range(outputs)]
    open_: list[tuple[int, int]] = [(output, 0) for output in range(outputs)]
    wanted = open_
    siblings: dict[tuple[int, int], tuple[int, int]] = {}
    for level in range(shape.depth):
        growing = trees_facts([each.tree(binning, rules, 0.0) for each in trees])
        at_once = max(1, MOST_CELLS // int(binning.offsets[-1]))
        for start in range(0, len(wanted), at_once):
            some = wanted[start : start + at_once]
            total = yield asking(level if start == 0 else max(level, 1), growing, np.array(some, np.int32))
            if level == 0 and start == 0 and enough(total):
                return ()
            for place, (output, node) in enumerate(some):
                names = WEIGHTED if "weights" in total.sums else PLAIN
                trees[output].histograms[node] = Histogram(np.stack([total.sums[name][place] for name in names]))
        for (output, node), (parent, smaller) in siblings.items():
            tree = trees[output]
            tree.histograms[node] = tree.histograms.pop(parent) - tree.histograms[smaller]
        if level == 0:
            _fill_roots(trees, binning)
        open_ = _split_nodes(trees, open_, binning, rules)
        open_, wanted, siblings = _next(trees, open_, rules)
        if not wanted:
            break
    return tuple(each.tree(binning, rules, shape.learning_rate) for each in trees)


def _fill_roots(trees: list[_Growing], binning: Binning) -> None:
    """The roots' sums: every row is in one bin of the first covariate."""
    bins = slice(0, int(binning.offsets[1]))
    for tree in trees:
        tree.nodes[0] = Node(tuple(tree.histograms[0].sums[:, bins].sum(axis=1).tolist()))


def _split_nodes(trees: list[_Growing], open_: list[tuple[int, int]], binning: Binning, rules: Rules) -> list[tuple[int, int]]:
    """Splits what can be split; the nodes that were."""
    histograms = [trees[output].histograms[node] for output, node in open_]
    splits = best_splits(binning, histograms, [trees[output].nodes[node] for output, node in open_], rules)
    done = []
    for (output, node), split in zip(open_, splits):
        if split is not None:
            trees[output].split(node, split)
            done.append((output, node))
        else:
            del trees[output].histograms[node]
    return done


def _next(
    trees: list[_Growing], parents: list[tuple[int, int]], rules: Rules
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], dict[tuple[int, int], tuple[int, int]]]:
    """The children that may be split, those to ask for, and for each of their siblings its parent and the one asked for."""
    open_, wanted, siblings = [], [], {}
    for output, parent in parents:
        tree, left = trees[output], trees[output].children[parent]
        may = [child for child in (left, left + 1) if _may_split(tree.nodes[child], rules)]
        if not may:
            continue
        smaller = left if tree.nodes[left].rows <= tree.nodes[left + 1].rows else left + 1
        wanted.append((output, smaller))
        open_ += [(output, child) for child in may]
        other = 2 * left + 1 - smaller
        if other in may:
            siblings[output, other] = (parent, smaller)
    return open_, wanted, siblings


def _may_split(node: Node, rules: Rules) -> bool:
    least = 2 * rules.min_child_weight * 2.0**rules.hessian_scale
    return node.rows >= 2 * rules.min_rows and node.hessian >= least
