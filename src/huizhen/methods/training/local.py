"""A site's part in averaging: train the joint weights on its own rows, and judge them on the rows it keeps aside.

The answer is sums: rows times change of the weights, rows, loss, and the sums behind the joint measures. What belongs to the site
alone, a control variate (SCAFFOLD) or its own normalisation layers (FedBN), stays in `Local.kept`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen import canonical
from huizhen.data.examples import SITE, Examples, chunks
from huizhen.data.folds import Aside
from huizhen.methods.method import Local, Step
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.histogram import BINS, COARSE
from huizhen.methods.scores.measure import COUNTS, measure
from huizhen.methods.training.aggregation import effective_steps
from huizhen.methods.training.features import Features
from huizhen.methods.training.learner import Learner, learner_of
from huizhen.methods.training.recipe import Recipe
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["FOLDS", "TRAINING_STEPS", "Prepared", "judge", "prepare"]

FOLDS = ("training", "validation", "test")
COUNTED = COUNTS | {"classes", "events"}
JUDGED = 2048  # rows whose outputs are held at once
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A site's rows as a network sees them: inputs and targets by fold (0 training, 1 validation, 2 test)."""

    inputs: tuple[NDArray[Any], ...]
    targets: tuple[NDArray[Any], ...]


def prepare(facts: Mapping[str, Any], examples: Examples, local: Local) -> Prepared:
    """Inputs and targets, made once and kept in the memo.

    Args:
        facts: the setting of a question: features, aim, aside and the variables whose content draws the folds.
    """
    setting = {name: facts[name] for name in ("features", "aim", "aside", "drawn_by")}
    key = "rows " + canonical.digest(setting)
    if key not in local.memo:
        features, aim = Features.from_facts(facts["features"]), Aim.from_facts(facts["aim"])
        fold = Aside(*facts["aside"]).fold(examples, facts["drawn_by"])
        places = [np.flatnonzero(fold == each) for each in range(len(FOLDS))]
        targets = aim.targets(examples)
        local.memo[key] = Prepared(
            tuple(features.of(examples, rows, places[0]) for rows in places), tuple(targets[rows] for rows in places)
        )
    found: Prepared = local.memo[key]
    return found


def judge(
    learner: Learner, aim: Aim, weights: Floats, rows: Prepared, folds: list[int], *, bins: int = BINS
) -> dict[str, NDArray[Any]]:
    """The sums behind the measures of some folds, named ``fold/part``; `bins`: of score, see `measure`."""
    sums: dict[str, NDArray[Any]] = {}
    for fold in folds:
        inputs, targets = rows.inputs[fold], rows.targets[fold]
        for piece in chunks(len(targets), JUDGED) if len(targets) else [slice(0, 0)]:
            outputs = learner.outputs(weights, inputs[piece]).astype(np.float64)
            for name, value in measure(aim, outputs, targets[piece], bins=bins).items():
                whole = f"{FOLDS[fold]}/{name}"
                sums[whole] = sums[whole] + value if whole in sums else value
    return sums


