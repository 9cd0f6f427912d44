"""The epsilon of a composition of privacy events.

Reported is the figure from privacy loss distributions (PLD; Koskela, Jälkö and Honkela, 2020; Doroshenko et al., 2022), which are
discretised upwards, so that the figure is an upper bound. Beside it stands the one from Rényi differential privacy (RDP; Mironov,
2017), computed on another way; it is larger, and a check. Both come from the package dp-accounting.

Discrete Gaussians on vectors, and sums of shares, dp-accounting does not know. The discrete Gaussian of variance s^2 is a
continuous one of variance s^2 - v whose outcome is rounded at random, but for a factor of e^(+-ripple(v)) an entry
(`noise.lattice`). Rounding is post-processing, so it costs no more than that continuous one and twice the ripple. With
v = (40 + ln entries) / (2 pi^2), which is 2 to 3 steps squared, the ripple of the whole vector is 2e-17. Only a scalar with a whole
sensitivity and a small sigma is accounted for as itself. Of Rényi divergences nothing is lost: the discrete Gaussian's are at most
the continuous one's (Canonne, Kamath and Steinke, 2020, theorem 4), and those of shares at most twice their ripple more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from huizhen.errors import MachineError, Problem
from huizhen.privacy.accounting.events import (
    ApproximateEvent,
    DiscreteGaussianEvent,
    DiscreteLaplaceEvent,
    GaussianEvent,
    LaplaceEvent,
    Leaf,
    PoissonSampledEvent,
    PrivacyEvent,
)
from huizhen.privacy.accounting.facts import leaves
from huizhen.privacy.noise.lattice import ripple, ripple_of_sum

__all__ = ["Spent", "delta_of", "epsilon", "rdp_epsilon"]

FINEST = 4e-4  # interval of the discretised privacy loss; 1e-4 changes no third digit and takes four times as long
MOST = 1 << 18  # intervals in a loss distribution; beyond, they are widened, which raises the figure a little
TAIL = 1e-15  # probability of losses beyond what the distribution holds; counted as infinite
ORDERS = (*range(2, 64), 80, 96, 128, 192, 256, 512, 1024)  # of broken ones the series for sampling converges slowly, or not
SCALAR = 10_000.0  # up to this sigma a scalar discrete Gaussian is accounted for point by point


@dataclass(frozen=True, slots=True)
class Spent:
    """What a composition costs at one delta.

    Attributes:
        pld: epsilon by privacy loss distributions: the figure to report; infinite where no epsilon holds. Where a coarse grid makes
            `rdp` the smaller bound, that one.
        rdp: epsilon by Rényi differential privacy, for comparison.
        delta: probability with which the promise of epsilon may fail.
    """

    pld: float
    rdp: float
    delta: float


def epsilon(events: Iterable[PrivacyEvent], delta: float) -> Spent:
    """The epsilon at which all events together are (epsilon, delta)-differentially private.

    Args:
        events: each with fresh noise; later ones may depend on what came out of earlier ones.
        delta: from 0 to 1; smaller than 1 / number of units to mean anything.

    Raises:
        MachineError: the package dp-accounting is not installed.
        ValueError: delta is out of range.

    >>> spent = epsilon([GaussianEvent(4.22)], 1e-5)
    >>> f"{spent.pld:.2f} {spent.rdp:.2f}"
    '0.87 0.96'
    """
    if not 0 <= delta < 1:
        raise ValueError("delta must lie between 0 and 1, and not be 1.")
    counts = leaves(events)
    if delta == 0:
        pure = math.fsum(count * _pure_epsilon(leaf) for leaf, count in counts.items())
        return Spent(pure, pure, delta)
    by_renyi = _by_renyi(counts, delta)
    return Spent(min(_by_loss(counts, delta), by_renyi), by_renyi, delta)


def rdp_epsilon(events: Iterable[PrivacyEvent], delta: float) -> float:
    """The epsilon by Rényi differential privacy alone: an upper bound, far sooner computed; delta > 0."""
    return _by_renyi(leaves(events), delta)


def delta_of(events: Iterable[PrivacyEvent], epsilon: float) -> float:
    """The delta at which all events together are (epsilon, delta)-differentially private, by privacy loss distributions."""
    loss, slack = _loss_of(leaves(events))
    if loss is None or epsilon < slack:
        return float(slack > 0)
    return min(float(loss.get_delta_for_epsilon(epsilon - slack)) * math.exp(slack / 2), 1.0)


def _by_loss(counts: Mapping[Leaf, int], delta: float) -> float:
    """Laws within a factor of e^(+-slack / 2) of ones that are (e, d)-private are (e + slack, d e^(slack / 2))-private."""
    loss, slack = _loss_of(counts)
    if loss is None:
        return slack
    with np.errstate(over="ignore"):  # losses beyond 709 come out as infinite, and the other bound is told
        return float(loss.get_epsilon_for_delta(delta * math.exp(-slack / 2))) + slack


def _loss_of(counts: Mapping[Leaf, int]) -> tuple[Any, float]:
    """The loss distribution of events that dp-accounting knows, None where there is none, and by what it is too small."""
    plain: dict[Leaf, int] = {}
    slack = 0.0
    for leaf, count in counts.items():
        known, more = _known(leaf)
        plain[known] = plain.get(known, 0) + count
        slack += more * count
    if not plain or not math.isfinite(slack):
        return None, slack
    finite = {ApproximateEvent(leaf.epsilon) if isinstance(leaf, ApproximateEvent) else leaf: n for leaf, n in plain.items()}
    interval = _interval(max(_by_renyi(finite, TAIL), *(_widest(leaf) for leaf in plain)))
    loss = None
    for leaf, count in plain.items():
        one = _self_composed(leaf, count, interval)
        loss = one if loss is None else loss.compose(one, TAIL)
    return loss, slack


def _by_renyi(counts: Mapping[Leaf, int], delta: float) -> float:
    sampled = any(isinstance(leaf, PoissonSampledEvent) for leaf in counts)
    accountant = _package().rdp.RdpAccountant(ORDERS if sampled else None)
    slack, failing = 0.0, 1.0
    for leaf, count in counts.items():
        event, more = _renyi_event(leaf)
        slack += more * count
        failing *= (1 - leaf.delta) ** count if isinstance(leaf, ApproximateEvent) else 1.0
        accountant.compose(event, count)
    left = delta * math.exp(-slack / 2) - (1 - failing)
    return float(accountant.get_epsilon(left)) + slack if left > 0 and counts else 0.0 if not counts else math.inf


def _known(leaf: Leaf) -> tuple[Leaf, float]:
    """An event that dp-accounting knows, and how much larger the privacy loss of the given one can be."""
    if isinstance(leaf, PoissonSampledEvent):
        inner, slack = _known(leaf.event) if not _is_scalar(leaf.event) else _continuous(leaf.event)
        return PoissonSampledEvent(leaf.probability, inner), slack  # type: ignore[arg-type]
    if isinstance(leaf, DiscreteGaussianEvent) and not _is_scalar(leaf):
        return _continuous(leaf)
    return leaf, 0.0


def _is_scalar(leaf: Leaf) -> bool:
    return (
        isinstance(leaf, DiscreteGaussianEvent)
        and (leaf.entries, leaf.shares) == (1, 1)
        and leaf.sensitivity == int(leaf.sensitivity)
        and leaf.sigma <= SCALAR
        and leaf.sensitivity <= 11 * leaf.sigma
    )


def _continuous(leaf: Any) -> tuple[Leaf, float]:
    rounding = (40 + math.log(leaf.entries)) / (2 * math.pi**2)
    rounding = min(rounding, leaf.sigma**2 / 2)  # on a coarse grid the slack grows instead
    slack = 2 * leaf.entries * ripple(rounding) + _slack_of_shares(leaf)
    return GaussianEvent(math.sqrt(leaf.sigma**2 - rounding) / leaf.sensitivity), slack


def _slack_of_shares(leaf: DiscreteGaussianEvent) -> float:
    return 2 * leaf.entries * ripple_of_sum(leaf.sigma**2 / leaf.shares, leaf.shares)


def _renyi_event(leaf: Leaf) -> tuple[Any, float]:
    """An event of dp-accounting with at least the given one's Rényi divergences, and by what the privacy loss is larger."""
    dp = _package()
    match leaf:
        case GaussianEvent():
            return dp.GaussianDpEvent(leaf.noise_multiplier), 0.0
        case LaplaceEvent():
            return dp.LaplaceDpEvent(leaf.noise_multiplier), 0.0
        case DiscreteGaussianEvent():
            return dp.dp_event.ZCDpEvent(leaf.sensitivity**2 / leaf.sigma**2 / 2), _slack_of_shares(leaf)
        case PoissonSampledEvent(probability, GaussianEvent(noise_multiplier)):
            return dp.PoissonSampledDpEvent(probability, dp.GaussianDpEvent(noise_multiplier)), 0.0
        case PoissonSampledEvent(probability, DiscreteGaussianEvent() as inner):
            known, slack = _continuous(inner)
            return _renyi_event(PoissonSampledEvent(probability, known))[0], slack  # type: ignore[arg-type]
        case DiscreteLaplaceEvent() | ApproximateEvent() | PoissonSampledEvent():
            bound = leaf.epsilon if isinstance(leaf, ApproximateEvent) else _pure_epsilon(leaf)
            return dp.dp_event.ZCDpEvent(bound**2 / 2), 0.0  # proposition 3.3 of Bun and Steinke (2016)


