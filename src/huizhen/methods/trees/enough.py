"""Whether enough patients stand behind everything that learning and its losses say: in every fold, in every class, by weight.

Losses and measures of a fold are told with many digits; of a fold with two ill patients they tell that there are two.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from huizhen.data.folds import FOLD_NAMES, TEST, TRAINING, VALIDATION
from huizhen.errors import NotEstimable
from huizhen.methods.description.codes import refuse_codes, unlike
from huizhen.methods.scores.aim import Aim
from huizhen.methods.trees.rows import Outcome

__all__ = ["by_fold", "by_weight", "refuse_few", "refuse_heavy", "weighings"]

EVERY_FOLD = (TRAINING, VALIDATION, TEST)
Counts = NDArray[np.int64]


def kinds(aim: Aim, outcome: Outcome) -> list[NDArray[np.bool_]]:
    """The rows of each class; for Cox those with the event; for regression none."""
    if aim.task == "cox":
        return [outcome.target > 0]
    return [outcome.target == place for place in range(len(aim.levels))]


def by_fold(aim: Aim, outcome: Outcome) -> Counts:
    """At a site: rows that count, by fold; all, then those of each kind (regression: those that do not have each code).

    Returns:
        int64 (fold, 1 + kind).
    """
    found = []
    for fold in EVERY_FOLD:
        here = (outcome.fold == fold) & (outcome.weights() > 0)
        of_kinds = (
            unlike(outcome.target[here]) if aim.task == "regression" else [(here & kind).sum() for kind in kinds(aim, outcome)]
        )
        found.append([here.sum(), *of_kinds])
    return np.array(found, np.int64)


def weighings(weight: NDArray[np.float64], scales: Mapping[str, int]) -> Counts:
    """At a site: weights and their squares as whole numbers, int64 (row, 2), so that no rounding hides how unequal they are.

    Args:
        scales: ``weight`` and ``squared``.
    """
    once = np.floor(weight * 2.0 ** scales["weight"])
    return np.stack([once, np.ceil(np.square(weight) * 2.0 ** scales["squared"])], axis=1).astype(np.int64)


def by_weight(aim: Aim, outcome: Outcome, scales: Mapping[str, int]) -> Counts:
    """At a site: sums of `weighings` over the rows of each fold, then over those of each kind.

    Returns:
        int64 (fold, 1 + kind, 2).
    """
    rows = weighings(outcome.weights(), scales)
    every = [np.ones(len(rows), bool), *kinds(aim, outcome)]
    return np.array([[rows[(outcome.fold == fold) & kind].sum(axis=0) for kind in every] for fold in EVERY_FOLD], np.int64)


def refuse_few(aim: Aim, counted: Counts, least: int) -> None:
    """Refuses folds of which some kind of row is there only 1 to `least` - 1 times.

    Args:
        counted: joint `by_fold`.

    Raises:
        NotEstimable: there is one; or all outcomes are two codes, which is a classification.
    """
    if aim.task == "regression":
        refuse_codes(aim.outcome[0], counted, least)
        return
    for fold, rows in enumerate(counted):
        if 0 < rows[0] < least:
            raise NotEstimable(f"fewer than {least} rows are for {FOLD_NAMES[fold]}: expected more; change validation or test")
        if not ((rows > 0) & (rows < least)).any():
            continue
        if aim.task == "cox":
            raise NotEstimable(
                f"1 to {least - 1} patients for {FOLD_NAMES[fold]} had the event, so that losses and measures would tell of these "
                "few; change validation or test, or choose an event that more patients had"
            )
        raise NotEstimable(
            f"{aim.outcome[0]}: 1 to {least - 1} rows for {FOLD_NAMES[fold]} have some class, so that losses and measures would "
            "tell of these few; change validation or test, or choose an outcome that more patients had"
        )


def refuse_heavy(name: str, sums: NDArray[np.float64], least: int) -> None:
    """Refuses weights by which, in a fold or a class of it, fewer than `least` patients outweigh the others.

    By Kish's effective number of rows (1965, Survey Sampling, section 8.2): equal weights count them, unequal ones count fewer.

    Args:
        sums: joint `by_weight`, as fractions: float64 (fold, 1 + kind, 2).

    Raises:
        NotEstimable: they do.
    """
    once, twice = np.moveaxis(sums, -1, 0)
    if ((once > 0) & (once**2 < least * twice * (1 - 1e-9))).any():
        raise NotEstimable(
            f"{name}: the weights make fewer than {least} patients outweigh all others, so that the model would describe those "
            "few; choose other weights"
        )
