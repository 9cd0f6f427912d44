"""A forest in the making, and how much of it a question tells.

A site must have the whole forest to go on, and a question that carried it would make all questions together grow with the square of
the trees. So a site keeps it (`Local.kept`), and a question carries the trees since. What a site knows is named by a mark, a digest
over what was agreed and every tree after it. A program that begins, or begins again, tells everything for one round of trees, to
whoever has lost what it kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from huizhen import canonical
from huizhen.data.folds import VALIDATION
from huizhen.methods.trees.binning import Binning
from huizhen.methods.trees.forest import Forest, Tree, trees_facts

__all__ = ["TELLING", "Growth", "mark_of", "next_mark"]

TELLING = frozenset({"setting", "forest", "from", "before", "keep"})  # the facts beside the mark, which names them all

OFTEN = 16  # rounds of trees after which a site keeps the forest anew, at least: each time it writes all of it


@dataclass(frozen=True, slots=True)
class Growth:
    """A forest in the making, and what is known about it.

    Attributes:
        setting: what every site must know before the first tree; ``key`` is its digest.
        agreed: numbers that only the program needs: weights by fold, bounds, rows.
        losses: mean loss by fold after each round of trees, and before the first.
        mark: names setting and forest.
        before: the mark before the newest trees; "" where it is not known.
        kept: rounds and mark of the forest that the sites keep; None: nothing that this program has told.
    """

    setting: Mapping[str, Any]
    agreed: Mapping[str, Any]
    binning: Binning
    forest: Forest
    mark: str
    losses: tuple[tuple[float, ...], ...] = ()
    before: str = ""
    kept: tuple[int, str] | None = None

    def facts(self) -> dict[str, Any]:
        """What it can be begun again from."""
        return {
            "setting": dict(self.setting),
            "agreed": dict(self.agreed),
            "forest": self.forest.facts(),
            "losses": [list(each) for each in self.losses],
            "mark": self.mark,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Growth:
        losses = tuple(tuple(each) for each in facts["losses"])
        binning = Binning.from_facts(facts["setting"]["binning"])
        return cls(facts["setting"], facts["agreed"], binning, Forest.from_facts(facts["forest"]), facts["mark"], losses)

    @property
    def rounds(self) -> int:
        """How many times trees were grown."""
        return len(self.forest.trees) // len(self.forest.base)

    @property
    def reach(self) -> float:
        """No margin is larger."""
        return float(np.abs(self.forest.base).max()) + math.fsum(float(np.abs(tree.value).max()) for tree in self.forest.trees)

    @property
    def best(self) -> int:
        """The number of rounds with the smallest loss on validation rows."""
        return int(np.argmin([each[VALIDATION] for each in self.losses]))

    def grown(self, trees: Sequence[Tree], loss: tuple[float, ...]) -> Growth:
        """With one more round of trees, before which the loss was this."""
        kept = (self.rounds, self.mark) if self._is_to_keep else self.kept
        forest = replace(self.forest, trees=(*self.forest.trees, *trees))
        mark = next_mark(self.mark, trees)
        return replace(self, forest=forest, losses=(*self.losses, loss), mark=mark, before=self.mark, kept=kept)

    def told(self) -> dict[str, Any]:
        """What a question of the next round tells of the forest: all, or the trees since the sites kept it."""
        if self.kept is None:
            return {**self.whole(), "keep": True}
        rounds, mark = self.kept
        trees = trees_facts(self.forest.trees[rounds * len(self.forest.base) :])
        marks = {"from": mark, "before": self.before, "mark": self.mark}
        return {"setting": None, "forest": trees, **marks, "keep": self._is_to_keep}

    def whole(self, rounds: int | None = None) -> dict[str, Any]:
        """What a question tells that needs nothing kept: setting and all trees, or those of the first rounds."""
        trees, outputs, mark = self.forest.trees, len(self.forest.base), self.mark
        if rounds is not None and rounds < self.rounds:
            trees = trees[: rounds * outputs]
            mark = mark_of(self.setting["key"], trees, outputs)
        marks = {"from": "", "before": self.before, "mark": mark}
        return {"setting": self.setting, "forest": trees_facts(trees), **marks, "keep": False}

    @property
    def _is_to_keep(self) -> bool:
        return self.kept is None or self.rounds - self.kept[0] >= max(OFTEN, math.isqrt(self.rounds))


def mark_of(mark: str, trees: Sequence[Tree], outputs: int) -> str:
    """The mark of a forest after more rounds of trees, each of one tree for every output."""
    for first in range(0, len(trees), outputs):
        mark = next_mark(mark, trees[first : first + outputs])
    return mark


def next_mark(mark: str, trees: Sequence[Tree]) -> str:
    """The mark of a forest after one more round of trees."""
    return canonical.digest([mark, trees_facts(trees)])
