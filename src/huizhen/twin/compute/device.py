"""How long a device takes for work: the functional model of compute.

    seconds = factors * (traced * sum of operators + overhead * operators + release * bytes)

Operators are those of the calibration pack (`operators`). What a step takes beyond them (calls of the engine that computes
gradients, memory given back) is learnt from the pack's own whole steps. Factors are learnt from runs: of an operator, of the
device, of a model on the device (`shadow.factors`), shrunk as far as they vary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from huizhen.errors import CallerError, Problem
from huizhen.twin.compute.counting import VIEW
from huizhen.twin.compute.operators import OperatorModel, fitted_operators
from huizhen.twin.compute.pack import Pack, Step
from huizhen.twin.course import Operation, Work
from huizhen.twin.functional import ErrorCard, Prediction, Residual
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.factors import AT_90, Factors, Seen, fitted

__all__ = ["Computation", "ComputeModel", "Context", "compute_model"]

Array = NDArray[np.float64]
LEVELS = ("operator", "device", "model")
PARALLEL, PARALLEL_SPREAD = 0.9, 1.35  # where it was not measured: share of an operator's work that further threads share
BEYOND = 0.03  # standard deviation of the logarithm of a step that no pack tells
LARGEST_PARTS = 6
NUMERICAL = ("np.", "trees.", "read.")  # kinds that are run by numpy, not by the engine of gradients


@dataclass(frozen=True, slots=True)
class Computation:
    """What is asked: some work on a device, by so many threads."""

    work: Work
    device: str
    threads: int = 1

    @property
    def groups(self) -> Mapping[str, str]:
        """The groups that a run of it belongs to."""
        kinds = {one.kind for one in self.work.operations}
        found = {"device": self.device, "model": f"{self.work.label}@{self.device}"}
        return {**found, "operator": kinds.pop()} if len(kinds) == 1 else found


@dataclass(frozen=True, slots=True)
class Context:
    """What whole steps take beyond their operators: times, seconds of an operator and of a view, seconds of a byte.

    Attributes:
        off: standard deviation of the logarithm of what is left unexplained.
    """

    times: float
    of_operator: float
    of_view: float
    of_byte: float
    off: float

    def seconds(self, traced: float, operators: float, views: float, moved: float) -> float:
        least = 0.1 * traced  # overheads may be learnt below 0, work may not
        return max(self.times * traced + self.of_operator * operators + self.of_view * views + self.of_byte * moved, least)


@dataclass(frozen=True, slots=True)
class ComputeModel:
    """A functional model of computations on one kind of device, or on several by their factor.

    Attributes:
        devices: median factor and its spread, by the name of each device, to the one that the pack was made on.
        seen, residuals: what was observed, and what had been predicted of it.
    """

    name: str
    operators: OperatorModel
    context: Context
    devices: Mapping[str, Quantity]
    parallel: float
    factors: Factors = field(default_factory=lambda: Factors(LEVELS))
    seen: tuple[tuple[Computation, float], ...] = ()
    residuals: tuple[Residual, ...] = ()

    def predict(self, asked: Computation) -> Prediction:
        """Seconds of the work on the device with nobody beside it; by kinds of operators.

        Raises:
            CallerError: a device that the model does not know, work without operations, or no thread.
        """
        self._check(asked)
        median, sd, seconds, strange = self._plain(asked)
        factor, own = self._factor(asked)
        shared, doubt = self._threads(asked.threads)
        value = median * factor * shared
        spread = math.exp(AT_90 * math.sqrt(sd**2 + own**2 + doubt**2))
        total = Quantity(value, "s", value / spread, value * spread, "fitted", f"calibration of {self.name}")
        notes: tuple[str, ...] = ()
        if strange:
            notes = (f"Operators that were never calibrated are taken for usual ones: {', '.join(strange)}.",)
        return Prediction(total, _parts(asked.work.operations, seconds, total), MappingProxyType(dict(self.devices)), notes)

    def observe(self, asked: Computation, seen: float, *, at: datetime) -> ComputeModel:
        """The model that remembers that the computation took `seen` seconds; it predicts as before."""
        residual = Residual("compute", asked.groups["model"], self.predict(asked).total, seen, at)
        return replace(self, seen=(*self.seen, (asked, seen)), residuals=(*self.residuals, residual))

    def refit(self) -> ComputeModel:
        """The model with the factors that all observations teach."""
        seen = [Seen(asked.groups, self._unlearnt(asked), took) for asked, took in self.seen if took > 0]
        return replace(self, factors=fitted(LEVELS, seen))

    def error_card(self) -> ErrorCard:
        told = [one for one in self.residuals if one.seen > 0]
        if not told:
            return ErrorCard(self.name, 0, math.nan, math.nan, math.nan)
        off = np.array([one.relative for one in told])
        covered = float(np.mean([one.covered for one in told]))
        return ErrorCard(self.name, len(told), float(np.abs(off).mean()), float(off.mean()), covered)

    def _plain(self, asked: Computation) -> tuple[float, float, Array, tuple[str, ...]]:
        """Seconds before all factors, the standard deviation of their logarithm, seconds by operation, strange kinds."""
        operations = asked.work.operations
        expected = self.operators.expect(operations)
        total = float(expected.seconds.sum())
        doubt = math.sqrt(expected.variance) / total if total else 0.0
        tensors = [place for place, one in enumerate(operations) if not one.kind.startswith(NUMERICAL)]
        if not tensors:
            return total, math.hypot(doubt, BEYOND), expected.seconds, expected.strange
        engine = float(expected.seconds[tensors].sum())
        counted = _counts([operations[place] for place in tensors])
        median = total - engine + self.context.seconds(engine, *counted)
        return median, math.hypot(doubt, self.context.off), expected.seconds, expected.strange

    def _unlearnt(self, asked: Computation) -> float:
        return self._plain(asked)[0] * self.devices[asked.device].value * self._threads(asked.threads)[0]

    def _factor(self, asked: Computation) -> tuple[float, float]:
        """Of the device as it was told and of what was learnt; the standard deviation of its logarithm."""
        told = self.devices[asked.device]
        doubt = math.log(max(told.spread, 1.0)) / AT_90 if math.isfinite(told.spread) else 1.0
        if not self.factors.count:
            return told.value, doubt
        learnt, sd = self.factors.factor(
            {level: group for level, group in asked.groups.items() if _is_known(self.factors, level, group)}
        )
        runs_here = f"device:{asked.device}" in self.factors.effects
        return told.value * learnt, sd if runs_here else math.hypot(sd, doubt)

    def _threads(self, threads: int) -> tuple[float, float]:
        """Times of one thread's seconds (Amdahl 1967), and the standard deviation of its logarithm."""
        if threads == 1:
            return 1.0, 0.0
        share = PARALLEL if math.isnan(self.parallel) else self.parallel
        return 1.0 - share + share / threads, math.log(PARALLEL_SPREAD) / AT_90

    def _check(self, asked: Computation) -> None:
        problems = []
        if asked.device not in self.devices:
            problems.append(
                Problem("device", asked.device, f"one of {', '.join(sorted(self.devices))}", "Calibrate it, or give its factor")
            )
        if asked.threads < 1:
            problems.append(Problem("threads", str(asked.threads), "1 or more"))
        if problems:
            raise CallerError("The computation cannot be predicted.", problems)


