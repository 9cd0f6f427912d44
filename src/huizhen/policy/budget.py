"""The clause of a policy that limits what all studies together may reveal, and the rule that judges by it: pure.

What is spent are privacy events. Whether more fits is asked of their composition, never of a sum of epsilons. No time enters
the rule, so no clock can change its answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from huizhen.policy.decision import ALLOWED, Decision
from huizhen.privacy.accounting.epsilon import epsilon
from huizhen.privacy.accounting.events import ComposedEvent, Leaf, PrivacyEvent, SelfComposedEvent
from huizhen.privacy.accounting.facts import leaves, scaled

__all__ = ["Budget", "Counts", "judge_spending"]

Counts = Mapping[Leaf, int]  # single events, and how often each took place
EVERYTHING = "everything"
FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)  # of the noise, tried in turn for one that fits


class Budget(BaseModel):
    """The table ``[policy.budget]`` of a site's configuration; frozen, unknown keys are refused.

    Attributes:
        epsilon: what all studies together may spend, > 0.
        delta: the delta at which epsilon holds, between 0 and 1; well below 1 / number of patients.
        dataset: whose patients these are. All data of a site under one name share one budget, which is the default. Data of other
            patients may have a name, and so a budget, of their own. A name, and not the fingerprint of the data: else one added row
            would begin a new budget for the same patients.
        allow_exact: whether answers without noise may leave beside those with noise. They are in no epsilon.
        allow_row_counts: whether the exact number of rows that take part in an analysis may be told all the same, which studies
            with noise by site ask for. It is in no epsilon either.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epsilon: float = Field(gt=0, le=1000, allow_inf_nan=False)
    delta: float = Field(gt=0, lt=1, allow_inf_nan=False)
    dataset: str = Field(default=EVERYTHING, min_length=1, max_length=200)
    allow_exact: bool = False
    allow_row_counts: bool = False

    def __str__(self) -> str:
        return f"epsilon {self.epsilon:g} at delta {self.delta:g}"


def judge_spending(budget: Budget, spent: Counts, asked: Iterable[PrivacyEvent]) -> Decision:
    """Whether what is asked still fits, after all that was spent or reserved.

    Raises:
        MachineError: the package dp-accounting is not installed.
    """
    asked = tuple(asked)
    would_be = _epsilon(budget, spent, asked)
    if would_be <= budget.epsilon:
        return ALLOWED
    so_far = _epsilon(budget, spent, ())
    found = f"of epsilon {budget.epsilon:g} (delta {budget.delta:g}) {so_far:.3g} is spent or reserved"
    left = f"{max(budget.epsilon - so_far, 0.0):.3g} is left, and this study would bring it to {_shown(would_be)}"
    return Decision.refuse("budget", f"budget: {found}, so {left}; {_what_fits(budget, spent, asked)}")


def _epsilon(budget: Budget, spent: Counts, asked: tuple[PrivacyEvent, ...]) -> float:
    return epsilon([*(SelfComposedEvent(leaf, count) for leaf, count in spent.items()), *asked], budget.delta).pld


def _shown(value: float) -> str:
    return f"{value:.3g}" if value < math.inf else "more than can be told"


def _what_fits(budget: Budget, spent: Counts, asked: tuple[PrivacyEvent, ...]) -> str:
    counts = Counter(leaves(asked))
    for factor in FACTORS:
        louder = tuple(SelfComposedEvent(scaled(leaf, factor), count) for leaf, count in counts.items())
        if _epsilon(budget, spent, (ComposedEvent(louder),)) <= budget.epsilon:
            return f"with {factor:g} times its noise it would fit"
    return "with 100 times its noise it would not fit either; ask the site for a larger budget"
