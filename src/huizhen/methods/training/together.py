"""One step of many sites at once: their weights stand in one matrix (site, parameter), and one batch of each goes through the
network together (`torch.func.vmap` over `torch.func.grad_and_value`).

Sites stand in the order of their steps, most first, so that those which still have to move are always the first of the matrix, and
a site with fewer steps stands still. Batches of unlike numbers of rows are filled up with rows of weight 0; where a row acts on
others (batch normalisation) sites with equally many rows in the batch go together instead.

The numbers differ from the plain loop's by rounding, for Adam too, but for weights that the loss does not depend on, such as the
constant of a Cox model: their gradient is rounding alone, and Adam divides it by its own size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.training.batches import flips_of, inputs_of, mirrored, targets_of
from huizhen.methods.training.learner import Learner, Rows, Weights
from huizhen.methods.training.optimiser import Optimiser
from huizhen.methods.training.order import Draws, Ints, Schedule, row_orders
from huizhen.methods.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Group", "Sites", "TrainedTogether"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedTogether:
    """What came of training at each site.

    Attributes:
        weights: float32 (site, size).
        losses: float64 (site,), as `Trained.loss`.
        steps: int64 (site,).
        diverged: int64 (site,), the step (from 1) in which the loss or the weights were no longer finite; 0 where they were.
    """

    weights: Weights
    losses: NDArray[np.float64]
    steps: Ints
    diverged: Ints


class Sites:
    """The rows of many sites, one behind the other, and which sites hold which.

    Args:
        rows: (inputs, targets) of each site, as for `Learner.train`.
    """

    def __init__(self, rows: Sequence[tuple[Rows, Rows]]) -> None:
        self.counts = np.array([len(inputs) for inputs, _ in rows], np.int64)
        self.firsts = np.cumsum(self.counts) - self.counts
        self.inputs = np.concatenate([inputs for inputs, _ in rows])
        self.targets = np.concatenate([targets for _, targets in rows])

    def __len__(self) -> int:
        return len(self.counts)

    def of(self, site: int) -> tuple[Rows, Rows]:
        """Inputs and targets of one site, as views."""
        which = slice(int(self.firsts[site]), int(self.firsts[site] + self.counts[site]))
        return self.inputs[which], self.targets[which]


class Group:
    """Sites in training, most steps first."""

    def __init__(
        self,
        learner: Learner,
        start: Weights,
        sites: Sites,
        which: Ints,
        recipe: Recipe,
        schedule: Schedule,
        seeds: Draws,
        drifts: NDArray[np.float32] | None,
    ) -> None:
        import torch

        self._learner, self._sites, self._recipe, self._schedule, self._seeds = learner, sites, recipe, schedule, seeds
        self._firsts = sites.firsts[which]
        whole = torch.from_numpy(start).to(learner.device)  # copied by its index
        self._weights = whole[:, : learner.parameters].contiguous()
        self._buffers = whole[:, learner.parameters :].contiguous()
        self._gradient = torch.zeros_like(self._weights)
        self._optimiser = Optimiser(recipe, self._weights, None if drifts is None else torch.from_numpy(drifts).to(learner.device))
        self._gradient_of = _gradient_of(learner)
        self._orders = row_orders(seeds, np.zeros_like(schedule.rows), schedule.rows)

    def train(self) -> tuple[Weights, NDArray[np.float64], Ints]:
        """Weights, losses and the steps in which sites diverged."""
        import torch

        self._learner.store.module.train()
        schedule, count = self._schedule, len(self._firsts)
        totals, seen, failed = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
        for step in range(int(schedule.steps.max(initial=0))):
            active = int((schedule.steps > step).sum())
            fresh = np.flatnonzero(step % schedule.per_epoch[:active] == 0)
            if step and len(fresh):
                self._reorder(fresh, schedule.epoch(step)[fresh])
            if not self._recipe.steps:
                totals[fresh], seen[fresh] = 0.0, 0
            losses, rows = self._batch(step, active)
            self._optimiser.step(self._gradient[:active], active)
            broken = ~np.isfinite(losses)
            failed[:active][broken & (failed[:active] == 0)] = step + 1
            totals[:active] += np.where(broken, 0, losses) * rows
            seen[:active] += rows
        found = torch.cat([self._weights, self._buffers], 1).cpu().numpy()
        broken = ~np.isfinite(found).all(1) & (failed == 0)
        failed[broken] = schedule.steps[broken]
        return found, np.where(failed, np.nan, totals / np.maximum(seen, 1)), failed

    def _reorder(self, which: Ints, epochs: Ints) -> None:
        orders = row_orders(self._seeds[which], epochs, self._schedule.rows[which])
        self._orders[which, : orders.shape[1]] = orders

    def _batch(self, step: int, active: int) -> tuple[NDArray[np.float64], Ints]:
        """Losses of the first sites in a step, with the rows in their batches; their gradients are in place."""
        firsts, counts = (each[:active] for each in self._schedule.bounds(step))
        losses = np.empty(active)
        for which in self._alike(counts):
            losses[which] = self._gradients(step, which, firsts[which], counts[which])
        return losses, counts

    def _alike(self, counts: Ints) -> Iterator[Any]:
        """Sites whose batches go through the network together."""
        if not self._learner.normalisation.any():
            yield slice(0, len(counts))
            return
        for count in np.unique(counts):
            yield np.flatnonzero(counts == count)

    def _gradients(self, step: int, which: Any, firsts: Ints, counts: Ints) -> NDArray[np.float64]:
        import torch

        learner, width = self._learner, int(counts.max())
        columns = np.arange(width)
        within = columns < counts[:, None]
        orders = self._orders[which]
        rows = np.take_along_axis(orders, np.where(within, firsts[:, None] + columns, 0), 1)
        places = (self._firsts[which][:, None] + rows).ravel()
        x = inputs_of(np.take(self._sites.inputs, places, axis=0), learner.device).view(len(counts), width, *learner.network.inputs)
        y = targets_of(learner.aim, np.take(self._sites.targets, places, axis=0), learner.device).view(
            len(counts), width, *self._sites.targets.shape[1:]
        )
        if self._recipe.augment == "flip":
            flips = flips_of(self._seeds[which], self._schedule.epoch(step)[: len(self._firsts)][which], rows)
            x = mirrored(x, flips)
            y = mirrored(y, flips) if learner.aim.task == "segmentation" else y
        w = torch.from_numpy(within.astype(np.float32)).to(learner.device)
        gradient, buffers, losses = self._gradient_of(self._weights[which], self._buffers[which], x, y, w)
        self._gradient[which], self._buffers[which] = gradient, buffers
        found: NDArray[np.float64] = losses.double().cpu().numpy()
        return found


def _gradient_of(learner: Learner) -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Gradients (site, parameter), buffers (site, entry) and losses (site,) after a batch at each site."""
    import torch
    from torch.func import functional_call, grad_and_value, vmap

    names, learned = learner.names, learner.store.learned
    sizes = [prod(shape) for _, shape in names]

    def pieces(flat: Tensor, part: slice) -> dict[str, Tensor]:
        split = torch.split(flat, sizes[part], dim=-1)
        return {name: each.view(*flat.shape[:-1], *shape) for (name, shape), each in zip(names[part], split)}

    def loss(weights: Tensor, buffers: dict[str, Tensor], x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        given = {**pieces(weights, slice(0, learned)), **buffers}
        return learner.loss(functional_call(learner.store.module, given, (x,)), y, w)

    each = vmap(grad_and_value(loss))

    def gradients(weights: Tensor, buffers: Tensor, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not buffers.shape[1]:
            found, losses = each(weights, {}, x, y, w)
            return found, buffers, losses
        # Changed in place, which is lost on a piece that is not contiguous: torch would change a copy.
        kept = {name: part.contiguous() for name, part in pieces(buffers, slice(learned, None)).items()}
        found, losses = each(weights, kept, x, y, w)
        return found, torch.cat([part.flatten(1) for part in kept.values()], 1), losses

    return gradients
