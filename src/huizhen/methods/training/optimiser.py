"""One step of an optimiser on flat weights, of one site or of many: every operation is entry by entry, but for the norm.

Written out, because a step then costs a handful of operations for a whole network, and the many sites of the batched path take the
same code as the one site of the plain loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from huizhen.methods.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Optimiser"]

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # as proposed by Kingma and Ba 2015


class Optimiser:
    """The steps of a recipe from one start; definitions as in torch.optim.

    Args:
        recipe: the optimiser and what is added to the gradient.
        start: weights at the start, float32 (param,) or (site, param); changed by `step`.
        drift: added to every gradient, same shape as `start`, or None.
    """

    def __init__(self, recipe: Recipe, start: Tensor, drift: Tensor | None) -> None:
        import torch

        self._recipe, self._weights, self._drift, self._done = recipe, start, drift, 0
        self._start = start.clone() if recipe.proximal else None
        self._first = torch.zeros_like(start) if recipe.optimiser != "sgd" or recipe.momentum else None
        self._second = torch.zeros_like(start) if recipe.optimiser != "sgd" else None

    def step(self, gradient: Tensor, sites: int | None = None) -> None:
        """Move the weights along a gradient, which is overwritten.

        Args:
            gradient: (param,), or (sites, param).
            sites: of many sites, how many of the first take the step; the others stand still.
        """
        recipe, weights = self._recipe, self._weights[:sites]
        self._done += 1
        if recipe.clip:
            norm = gradient.norm(dim=-1, keepdim=True)
            gradient.mul_((recipe.clip / (norm + 1e-6)).clamp_max(1.0))
        if self._start is not None:
            gradient.add_(weights - self._start[:sites], alpha=recipe.proximal)
        if self._drift is not None:
            gradient.add_(self._drift[:sites])
        if recipe.optimiser == "adamw":
            weights.mul_(1 - recipe.learning_rate * recipe.weight_decay)
        elif recipe.weight_decay:
            gradient.add_(weights, alpha=recipe.weight_decay)
        if self._second is not None:
            self._adam(weights, gradient, sites)
        else:
            weights.add_(self._with_momentum(gradient, sites), alpha=-recipe.learning_rate)

    def _with_momentum(self, gradient: Tensor, sites: int | None) -> Tensor:
        return gradient if self._first is None else self._first[:sites].mul_(self._recipe.momentum).add_(gradient)

    def _adam(self, weights: Tensor, gradient: Tensor, sites: int | None) -> None:
        assert self._first is not None
        assert self._second is not None
        first = self._first[:sites].lerp_(gradient, 1 - BETA1)
        second = self._second[:sites].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        scale = (second / (1 - BETA2**self._done)).sqrt_().add_(EPS)
        weights.addcdiv_(first, scale, value=-self._recipe.learning_rate / (1 - BETA1**self._done))
