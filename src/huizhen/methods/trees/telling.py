"""What a reader is told of a forest besides how good it is: how it was learnt, and what it splits by."""

from __future__ import annotations

import numpy as np

from huizhen.data.folds import FOLD_NAMES, TRAINING, VALIDATION
from huizhen.methods.trees.forest import LEAF, Forest
from huizhen.methods.trees.growth import Growth
from huizhen.privacy.result import Table

__all__ = ["importance_table", "learning_table"]


def learning_table(growth: Growth) -> Table:
    """Loss by number of trees, from none on."""
    folds = [fold for fold in (TRAINING, VALIDATION) if growth.agreed["rows"][fold]]
    columns = {f"{FOLD_NAMES[fold]}_loss": tuple(each[fold] for each in growth.losses) for fold in folds}
    caption = "Mean loss after so many trees."
    # Where counts are rounded the loss of the first margins would give back how many patients had the outcome.
    return Table({"tree": tuple(range(len(growth.losses))), **columns}, "tree", caption, reveals=tuple(columns))


def importance_table(forest: Forest) -> Table:
    """Gain and number of splits of each covariate that splits, the greatest gain first."""
    gain, splits = np.zeros(len(forest.names)), np.zeros(len(forest.names), np.int64)
    for tree in forest.trees:
        inner = tree.covariate != LEAF
        np.add.at(gain, tree.covariate[inner], tree.gain[inner].astype(np.float64))
        np.add.at(splits, tree.covariate[inner], 1)
    order = [place for place in np.argsort(-gain, kind="stable").tolist() if splits[place]]
    columns = {
        "covariate": tuple(forest.names[place] for place in order),
        "gain": tuple(gain[order].tolist()),
        "share_of_gain": tuple((gain[order] / max(gain.sum(), 1e-300)).tolist()),
        "splits": tuple(splits[order].tolist()),
    }
    return Table(columns, "covariate", "How much splits by each covariate lowered the loss.")
