"""One step of training of a module: zero the gradient, forward, loss, backward, optimiser; on real tensors or on fake ones.

Weights and gradients are views of one vector each, as the program that trains keeps them, so that the operators are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["Training", "mean_square", "stepping"]

Loss = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True, slots=True)
class Training:
    """What a step adds to forward and backward.

    Attributes:
        optimiser: ``sgd``, ``adam`` or ``adamw``.
        momentum: of ``sgd``; decay: of the weights; proximal, drift, clip: whether they are added to the gradient.
    """

    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: bool = False
    decay: bool = False
    proximal: bool = False
    drift: bool = False
    clip: bool = False


def mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    """The plainest loss."""
    return ((outputs - targets) ** 2).mean()


def stepping(module: Module, inputs: Tensor, targets: Tensor, loss: Loss, training: Training) -> Callable[[], None]:
    """A step, to be called as often as wished; the module is in training from now on and its weights are moved into one vector."""
    import torch

    for layer in module.modules():  # nobody reads how many batches there were, and training does not count them
        if getattr(layer, "num_batches_tracked", None) is not None:
            setattr(layer, "num_batches_tracked", None)  # noqa: B010 (torch declares it a tensor)
    learned = list(module.train().parameters())
    flat = torch.cat([each.data.reshape(-1) for each in learned])
    gradient, place = torch.zeros_like(flat), 0
    for each in learned:
        piece = slice(place, place + each.numel())
        each.data, each.grad = flat[piece].view(each.shape), gradient[piece].view(each.shape)
        place = piece.stop
    advance = _optimiser(flat, gradient, training)

    def step() -> None:
        gradient.zero_()
        found: Any = loss(module(inputs), targets)
        found.backward()
        with torch.no_grad():
            advance()

    return step


def _optimiser(weights: Tensor, gradient: Tensor, training: Training) -> Callable[[], None]:
    """The operations of a step along the gradient; its numbers do not matter here, and stay where they are."""
    import torch

    first, second, start = torch.zeros_like(weights), torch.zeros_like(weights), torch.zeros_like(weights)

    def advance() -> None:
        if training.clip:
            gradient.mul_((1.0 / (gradient.norm(dim=-1, keepdim=True) + 1e-6)).clamp_max(1.0))
        if training.proximal:
            gradient.add_(weights - start, alpha=0.0)
        if training.drift:
            gradient.add_(start)
        if training.optimiser == "adamw":
            weights.mul_(1.0)
        elif training.decay:
            gradient.add_(weights, alpha=0.0)
        if training.optimiser == "sgd":
            weights.add_(first.mul_(0.0).add_(gradient) if training.momentum else gradient, alpha=-1e-6)
            return
        first.lerp_(gradient, 0.1)
        second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        weights.addcdiv_(first, (second / 1.0).sqrt_().add_(1e-8), value=-1e-6)

    return advance
