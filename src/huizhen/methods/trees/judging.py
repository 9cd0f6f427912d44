"""How good a forest is on the rows of a fold: the sums behind the joint measures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from huizhen.data.examples import Examples, chunks
from huizhen.methods.method import Local, Step
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.measure import COUNTS, ROWS, measure
from huizhen.methods.trees.told import grower
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["JUDGE", "JUDGING_STEPS"]

JUDGE = "boosting.judge"


def judge(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: the sums behind the measures."""
    known, local = grower(question, examples, local)
    aim, chosen = Aim.from_facts(known.setting["aim"]), np.flatnonzero(known.outcome.fold == question.facts["fold"])
    targets, sums = aim.targets(examples), dict[str, np.ndarray]()
    for rows in chunks(len(chosen)) if len(chosen) else [slice(0, 0)]:
        at = chosen[rows]
        weights = None if known.outcome.weight is None else known.outcome.weight[at]
        for name, value in measure(aim, known.margins[:, at].T, targets[at], weights).items():
            sums[name] = sums[name] + value if name in sums else value
    weighted = known.outcome.weight is not None
    parts = {name: Part(value, len(chosen), cells=name in (ROWS if weighted else COUNTS)) for name, value in sums.items()}
    return Answer(parts, examples.rows), local


JUDGING_STEPS: Mapping[str, Step] = {JUDGE: judge}
