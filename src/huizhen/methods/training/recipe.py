"""How a site trains in one round: the optimiser, its steps, and what is added to the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

__all__ = ["LEAST_RATE", "Private", "Recipe"]

LEAST_RATE = 1e-9  # a sample's gaps stay whole numbers of 64 bits


@dataclass(frozen=True, slots=True)
class Private:
    """DP-SGD (Abadi et al. 2016, algorithm 1): the gradient of each row is clipped, and noise is added to their sum.

    Attributes:
        clip: the largest Euclidean norm of one row's gradient, over all parameters; above 0.
        noise: standard deviation of the noise on the sum / `clip`; above 0.
        rate: probability with which a step takes a row, each by itself, from 1e-9 to 1; 0: batch / rows of the site, at most 1.

    Raises:
        ValueError: a number out of range.
    """

    clip: float
    noise: float
    rate: float = 0.0

    def __post_init__(self) -> None:
        bounded = isfinite(self.clip) and isfinite(self.noise)
        if not (bounded and self.clip > 0 and self.noise > 0 and (self.rate == 0 or LEAST_RATE <= self.rate <= 1)):
            raise ValueError("private: expected clip and noise above 0 and finite, and a rate of 0, or from 1e-9 to 1")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Local training, the same at every site. The optimiser begins afresh in every round: nothing of it stays at the site.

    Attributes:
        optimiser: ``sgd``, ``adam`` (Kingma and Ba 2015) or ``adamw`` (Loshchilov and Hutter 2019); beta 0.9 and 0.999, eps 1e-8.
        learning_rate: above 0.
        momentum: of ``sgd``, in [0, 1).
        weight_decay: times the weights, added to the gradient (``adamw``: times learning rate, taken from the weights).
        batch: rows in a step; the last batch of an epoch has what is left.
        epochs: passes over the rows, each in a new order.
        steps: a fixed number of steps instead, going round the rows again and again; 0: by `epochs`.
        proximal: mu of FedProx (Li et al. 2020, eq. 2): mu * (weights - weights at the start) is added to the gradient.
        clip: the largest norm of the loss's gradient, before anything is added to it; 0: none.
        augment: ``flip`` mirrors every image with probability 1/2 along its last axis (with its label map in segmentation).
        private: clipping and noise for each step, which then draws its rows by itself; see `train_privately`. None: neither.
    """

    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch: int = 32
    epochs: int = 1
    steps: int = 0
    proximal: float = 0.0
    clip: float = 0.0
    augment: Literal["none", "flip"] = "none"
    private: Private | None = None

    def facts(self) -> dict[str, Any]:
        """As canonical values; nothing of `private` where there is none."""
        facts = asdict(self)
        return facts if self.private else {name: value for name, value in facts.items() if name != "private"}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Recipe:
        """The recipe behind `facts`."""
        private = facts.get("private")
        return cls(**{**facts, "private": private and Private(**private)})
