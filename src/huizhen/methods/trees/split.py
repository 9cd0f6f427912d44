"""Where nodes are best split, from joint histograms: pure, over arrays of nodes.

The gain is that of XGBoost (T. Chen and C. Guestrin, KDD 2016, equation 7, times two and without gamma): score of the left child
plus score of the right one less that of the node, score = G**2 / (H + l2). The missing go to the side that is better; a few of
them, and levels that a few rows of a node have, go with most. Levels of a category are put in order of G / (H + l2), and cut as
numbers are: no other partition of them is better (W. D. Fisher, JASA 53 (1958) 789).
Ties go to the first covariate, then the lowest cut, then the missing on the right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.trees.binning import Binning
from huizhen.methods.trees.forest import SET_BYTES

__all__ = ["PLAIN", "WEIGHTED", "Histogram", "Node", "Rules", "Split", "best_splits", "weight"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
GREATEST = float(np.finfo(np.float32).max)
LEAST_GAIN = 1e-6  # a split gains more than this, as in XGBoost
AT_ONCE = 4  # nodes worked on at once: a dozen arrays of their bins stay within the second-level cache


@dataclass(frozen=True, slots=True)
class Rules:
    """What a split must satisfy.

    Attributes:
        l2: lambda, added to a leaf's hessian.
        min_gain: the least gain.
        min_child_weight: the least sum of hessians of a child.
        min_rows: the least rows of a child.
        monotone: +1, -1 or 0 for each covariate, int64 (covariate,).
        gradient_scale, hessian_scale: the whole numbers of a histogram are sums times 2 to these.
        few: fewer rows than this are a few: nothing is decided by them alone.
        weight_scale, squared_scale: of sums of weights and of their squares.
    """

    l2: float
    min_gain: float
    min_child_weight: float
    min_rows: int
    monotone: Integers
    gradient_scale: int
    hessian_scale: int
    few: int = 1
    weight_scale: int = 0
    squared_scale: int = 0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Joint sums of one node by bin.

    Attributes:
        sums: int64 (3 or 5, bin of all covariates): gradients, hessians, rows; with weights, also those and their squares.
    """

    sums: Integers

    def __sub__(self, other: Histogram) -> Histogram:
        return Histogram(self.sums - other.sums)


@dataclass(frozen=True, slots=True)
class Node:
    """Joint sums of one node, and the limits that monotone covariates above it set to its weight.

    Attributes:
        sums: as of a histogram, over its bins.
        low, high: its limits.
    """

    sums: tuple[int, ...]
    low: float = -np.inf
    high: float = np.inf

    @property
    def gradient(self) -> int:
        return self.sums[0]

    @property
    def hessian(self) -> int:
        return self.sums[1]

    @property
    def rows(self) -> int:
        return self.sums[2]


@dataclass(frozen=True, slots=True)
class Split:
    """A node's best split.

    Attributes:
        gain: how much it lowers twice the loss.
        covariate, cut: values of the covariate in bins below the cut go left.
        missing_left: whether the missing do.
        left: the left child's sums; right: the right one's.
        levels: for a category, a bit for each level that goes left, uint8 (32,); else all 0.
    """

    gain: float
    covariate: int
    cut: int
    missing_left: bool
    left: Node
    right: Node
    levels: NDArray[np.uint8]


