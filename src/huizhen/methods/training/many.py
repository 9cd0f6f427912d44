"""Many sites trained at once on one machine, and averaged: what a simulation of a federation does in every round.

Fully connected networks go through `huizhen.methods.training.together`, as many sites at once as memory is meant for. A convolution
has work enough in one site's batch, and a network that draws in training (dropout) takes draws that are torch's own and belong to
one site's run: there sites go one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import SiteError
from huizhen.methods.training.aggregation import mean_change
from huizhen.methods.training.learner import NOISELESS, Learner, Rows, Weights
from huizhen.methods.training.order import ROUND, Draws, Ints, Schedule, draw, seed_of
from huizhen.methods.training.recipe import Recipe
from huizhen.methods.training.state import alone, memory_named
from huizhen.methods.training.together import Group, Sites, TrainedTogether
from huizhen.privacy.release import Total

__all__ = ["average_many", "site_seeds", "train_many"]

AT_ONCE = 2**24  # numbers held for the sites that are trained together (weights, gradients, one batch): 64 MiB


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
        SiteError: memory ran out, a site has too few rows, or the recipe is private. A site that diverged raises nothing: see
            `TrainedTogether.diverged`.
    """
    if recipe.private is not None:
        raise SiteError(NOISELESS)
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
        rows, change = held.counts[sound].astype(np.float32), found.weights[sound] - weights
        sums = {"weight": rows.sum(dtype=np.float64)[None], "change": np.einsum("s,sw->w", rows, change)}
        weights = weights + mean_change(Total(sums, {}, {}, int(rows.sum()), ()), learner.parameters)
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
            group = Group(learner, start, sites, which, recipe, schedule.of_sites(which), seeds[which],
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
