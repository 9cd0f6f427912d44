"""A transfer as a functional model: it learns a rate factor and a latency for each path, and says how wrong it was.

    seconds = the rest + latency + factor x (sending + sharing)

Each path's factor and latency are drawn towards those of all paths, as far as its own observations are few: ridge regression on
relative residuals with a prior of 10 % for a path's factor and of 20 % of its round trips for its latency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np

from huizhen.twin.functional import ErrorCard, Prediction, Residual
from huizhen.twin.mirror import Mirror
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.topology import Path
from huizhen.twin.network.transfer import Flow, Level, naive_seconds, transfer
from huizhen.twin.network.windows import Congestion
from huizhen.twin.quantity import Quantity, exactly

__all__ = ["Among", "Fit", "TransferModel"]

PRIOR_FACTOR, PRIOR_LATENCY, NOISE = 0.10, 0.20, 0.02
RATE_BOUND = ("sending", "sharing")
Z90 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Among:
    """A flow, and those that travel at the same time."""

    flow: Flow
    beside: tuple[Flow, ...] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """What a path's observations taught.

    Attributes:
        factor: times the seconds that its rate decides; latency: seconds added, or taken off.
        spread: standard deviation of what is left, relative; seen: observations behind it.
    """

    factor: float = 1.0
    latency: float = 0.0
    spread: float = 0.0
    seen: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """An observation: what was asked, the unfitted model's parts, what was predicted before it came."""

    asked: Among
    rate_bound: float
    rest: float
    naive: float
    residual: Residual


@dataclass(frozen=True)
class TransferModel:
    """Transfers over one mirrored federation.

    Attributes:
        fits: by path, as "source -> target"; "" is what all paths have in common.
    """

    mirror: Mirror
    level: Level = "fluid"
    framing: Framing = field(default_factory=Framing)
    congestion: Congestion = "cubic"
    draws: int = 20
    seed: int = 0
    now: datetime | None = None
    fits: Mapping[str, Fit] = field(default_factory=lambda: MappingProxyType({}))
    seen: tuple[_Seen, ...] = ()

    @property
    def name(self) -> str:
        return f"transfer ({self.level})"

    def predict(self, asked: Among) -> Prediction:
        """Seconds from the flow's start until its last byte is there.

        Raises:
            CallerError: a link or a path is not in the mirror, or cannot carry anything.
        """
        plain = self._plain(asked)
        fit = self.fit(asked.flow.path)
        if not fit.seen:
            return plain
        rate_bound, rest = _split(plain)
        value = max(rest + fit.latency + fit.factor * rate_bound, 0.0)
        scale = value / plain.total.value if plain.total.value else 1.0
        opened = math.exp(Z90 * fit.spread)
        low, high = plain.total.low * scale, plain.total.high * scale
        if str(asked.flow.path) in self.fits and not asked.beside:  # what its links may be has been seen: what is left decides
            low = high = value
        total = Quantity(value, "s", min(low, value) / opened, max(high, value) * opened, "fitted", f"{fit.seen} observations")
        parts = {name: exactly(one.value * (fit.factor if name in RATE_BOUND else 1.0), "s") for name, one in plain.parts.items()}
        parts["latency"] = exactly(max(value - sum(one.value for one in parts.values()), 0.0), "s")
        return Prediction(total, parts, plain.relied_on, plain.notes)

    def observe(self, asked: Among, seen: float, *, at: datetime) -> TransferModel:
        """Remembers that the flow took `seen` seconds, and what would have been predicted."""
        plain = self._plain(asked)
        rate_bound, rest = _split(plain)
        residual = Residual("transfer", str(asked.flow.path), self.predict(asked).total, seen, at)
        return replace(self, seen=(*self.seen, _Seen(asked, rate_bound, rest, naive_seconds(asked.flow, self.mirror), residual)))

    def refit(self) -> TransferModel:
        """Learns from all observations: first what all paths have in common, then each path beside it."""
        if not self.seen:
            return self
        common = _fitted(self.seen, Fit())
        paths = sorted({one.residual.subject for one in self.seen})
        own = {path: _fitted([one for one in self.seen if one.residual.subject == path], common) for path in paths}
        return replace(self, fits=MappingProxyType({"": common, **own}))

    def error_card(self) -> ErrorCard:
        """From what was predicted before it was seen."""
        residuals = [one.residual for one in self.seen]
        relative = np.array([one.relative for one in residuals])
        naive = np.array([abs(one.naive - one.residual.seen) / one.residual.seen for one in self.seen])
        if not residuals:
            return ErrorCard(self.name, 0, math.nan, math.nan, math.nan)
        covered = float(np.mean([one.covered for one in residuals]))
        mape, bias = float(np.abs(relative).mean()), float(relative.mean())
        return ErrorCard(self.name, len(residuals), mape, bias, covered, _repetition(self.seen), float(naive.mean()))

    def fit(self, path: Path) -> Fit:
        """The path's own, or what all have in common."""
        return self.fits.get(str(path), self.fits.get("", Fit()))

    def _plain(self, asked: Among) -> Prediction:
        found = transfer(
            (asked.flow, *asked.beside),
            self.mirror,
            level=self.level,
            draws=self.draws,
            seed=self.seed,
            now=self.now,
            framing=self.framing,
            congestion=self.congestion,
        )
        return found.flows[0].seconds