def _pure_epsilon(leaf: Leaf) -> float:
    """The epsilon of one event at delta = 0; infinite where there is none."""
    match leaf:
        case LaplaceEvent():
            return 1 / leaf.noise_multiplier
        case DiscreteLaplaceEvent():
            return leaf.sensitivity / leaf.scale
        case ApproximateEvent():
            return leaf.epsilon if leaf.delta == 0 else math.inf
        case PoissonSampledEvent():  # amplification by sampling
            inner = _pure_epsilon(leaf.event)
            return inner + math.log(leaf.probability + (1 - leaf.probability) * math.exp(-inner)) if inner < math.inf else inner
        case _:
            return math.inf


def _widest(leaf: Leaf) -> float:
    """The largest privacy loss that the distribution of a single event must hold."""
    match leaf:
        case PoissonSampledEvent():
            return _widest(leaf.event)
        case GaussianEvent():
            return 0.5 / leaf.noise_multiplier**2 + 10 / leaf.noise_multiplier
        case DiscreteGaussianEvent():
            return 0.5 * (leaf.sensitivity / leaf.sigma) ** 2 + 12 * leaf.sensitivity / leaf.sigma
        case ApproximateEvent():
            return leaf.epsilon
        case _:
            return _pure_epsilon(leaf)


def _interval(widest: float) -> float:
    """A power of two times the finest interval, so that loss distributions stay small enough for any machine."""
    return FINEST * 2.0 ** max(0, math.ceil(math.log2(max(2 * widest, FINEST) / (FINEST * MOST))))


