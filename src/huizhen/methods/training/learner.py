"""One network on one aim: its weights, its training on the rows of one site, and what it gives for rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import CHUNK
from huizhen.errors import Problem, SiteError, StudyError
from huizhen.methods.method import Team
from huizhen.methods.networks import Network, build, describe, in_memory, kind, require_torch
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.batches import flips_of, inputs_of, mirrored, targets_of
from huizhen.methods.training.losses import ROWS_MEET, loss_of
from huizhen.methods.training.optimiser import Optimiser
from huizhen.methods.training.order import DROPOUT, Schedule, draw, row_orders, seed_of
from huizhen.methods.training.recipe import Recipe
from huizhen.methods.training.spending import Spending
from huizhen.methods.training.state import alone, diverged, memory_named
from huizhen.methods.training.store import Store

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["NOISELESS", "Learner", "Rows", "Trained", "learner_of"]

Weights = NDArray[np.float32]
Rows = NDArray[Any]
STEP_OVER_FORWARD = 3  # a gradient takes twice the operations of the forward pass
SMALL_STEP = 10**8  # operations: some 10 ms on one core
DENSE = ("activation", "batchnorm", "container", "dropout", "flatten", "linear", "normalization")  # rooms of torch.nn.modules
PAIRS = "batch normalisation takes its mean over two rows at least; choose another norm, or leave the site out"
NOISELESS = "private: this way of training adds no noise, so nothing is trained; train one site at a time, with train_privately"
AT_ONCE = 2**18  # numbers of input that are predicted on at once: 8,738 rows of 30 features, 334 images of 28 x 28


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What came of training.

    Attributes:
        weights: float32 (size,).
        steps: steps of the optimiser.
        loss: mean over the rows of the last epoch (over all steps' rows, where the recipe counts steps), each at the weights before
            its step.
        rows: rows at the site.
        diverged: the step (from 1) in which the loss or the weights were no longer finite; 0: none.
        spent: of private training, what it cost; None: no noise was added.
    """

    weights: Weights
    steps: int
    loss: float
    rows: int
    diverged: int = 0
    spent: Spending | None = None


@lru_cache(maxsize=4)
def learner_of(network: Network, aim: Aim) -> Learner:
    """The learner of a network and an aim, kept for the next question."""
    return Learner(network, aim)