def _split(plain: Prediction) -> tuple[float, float]:
    rate_bound = sum(plain.parts[name].value for name in RATE_BOUND)
    return rate_bound, plain.total.value - rate_bound


def _fitted(seen: Sequence[_Seen], before: Fit) -> Fit:
    """Ridge regression of relative residuals towards the fit before."""
    predicted = np.array([max(one.rate_bound + one.rest, 1e-9) for one in seen])
    rest = np.array([one.rest for one in seen])
    rate_bound = np.array([one.rate_bound for one in seen])
    came = np.array([one.residual.seen for one in seen])
    scale = float(np.median(np.maximum(rest, 1e-6)))
    design = np.column_stack([rate_bound, np.ones(len(seen))]) / predicted[:, None] / NOISE
    left = (came - rest - before.factor * rate_bound - before.latency) / predicted / NOISE
    prior = np.diag([1.0 / PRIOR_FACTOR, 1.0 / (PRIOR_LATENCY * scale)])
    weight = np.ones(len(seen))
    for _ in range(
        5
    ):  # Huber's weights: one bad measurement does not decide (Huber, Annals of Mathematical Statistics 35 (1964) 73)
        rows = np.vstack([design * weight[:, None], prior])
        change = np.linalg.lstsq(rows, np.concatenate([left * weight, np.zeros(2)]), rcond=None)[0]
        off = left - design @ change
        middle = max(float(np.median(np.abs(off))) * 1.4826, 1e-9)
        weight = np.sqrt(np.minimum(1.0, 1.345 * middle / np.maximum(np.abs(off), 1e-12)))
    factor, latency = max(before.factor + float(change[0]), 0.05), before.latency + float(change[1])
    fitted = np.maximum(rest + latency + factor * rate_bound, 1e-9)
    log_off = np.log(came / fitted)
    spread = math.sqrt((float(log_off @ log_off) + 2 * NOISE**2) / len(seen))  # as if two more had been off by the noise
    return Fit(factor, latency, spread, len(seen))


def _repetition(seen: Sequence[_Seen]) -> float:
    """Median relative difference between observations of the same thing, one after another."""
    last: dict[Among, float] = {}
    differences = []
    for one in seen:
        if one.asked in last:
            differences.append(abs(one.residual.seen - last[one.asked]) / last[one.asked])
        last[one.asked] = one.residual.seen
    return float(np.median(differences)) if differences else math.nan
