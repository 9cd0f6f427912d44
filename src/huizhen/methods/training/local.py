"""A site's part in averaging: train the joint weights on its own rows, and judge them on the rows it keeps aside.

The answer is sums: rows times change of the weights, rows, loss, and the sums behind the joint measures. What belongs to the site
alone, a control variate (SCAFFOLD) or its own normalisation layers (FedBN), stays in `Local.kept`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.data.folds import FOLD_NAMES
from huizhen.errors import SiteError
from huizhen.methods.method import Local, Step
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.histogram import BINS, COARSE
from huizhen.methods.scores.measure import COUNTS, measure
from huizhen.methods.training.aggregation import effective_steps
from huizhen.methods.training.learner import Learner, Trained, learner_of
from huizhen.methods.training.own import after_training, at, named, settle
from huizhen.methods.training.privately import train_privately
from huizhen.methods.training.recipe import Recipe
from huizhen.methods.training.rows import Rows, fold_of, forget, prepare
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["COUNTED", "TRAINING_STEPS", "classes_of", "judge"]

COUNTED = COUNTS | {"classes", "events", "joined", "folds"}
ROWS_ACT = "private: with scale = 'site' a row acts on all others, so nothing is trained; choose joint or none"
NO_ROWS = "private: there is no row to train on, and an answer without noise would tell so; leave the site out"
JUDGED = 2048  # rows whose outputs are held at once
Floats = NDArray[np.float32]


def judge(
    learner: Learner, aim: Aim, weights: Floats, rows: Callable[[int], Rows], folds: list[int], *, bins: int = BINS
) -> dict[str, NDArray[Any]]:
    """The sums behind the measures of some folds, named ``fold/part``.

    Args:
        rows: gives the rows of a fold.
        bins: of score, see `measure`.
    """
    sums: dict[str, NDArray[Any]] = {}
    for fold in folds:
        inputs, targets = (asked := rows(fold)).inputs, asked.targets
        for piece in chunks(len(targets), JUDGED) if len(targets) else [slice(0, 0)]:
            outputs = learner.outputs(weights, inputs[piece]).astype(np.float64)
            for name, value in measure(aim, outputs, targets[piece], bins=bins).items():
                whole = f"{FOLD_NAMES[fold]}/{name}"
                sums[whole] = sums[whole] + value if whole in sums else value
    return sums


def _train(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:
    """One round: the incoming weights judged on `folds`, then trained."""
    facts = question.facts
    learner, rows = _learner(facts), _rows(facts, examples, local)
    settled = settle(local.kept, facts, examples, trains=_keeps(facts) and len(rows(0)) > 0)
    weights = _with_own_layers(learner, facts, settled)
    sums = judge(learner, learner.aim, weights, rows, facts["folds"], bins=COARSE)  # finely after the last round
    if local.counted is not None and not len(rows(0)):
        raise SiteError(NO_ROWS)
    if _has_the_turn(facts, examples) and len(rows(0)):
        trained = _trained(learner, facts, weights, rows(0), settled, seed=int(rng.integers(2**63)), local=local)
        change, settled = _change(learner, facts, weights, trained, settled)
        sums |= change
    else:
        sums |= _no_change(learner, facts)
    sums |= classes_of(learner.aim, rows(0).targets)
    after = replace(local, kept=settled) if _keeps(facts) else local
    return _answer(sums, examples.rows, individual=facts["turn"] is not None, layout=learner.names), after


def _judge(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """The sums behind the measures of the weights in the question. Training is over, so the rows learned from may go."""
    facts = question.facts
    forget(facts, local, but=facts["folds"])
    learner, rows = _learner(facts), _rows(facts, examples, local, keep=False)
    trains = _keeps(facts) and bool((fold_of(facts, examples) == 0).any())
    weights = _with_own_layers(learner, facts, settle(local.kept, facts, examples, trains=trains))
    return _answer(judge(learner, learner.aim, weights, rows, facts["folds"]), examples.rows), local


def _rows(facts: Mapping[str, Any], examples: Examples, local: Local, *, keep: bool = True) -> Callable[[int], Rows]:
    return lambda fold: prepare(facts, examples, local, fold, keep=keep)


def _keeps(facts: Mapping[str, Any]) -> bool:
    """Whether anything stays at the site."""
    return facts.get("control") is not None or bool(facts["own_layers"])


def _trained(
    learner: Learner,
    facts: Mapping[str, Any],
    weights: Floats,
    rows: Rows,
    settled: Mapping[str, Any],
    *,
    seed: int,
    local: Local,
) -> Trained:
    """What came of training on a site's rows."""
    recipe, control = Recipe.from_facts(facts["recipe"]), facts["control"]
    drift = None if control is None else control - _own_control(learner, facts, settled)
    if recipe.private is not None:
        if facts["features"]["scale"] == "site":
            raise SiteError(ROWS_ACT)
        secret, told = local.entropy, local.counted
        return train_privately(learner, weights, rows.inputs, rows.targets, recipe, entropy=secret, drift=drift, counted=told)
    return learner.train(weights, rows.inputs, rows.targets, recipe, seed=seed, drift=drift, team=local.team)