PLAIN = ("gradients", "hessians", "rows")
WEIGHTED = (*PLAIN, "weights", "squares")
NO_LEVELS = np.zeros(SET_BYTES, np.uint8)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The best of some splits for each node; arrays (node,), sums (3 or 5, node) as of a histogram."""

    gain: Floats
    place: Integers
    sums: Integers


def best_splits(binning: Binning, histograms: Sequence[Histogram], nodes: Sequence[Node], rules: Rules) -> list[Split | None]:
    """The best split of each node; None where none is allowed."""
    found: list[Split | None] = []
    for first in range(0, len(nodes), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        found += _best(binning, histograms[some], nodes[some], rules)
    return found


def weight(node: Node, rules: Rules) -> float:
    """What the node's rows would add as a leaf, before the learning rate: -G / (H + l2), within the node's limits."""
    hessian = node.hessian * 2.0**-rules.hessian_scale + rules.l2
    plain = -node.gradient * 2.0**-rules.gradient_scale / hessian if hessian > 0 else 0.0
    return min(max(plain, node.low), node.high)


def _best(binning: Binning, histograms: Sequence[Histogram], nodes: Sequence[Node], rules: Rules) -> list[Split | None]:
    sums = np.stack([each.sums for each in histograms], axis=1)
    best: list[Split | None] = [None] * len(nodes)
    for split in (*_numbers(binning, sums, nodes, rules), *_categories(binning, sums, nodes, rules)):
        for place, one in enumerate(split):
            known = best[place]
            if one is not None and (known is None or _order(one) < _order(known)):
                best[place] = one
    return [_limited(split, node, rules) for split, node in zip(best, nodes)]


def _order(split: Split) -> tuple[float, int, int, bool]:
    return -split.gain, split.covariate, split.cut, split.missing_left


def _numbers(binning: Binning, sums: Integers, nodes: Sequence[Node], rules: Rules) -> Iterator[list[Split | None]]:
    """Best splits by a number, with the missing on the right, then on the left."""
    numeric = [place for place, category in enumerate(binning.categorical) if not category]
    if not numeric:
        return
    columns, of, cut = _value_bins(binning, numeric)
    upto = np.cumsum(sums, axis=2)
    before = np.concatenate([np.zeros((*sums.shape[:2], 1), np.int64), upto], axis=2)[:, :, binning.offsets[numeric]]
    right = np.take(upto, columns, axis=2)
    right -= np.repeat(before, binning.sizes[numeric], axis=2)
    yield _chosen(binning, right, sums, nodes, rules, of, cut, missing_left=False)
    missing = sums[:, :, binning.offsets[1:] - 1]
    with_missing = np.flatnonzero(missing[2].any(axis=0)[of])
    if len(with_missing):
        of, cut = of[with_missing], cut[with_missing]
        left = right[:, :, with_missing] + missing[:, :, of]
        yield _chosen(binning, left, sums, nodes, rules, of, cut, missing_left=True)


def _value_bins(binning: Binning, covariates: Sequence[int]) -> tuple[Integers, Integers, Integers]:
    """The bins of values of some covariates: place in a histogram, covariate, and the cut above it, each int64 (bin,)."""
    sizes = binning.sizes[covariates]
    of = np.repeat(np.asarray(covariates, np.int64), sizes)
    cut = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    return binning.offsets[of] + cut - 1, of, cut


def _chosen(
    binning: Binning,
    left: Integers,
    sums: Integers,
    nodes: Sequence[Node],
    rules: Rules,
    of: Integers,
    cut: Integers,
    *,
    missing_left: bool,
) -> list[Split | None]:
    missing = sums[2][:, binning.offsets[1:] - 1]
    rows = np.array([node.rows for node in nodes], np.int64)[:, None]
    way = _way_of_few(left[2], missing[:, of], rows, rules, missing_left=missing_left)
    best = _candidate(left, nodes, rules, rules.monotone[of] if rules.monotone.any() else None, way)
    found: list[Split | None] = []
    for place, node in enumerate(nodes):
        covariate, at = int(of[best.place[place]]), int(cut[best.place[place]])
        here = _split(float(best.gain[place]), covariate, at, missing_left, best.sums[:, place], node, NO_LEVELS)
        if here is not None and not missing[place, covariate]:
            # Nobody misses it here: who will, goes the way of most.
            here = _split(here.gain, covariate, at, here.left.rows >= here.right.rows, best.sums[:, place], node, NO_LEVELS)
        found.append(here)
    return found


def _categories(binning: Binning, sums: Integers, nodes: Sequence[Node], rules: Rules) -> Iterator[list[Split | None]]:
    """Best splits by each category, with the missing on the right, then on the left."""
    for covariate in np.flatnonzero(binning.categorical).tolist():
        start, size = int(binning.offsets[covariate]), int(binning.sizes[covariate])
        if not size:
            continue
        levels, missing = sums[:, :, start : start + size], sums[:, :, start + size]
        scarce = levels[2] < rules.few  # where a level of a few rows goes, would tell what they have
        missing = missing + (levels * scarce).sum(axis=2)
        levels = levels * ~scarce
        gradient, hessian = levels[0] * 2.0**-rules.gradient_scale, levels[1] * 2.0**-rules.hessian_scale
        with np.errstate(all="ignore"):
            ratio = np.where(levels[2] > 0, gradient / (hessian + rules.l2), np.inf)  # levels that nobody has stand last
        order = np.argsort(ratio, axis=1, kind="stable")
        right = np.cumsum(np.take_along_axis(levels, np.broadcast_to(order, levels.shape), axis=2), axis=2)
        sides = [(right, False)]
        if missing[2].any():
            sides.append((right + missing[:, :, None], True))
        for left, missing_left in sides:
            rows = np.array([node.rows for node in nodes], np.int64)[:, None]
            way = _way_of_few(left[2], missing[2][:, None], rows, rules, missing_left=missing_left)
            best = _candidate(left, nodes, rules, None, way)
            found: list[Split | None] = []
            for place, node in enumerate(nodes):
                total, default = best.sums[:, place], missing_left
                if not missing[2, place]:
                    default = bool(2 * total[2] >= node.rows)
                chosen = order[place, : int(best.place[place]) + 1]
                bits = _bits(chosen, np.flatnonzero(levels[2, place] == 0), default)
                found.append(_split(float(best.gain[place]), covariate, 0, default, total, node, bits))
            yield found


def _bits(left: NDArray[np.intp], nobody: NDArray[np.intp], default: bool) -> NDArray[np.uint8]:
    """A bit for each level that goes left; levels that no row of the node has, or a few, go where the missing go."""
    goes = np.zeros(8 * SET_BYTES, np.uint8)
    goes[left] = 1
    goes[nobody] = default
    return np.packbits(goes, bitorder="little")


def _way_of_few(left: Integers, missing: Integers, rows: Integers, rules: Rules, *, missing_left: bool) -> NDArray[np.bool_]:
    """Whether the missing may go this way: a few go where most of the others go, for the better side would tell what they have.

    Args:
        left: rows on the left, int64 (node, candidate); the missing among them if `missing_left`.
        missing, rows: of the node, broadcast to the same shape.
    """
    others = left - missing if missing_left else left
    most_left = 2 * others >= rows - missing
    return np.asarray((missing == 0) | (missing >= rules.few) | (most_left == missing_left))


def _candidate(
    left: Integers, nodes: Sequence[Node], rules: Rules, monotone: Integers | None, way: NDArray[np.bool_]
) -> _Candidate:
    """The best of all left sides, int64 (3 or 5, node, candidate), among those that the missing may go."""
    total = np.array([node.sums for node in nodes], np.int64).T[:, :, None]
    gradient, hessian = left[0] * 2.0**-rules.gradient_scale, left[1] * 2.0**-rules.hessian_scale
    whole_gradient, whole_hessian = total[0] * 2.0**-rules.gradient_scale, total[1] * 2.0**-rules.hessian_scale
    other_gradient, other_hessian = whole_gradient - gradient, whole_hessian - hessian
    allowed = way & (left[2] >= rules.min_rows) & (total[2] - left[2] >= rules.min_rows)
    allowed &= (hessian >= rules.min_child_weight) & (other_hessian >= rules.min_child_weight)
    if len(left) > len(PLAIN):
        allowed &= _balanced(left, rules) & _balanced(total - left, rules)
    with np.errstate(all="ignore"):
        if monotone is None and all(node.low == -np.inf and node.high == np.inf for node in nodes):
            gain = gradient * gradient / (hessian + rules.l2)
            gain += other_gradient * other_gradient / (other_hessian + rules.l2)
            gain -= whole_gradient**2 / (whole_hessian + rules.l2)
        else:
            low, high = (np.array([getattr(node, name) for node in nodes])[:, None] for name in ("low", "high"))
            gain = np.zeros_like(gradient)
            weights = []
            for sign, g, h in ((1, gradient, hessian), (1, other_gradient, other_hessian), (-1, whole_gradient, whole_hessian)):
                w = np.clip(-g / (h + rules.l2), low, high)
                gain -= sign * (2.0 * g * w + (h + rules.l2) * w * w)
                weights.append(w)
            if monotone is not None:
                allowed &= monotone * (weights[1] - weights[0]) >= 0
    gain[~(allowed & (gain < GREATEST))] = -np.inf  # a forest is written in float32
    place = np.argmax(gain, axis=1)
    rows = np.arange(len(nodes))
    best = gain[rows, place]
    best[~(best > max(LEAST_GAIN, rules.min_gain))] = -np.inf
    return _Candidate(best, place, left[:, rows, place])


def _balanced(sums: Integers, rules: Rules) -> NDArray[np.bool_]:
    """Whether weights are not those of a few rows that outweigh the others, by Kish's effective number (1965, section 8.2)."""
    once, squared = sums[3] * 2.0**-rules.weight_scale, sums[4] * 2.0**-rules.squared_scale
    return np.asarray(once * once >= rules.few * squared * (1 - 1e-9))  # equal weights are rounded too


def _split(
    gain: float, covariate: int, cut: int, missing_left: bool, sums: Integers, node: Node, levels: NDArray[np.uint8]
) -> Split | None:
    if gain == -np.inf:
        return None
    left = Node(tuple(sums.tolist()), node.low, node.high)
    right = Node(tuple(whole - part for whole, part in zip(node.sums, left.sums)), node.low, node.high)
    return Split(gain, covariate, cut, missing_left, left, right, levels)


def _limited(split: Split | None, node: Node, rules: Rules) -> Split | None:
    """The split with the limits that a monotone covariate sets to the weights below it, as in XGBoost: half way between the two."""
    if split is None or not rules.monotone[split.covariate]:
        return split
    middle = (weight(split.left, rules) + weight(split.right, rules)) / 2
    rises = rules.monotone[split.covariate] > 0
    left, right = split.left, split.right
    low = Node(left.sums, *((node.low, middle) if rises else (middle, node.high)))
    high = Node(right.sums, *((middle, node.high) if rises else (node.low, middle)))
    return Split(split.gain, split.covariate, split.cut, split.missing_left, low, high, split.levels)
