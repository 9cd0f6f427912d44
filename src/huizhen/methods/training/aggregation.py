"""How the sites' changes become the joint model's next weights: a weighted mean, then a server optimiser.

FedAvg, FedNova, SCAFFOLD and FedBN differ in what the sites add up, FedAvgM, FedAdagrad, FedAdam and FedYogi in what the hub does
with the mean; each of the first goes with each of the second, and nothing is written for a pair of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import NotEstimable
from huizhen.privacy.release import Total

__all__ = ["Joint", "Server", "advance", "effective_steps", "mean_change"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Server:
    """What the hub does with the mean change of a round (Reddi et al. 2021, algorithm 2; Hsu et al. 2019 for ``momentum``).

    Attributes:
        optimiser: ``average`` (FedAvg), ``momentum`` (FedAvgM), ``adagrad``, ``adam``, ``yogi``.
        learning_rate: eta; 1 and ``average`` take the mean as it is.
        beta1: weight of the past in the first moment; of ``momentum`` the momentum.
        beta2: weight of the past in the second moment.
        tau: added to its root; the larger, the less the steps adapt.
    """

    optimiser: Literal["average", "momentum", "adagrad", "adam", "yogi"] = "average"
    learning_rate: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """The joint model between two rounds.

    Attributes:
        weights: float32 (size,): parameters, then buffers.
        first, second: moments of the changes, float32 (parameters,), or () where the optimiser keeps none or has not begun.
        control: SCAFFOLD's c, float32 (parameters,), or (): the mean of the c_s of all sites that were ever counted, by their rows,
            whether they were counted in the last round or not.
        controlled: the rows of these sites.
    """

    weights: Floats
    first: Floats
    second: Floats
    control: Floats
    controlled: float = 0.0

    @classmethod
    def start(cls, weights: Floats, parameters: int, *, control: bool) -> Joint:
        """Before the first round."""
        nothing = np.zeros(0, np.float32)
        return cls(weights, nothing, nothing, np.zeros(parameters, np.float32) if control else nothing)

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {name: getattr(self, name) for name in ("weights", "first", "second", "control", "controlled")}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Joint:
        """The model behind `facts`."""
        return cls(**facts)


def effective_steps(steps: int, *, learning_rate: float, momentum: float, proximal: float) -> float:
    """How far local steps carry the gradients: the 1-norm of FedNova's accumulation vector (Wang et al. 2020, sections 3 and 4).

    Entry k of the vector is what a gradient has moved the weights by, over -learning_rate, k steps later. With momentum rho and
    proximal mu it follows a[k + 1] = a[k] + rho (a[k] - a[k - 1]) - learning_rate mu a[k] from a[0] = 1, a[-1] = 0: the sum is
    `steps` where both are 0, and (1 - (1 - learning_rate mu)^steps) / (learning_rate mu) without momentum (their table 1).
    """
    pull, before, now, total = learning_rate * proximal, 0.0, 1.0, 0.0
    for _ in range(steps):
        total += abs(now)
        before, now = now, now + momentum * (now - before) - pull * now
    return total


def mean_change(total: Total, parameters: int) -> Floats:
    """The sites' mean change, weighted by their rows, float32 (size,).

    ``change`` sums rows times change over the sites, and ``weight`` their rows. Where the sites divided the change of parameters by
    their effective steps, ``pace`` sums rows times steps, and the mean is brought back to the mean number of them (FedNova).

    Raises:
        NotEstimable: no site had a row to train on.
    """
    rows = float(total.sums["weight"][0])
    if rows <= 0:
        raise NotEstimable("no site has a row to train on: the rules of validation and test keep all rows aside")
    change: Floats = (total.sums["change"] / np.float32(rows)).astype(np.float32, copy=False)
    if "pace" in total.sums:
        change[:parameters] *= np.float32(total.sums["pace"][0] / rows)
    return change


def advance(server: Server, joint: Joint, change: Floats, parameters: int, *, total: Total | None = None) -> Joint:
    """The joint model after a round. Buffers (running means of a normalisation layer) take the mean change as it is.

    Args:
        change: float32 (size,), as `mean_change` gives it.
        parameters: how many of its first entries are parameters.
        total: with the sums of the control variates where there are any: ``control``, rows times change of c_s, and ``joined``, the
            rows of sites that are counted for the first time. Sites that were not counted keep their c_s, and their part in c
            (Karimireddy et al. 2020, algorithm 1, line 17, where all sites stand in the divisor).
    """
    first, second, step = OPTIMISERS[server.optimiser](server, joint.first, joint.second, change[:parameters])
    weights = joint.weights.copy()
    weights[:parameters] += step if server.learning_rate == 1 else np.float32(server.learning_rate) * step
    weights[parameters:] += change[parameters:]
    moved = replace(joint, weights=weights, first=first, second=second)
    return moved if total is None or "control" not in total.sums else _controlled(moved, total)


def _controlled(joint: Joint, total: Total) -> Joint:
    rows = joint.controlled + float(total.sums["joined"][0])
    if not rows:
        return joint
    control = joint.control * np.float32(joint.controlled / rows) + total.sums["control"] / np.float32(rows)
    return replace(joint, control=control.astype(np.float32, copy=False), controlled=rows)


Moments = tuple[Floats, Floats, Floats]  # first moment, second moment, step


def _average(_server: Server, first: Floats, second: Floats, change: Floats) -> Moments:
    return first, second, change


def _momentum(server: Server, first: Floats, second: Floats, change: Floats) -> Moments:
    first = _decayed(server.beta1, first) + change
    return first, second, first


def _adaptive(grow: Callable[[Server, Floats, Floats], Floats]) -> Callable[[Server, Floats, Floats, Floats], Moments]:
    def step(server: Server, first: Floats, second: Floats, change: Floats) -> Moments:
        first = _decayed(server.beta1, first) + np.float32(1 - server.beta1) * change
        second = second if len(second) else np.zeros_like(change)
        second = grow(server, second, change * change)
        root: Floats = np.sqrt(second)
        return first, second, first / (root + np.float32(server.tau))

    return step


def _decayed(beta: float, moment: Floats) -> Floats | np.float32:
    """What is left of the past; nothing before the first round."""
    return np.float32(beta) * moment if len(moment) else np.float32(0)


def _adagrad(_server: Server, second: Floats, square: Floats) -> Floats:
    return second + square


def _adam(server: Server, second: Floats, square: Floats) -> Floats:
    return np.float32(server.beta2) * second + np.float32(1 - server.beta2) * square


def _yogi(server: Server, second: Floats, square: Floats) -> Floats:
    toward: Floats = np.sign(second - square)
    return second - np.float32(1 - server.beta2) * square * toward


OPTIMISERS: Mapping[str, Callable[[Server, Floats, Floats, Floats], Moments]] = {
    "average": _average,
    "momentum": _momentum,
    "adagrad": _adaptive(_adagrad),
    "adam": _adaptive(_adam),
    "yogi": _adaptive(_yogi),
}
