"""Many small sites trained at once: the numbers of the plain loop, in a small part of its time.

The sites' weights lie in one matrix (site, parameter), and a step takes one batch of every site through the network together
(`torch.func.vmap` over `torch.func.grad_and_value`). Sites stand in the order of their steps, most first, so that those which still
have to move are always the first of the matrix, and a site with fewer steps stands still. Batches of unlike numbers of rows are
filled up with rows of weight 0; where a row acts on others (batch normalisation) sites with equally many rows in the batch go
together instead.

This pays for fully connected networks: a convolution has work enough in one site's batch, and sites then go one after another. So
do networks that draw in training (dropout), whose draws are torch's own and belong to one site's run.

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

from huizhen.errors import SiteError
from huizhen.methods.training.batches import flips_of, inputs_of, mirrored, targets_of
from huizhen.methods.training.learner import Learner, Rows, Weights
from huizhen.methods.training.optimiser import Optimiser
from huizhen.methods.training.order import ROUND, Draws, Ints, Schedule, draw, row_orders, seed_of
from huizhen.methods.training.recipe import Recipe
from huizhen.methods.training.state import alone, memory_named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Sites", "TrainedTogether", "average_many", "site_seeds", "train_many"]

AT_ONCE = 2**24  # numbers held for the sites that are trained together (weights, gradients, one batch): 64 MiB


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


def train_many(
    learner: Learner,
    weights: Weights,
    sites: Sites | Sequence[tuple[Rows, Rows]],
    recipe: Recipe,
    *,
    seeds: Sequence[int] | Draws,
    drifts: NDArray[np.float32] | None = None,
) -> TrainedTogether:
    """The weights after training at every site, each from the same start: those of `Learner.train` within rounding.

    Args:
        learner: network and aim.
        weights: where all start, float32 (size,), or (site, size) where they differ.
        sites: their rows; `Sites` where they are used again.
        recipe: how.
        seeds: of each site, (site,).
        drifts: added to each site's gradients, (site, parameters).

    Raises:
        SiteError: memory ran out, or a site has too few rows. A site that diverged raises nothing: see `TrainedTogether.diverged`.
    """
    held = sites if isinstance(sites, Sites) else Sites(sites)
    schedule = learner.schedule(held.counts, recipe)
    drawn = np.concatenate([seed_of(int(seed)) for seed in seeds]) if not isinstance(seeds, np.ndarray) else seeds
    path = _together if learner.dense and not learner.draws else _apart
    return path(learner, weights, held, recipe, schedule, drawn, drifts)


def average_many(
    learner: Learner, weights: Weights, sites: Sites | Sequence[tuple[Rows, Rows]], recipe: Recipe, *, rounds: int, seed: int
) -> tuple[Weights, NDArray[np.float64]]:
    """Federated averaging (McMahan et al. 2017, alg. 1) over many sites, all taking part in each round, each weighted by its rows.

    A site that diverges is left out of that round.

    Args:
        learner, weights, sites, recipe: as for `train_many`.
        rounds: how many.
        seed: of `site_seeds`.

    Returns:
        The averaged weights, float32 (size,), and the losses, float64 (round, site), NaN where a site diverged.

    Raises:
        SiteError: every site diverged, or as `train_many`.
    """
    held = sites if isinstance(sites, Sites) else Sites(sites)
    losses = np.empty((rounds, len(held)))
    for number in range(rounds):
        found = train_many(learner, weights, held, recipe, seeds=site_seeds(seed, number, len(held)))
        sound = found.diverged == 0
        if not sound.any():
            raise SiteError(f"training diverged at every site in round {number + 1}; lower learning_rate, or set clip")
        shares = np.where(sound, held.counts, 0) / held.counts[sound].sum()
        every = found.weights if sound.all() else np.where(sound[:, None], found.weights, np.float32(0))
        weights = np.einsum("s,sw->w", shares, every).astype(np.float32)
        losses[number] = np.where(sound, found.losses, np.nan)
    return weights, losses


def site_seeds(seed: int, number: int, count: int) -> Draws:
    """A seed for each of `count` sites in a round (from 0), (site,)."""
    return draw(seed_of(seed), ROUND, number, np.arange(count))


def _apart(
    learner: Learner,
    weights: Weights,
    sites: Sites,
    recipe: Recipe,
    schedule: Schedule,
    seeds: Draws,
    drifts: NDArray[np.float32] | None,
) -> TrainedTogether:
    """One site after another."""
    found = np.empty((len(sites), learner.size), np.float32)
    losses, failed = np.full(len(sites), np.nan), np.zeros(len(sites), np.int64)
    for site in range(len(sites)):
        start, drift = weights if weights.ndim == 1 else weights[site], None if drifts is None else drifts[site]
        after = learner.attempt(start, *sites.of(site), recipe, seed=int(seeds[site]), drift=drift)
        found[site], losses[site], failed[site] = after.weights, after.loss, after.diverged
    return TrainedTogether(found, losses, schedule.steps.copy(), failed)


def _together(
    learner: Learner,
    weights: Weights,
    sites: Sites,
    recipe: Recipe,
    schedule: Schedule,
    seeds: Draws,
    drifts: NDArray[np.float32] | None,
) -> TrainedTogether:
    """All sites in each step, as many at once as memory is meant for."""
    found = np.empty((len(sites), learner.size), np.float32)
    losses, failed = np.empty(len(sites)), np.empty(len(sites), np.int64)
    with alone(0, threads=1), memory_named(recipe.batch):
        for which in _groups(learner, sites, recipe, schedule):
            start = np.broadcast_to(weights, found.shape)[which]
            group = _Group(learner, start, sites, which, recipe, schedule.of_sites(which), seeds[which],
                           None if drifts is None else drifts[which])  # fmt: skip
            found[which], losses[which], failed[which] = group.train()
    return TrainedTogether(found, losses, schedule.steps.copy(), failed)


def _groups(learner: Learner, sites: Sites, recipe: Recipe, schedule: Schedule) -> Iterator[Ints]:
    """Sites that are trained together, those with most steps first; sites in a group have like numbers of rows."""
    order = np.lexsort((np.arange(len(sites)), -sites.counts, -schedule.steps))
    first = 0
    while first < len(order):
        rows = int(sites.counts[order[first:]].max())
        each = 4 * learner.size + 2 * rows + 4 * min(recipe.batch, rows) * prod(learner.network.inputs)
        yield order[first : first + max(1, AT_ONCE // each)]
        first += max(1, AT_ONCE // each)


class _Group:
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
