"""How good a network that was learned is on further rows: the measures of a fold, from its published result alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from huizhen.data.examples import SITE, Examples
from huizhen.data.folds import FOLD_NAMES
from huizhen.errors import CallerError, Problem
from huizhen.methods.method import Local
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.measure import quality
from huizhen.methods.training.learner import learner_of
from huizhen.methods.training.local import judge
from huizhen.methods.training.prediction import MISSING
from huizhen.methods.training.rows import prepare
from huizhen.privacy.release import Terms
from huizhen.privacy.result import Result, Table

__all__ = ["appraise"]

JUDGED = ("quality", "at_threshold", "roc", "calibration")


def appraise(result: Result, spec: Any, terms: Terms, examples: Examples, fold: int) -> Mapping[str, Table]:
    """How good the network is on the rows of a fold among these; nothing where there are none.

    Where every site keeps layers of its own, the joint weights alone are no network: the sites judged it together, each with its
    layers, and that stands in the result. It is given for the rows of the whole roster.

    Raises:
        CallerError: sites keep layers of their own, and these rows are not those of the whole roster.
    """
    if result.model["own_layers"]:
        return _judged_at_the_sites(result, examples, fold)
    rows = prepare(result.model, examples, Local(), fold, keep=False)
    if not len(rows):
        return {}
    learner = learner_of(Network.from_facts(result.model["network"]), Aim.from_facts(result.model["aim"]))
    sums = judge(learner, learner.aim, result.model["weights"], lambda _: rows, [fold])
    of_fold = {name.removeprefix(f"{FOLD_NAMES[fold]}/"): values for name, values in sums.items()}
    return quality(learner.aim, of_fold, confidence=spec.confidence, min_cell_count=terms.min_cell_count)


def _judged_at_the_sites(result: Result, examples: Examples, fold: int) -> Mapping[str, Table]:
    if result.facts["judged_on"] != FOLD_NAMES[fold]:
        return {}
    own = examples.category(SITE)
    if {own.levels[code] for code in np.unique(own.codes)} != set(result.roster):
        raise CallerError(
            "The network cannot be judged on these rows alone.", [Problem("own_layers", MISSING[0], "the rows of all sites")]
        )
    return {name: result.tables[name] for name in JUDGED if name in result.tables}
