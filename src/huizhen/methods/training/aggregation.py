"""How the sites' changes become the joint model's next weights: a weighted mean, then a server optimiser.

FedAvg, FedNova, SCAFFOLD and FedBN differ in what the sites add up, FedAvgM, FedAdagrad, FedAdam and FedYogi in what the hub does
with the mean; each of the first goes with each of the second, and nothing is written for a pair of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
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
        control: SCAFFOLD's c, float32 (parameters,), or ().
    """

    weights: Floats
    first: Floats
    second: Floats
    control: Floats

    @classmethod
    def start(cls, weights: Floats, parameters: int, *, control: bool) -> Joint:
        """Before the first round."""
        nothing = np.zeros(0, np.float32)
        return cls(weights, nothing, nothing, np.zeros(parameters, np.float32) if control else nothing)

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Joint:
        """The model behind `facts`."""
        return cls(**facts)


def effective_steps(steps: int, *, learning_rate: float, momentum: float, proximal: float) -> float:
    """How far local steps carry the first gradient: the norm of FedNova's accumulation vector (Wang et al. 2020, section 4)."""
    if momentum:
        return (steps - momentum * (1 - momentum**steps) / (1 - momentum)) / (1 - momentum)
    if proximal:
        pull = learning_rate * proximal
        return float(-np.expm1(steps * np.log1p(-pull)) / pull) if pull < 1 else float(steps)
    return float(steps)


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


def advance(server: Server, joint: Joint, change: Floats, parameters: int, *, control: Floats | None = None) -> Joint:
    """The joint model after a round. Buffers (running means of a normalisation layer) take the mean change as it is.

    Args:
        change: float32 (size,), as `mean_change` gives it.
        parameters: how many of its first entries are parameters.
        control: the mean change of the sites' control variates, float32 (parameters,).
    """
    first, second, step = OPTIMISERS[server.optimiser](server, joint.first, joint.second, change[:parameters])
    weights = joint.weights.copy()
    weights[:parameters] += step if server.learning_rate == 1 else np.float32(server.learning_rate) * step
    weights[parameters:] += change[parameters:]
    kept = joint.control if control is None else joint.control + control
    return replace(joint, weights=weights, first=first, second=second, control=kept)


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
