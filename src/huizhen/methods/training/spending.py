"""What private training costs, as facts for an accountant: known before it begins, and the same whatever the rows hold.

Every step is one Gaussian mechanism on a Poisson sample of the rows (Abadi et al. 2016, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from huizhen.methods.training.recipe import Recipe
from huizhen.methods.training.spec import AveragingSpec
from huizhen.privacy.accounting.epsilon import Spent, epsilon
from huizhen.privacy.accounting.events import GaussianEvent, PoissonSampledEvent, SelfComposedEvent

__all__ = ["Spending", "privacy_events", "spent_by"]


@dataclass(frozen=True, slots=True)
class Spending:
    """So many equal steps: what an accountant has to know of them, and all that it has to know.

    Attributes:
        rate: probability with which a step took a row.
        noise: standard deviation of a step's noise / the most that one row changes the sum by.
        steps: how many; 0 where there were no rows.
    """

    rate: float
    noise: float
    steps: int

    @classmethod
    def of(cls, recipe: Recipe, rows: int) -> Spending:
        """What training by a private recipe costs a site with so many rows to train on; known before it begins.

        Raises:
            ValueError: the recipe is not private: its cost has no bound.
        """
        if recipe.private is None:
            raise ValueError("this training adds no noise, so that no privacy loss bounds it")
        rate = recipe.private.rate or min(1.0, recipe.batch / max(rows, 1))
        in_epoch = ceil(1 / recipe.private.rate) if recipe.private.rate else -(-rows // recipe.batch)
        return cls(rate, recipe.private.noise, (recipe.steps or in_epoch * recipe.epochs) if rows else 0)

    def facts(self) -> dict[str, Any]:
        """As canonical values: a Poisson-sampled Gaussian event of dp-accounting, and how often it takes place."""
        event = {"kind": "gaussian", "noise_multiplier": self.noise}
        return {"kind": "poisson_sampled", "probability": self.rate, "event": event, "count": self.steps}


def spent_by(spec: AveragingSpec, rounds: int) -> Spent | None:
    """What a patient's training rows cost in so many rounds, at any site; None where it depends on each site's number of rows.

    Raises:
        MachineError: the package dp-accounting is not installed.
    """
    if spec.private is None or not spec.private.rate or not rounds:
        return None
    step = PoissonSampledEvent(spec.private.rate, GaussianEvent(spec.private.private.noise))
    return epsilon([SelfComposedEvent(step, Spending.of(spec.recipe, 1).steps * rounds)], spec.private.delta)


def privacy_events(spec: AveragingSpec, rows: int, rounds: int | None = None) -> list[dict[str, Any]]:
    """What a site's training costs in so many rounds, as facts of events: known before the first round.

    Early stopping, rounds that the site missed and a cycle (where it trains in one round of several) only make it less. A round
    that is answered twice, because its first answer was lost, costs twice.

    Args:
        spec: the settings, with `private`.
        rows: to train on at the site.
        rounds: how many; None: the most that the settings allow.

    Returns:
        Facts as `Spending.facts` gives them; none where there are no rows.

    Raises:
        ValueError: the training is not private.
    """
    cost = Spending.of(spec.recipe, rows)
    count = cost.steps * (spec.rounds if rounds is None else rounds)
    return [replace(cost, steps=count).facts()] if count else []
