"""What was learned so far, round by round, and which weights were the best: the hub's memory between two questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Course"]

SMALLER_IS_BETTER = ("log_loss", "rmse")
LARGER_IS_BETTER = ("concordance", "dice")


@dataclass(slots=True)
class Course:
    """The course of learning.

    Attributes:
        judged: folds that are judged at the end.
        rounds: a row for each round.
        best: ``round``, ``loss`` and ``weights`` of the best round, where early stopping looks for it; empty before.
        counted: of sites that missed a round, the round in which each was last counted, from 1; 0: in none.
    """

    judged: list[int]
    rounds: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return len(self.rounds)

    @property
    def best_round(self) -> int:
        """From 1; 0 where none was looked for, or none could be judged."""
        return int(self.best["round"]) if self.best else 0

    @property
    def newest(self) -> dict[str, float]:
        """What was last heard of each measure: those of a round's weights come with the answers of the next."""
        return {name: value for one in self.rounds[-2:] for name, value in one.items()}

    def has_stopped(self, patience: int) -> bool:
        """Whether so many rounds have passed without a better one; never where patience is 0."""
        return bool(patience and self.best and self.done - self.best_round >= patience)

    def add(self, row: dict[str, float], *, here: Sequence[str], roster: Sequence[str]) -> None:
        """A round that is over, in which these sites of the roster were counted."""
        for site in roster:
            if site not in here:
                self.counted.setdefault(site, self.done)
            elif site in self.counted:
                self.counted[site] = self.done + 1
        self.rounds.append(row)

    def note(self, measures: Mapping[str, float], weights: NDArray[np.float32], *, looks_for_best: bool) -> None:
        """The validation measures of the newest weights, which are kept if they are the best so far."""
        self.rounds[-1] |= measures
        loss = _loss_of(measures)
        if looks_for_best and loss is not None and (not self.best or loss < self.best["loss"]):
            self.best = {"loss": loss, "round": self.done, "weights": weights}

    def facts(self) -> dict[str, Any]:
        """As canonical values, which what comes later does not change."""
        rounds = [dict(one) for one in self.rounds]
        return {"judged": self.judged, "rounds": rounds, "best": dict(self.best), "counted": dict(self.counted)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Course:
        """The course behind `facts`."""
        rounds = [dict(one) for one in facts["rounds"]]
        return cls(list(facts["judged"]), rounds, dict(facts["best"]), dict(facts["counted"]))


def _loss_of(measures: Mapping[str, float]) -> float | None:
    """What early stopping makes small; None where it was not, or could not be, estimated."""
    found = [measures[name] for name in SMALLER_IS_BETTER if name in measures]
    found += [-measures[name] for name in LARGER_IS_BETTER if name in measures]
    return float(found[0]) if found and math.isfinite(found[0]) else None