class Learner:
    """One network on one aim. Every use loads the weights it is given, so nothing is left over from the one before.

    Weights stand outside the network, float32 (size,): parameters in module order, then floating-point buffers (running means and
    variances). The same weights, rows and seed give the same bytes, on one machine's CPU.

    Attributes:
        network, aim: as given.
        size: entries of the weights.
        parameters: the first of them, which are learned.
        normalisation: which entries belong to batch normalisation, bool (size,).
        dense: fully connected, with what stands between such layers.
        draws: draws in training (dropout).
        shares: the gradient of a batch is the mean of its rows', so that a team can share the batch out.
        names: name and shape of each piece of the weights, in order.

    Raises:
        StudyError: the network cannot be built, or gives another number of outputs than the aim has.
        MachineError: torch is not installed.
    """

    def __init__(self, network: Network, aim: Aim) -> None:
        require_torch()
        import torch

        if network.outputs != aim.outputs:
            problem = Problem(f"network.{network.name}", f"{network.outputs} outputs", f"{aim.outputs}, as the aim has")
            raise StudyError("The network does not suit the aim.", [problem])
        maps = kind(network.name).dense_output
        if maps != (aim.task == "segmentation"):
            found, expected = (
                ("outputs for every pixel", "outputs for a row") if maps else ("outputs for a row", "outputs for every pixel")
            )
            problem = Problem(f"network.{network.name}", found, expected, "Choose another network")
            raise StudyError("The network does not suit the aim.", [problem])
        self.network, self.aim = network, aim
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.loss = loss_of(aim)
        with alone(0), in_memory(network.name):
            self.store = Store(build(network), self.device)
        self.size, self.parameters, self.names = self.store.size, self.store.parameters, self.store.names
        self.normalisation = self.store.normalisation
        self._operations = describe(network.name, network.inputs, network.outputs, network.settings).operations
        self.dense, self.draws = _is_dense(self.store.module), _draws(self.store.module)
        self.shares = not (self.draws or self.normalisation.any() or aim.task in ROWS_MEET)

    def initial(self, seed: int) -> Weights:
        """Torch's own initialisation of the layers under ``torch.manual_seed(seed)``, float32 (size,)."""
        with alone(seed), in_memory(self.network.name):
            return Store(build(self.network), self.device).weights()

    def train(
        self,
        weights: Weights,
        inputs: Rows,
        targets: Rows,
        recipe: Recipe,
        *,
        seed: int,
        drift: NDArray[np.float32] | None = None,
        team: Team | None = None,
    ) -> Trained:
        """The weights after training on a site's rows.

        Args:
            weights: where it starts, float32 (size,).
            inputs: (row, *network.inputs); uint8 images are scaled to [0, 1], other numbers are taken as they are.
            targets: as `Aim.targets` gives them.
            recipe: how; without `private`, which `train_privately` reads.
            seed: of the order of rows, dropout and mirroring.
            drift: added to every gradient, (parameters,) (Karimireddy et al. 2020, alg. 1: c - c_i).
            team: with whom each batch is shared out (data-parallel; Li et al., PVLDB 13(12), 2020), to the same weights but for
                the order of additions. Batches are not shared out where their rows meet or something is drawn for the whole batch
                (batch normalisation, dropout, Cox): all then compute the same.

        Raises:
            SiteError: training diverged, memory ran out, there are too few rows, or they are of another shape; or the recipe is
                private.
        """
        found = self.attempt(weights, inputs, targets, recipe, seed=seed, drift=drift, team=team)
        if found.diverged:
            raise diverged(found.diverged)
        return found

    def attempt(
        self,
        weights: Weights,
        inputs: Rows,
        targets: Rows,
        recipe: Recipe,
        *,
        seed: int,
        drift: NDArray[np.float32] | None = None,
        team: Team | None = None,
    ) -> Trained:
        """As `train`, but training that diverged is told in what it gives, and ends there."""
        if recipe.private is not None:
            raise SiteError(NOISELESS)
        self.refuse_strangers(inputs)
        rows = len(inputs)
        schedule = self.schedule(np.array([rows]), recipe)
        order, seeds, total, seen = np.empty((1, 0), np.int64), seed_of(seed), 0.0, 0
        with alone(int(draw(seeds, DROPOUT)[0] >> np.uint64(1)), threads=self.threads(recipe.batch)), memory_named(recipe.batch):
            self.store.load(weights)
            self.store.module.train()
            start = self.store.flat
            optimiser = Optimiser(recipe, start, None if drift is None else self.store.placed(drift))
            for step in range(int(schedule.steps[0])):
                if step % schedule.per_epoch[0] == 0:
                    order = row_orders(seeds, schedule.epoch(step), schedule.rows)
                    total, seen = (total, seen) if recipe.steps else (0.0, 0)
                (first,), (count,) = schedule.bounds(step)
                chosen = order[0, first : first + count]
                flips = flips_of(seeds, schedule.epoch(step), chosen[None])[0] if recipe.augment == "flip" else None
                if team is None or not self.shares:
                    loss = self._gradient(inputs[chosen], targets[chosen], flips)
                else:
                    loss = self._shared_gradient(inputs, targets, chosen, flips, team)
                if not isfinite(loss):
                    return Trained(self.store.weights(), step + 1, loss, rows, step + 1)
                total, seen = total + loss * int(count), seen + int(count)
                optimiser.step(self.store.gradient)
            after = self.store.weights()
        steps = int(schedule.steps[0])
        return Trained(after, steps, total / seen, rows, 0 if np.isfinite(after).all() else steps)

    def outputs(self, weights: Weights, inputs: Rows) -> NDArray[Any]:
        """What the network gives for rows, without dropout and with running means: (row, output, *space), float32; for
        ``regression`` float64 in the outcome's own unit."""
        import torch

        self.refuse_strangers(inputs)
        at_once = max(1, min(CHUNK, AT_ONCE // prod(self.network.inputs)))
        with alone(0, threads=self.threads(at_once)), memory_named(at_once):
            self.store.load(weights)
            self.store.module.eval()
            with torch.inference_mode():
                pieces = [self._forward(np.array(inputs[i : i + at_once])) for i in range(0, len(inputs), at_once)]
        found = np.concatenate(pieces) if pieces else np.empty((0, self.network.outputs), np.float32)
        return self.aim.in_own_unit(found)

    def schedule(self, rows: NDArray[np.int64], recipe: Recipe) -> Schedule:
        """When which rows are taken, for sites with so many rows.

        Raises:
            SiteError: a site has too few rows, or a batch where one is normalised.
        """
        pairs = bool(self.normalisation.any())
        if pairs and recipe.batch == 1:
            raise SiteError(f"found 1 row in a batch: {PAIRS}")
        least = 2 if pairs else 1
        if rows.min(initial=least) < least:
            raise SiteError(f"found too few rows to train on: {PAIRS}" if pairs else "found no rows to train on")
        return Schedule.of(rows, recipe.batch, epochs=recipe.epochs, steps=recipe.steps, pairs=pairs)

    def threads(self, batch: int) -> int:
        """Threads for steps of so many rows: one where a second waits longer than it works, else as torch is set (0)."""
        return 1 if STEP_OVER_FORWARD * self._operations * batch < SMALL_STEP else 0

    def refuse_strangers(self, inputs: Rows) -> None:
        """Raise a `SiteError` where rows are of another shape than the network was built for."""
        if inputs.shape[1:] != self.network.inputs:
            found, expected = (" x ".join(map(str, shape)) for shape in (inputs.shape[1:], self.network.inputs))
            raise SiteError(f"found rows of {found}, the network was built for rows of {expected}; bring them to one size")

    def _gradient(self, inputs: Rows, targets: Rows, flips: NDArray[np.bool_] | None) -> float:
        """The loss of a batch; its gradient is in the store."""
        import torch

        x, y = inputs_of(inputs, self.device), targets_of(self.aim, targets, self.device)
        if flips is not None:
            x = mirrored(x, flips)
            y = mirrored(y, flips) if self.aim.task == "segmentation" else y
        self.store.gradient.zero_()
        loss: Tensor = self.loss(self.store.module(x), y, torch.ones(len(x), device=self.device))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _shared_gradient(
        self, inputs: Rows, targets: Rows, chosen: NDArray[np.int64], flips: NDArray[np.bool_] | None, team: Team
    ) -> float:
        """As `_gradient`, of a batch of which each of a team takes every so manyth row."""
        import torch

        mine = slice(team.rank, None, team.size)
        own, weight = chosen[mine], len(chosen[mine]) / len(chosen)
        if len(own):
            loss = self._gradient(inputs[own], targets[own], None if flips is None else flips[mine]) * weight
            self.store.gradient.mul_(weight)
        else:  # fewer rows than processes
            loss = 0.0
            self.store.gradient.zero_()
        team.add(self.store.gradient)
        whole = torch.tensor([loss], dtype=torch.float64, device=self.device)
        team.add(whole)
        return float(whole.item())

    def _forward(self, inputs: Rows) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.store.module(inputs_of(inputs, self.device)).cpu().numpy()
        return found


def _is_dense(module: Module) -> bool:
    from torch.nn import MultiheadAttention

    rooms = {f"torch.nn.modules.{room}" for room in DENSE}
    return all(type(each).__module__ in rooms and not isinstance(each, MultiheadAttention) for each in module.modules())


def _draws(module: Module) -> bool:
    from torch.nn.modules.dropout import _DropoutNd

    return any(isinstance(each, _DropoutNd) and each.p > 0 for each in module.modules())
