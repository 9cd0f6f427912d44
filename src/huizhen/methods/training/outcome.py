"""The scale that a number is learned on: the outcome less its joint mean, over its joint standard deviation.

A network begins near 0 and its steps are of the size of its errors, so outcomes in the thousands would throw it out of all bounds.
Mean and standard deviation are those of all training rows, from sums; what is predicted and judged has the outcome's own unit.

aim = yield from agree_scale("averaging", setting, aim, variables, terms)
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from huizhen.data.examples import Examples
from huizhen.data.folds import FOLD_NAMES, TRAINING
from huizhen.errors import NotEstimable
from huizhen.methods.description.codes import refuse_codes, unlike
from huizhen.methods.method import Local, Step
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.rows import fold_of
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = ["SCALE_STEPS", "agree_scale"]

ALIKE = 1e-12  # a standard deviation below this share of the mean is rounding


def agree_scale(
    method: str, setting: Mapping[str, Any], aim: Aim, variables: tuple[str, ...], terms: Terms
) -> Generator[Question, Total, Aim]:
    """The aim with the joint mean and standard deviation of the training rows' outcome; two rounds.

    The mean is taken first and deviations are from it, so that a far outcome keeps its digits. Where the policies round counts,
    both have three digits: a mean of whole numbers tells of how many it is.

    Raises:
        NotEstimable: there are too few training rows; all outcomes are equal, or so large that their squares cannot be summed; or
            codes that would tell of few patients, see `refuse_codes`.
    """
    name, facts = aim.outcome[0], {each: setting[each] for each in ("aim", "aside", "drawn_by")}
    total = yield Question(method, "outcome", facts, variables)
    rows, least = float(total.sums["counted"][TRAINING, 0]), max(terms.min_cell_count, 1)
    if rows < least:
        raise NotEstimable(f"fewer than {least} rows are for {FOLD_NAMES[TRAINING]}: expected more; change validation or test")
    refuse_codes(name, total.sums["counted"], least)
    mean = _told(float(total.sums["sum"][0]) / rows, terms)
    total = yield Question(method, "spread", {**facts, "mean": mean}, variables)
    first, second = (total.sums["deviations"] / rows).tolist()
    spread = math.sqrt(max(second - first**2, 0.0)) if math.isfinite(second) else math.inf
    if not math.isfinite(mean) or not math.isfinite(spread):
        raise NotEstimable(f"{name}: its numbers are too large for their squares to be summed; change its unit")
    if spread <= ALIKE * abs(mean):
        raise NotEstimable(f"{name}: all rows have the same outcome, so nothing can be learnt about what it depends on")
    return replace(aim, center=mean, shift=mean, scale=_told(spread, terms))


def _told(value: float, terms: Terms) -> float:
    return float(f"{value:.2e}") if terms.round_to > 1 else value


def _add(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """The sum of the training rows' outcome; rows by fold, and of these those that do not have each code."""
    outcome, folds = Aim.from_facts(question.facts["aim"]).targets(examples), fold_of(question.facts, examples)
    by_fold = [outcome[folds == fold] for fold in range(len(FOLD_NAMES))]
    counted = np.array([[len(values), *unlike(values)] for values in by_fold], np.int64)
    with np.errstate(over="ignore"):
        total = np.array([by_fold[TRAINING].sum()])
    parts = {"counted": Part(counted, examples.rows, cells=True), "sum": Part(total, examples.rows)}
    return Answer(parts, examples.rows), local


def _deviate(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sums of the training rows' deviations from the joint mean, and of their squares."""
    outcome, folds = Aim.from_facts(question.facts["aim"]).targets(examples), fold_of(question.facts, examples)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = outcome[folds == TRAINING] - question.facts["mean"]
        deviations = np.array([apart.sum(), apart @ apart])
    return Answer({"deviations": Part(deviations, examples.rows)}, examples.rows), local


SCALE_STEPS: Mapping[str, Step] = {"outcome": _add, "spread": _deviate}
