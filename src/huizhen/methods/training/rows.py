"""A site's rows as a network sees them, a fold at a time: what nobody asks for is neither coded nor held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen import canonical
from huizhen.data.examples import Examples
from huizhen.data.folds import Aside
from huizhen.methods.method import Local
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.features import Features

__all__ = ["Rows", "fold_of", "forget", "prepare"]

SETTING = ("features", "aim", "aside", "drawn_by")  # the facts that say what the rows are


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of one fold.

    Attributes:
        inputs: (row, *network.inputs).
        targets: as `Aim.targets` gives them.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.targets)


def fold_of(facts: Mapping[str, Any], examples: Examples) -> NDArray[np.int8]:
    """The fold of each row, int8 (row,): 0 training, 1 validation, 2 test."""
    return Aside(*facts["aside"]).fold(examples, facts["drawn_by"])


def prepare(facts: Mapping[str, Any], examples: Examples, local: Local, fold: int, *, keep: bool = True) -> Rows:
    """The rows of one fold, made once where they are kept in the memo.

    Args:
        facts: the setting of a question: features, aim, aside and the variables whose content draws the folds.
        keep: whether they are asked for again, so that making them anew would cost more than holding them.
    """
    held = local.memo.setdefault(_key(facts), {})  # rows by fold, and the folds themselves
    if fold in held:
        found: Rows = held[fold]
        return found
    features, aim = Features.from_facts(facts["features"]), Aim.from_facts(facts["aim"])
    if "folds" not in held:
        held["folds"] = fold_of(facts, examples)
    folds = held["folds"]
    places = np.flatnonzero(folds == fold)
    targets = aim.targets(examples)
    inputs = features.of(examples, places, np.flatnonzero(folds == 0))
    made = Rows(inputs, targets if len(places) == len(targets) else targets[places])
    if keep:
        held[fold] = made
    return made


def forget(facts: Mapping[str, Any], local: Local, *, but: list[int]) -> None:
    """Lets go of the rows of all folds but some."""
    held = local.memo.get(_key(facts), {})
    for fold in [name for name in held if name not in ("folds", *but)]:
        del held[fold]


def _key(facts: Mapping[str, Any]) -> str:
    return "rows " + canonical.digest({name: facts[name] for name in SETTING})