def _self_composed(leaf: Leaf, count: int, interval: float) -> Any:
    if isinstance(leaf, GaussianEvent):  # so many together are one with less noise, exactly
        return _loss(GaussianEvent(leaf.noise_multiplier / math.sqrt(count)), interval)
    one = _loss(leaf, interval)
    return one.self_compose(count, TAIL) if count > 1 else one


@lru_cache(maxsize=8)  # each may hold some 5 MB
def _loss(leaf: Leaf, interval: float) -> Any:
    """The loss distribution of one event."""
    pld = _package().pld.privacy_loss_distribution
    even = {"value_discretization_interval": interval}
    match leaf:
        case GaussianEvent():
            return pld.from_gaussian_mechanism(leaf.noise_multiplier, **even)
        case LaplaceEvent():
            return pld.from_laplace_mechanism(leaf.noise_multiplier, **even)
        case DiscreteGaussianEvent():
            return pld.from_discrete_gaussian_mechanism(
                leaf.sigma, sensitivity=int(leaf.sensitivity), use_connect_dots=True, **even
            )
        case DiscreteLaplaceEvent():
            return pld.from_discrete_laplace_mechanism(1 / leaf.scale, sensitivity=leaf.sensitivity, use_connect_dots=True, **even)
        case ApproximateEvent():
            promise = _package().pld.common.DifferentialPrivacyParameters(leaf.epsilon, leaf.delta)
            return pld.from_privacy_parameters(promise, **even)
        case PoissonSampledEvent(probability, GaussianEvent(noise_multiplier)):
            return pld.from_gaussian_mechanism(noise_multiplier, sampling_prob=probability, **even)
        case PoissonSampledEvent(probability, LaplaceEvent(noise_multiplier)):
            return pld.from_laplace_mechanism(noise_multiplier, sampling_prob=probability, **even)
    raise ValueError("This is no privacy event, and what is not known is not accounted for.")


def _package() -> Any:
    try:
        import dp_accounting
        import dp_accounting.pld.common
        import dp_accounting.pld.privacy_loss_distribution
        import dp_accounting.rdp
    except ImportError:
        problem = Problem("dp-accounting", "not installed", "dp-accounting 0.6 or newer", "pip install 'huizhen[dp]'")
        raise MachineError("Privacy cannot be accounted for, so nothing with noise can run.", [problem]) from None
    return dp_accounting
