"""How good a network that was learned is on further rows: the measures of a fold, from its published result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huizhen.data.examples import Examples
from huizhen.methods.method import Local
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.measure import quality
from huizhen.methods.training.learner import learner_of
from huizhen.methods.training.local import FOLDS, judge, prepare
from huizhen.privacy.release import Terms
from huizhen.privacy.result import Result, Table

__all__ = ["appraise"]


def appraise(result: Result, spec: Any, terms: Terms, examples: Examples, fold: int) -> Mapping[str, Table]:
    """How good the network is on the rows of a fold among these; nothing where there are none."""
    rows = prepare(result.model, examples, Local())
    if not len(rows.targets[fold]):
        return {}
    learner = learner_of(Network.from_facts(result.model["network"]), Aim.from_facts(result.model["aim"]))
    sums = judge(learner, learner.aim, result.model["weights"], rows, [fold])
    of_fold = {name.removeprefix(f"{FOLDS[fold]}/"): values for name, values in sums.items()}
    return quality(learner.aim, of_fold, confidence=spec.confidence, min_cell_count=terms.min_cell_count)
