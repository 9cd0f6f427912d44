"""Separation: a direction in which the likelihood grows without end, so that no estimate exists.

Proof by rows, not by guess: along the direction every row's likelihood stays or grows (Albert and Anderson, Biometrika 71, 1984). A
site says only whether one of its rows speaks against it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.errors import NotEstimable
from huizhen.methods.design.columns import INTERCEPT, Design
from huizhen.methods.linear.model import Model
from huizhen.methods.method import Local
from huizhen.privacy.release import Answer, Part, Question, Total

__all__ = ["DIRECTION", "is_suspect", "refuse_separated", "violations"]

Floats = NDArray[np.float64]
DIRECTION = "glm.direction"
# Scoring settles within some 6 rounds, or goes on by steps of about 1 in the linear predictor for ever.
PATIENCE = 8
LEAST_STEP = 1e-4
# Share of the direction's size below which a row does not move along it.
STILL = 1e-7
NAMED = 0.05  # share of the largest part of the direction from which a column is named


def is_suspect(model: Model, iteration: int, step: Floats) -> bool:
    """Whether it is time to ask if the last step leads to infinity."""
    separable = model.family.name == "binomial" or (model.family.name == "poisson" and model.family.link.name == "log")
    return separable and iteration >= PATIENCE and bool(np.max(np.abs(step), initial=0.0) > LEAST_STEP)


def violations(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: whether some row speaks against the direction, and whether some row does not move along it (0 or 1 each)."""
    model, design = Model.from_facts(question.facts), Design.from_facts(question.facts["design"], local)
    direction = np.asarray(question.facts["direction"], dtype=np.float64)
    still = STILL * float(np.abs(direction).sum())
    flags = np.zeros(2, dtype=np.int64)
    for rows in chunks(examples.rows):
        response, _, weights = model.observed(examples, rows)
        moves = direction @ design.standardised(examples, rows)
        if weights is not None:
            moves = np.where(weights > 0, moves, 0.0)
        against = _against(model, response, moves, still)
        flags |= bool(against.any()), bool((np.abs(moves) <= still).any())
    return Answer({"flags": Part(flags, examples.rows, unit="sites")}, examples.rows), local


def _against(model: Model, response: Floats, moves: Floats, still: float) -> NDArray[np.bool_]:
    up, down = moves > still, moves < -still
    if model.family.name == "poisson":
        # The likelihood of a count of 0 grows as its mean falls; any other count has a best mean.
        return np.where(response > 0, up | down, up)
    return np.where(response >= 1, down, np.where(response <= 0, up, up | down))


def refuse_separated(model: Model, design: Design, direction: Floats, found: Total) -> None:
    """Raises `NotEstimable`, naming the columns, if no row speaks against the direction."""
    against, unmoved = found.sums["flags"].tolist()
    if against:
        return
    size = np.abs(direction) * np.array([float(name != INTERCEPT) for name in design.columns])
    names = [name for name, part in zip(design.columns, size) if part > NAMED * size.max()]
    listed = ", ".join(names) if names else "the columns"
    kind = "partly (quasi-complete separation)" if unmoved else "completely (complete separation)"
    if model.family.name == "poisson":
        said = f"Rows in which {model.outcome} is always 0 are set apart by {listed}"
    else:
        said = f"{model.outcome} is predicted {kind} by {listed}"
    raise NotEstimable(
        f"{said}, so the coefficient has no finite estimate. Join its levels, leave it out (a site whose rows all have one outcome "
        "separates by its site effect), or add a ridge penalty (ridge = 1.0)"
    )
