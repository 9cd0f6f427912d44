"""What is agreed before the first round: whether there are rows enough to learn from, to stop by and to judge on.

judged = yield from agree_rows("averaging", setting, spec.aside, variables, terms)
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from huizhen.data.examples import Examples
from huizhen.data.folds import FOLD_NAMES, TEST, TRAINING, VALIDATION, Aside
from huizhen.errors import NotEstimable
from huizhen.methods.method import Local, Step
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.local import COUNTED, classes_of
from huizhen.methods.training.rows import fold_of
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = ["START_STEPS", "agree_rows"]


def agree_rows(
    method: str, setting: Mapping[str, Any], aside: Aside, variables: tuple[str, ...], terms: Terms
) -> Generator[Question, Total, list[int]]:
    """The folds that are judged at the end, by number; one round.

    A participant by itself, as in a comparison, may have no rows for the test: it learns all the same, and is judged elsewhere.

    Raises:
        NotEstimable: no row to train on, or too few for validation or test.
    """
    total = yield Question(method, "rows", {name: setting[name] for name in ("aim", "aside", "drawn_by")}, variables)
    rows, least = total.sums["folds"], max(terms.min_cell_count, 1)
    if not rows[TRAINING]:
        raise NotEstimable("no site has a row to train on: the rules of validation and test keep all rows aside")
    judged = []
    for fold, rule in ((VALIDATION, aside.validation), (TEST, aside.test)):
        if rule and rows[fold] >= least:
            judged.append(fold)
        elif rule and (fold == VALIDATION or len(terms.roster) > 1):
            raise NotEstimable(f"fewer than {least} rows are for {FOLD_NAMES[fold]}: expected more; change validation or test")
    return judged or [TRAINING]


def _count_rows(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Rows by fold, and those to train on by class."""
    folds, aim = fold_of(question.facts, examples), Aim.from_facts(question.facts["aim"])
    sums = {"folds": np.bincount(folds, minlength=len(FOLD_NAMES))} | classes_of(aim, aim.targets(examples)[folds == TRAINING])
    return Answer({name: Part(values, examples.rows, cells=name in COUNTED) for name, values in sums.items()}, examples.rows), local


START_STEPS: Mapping[str, Step] = {"rows": _count_rows}
