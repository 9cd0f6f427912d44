"""What boosting makes small: loss, gradient and hessian of each row, by task.

As XGBoost defines them (T. Chen and C. Guestrin, KDD 2016, equation 3): gradient and diagonal hessian of the loss with respect to a
row's margins; of the softmax twice the diagonal. Cox: Breslow's partial likelihood.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Derivatives", "Hazard", "derivatives", "hessian_bound", "loss_bound", "losses", "probabilities"]

Floats = NDArray[np.float64]
FLATTEST = 1e-16  # a hessian is at least this, as in XGBoost


class Derivatives(NamedTuple):
    """Gradient and hessian, float64 (output, row)."""

    gradient: Floats
    hessian: Floats


class Hazard(NamedTuple):
    """What the joint risk sets say of a row: sums over the events up to its time, float64 (row,), of d / S and of d / S squared."""

    first: Floats
    second: Floats


def derivatives(task: str, margins: Floats, target: Floats, weight: Floats | None, hazard: Hazard | None) -> Derivatives:
    """Gradient and hessian of rows of weight 1; of Cox, whose risk sets weigh the rows, with their weights.

    Args:
        margins: float64 (output, row).
        target: 0 or 1; code of the class; number; for Cox 1 where the event came; float64 (row,).
        weight: float64 (row,), None for equal ones; for Cox only.
        hazard: for Cox only.
    """
    if task == "binary":
        chance = _logistic(margins)
        return Derivatives(chance - target, np.maximum(chance * (1.0 - chance), FLATTEST))
    if task == "multiclass":
        chance = _softmax(margins)
        hit = np.arange(len(margins))[:, None] == target
        return Derivatives(chance - hit, np.maximum(2.0 * chance * (1.0 - chance), FLATTEST))
    if task == "regression":
        return Derivatives(margins - target, np.ones_like(margins))
    assert hazard is not None
    risk, event = np.exp(margins), target
    if weight is not None:
        risk, event = risk * weight, event * weight
    return Derivatives(risk * hazard.first - event, np.maximum(risk * hazard.first - risk * risk * hazard.second, 0.0))


def hessian_bound(task: str) -> float:
    """The most that a row of weight 1 has as hessian."""
    return {"binary": 0.25, "multiclass": 0.5}.get(task, 1.0)


def losses(task: str, margins: Floats, target: Floats, gradient: Floats) -> Floats:
    """Loss of rows of weight 1: minus the log likelihood, or half the squared error; float64 (row,). For Cox: minus event x margin.

    Args:
        gradient: of rows of weight 1: how far the probability of what came to pass is from 1.
    """
    if task == "regression":
        return np.asarray(0.5 * gradient[0] ** 2)
    if task == "cox":
        return np.asarray(-target * margins[0])
    of = 0 if task == "binary" else (target.astype(np.int64), np.arange(len(target)))
    return np.asarray(-np.log(np.maximum(1.0 - np.abs(gradient[of]), FLATTEST)))


def loss_bound(task: str, reach: float, largest: float) -> float:
    """The most that a row of weight 1 can lose, with margins of at most `reach` and targets of at most `largest`."""
    if task == "regression":
        return 0.5 * (reach + largest) ** 2
    return reach if task == "cox" else -math.log(FLATTEST)


def probabilities(task: str, margins: Floats) -> Floats:
    """What margins mean: probabilities of the positive level or of each class, means, hazard ratios; float64 (output, row)."""
    if task == "binary":
        return _logistic(margins)
    if task == "multiclass":
        return _softmax(margins)
    return margins if task == "regression" else np.exp(margins)


def _logistic(margins: Floats) -> Floats:
    # Overflow to infinity is right here: the probability is 0 to the last digit.
    with np.errstate(over="ignore"):
        chance = np.exp(-margins)
    chance += 1.0
    return np.divide(1.0, chance, out=chance)


def _softmax(margins: Floats) -> Floats:
    risen = np.exp(margins - margins.max(axis=0))
    return np.asarray(risen / risen.sum(axis=0))
