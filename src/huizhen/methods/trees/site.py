"""A site's part in growing a forest: its rows as bins, the margin of each, and which node of the growing trees each has come to.

See `told` for how a site comes to know the forest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.data.folds import TRAINING
from huizhen.errors import DataError, Problem
from huizhen.methods.trees.binning import Binning
from huizhen.methods.trees.enough import weighings
from huizhen.methods.trees.fixedpoint import LIMIT, fixed
from huizhen.methods.trees.forest import LEAF, Tree, goes_left, leaf_values
from huizhen.methods.trees.kernels import kernels
from huizhen.methods.trees.lattice import SLOTS
from huizhen.methods.trees.objective import derivatives, losses
from huizhen.methods.trees.rows import FOLDS, Places, read_outcome, risk_of
from huizhen.methods.trees.split import PLAIN, WEIGHTED

__all__ = ["Grower"]

UNCOUNTED = 62  # a shift above all sums: no rows are packed beside them
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Grower:
    """One site's rows, as far as the forest has grown.

    Args:
        setting: what was agreed before the first tree: outcome, bins, scales.

    Attributes:
        trees: the forest that the margins are of; mark: its name.
        weighed: the mark of the forest that the rows were last weighed by.
    """

    def __init__(self, examples: Examples, setting: Mapping[str, Any]) -> None:
        self.setting = setting
        self.task: str = setting["aim"]["task"]
        self.binning = Binning.from_facts(setting["binning"])
        self.outcome = read_outcome(examples, setting)
        self.places = self._places(examples)
        self.columns = self.binning.encode(examples)
        covariates = len(self.columns)
        self.codes = np.zeros((examples.rows, -(-covariates // 8) * 8), np.uint8)
        for rows in chunks(examples.rows):
            self.codes[rows, :covariates] = self.columns[:, rows].T
        sizes = self.binning.sizes
        self.slots = np.concatenate([place * SLOTS + np.arange(size + 1) for place, size in enumerate(sizes.tolist())])
        self.training = np.flatnonzero(self.outcome.fold == TRAINING).astype(np.int32)
        self.others = np.flatnonzero(self.outcome.fold != TRAINING)
        base = np.asarray(setting["base"])
        self.pairs = np.zeros((len(base), examples.rows, 2), np.int64)
        self.weighings = None if self.outcome.weight is None else weighings(self.outcome.weight, setting["scales"])
        self.begin()

    def begin(self) -> None:
        """Goes back to the margins before the first tree."""
        base = np.asarray(self.setting["base"])
        self.trees: list[Tree] = []
        self.mark = self.weighed = ""
        self.margins = np.repeat(base[:, None], self.codes.shape[0], axis=1)
        self._from_the_root()

    def _from_the_root(self) -> None:
        self.order = [self.training.copy() for _ in self.margins]
        self.segments: list[dict[int, tuple[int, int]]] = [{0: (0, len(self.training))} for _ in self.margins]
        self.growing: tuple[Tree, ...] = ()

    def _places(self, examples: Examples) -> Places | None:
        if self.task != "cox":
            return None
        grid = self.setting["grid"]
        return Places.joint(self.outcome, grid) if grid else Places.own(self.outcome, examples, tuple(self.setting["strata"]))

    def learn(self, trees: Sequence[Tree]) -> None:
        """Adds the next trees of the forest to the margins; cheap where they are those that the rows were just brought through."""
        if trees and len(trees) == len(self.growing) and all(map(_continues, trees, self.growing)):
            for tree in trees:
                self._harvest(tree)
                self._add(tree, self.others)
        else:
            for tree in trees:
                self._add(tree, None)
        self.trees += trees
        if trees:
            self._from_the_root()

    def follow(self, growing: Sequence[Tree]) -> None:
        """Brings every row of training to its node of the growing trees."""
        if not (len(self.growing) in (0, len(growing)) and all(map(_continues, growing, self.growing))):
            self._from_the_root()
        for tree in growing:
            segments, order = self.segments[tree.output], self.order[tree.output]
            for node in range(len(tree.covariate)):
                child, covariate = int(tree.child[node]), int(tree.covariate[node])
                if covariate == LEAF or child in segments:
                    continue
                low, high = segments[node]
                table = goes_left(tree, node, int(self.binning.sizes[covariate]))
                middle = low + kernels().partition(self.columns[covariate], order[low:high], table)
                segments[child], segments[child + 1] = (low, middle), (middle, high)
        self.growing = tuple(growing)

    def _harvest(self, tree: Tree) -> None:
        """Adds a finished tree's values to the margins of the rows of training, which stand by node already."""
        segments, order = self.segments[tree.output], self.order[tree.output]
        margins = self.margins[tree.output]
        for node, (low, high) in list(segments.items()):
            child, covariate = int(tree.child[node]), int(tree.covariate[node])
            if covariate == LEAF:
                margins[order[low:high]] += float(tree.value[node])
            elif child not in segments:
                table = goes_left(tree, node, int(self.binning.sizes[covariate]))
                values = (float(tree.value[child]), float(tree.value[child + 1]))
                kernels().add_leaves(self.columns[covariate], order[low:high], table, values, margins)

    def _add(self, tree: Tree, chosen: NDArray[np.intp] | None) -> None:
        margins, sizes = self.margins[tree.output], self.binning.sizes
        for rows in chunks(len(margins) if chosen is None else len(chosen)):
            at = rows if chosen is None else chosen[rows]
            margins[at] += leaf_values(tree, self.codes[at], sizes)

    def weigh(self, hazard: Mapping[str, Any] | None, *, loss_scale: int, risk_scale: int) -> Integers:
        """Computes every row's gradient and hessian for the next trees; the loss so far by fold, int64 (fold,).

        Raises:
            DataError: sums that could pass what was agreed.
        """
        scales, first, second = self.setting["scales"], None, None
        total, magnitude = np.zeros(len(FOLDS), np.int64), 0
        if self.places is not None:
            first, second = self._hazard(hazard, risk_scale)
            total += self._own_log_risk(loss_scale, risk_scale)
        for rows in chunks(len(self.codes)):
            margins, target, fold = self.margins[:, rows], self.outcome.target[rows], self.outcome.fold[rows]
            weight = None if self.outcome.weight is None else self.outcome.weight[rows]
            gone = None
            if self.places is not None and first is not None and second is not None:
                gone = self.places.of_rows(first, second, rows)
            gradient, hessian = derivatives(self.task, margins, target, weight, gone)
            loss = losses(self.task, margins, target, gradient)
            if weight is not None:
                loss = loss * weight
                if self.task != "cox":
                    gradient, hessian = gradient * weight, hessian * weight
            learns = fold == TRAINING
            if not (everyone := learns.all()):
                gradient, hessian = gradient * learns, hessian * learns  # what is set aside may be far off any scale
            whole, one = (scales["gradient"], scales["hessian"]), 1 << scales["shift"]
            for output, pairs in enumerate(self.pairs[:, rows]):  # the gradient of a row that is set aside is 0 by now
                magnitude += kernels().settle(gradient[output], hessian[output], whole, one, pairs)
            if weight is not None:  # a row of weight 0 takes no part, so it is none of those that a leaf must hold
                self.pairs[:, rows, 1] -= (weight == 0) * one
            lost = fixed(loss, loss_scale)
            total += lost.sum() * (np.arange(len(FOLDS)) == 0) if everyone else [lost[fold == one].sum() for one in FOLDS]
        if not magnitude < 1 << (LIMIT + 1):
            problem = Problem("the sum of gradients", "more than was agreed", "values as they were when the run began")
            raise DataError("The rows do not fit the scale that was agreed.", [problem])
        return total

    def risk(self, scale: int) -> Integers:
        """Sums of relative hazards by fold and place, int64 (fold, place)."""
        assert self.places is not None
        whole = risk_of(self.margins[0], self.outcome.weight, scale)
        return np.stack([self.places.sums(whole, self.outcome.fold == fold) for fold in FOLDS])

    def died(self, scale: int) -> Integers:
        """Sums of the weights of events by fold and place, int64 (fold, place)."""
        assert self.places is not None
        whole = fixed(self.outcome.target * self.outcome.weights(), scale)
        return np.stack([self.places.sums(whole, self.outcome.fold == fold) for fold in FOLDS])

    def _hazard(self, joint: Mapping[str, Any] | None, scale: int) -> tuple[Floats, Floats]:
        if joint is not None:
            return np.asarray(joint["first"]), np.asarray(joint["second"])
        assert self.places is not None
        events, risk = self._own(TRAINING, scale)
        return self.places.hazard(events, risk)

    def _own(self, fold: int, scale: int) -> tuple[Floats, Floats]:
        """Weight of the events at each of the site's own event times, and of the risk set there."""
        assert self.places is not None
        chosen = self.outcome.fold == fold
        whole = risk_of(self.margins[0], self.outcome.weight, scale)
        died = fixed(self.outcome.target * self.outcome.weights(), scale)
        risk = self.places.at_risk(self.places.sums(whole, chosen)) * 2.0**-scale
        return np.asarray(self.places.sums(died, chosen) * 2.0**-scale), np.asarray(risk)

    def _own_log_risk(self, loss_scale: int, scale: int) -> Integers:
        """What the risk sets of the site's own strata add to the loss, by fold; nothing where risk sets are joint."""
        if self.setting["grid"]:
            return np.zeros(len(FOLDS), np.int64)
        found = []
        for fold in FOLDS:
            events, risk = self._own(fold, scale)
            died = events > 0
            found.append(int(fixed(events[died] * np.log(risk[died]), loss_scale).sum()))
        return np.array(found, np.int64)

    def histograms(self, wanted: NDArray[np.int32]) -> dict[str, Integers]:
        """Sums of gradients and hessians and numbers of rows by bin, of some nodes; with weights, also of those and their squares.

        Args:
            wanted: int32 (wanted, 2): output, node.

        Returns:
            By the names of `split.WEIGHTED`, int64 (wanted, bin) each.
        """
        shift = self.setting["scales"]["shift"]
        found = dict(zip(PLAIN, self._sums(wanted, self.pairs, shift)))
        if self.weighings is not None:
            found |= zip(WEIGHTED[len(PLAIN) :], self._sums(wanted, [self.weighings] * len(self.pairs), UNCOUNTED))
        return found

    def _sums(self, wanted: NDArray[np.int32], pairs: Sequence[Integers] | Integers, shift: int) -> tuple[Integers, ...]:
        shape = (len(wanted), len(self.slots))
        found = (np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.int64))
        for place, (output, node) in enumerate(wanted.tolist()):
            low, high = self.segments[output][node]
            out = (found[0][place], found[1][place], found[2][place])
            kernels().histogram(self.codes, self.order[output][low:high], pairs[output], shift, self.slots, out)
        return found


def _continues(tree: Tree, earlier: Tree) -> bool:
    """Whether every split of the earlier tree is one of the tree."""
    if tree.output != earlier.output or len(tree.covariate) < len(earlier.covariate):
        return False
    split = np.flatnonzero(earlier.covariate != LEAF)
    names = ("covariate", "cut", "missing_left", "child", "left")
    return all(np.array_equal(getattr(tree, name)[split], getattr(earlier, name)[split]) for name in names)
