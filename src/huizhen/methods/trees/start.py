"""What is agreed before the first tree: what the rows are, how large sums may become, and where margins begin.

start = yield from agree_start("boosting", facts, aim, variables, terms)
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.data.folds import FOLD_NAMES, TEST, TRAINING, VALIDATION
from huizhen.errors import NotEstimable
from huizhen.methods.method import Local, Step
from huizhen.methods.scores.aim import Aim
from huizhen.methods.trees.enough import by_fold, by_weight, refuse_few, refuse_heavy
from huizhen.methods.trees.fixedpoint import LIMIT, bound, by_exponent, exact_sums, fixed, scale_for
from huizhen.methods.trees.objective import hessian_bound
from huizhen.methods.trees.rows import Outcome, read_outcome
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = ["ROWS", "START_STEPS", "Start", "agree_start"]

ROWS, SUMS, RESIDUALS = "boosting.rows", "boosting.sums", "boosting.residuals"
MOST = 2.0**126  # of a sum of squares: a forest's numbers are float32
PACKED = 61  # bits that the hessians of all rows and their number share


@dataclass(frozen=True, slots=True)
class Start:
    """What is known before the first tree.

    Attributes:
        rows: rows by fold: training, validation, test.
        base: margins before the first tree, float64 (output,).
        scales: how numbers become whole: ``gradient``, ``hessian``, and ``shift``, the bits of a hessian below the number of rows;
            ``weight`` and ``squared`` for weights and their squares.
        weights: joint weight of the rows (of the events, for Cox), by fold.
        largest: no magnitude of an outcome passes it.
        most_weight: no sum of weights passes it.
    """

    rows: tuple[int, ...]
    base: NDArray[np.float64]
    scales: Mapping[str, int]
    weights: tuple[float, ...]
    largest: float
    most_weight: float


def agree_start(
    method: str, facts: Mapping[str, Any], aim: Aim, variables: tuple[str, ...], terms: Terms
) -> Generator[Question, Total, Start]:
    """Counts rows, bounds sums, finds the best constant.

    Raises:
        NotEstimable: weights that cannot be, or leave few patients; one class only; no event; a fold with too few rows, or that
            nobody can be judged on. A single participant may have no row for the test.
    """
    total = yield Question(method, ROWS, facts, variables)
    rows = tuple(total.sums["folds"].tolist())
    _refuse(aim, facts, total, rows, terms)
    refuse_few(aim, total.sums["counted"], terms.min_cell_count)
    most_weight = bound(total.sums["weight_sizes"]) if facts["weights"] else float(sum(rows))
    largest, most_target = 0.0, 0.0
    if aim.task == "regression":
        largest = _largest(total.sums["target_sizes"])
        most_target = largest * most_weight
    most_squared = bound(total.sums["weight_sizes"], power=2) if facts["weights"] else float(sum(rows))
    scales = {"weight": scale_for(most_weight), "target": scale_for(most_target), "squared": scale_for(most_squared)}
    total = yield Question(method, SUMS, {**facts, "scales": scales}, variables)
    weights = total.sums["weights"] * 2.0 ** -scales["weight"]  # (fold, class)
    if facts["weights"]:
        refuse_heavy(
            facts["weights"], total.sums["balance"] * 2.0 ** -np.array([scales["weight"], scales["squared"]]), terms.min_cell_count
        )
    _refuse_empty(aim, rows, weights.sum(axis=1).tolist())
    base = _base(aim, _rounded(weights[0], rows[TRAINING], terms), float(total.sums["targets"][0]) * 2.0 ** -scales["target"])
    if terms.round_to > 1 and aim.task == "regression":
        base = np.array([float(f"{base[0]:.2e}")])  # a mean of whole numbers tells of how many it is
    base = base.astype(np.float32).astype(np.float64)  # as in the files
    most_gradient = most_weight if aim.task != "cox" else 2.0 * most_weight
    if aim.task == "regression":
        total = yield Question(method, RESIDUALS, {**facts, "base": base}, variables)
        # No step of boosting makes the sum of squares larger, and |g| adds up to at most sqrt(weight * squares).
        most_squares = bound(total.sums["squares"])
        most_gradient = math.sqrt(most_weight * most_squares)
        if max(most_squares, largest) >= MOST:
            raise NotEstimable(f"{aim.outcome[0]}: its numbers are too large for the gains of a forest; change its unit")
        if most_gradient == 0:
            raise NotEstimable(
                f"{aim.outcome[0]}: all rows have the same outcome, so nothing can be learnt about what it depends on"
            )
    limit = min(LIMIT, PACKED - rows[TRAINING].bit_length())
    agreed = {
        "gradient": scale_for(most_gradient),
        "hessian": scale_for(hessian_bound(aim.task) * most_weight, limit),
        "shift": limit + 1,
        "weight": scales["weight"],
        "squared": scales["squared"],
    }
    return Start(rows, base, agreed, tuple(weights.sum(axis=1).tolist()), largest, most_weight)


def _refuse(aim: Aim, facts: Mapping[str, Any], total: Total, rows: tuple[int, ...], terms: Terms) -> None:
    if total.sums["flags"][0]:
        raise NotEstimable(f"{facts['weights']}: some weights are negative or not finite; a weight must be 0 or a positive number")
    for fold, rule in enumerate((1, *facts["aside"])):
        # The test may be another hospital's patients: who is alone learns without them.
        elsewhere = fold == TEST and not rows[TEST] and len(terms.roster) == 1
        if rule and rows[fold] < max(terms.min_cell_count, 1) and not elsewhere:
            raise NotEstimable(
                f"fewer than {max(terms.min_cell_count, 1)} rows are for {FOLD_NAMES[fold]}: expected more; change "
                "validation or test"
            )
    if "classes" in total.sums and np.count_nonzero(total.sums["classes"]) < len(aim.levels):
        raise NotEstimable(
            f"{aim.outcome[0]}: some class has no row to learn from; expected rows of every class. Declare fewer levels, or set "
            "aside fewer rows"
        )
    if "events" in total.sums and not total.sums["events"][0]:
        raise NotEstimable("no patient had the event: expected at least one. Check the condition that defines the event")


def _refuse_empty(aim: Aim, rows: Sequence[int], weights: Sequence[float]) -> None:
    """A loss or a measure over rows that count for nothing is no number."""
    for name, count, weight in zip(FOLD_NAMES, rows, weights):
        if not count or weight > 0:
            continue
        if aim.task == "cox":
            raise NotEstimable(
                f"no patient for {name} had the event, or none with a weight above 0: expected at least one; change what is set "
                "aside"
            )
        raise NotEstimable(
            f"all rows for {name} have a weight of 0: expected some that count; change the weights, or what is set aside"
        )


def _largest(sizes: NDArray[np.int64]) -> float:
    """Above every magnitude behind counts of rows by power of two."""
    top = np.zeros_like(sizes)
    top[np.flatnonzero(sizes)[-1:]] = 1
    return bound(top)


def _rounded(weights: NDArray[np.float64], rows: int, terms: Terms) -> NDArray[np.float64]:
    """Sums of weights by class, as coarse as numbers of patients are published."""
    if terms.round_to == 1 or not rows:
        return weights
    unit = terms.round_to * weights.sum() / rows  # of so many patients of average weight
    return np.asarray(np.maximum(np.rint(weights / unit), 1.0) * unit)


def _base(aim: Aim, weights: NDArray[np.float64], targets: float) -> NDArray[np.float64]:
    """The constant that fits best: log odds, logs of shares, weighted mean; 0 for Cox."""
    if aim.task == "binary":
        return np.array([math.log(weights[1] / weights[0])])
    if aim.task == "multiclass":
        return np.asarray(np.log(weights / weights.sum()))
    return np.array([targets / weights.sum() if aim.task == "regression" else 0.0])


def count_rows(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: rows by fold and class, sizes of weights and outcomes."""
    facts, n = question.facts, examples.rows
    aim, outcome = Aim.from_facts(facts["aim"]), read_outcome(examples, facts)
    weight = outcome.weights()
    bad = not bool(np.all((weight >= 0) & (weight < np.inf)))
    parts = {
        "folds": Part(np.bincount(outcome.fold, minlength=3), n, cells=True),
        "flags": Part(np.array([bad], np.int64), n, unit="sites"),
        "counted": Part(by_fold(aim, outcome), n, cells=True),
    }
    learns = (outcome.fold == TRAINING) & (weight > 0)
    if aim.levels:
        counts = np.bincount(outcome.target[learns].astype(np.int64), minlength=len(aim.levels))
        parts["classes"] = Part(counts, n, cells=True)
    if aim.task == "cox":
        parts["events"] = Part(np.array([np.count_nonzero(outcome.target[learns])], np.int64), n, cells=True)
    if outcome.weight is not None:
        parts["weight_sizes"] = Part(by_exponent(np.zeros(0) if bad else outcome.weight), n, cells=True)
    if aim.task == "regression":
        parts["target_sizes"] = Part(by_exponent(outcome.target), n, cells=True)
    return Answer(parts, n), local


