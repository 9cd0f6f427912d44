"""The least noise that keeps to a wanted epsilon."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from huizhen.errors import NotEstimable
from huizhen.privacy.accounting.epsilon import epsilon as epsilon_of
from huizhen.privacy.accounting.epsilon import rdp_epsilon
from huizhen.privacy.accounting.events import PrivacyEvent

__all__ = ["noise_for"]

LEAST, MOST = 2.0**-7, 2.0**24
TOLERANCE = 1e-3  # relative; the noise that comes out is at most so much too large


def noise_for(
    epsilon: float, delta: float, events: Callable[[float], Iterable[PrivacyEvent]], *, tolerance: float = TOLERANCE
) -> float:
    """The least noise for which the events are (epsilon, delta)-differentially private, by bisection of its logarithm.

    Args:
        events: the events by noise (say, the noise multiplier); more noise must not cost more.
        tolerance: how much larger, relatively, than the least noise the answer may be; the promise holds whatever it is.

    Raises:
        NotEstimable: no noise below 2**24 is enough.
        ValueError: epsilon or delta is not above 0.
        MachineError: the package dp-accounting is not installed.

    >>> from huizhen.privacy.accounting.events import GaussianEvent
    >>> round(noise_for(1.0, 1e-5, lambda noise: [GaussianEvent(noise)]), 2)
    3.73
    """

    if not (epsilon > 0 and 0 < delta < 1):
        raise ValueError("Noise is found for an epsilon and a delta above 0 only.")
    from scipy.optimize import brentq  # takes longer to load than all else that a policy needs

    rough = _rough(epsilon, delta, events)

    def excess(exponent: float) -> float:
        found = epsilon_of(events(math.exp(exponent)), delta).pld
        return math.log(max(found, 1e-300) / epsilon) if found < math.inf else 1e3

    noise = high = math.log(rough)  # enough, by the larger of the two bounds
    low = high - 0.2
    while excess(low) <= 0:
        high, low = low, low - 0.2 - (high - low)
        if low < math.log(LEAST):
            return math.exp(high)
    noise = brentq(excess, low, high, xtol=tolerance / 3)
    while excess(noise) > 0:
        noise += tolerance / 3
    return math.exp(noise)


def _rough(epsilon: float, delta: float, events: Callable[[float], Iterable[PrivacyEvent]]) -> float:
    """Noise that is enough, to 2 percent, by Rényi differential privacy."""
    low, high = LEAST, 1.0
    while rdp_epsilon(events(high), delta) > epsilon:
        low, high = high, high * 4
        if high > MOST:
            raise NotEstimable("No noise is enough for this epsilon and delta; allow a larger epsilon, or fewer rounds.")
    while high > low * 1.02:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if rdp_epsilon(events(middle), delta) <= epsilon else (middle, high)
    return high
