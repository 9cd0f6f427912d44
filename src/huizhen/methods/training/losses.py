"""What training makes small, for each task: a mean over the rows of a batch, in which every row has a weight.

Each loss is written for one site's batch, from torch operations that `torch.func.vmap` can lay over many sites. The mean is the
weighted sum over the sum of weights, so rows of weight 0 count for nothing, in the loss and in its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from huizhen.methods.scores.aim import Aim

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ROWS_MEET", "Loss", "RowLoss", "loss_of", "row_loss_of"]

Loss = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]  # outputs (row, output, *space), targets, weights (row,) -> ()
RowLoss = Callable[["Tensor", "Tensor"], "Tensor"]  # outputs (row, output, *space), targets -> (row,)
SMOOTH = 1e-5  # added above and below in Dice: a class that is neither there nor foretold counts as found
ROWS_MEET = ("cox",)  # tasks whose loss is no mean over rows of what each has by itself
LEAST_WEIGHT = 1e-30  # log of it is finite, and it is nothing beside any weight in use


def loss_of(aim: Aim) -> Loss:
    """The loss of a task.

    ``binary``, ``multilabel``: cross entropy of the logits (mean over labels). ``multiclass``: cross entropy. ``regression``:
    squared error. ``cox``: Breslow's partial likelihood with risk sets within the batch. ``discrete_time``: likelihood of the
    hazards. ``segmentation``: soft Dice and cross entropy, both with weight 1.
    """
    if aim.task in ROWS_MEET:
        return _cox
    each = row_loss_of(aim)
    return lambda outputs, targets, weights: _mean(each(outputs, targets), weights)


def row_loss_of(aim: Aim) -> RowLoss:
    """The loss of each row by itself, of which that of the task is the mean; not for tasks of `ROWS_MEET`, where there is none."""
    return _EACH[aim.task]


def _mean(each: Tensor, weights: Tensor) -> Tensor:
    return (each * weights).sum() / weights.sum().clamp_min(LEAST_WEIGHT)


def _binary(outputs: Tensor, targets: Tensor) -> Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction="none")


def _multilabel(outputs: Tensor, targets: Tensor) -> Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(1)


def _multiclass(outputs: Tensor, targets: Tensor) -> Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets, reduction="none")


def _regression(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs[:, 0] - targets) ** 2


def _cox(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Minus the log partial likelihood over the sum of the batch's weights (Breslow 1974; in a batch, Kvamme et al. 2019, eq. 5).

    All rows of one time are in each other's risk sets. A batch without an event has loss and gradient 0.
    """
    import torch

    order = torch.argsort(targets[:, 0], descending=True, stable=True)
    time, event, weight, score = targets[order, 0], targets[order, 1], weights[order], outputs[order, 0]
    at_risk = torch.logcumsumexp(score + weight.clamp_min(LEAST_WEIGHT).log(), 0)
    last_of_time = torch.searchsorted(-time, -time, right=True) - 1
    return _mean(event.to(score.dtype) * (at_risk[last_of_time] - score), weight)


def _discrete_time(outputs: Tensor, targets: Tensor) -> Tensor:
    """Minus the log likelihood of the hazards (Gensheimer and Narasimhan 2019, eqs. 3 and 4).

    With h the hazards and j the row's interval: the product of 1 - h over the intervals before j, times h of j after an event, or
    times 1 - h of j without one: who is censored has lived through the interval of the last visit (the person-period form of
    Singer and Willett 1993).
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    interval, event = targets[:, :1], targets[:, 1:]
    places = torch.arange(outputs.shape[1], device=outputs.device)
    happened = ((places == interval) & (event > 0)).to(outputs.dtype)
    each = binary_cross_entropy_with_logits(outputs, happened, reduction="none")
    return (each * (places <= interval)).sum(1)


def _segmentation(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy (mean over pixels) plus 1 - soft Dice of each row (mean over classes; Sudre et al. 2017, sec. 2.1)."""
    import torch
    from torch.nn.functional import cross_entropy

    classes = torch.arange(outputs.shape[1], device=outputs.device).view(-1, *[1] * (outputs.dim() - 2))
    truth = (targets.unsqueeze(1) == classes).to(outputs.dtype)
    chance = outputs.softmax(1)
    overlap, both = (chance * truth).flatten(2).sum(2), (chance + truth).flatten(2).sum(2)
    dice = ((2 * overlap + SMOOTH) / (both + SMOOTH)).mean(1)
    return cross_entropy(outputs, targets, reduction="none").flatten(1).mean(1) + 1 - dice


_EACH: dict[str, RowLoss] = {
    "binary": _binary,
    "multilabel": _multilabel,
    "multiclass": _multiclass,
    "regression": _regression,
    "discrete_time": _discrete_time,
    "segmentation": _segmentation,
}