def _own_control(learner: Learner, facts: Mapping[str, Any], settled: Mapping[str, Any]) -> Floats:
    before = at(settled, facts["done"])["control"]
    return before if before is not None else np.zeros(learner.parameters, np.float32)


def _change(
    learner: Learner, facts: Mapping[str, Any], weights: Floats, trained: Trained, settled: Mapping[str, Any]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What a site adds to the sums after training, and what it keeps."""
    recipe, size = Recipe.from_facts(facts["recipe"]), learner.parameters
    control, done = facts["control"], facts["done"]
    before, own = at(settled, done)["control"], _own_control(learner, facts, settled)
    count = np.float32(trained.rows)
    layers = trained.weights[learner.normalisation] if facts["own_layers"] else None
    change = np.subtract(trained.weights, weights, out=trained.weights)
    sums = {"weight": np.array([float(trained.rows)])}
    if recipe.private is None:  # the loss of rows is no noisy number
        sums["loss"] = np.array([trained.rows * trained.loss])
    new = None
    if control is not None:
        # Option II of SCAFFOLD (Karimireddy et al. 2020, eq. 4): the mean gradient on the way, from the change itself.
        moved = change[:size] / np.float32(trained.steps * recipe.learning_rate) + control
        sums["control"], new = count * (-moved), own - moved
        sums["joined"] = np.array([float(trained.rows) if before is None else 0.0])
    if layers is not None:
        change[learner.normalisation] = 0.0
    if facts["normalise"]:
        pace = effective_steps(
            trained.steps, learning_rate=recipe.learning_rate, momentum=recipe.momentum, proximal=recipe.proximal
        )
        change[:size] /= np.float32(pace)
        sums["pace"] = np.array([trained.rows * pace])
    sums["change"] = np.multiply(change, count, out=change)
    return sums, after_training(settled, done, control=new, layers=layers)


def _no_change(learner: Learner, facts: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The answer of a site that does not train in this round: zeros of the same shapes."""
    sums: dict[str, NDArray[Any]] = {"weight": np.zeros(1), "change": np.zeros(learner.size, np.float32)}
    if Recipe.from_facts(facts["recipe"]).private is None:
        sums["loss"] = np.zeros(1)
    if facts["control"] is not None:
        sums["control"], sums["joined"] = np.zeros(learner.parameters, np.float32), np.zeros(1)
    if facts["normalise"]:
        sums["pace"] = np.zeros(1)
    return sums


def classes_of(aim: Aim, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Rows to train on by class (of several labels: by label, 0 and 1) or by event, for the policies to judge."""
    if aim.task in ("binary", "multiclass"):
        return {"classes": np.bincount(targets.astype(np.int64), minlength=len(aim.levels))}
    if aim.task == "multilabel":
        bearers = np.count_nonzero(targets, axis=0)
        return {"classes": np.stack([len(targets) - bearers, bearers], axis=1)}
    if aim.task in ("cox", "discrete_time"):
        return {"events": np.array([np.count_nonzero(targets[:, 1])])}
    return {}


def _learner(facts: Mapping[str, Any]) -> Learner:
    return learner_of(Network.from_facts(facts["network"]), Aim.from_facts(facts["aim"]))


def _with_own_layers(learner: Learner, facts: Mapping[str, Any], settled: Mapping[str, Any]) -> Floats:
    """The weights of the question with the layers that the site had at that time."""
    weights: Floats = np.asarray(facts["weights"], np.float32)
    layers = at(settled, facts["of_round"])["layers"] if facts["own_layers"] else None
    if layers is None:
        return weights
    own = weights.copy()
    own[learner.normalisation] = layers
    return own


def _has_the_turn(facts: Mapping[str, Any], examples: Examples) -> bool:
    """Whether this site trains in this round: all do, or in a cycle the one that is named."""
    return facts["turn"] is None or not examples.rows or named(examples) == facts["turn"]


def _answer(
    sums: Mapping[str, NDArray[Any]], rows: int, *, individual: bool = False, layout: tuple[tuple[str, tuple[int, ...]], ...] = ()
) -> Answer:
    """In a cycle the sum of the changes is one site's own, so it is declared as what it is."""
    parts = {}
    for name, values in sums.items():
        kind: Literal["addend", "individual"] = "individual" if individual and name == "change" else "addend"
        told = layout if name == "change" else ()
        parts[name] = Part(values, rows, kind=kind, cells=name.rpartition("/")[2] in COUNTED, layout=told)
    return Answer(parts, rows)


TRAINING_STEPS: Mapping[str, Step] = {"train": _train, "judge": _judge}