def add_rows(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: sums of weights by fold and class (for Cox, of the events), of squared weights, of weighted outcomes."""
    facts, n = question.facts, examples.rows
    aim, outcome, scales = Aim.from_facts(facts["aim"]), read_outcome(examples, facts), facts["scales"]
    weight = outcome.weights()
    whole, learns = fixed(weight, scales["weight"]), outcome.fold == TRAINING
    kind, kinds = outcome.target.astype(np.int64) if aim.levels else np.zeros(n, np.int64), max(len(aim.levels), 1)
    counted = outcome.target > 0 if aim.task == "cox" else np.ones(n, bool)
    sums = []
    for fold in (TRAINING, VALIDATION, TEST):
        here = (outcome.fold == fold) & counted
        sums.append(exact_sums(kind[here], whole[here], kinds))
    targets = np.zeros(1, np.int64)
    if aim.task == "regression":
        targets[0] = _weighted_targets(outcome, scales["target"], learns)
    parts = {"weights": Part(np.stack(sums), n), "targets": Part(targets, n)}
    if outcome.weight is not None:
        parts["balance"] = Part(by_weight(aim, outcome, scales), n)
    return Answer(parts, n), local


def _weighted_targets(outcome: Outcome, scale: int, learns: NDArray[np.bool_]) -> int:
    return int(fixed(outcome.target[learns] * outcome.weights()[learns], scale).sum())


def size_residuals(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: rows of training by the power of two above their weighted squared distance from the mean."""
    outcome = read_outcome(examples, question.facts)
    learns = outcome.fold == TRAINING
    apart = outcome.weights()[learns] * np.square(outcome.target[learns] - question.facts["base"][0])
    return Answer({"squares": Part(by_exponent(apart), examples.rows, cells=True)}, examples.rows), local


START_STEPS: Mapping[str, Step] = {ROWS: count_rows, SUMS: add_rows, RESIDUALS: size_residuals}
