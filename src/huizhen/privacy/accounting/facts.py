"""Events taken apart, written down and read back: as a ledger keeps them and a budget counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from huizhen.privacy.accounting.events import (
    ApproximateEvent,
    ComposedEvent,
    DiscreteGaussianEvent,
    DiscreteLaplaceEvent,
    GaussianEvent,
    LaplaceEvent,
    Leaf,
    PoissonSampledEvent,
    PrivacyEvent,
    SelfComposedEvent,
)

__all__ = ["described", "event_of", "leaves", "recorded", "scaled"]

KINDS: dict[str, type[Any]] = {
    "gaussian": GaussianEvent,
    "laplace": LaplaceEvent,
    "discrete_gaussian": DiscreteGaussianEvent,
    "discrete_laplace": DiscreteLaplaceEvent,
    "approximate": ApproximateEvent,
    "poisson_sampled": PoissonSampledEvent,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def leaves(events: Iterable[PrivacyEvent]) -> Counter[Leaf]:
    """How often each single event occurs; order and nesting do not matter to what a composition costs.

    >>> leaves([SelfComposedEvent(GaussianEvent(2.0), 3), GaussianEvent(2.0)])
    Counter({GaussianEvent(noise_multiplier=2.0): 4})
    """
    counts: Counter[Leaf] = Counter()
    for event in events:
        if isinstance(event, SelfComposedEvent):
            for leaf, times in leaves([event.event]).items():
                counts[leaf] += times * event.count
        elif isinstance(event, ComposedEvent):
            counts.update(leaves(event.events))
        elif type(event) in NAMES:
            counts[event] += 1
        else:
            raise ValueError("This is no privacy event, and what is not known is not accounted for.")
    return counts


def described(events: Iterable[PrivacyEvent]) -> list[dict[str, Any]]:
    """The single events as plain facts, each with its count, in a fixed order."""
    facts = [{**_fact(leaf), "count": count} for leaf, count in leaves(events).items()]
    return sorted(facts, key=repr)


def recorded(facts: Iterable[Mapping[str, Any]]) -> tuple[PrivacyEvent, ...]:
    """The events behind plain facts.

    Raises:
        ValueError, KeyError, TypeError: a fact is none of `described`.
    """
    return tuple(SelfComposedEvent(event_of({k: v for k, v in fact.items() if k != "count"}), fact["count"]) for fact in facts)


def event_of(fact: Mapping[str, Any]) -> Leaf:
    """One single event from its plain fact; raises as `recorded` does."""
    settings = {name: event_of(value) if name == "event" else value for name, value in fact.items() if name != "kind"}
    event: Leaf = KINDS[fact["kind"]](**settings)
    return event


def scaled(event: PrivacyEvent, factor: float) -> PrivacyEvent:
    """The same event with noise `factor` times as large; of an `ApproximateEvent`, epsilon and delta are divided by it."""
    match event:
        case SelfComposedEvent() | PoissonSampledEvent():
            inner: Any = scaled(event.event, factor)
            return replace(event, event=inner)
        case ComposedEvent():
            return ComposedEvent(tuple(scaled(one, factor) for one in event.events))
        case GaussianEvent() | LaplaceEvent():
            return replace(event, noise_multiplier=event.noise_multiplier * factor)
        case DiscreteGaussianEvent():
            return replace(event, sigma=event.sigma * factor)
        case DiscreteLaplaceEvent():
            return replace(event, scale=event.scale * factor)
        case ApproximateEvent():
            return ApproximateEvent(event.epsilon / factor, event.delta / factor)


def _fact(leaf: Leaf) -> dict[str, Any]:
    values = {one.name: _plain(getattr(leaf, one.name)) for one in fields(leaf)}
    return {"kind": NAMES[type(leaf)], **{k: _fact(v) if type(v) in NAMES else v for k, v in values.items()}}


def _plain(value: Any) -> Any:
    """A number of an array as a number of Python, which a ledger takes."""
    return value.item() if isinstance(value, np.generic) else value