def _train(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:
    """One round: the incoming weights judged on `folds`, then trained."""
    facts = question.facts
    learner, rows = _learner(facts), prepare(facts, examples, local)
    weights = _with_own_layers(learner, facts, local)
    sums = judge(learner, learner.aim, weights, rows, facts["folds"], bins=COARSE)  # finely after the last round
    kept = dict(local.kept)
    if _has_the_turn(facts, examples) and len(rows.targets[0]):
        sums |= _change(learner, facts, weights, rows, kept, seed=int(rng.integers(2**63)))
    else:
        sums |= _no_change(learner, facts)
    sums |= _classes(learner.aim, rows.targets[0])
    return _answer(sums, examples.rows, individual=facts["turn"] is not None), Local(kept, local.memo)


def _judge(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """The sums behind the measures of the weights in the question."""
    facts = question.facts
    learner, rows = _learner(facts), prepare(facts, examples, local)
    weights = _with_own_layers(learner, facts, local)
    return _answer(judge(learner, learner.aim, weights, rows, facts["folds"]), examples.rows), local


def _change(
    learner: Learner, facts: Mapping[str, Any], weights: Floats, rows: Prepared, kept: dict[str, Any], *, seed: int
) -> dict[str, NDArray[Any]]:
    recipe, size = Recipe.from_facts(facts["recipe"]), learner.parameters
    control = facts["control"]
    own = kept.get("control", np.zeros(size, np.float32)) if control is not None else None
    drift = control - own if own is not None else None
    trained = learner.train(weights, rows.inputs[0], rows.targets[0], recipe, seed=seed, drift=drift)
    count = np.float32(trained.rows)
    layers = trained.weights[learner.normalisation] if facts["own_layers"] else None
    change = np.subtract(trained.weights, weights, out=trained.weights)
    sums = {"weight": np.array([float(trained.rows)]), "loss": np.array([trained.rows * trained.loss])}
    if own is not None:
        # Option II of SCAFFOLD (Karimireddy et al. 2020, eq. 4): the mean gradient on the way, from the change itself.
        moved = change[:size] / np.float32(trained.steps * recipe.learning_rate) + control
        sums["control"], kept["control"] = count * (-moved), own - moved
    if layers is not None:
        kept["layers"] = layers
        change[learner.normalisation] = 0.0
    if facts["normalise"]:
        pace = effective_steps(
            trained.steps, learning_rate=recipe.learning_rate, momentum=recipe.momentum, proximal=recipe.proximal
        )
        change[:size] /= np.float32(pace)
        sums["pace"] = np.array([trained.rows * pace])
    sums["change"] = np.multiply(change, count, out=change)
    return sums


def _no_change(learner: Learner, facts: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The answer of a site that does not train in this round: zeros of the same shapes."""
    sums: dict[str, NDArray[Any]] = {"weight": np.zeros(1), "loss": np.zeros(1), "change": np.zeros(learner.size, np.float32)}
    if facts["control"] is not None:
        sums["control"] = np.zeros(learner.parameters, np.float32)
    if facts["normalise"]:
        sums["pace"] = np.zeros(1)
    return sums


def _classes(aim: Aim, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Rows to train on by class, or by event, for the policies to judge; nothing where there is neither."""
    if aim.task in ("binary", "multiclass"):
        return {"classes": np.bincount(targets.astype(np.int64), minlength=len(aim.levels))}
    if aim.task in ("cox", "discrete_time"):
        return {"events": np.array([np.count_nonzero(targets[:, 1])])}
    return {}


def _learner(facts: Mapping[str, Any]) -> Learner:
    return learner_of(Network.from_facts(facts["network"]), Aim.from_facts(facts["aim"]))


def _with_own_layers(learner: Learner, facts: Mapping[str, Any], local: Local) -> Floats:
    weights: Floats = np.asarray(facts["weights"], np.float32)
    if not facts["own_layers"] or "layers" not in local.kept:
        return weights
    own = weights.copy()
    own[learner.normalisation] = local.kept["layers"]
    return own


def _has_the_turn(facts: Mapping[str, Any], examples: Examples) -> bool:
    """Whether this site trains in this round: all do, or in a cycle the one that is named."""
    if facts["turn"] is None or not examples.rows:
        return True
    own = examples.category(SITE)
    return bool(own.levels[own.codes[0]] == facts["turn"])


def _answer(sums: Mapping[str, NDArray[Any]], rows: int, *, individual: bool = False) -> Answer:
    """In a cycle the sum of the changes is one site's own, so it is declared as what it is."""
    parts = {}
    for name, values in sums.items():
        kind: Literal["addend", "individual"] = "individual" if individual and name == "change" else "addend"
        parts[name] = Part(values, rows, kind=kind, cells=name.rpartition("/")[2] in COUNTED)
    return Answer(parts, rows)


TRAINING_STEPS: Mapping[str, Step] = {"train": _train, "judge": _judge}