def compute_model(pack: Pack, devices: Mapping[str, Quantity] | None = None) -> ComputeModel:
    """The model of a calibrated device, and of devices that are so many times as slow.

    Raises:
        CallerError: a pack without samples.
    """
    if not pack.samples:
        raise CallerError("The calibration pack cannot be used.", [Problem(pack.name, "no samples", "some", "Calibrate again")])
    same = Quantity(1.0, "1", 1.0, 1.0, "measured", f"calibration of {pack.name}")
    factors = MappingProxyType({pack.name: same, **(devices or {})})
    return ComputeModel(pack.name, fitted_operators(pack.samples), _context(pack.steps), factors, pack.parallel)


def _context(steps: Sequence[Step]) -> Context:
    """By least squares of relative errors; steps far off count little."""
    if len(steps) < len(LEVELS) + 2:
        return Context(1.0, 0.0, 0.0, 0.0, BEYOND)
    table = np.array([[one.traced, one.operators, one.views, one.moved] for one in steps], np.float64)
    seen = np.array([one.seconds for one in steps])
    relative, weight = table / seen[:, None], np.ones(len(steps))
    found: Array = np.array([1.0, 0.0, 0.0, 0.0])
    for _ in range(10):
        found = lsq_linear(relative * weight[:, None], weight, bounds=([0.5, -1e-5, -1e-5, 0.0], [2.0, 1e-4, 1e-4, 1e-8])).x
        weight = 1.0 / np.sqrt(1.0 + ((relative @ found - 1.0) / 0.05) ** 2)
    off = np.log(np.maximum(relative @ found, 0.1))
    times, of_operator, of_view, of_byte = found.tolist()
    return Context(times, of_operator, of_view, of_byte, max(float(np.sqrt(np.mean(off**2))), BEYOND))


def _counts(operations: Sequence[Operation]) -> tuple[float, float, float]:
    """Operators, views and bytes."""
    views = sum(one.calls for one in operations if one.kind == VIEW)
    return sum(one.calls for one in operations) - views, views, sum(one.moved * one.calls for one in operations)


def _parts(operations: Sequence[Operation], seconds: Array, total: Quantity) -> Mapping[str, Quantity]:
    """The kinds that take most, and the rest; they add up to the total."""
    by_kind: dict[str, float] = {}
    for one, took in zip(operations, seconds):
        by_kind[one.kind] = by_kind.get(one.kind, 0.0) + float(took)
    whole = sum(by_kind.values())
    ordered = sorted(by_kind, key=lambda kind: -by_kind[kind])
    shares = {kind: by_kind[kind] / whole for kind in ordered[:LARGEST_PARTS]} if whole else {}
    if len(ordered) > LARGEST_PARTS and whole:
        shares["others"] = max(1.0 - sum(shares.values()), 0.0)
    scaled = {kind: (total.value * share, total.low * share, total.high * share) for kind, share in shares.items()}
    return MappingProxyType(
        {kind: Quantity(value, "s", low, high, "fitted", total.source) for kind, (value, low, high) in scaled.items()}
    )


def _is_known(factors: Factors, level: str, group: str) -> bool:
    """Unknown models and operators are no reason to doubt more than the steps of the pack told."""
    return f"{level}:{group}" in factors.effects
