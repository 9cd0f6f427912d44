"""Training in the sense of differential privacy at one site: DP-SGD (Abadi et al. 2016, algorithm 1).

Each step takes a Poisson sample of the rows, clips every row's gradient, adds normal noise to their sum and divides by the rows
that were to be expected. The optimiser follows what comes out as it would any gradient, and nothing else of the rows is told.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import SiteError
from huizhen.methods.networks import kind
from huizhen.methods.training.batches import flips_of, inputs_of, mirrored, targets_of
from huizhen.methods.training.clipping import clipped_sum_of
from huizhen.methods.training.learner import Learner, Rows, Trained, Weights
from huizhen.methods.training.losses import ROWS_MEET, row_loss_of
from huizhen.methods.training.optimiser import Optimiser
from huizhen.methods.training.order import seed_of
from huizhen.methods.training.recipe import Recipe
from huizhen.methods.training.secret import Entropy, Secret
from huizhen.methods.training.spending import Spending
from huizhen.methods.training.state import alone, diverged, memory_named

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["train_privately", "why_not_private"]

MEET = "private: the loss of a cox network compares rows, so that no row's part has a bound; choose task = 'discrete_time'"
KEEPS = "private: the network keeps means of its rows, to which no noise is added; choose another network"
RATELESS = "private: without a rate the steps would tell how many rows there are, so nothing is trained; set rate in private"
UNARMED = "private: this site has no secure source of randomness, so nothing is trained; the program that asks must hand one in"


def why_not_private(learner: Learner) -> str:
    """Why a network cannot be trained privately on its aim, and what to do; empty where it can."""
    if learner.aim.task in ROWS_MEET:
        return MEET
    if learner.normalisation.any():
        remedy = _remedy(learner.network.name)
        return f"private: the network normalises over the rows of a batch, so that a row acts on all others; {remedy}"
    return KEEPS if learner.size > learner.parameters else ""


def train_privately(
    learner: Learner,
    weights: Weights,
    inputs: Rows,
    targets: Rows,
    recipe: Recipe,
    *,
    entropy: Entropy | None,
    drift: NDArray[np.float32] | None = None,
    counted: int | None = None,
) -> Trained:
    """The weights after private training on a site's rows, which no seed repeats.

    What the weights reveal of one row is bounded by `Spending.of(recipe, rows)`, where neighbouring data sets differ by one row.
    The *number* of rows is taken as known, unless `counted` stands for it.

    Args:
        learner, weights, inputs, targets, drift: as for `Learner.train`; `drift` must come from what was told already.
        recipe: with `private`. Its momentum, decay and proximal term act on the noisy gradient.
        counted: the number of rows as it was told, with noise: the sum of gradients is divided by what it lets expect, and it is
            the `rows` of what comes out. None: the true number, which is no secret.
        entropy: the secure source, asked once, for a key: of the sample, the noise, dropout and mirroring.

    Returns:
        As `Learner.train`, without the loss (NaN), which would tell of the rows.

    Raises:
        SiteError: the network or the aim cannot be trained so, there is no source, the weights are no longer finite, memory ran
            out, there are no rows, or they are of another shape.
        MachineError: the source gave another number of bytes than was asked for.
    """
    private, rows = recipe.private, len(inputs)
    if reason := why_not_private(learner):
        raise SiteError(reason)
    if private is None or entropy is None:
        raise SiteError(UNARMED)
    if counted is not None and not private.rate:
        raise SiteError(RATELESS)
    learner.refuse_strangers(inputs)
    learner.schedule(np.array([rows]), recipe)
    spending, secret = Spending.of(recipe, rows), Secret(entropy, most=learner.parameters)
    told = rows if counted is None else counted
    store, expected = learner.store, spending.rate * max(told, 1)
    with alone(secret.seed(), threads=learner.threads(recipe.batch)), memory_named(recipe.batch):
        store.load(weights)
        store.module.train()
        flips = seed_of(secret.seed()) if recipe.augment == "flip" else None
        clipped_sum = clipped_sum_of(store, row_loss_of(learner.aim))
        optimiser = Optimiser(recipe, store.flat, None if drift is None else store.placed(drift))
        noise = store.gradient.cpu()  # the gradient itself, where there is no other device
        samples = secret.samples(rows, spending.rate)
        for step, chosen in zip(range(spending.steps), samples):
            secret.fill(noise, private.noise * private.clip / expected)
            if noise is not store.gradient:
                store.gradient.copy_(noise)
            if len(chosen):
                x, y = inputs_of(inputs[chosen], learner.device), targets_of(learner.aim, targets[chosen], learner.device)
                if flips is not None:
                    x, y = _mirrored(learner, x, y, flips_of(flips, np.array([step]), chosen[None])[0])
                clipped_sum(x, y, clip=private.clip, over=expected)
            optimiser.step(store.gradient)
        after = store.weights()
    if not np.isfinite(after).all():  # which the weights show, so that to say it tells no more
        raise diverged(spending.steps)
    return Trained(after, spending.steps, nan, told, spent=spending)


def _mirrored(learner: Learner, x: Tensor, y: Tensor, flips: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    return mirrored(x, flips), mirrored(y, flips) if learner.aim.task == "segmentation" else y


def _remedy(network: str) -> str:
    """What to set instead of batch normalisation, as the network's own settings say."""
    norm = kind(network).settings.model_fields.get("norm")
    others = [] if norm is None else [name for name in get_args(norm.annotation) if name != "batch"]
    return f"choose norm = {' or '.join(repr(name) for name in others)} in settings" if others else "choose another network"
