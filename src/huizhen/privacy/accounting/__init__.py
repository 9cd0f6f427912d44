"""What noise costs: privacy events as facts, the epsilon of any composition of them, the noise for a wanted epsilon, and its use.

Anyone may enter. The sums are done by the package dp-accounting (extra ``dp``), which is loaded when the first one is asked for.
"""

from huizhen.privacy.accounting.epsilon import Spent, delta_of, epsilon
from huizhen.privacy.accounting.events import (
    ApproximateEvent,
    ComposedEvent,
    DiscreteGaussianEvent,
    DiscreteLaplaceEvent,
    GaussianEvent,
    LaplaceEvent,
    PoissonSampledEvent,
    PrivacyEvent,
    SelfComposedEvent,
)
from huizhen.privacy.accounting.facts import described, event_of, leaves, recorded, scaled
from huizhen.privacy.accounting.noise_for import noise_for
from huizhen.privacy.accounting.usefulness import Usefulness, usefulness

__all__ = [
    "ApproximateEvent",
    "ComposedEvent",
    "DiscreteGaussianEvent",
    "DiscreteLaplaceEvent",
    "GaussianEvent",
    "LaplaceEvent",
    "PoissonSampledEvent",
    "PrivacyEvent",
    "SelfComposedEvent",
    "Spent",
    "Usefulness",
    "delta_of",
    "described",
    "epsilon",
    "event_of",
    "leaves",
    "noise_for",
    "recorded",
    "scaled",
    "usefulness",
]
