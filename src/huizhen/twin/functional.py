"""What every functional model of the twin offers, and what it says of its own error.

A model is a rule: frozen, without I/O and clock. It predicts with quantiles, parts and provenance; what was seen is handed to
`observe`, which returns another model; `refit` returns one that has learnt from it. Its error card is written from what it
predicted *before* it saw: residuals of observations that it was fitted to are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, Self, TypeVar

from huizhen.twin.quantity import Quantity

__all__ = ["ErrorCard", "FunctionalModel", "Prediction", "Residual"]

NONE: Mapping[str, Any] = MappingProxyType({})
Asked_contra = TypeVar("Asked_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model expects.

    Attributes:
        total: with its interval and provenance, which is the weakest of what it rests on.
        parts: what it is made of, by name, in order; of a sum they add up to the total's value.
        relied_on: the inputs, by name, as they were used (after ageing).
        notes: what a reader should know (an assumption, an extrapolation), in plain words.
    """

    total: Quantity
    parts: Mapping[str, Quantity] = field(default_factory=lambda: NONE)
    relied_on: Mapping[str, Quantity] = field(default_factory=lambda: NONE)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Residual:
    """What was predicted and what came; of one part of one forecast.

    Attributes:
        part: ``round``, ``compute``, ``protect``, ``upload``, ``download``, ``aggregate``, ``bytes``, ``step``, ``transfer``.
        subject: what it is about: an operator, a device, a model on a device, a path, a study.
        predicted: before it was seen.
        seen: in the unit of `predicted`.
    """

    part: str
    subject: str
    predicted: Quantity
    seen: float
    at: datetime

    @property
    def relative(self) -> float:
        """(predicted - seen) / seen."""
        return (self.predicted.value - self.seen) / self.seen

    @property
    def covered(self) -> bool:
        return self.predicted.low <= self.seen <= self.predicted.high


@dataclass(frozen=True, slots=True)
class ErrorCard:
    """How wrong a model has been, by its own residuals.

    Attributes:
        about: the model or part.
        count: residuals it rests on.
        mape: mean of |predicted - seen| / seen; nan where count is 0.
        bias: mean of (predicted - seen) / seen.
        coverage: share of residuals within their 90 % interval.
        spread: median relative difference between repetitions of the same thing, the noise floor; nan where nothing was repeated.
        naive: the mape of the usual formula on the same observations; nan where there is none.
    """

    about: str
    count: int
    mape: float
    bias: float
    coverage: float
    spread: float = float("nan")
    naive: float = float("nan")


class FunctionalModel(Protocol[Asked_contra]):
    """A model of one thing: a transfer, an operation, a protection."""

    @property
    def name(self) -> str: ...

    def predict(self, asked: Asked_contra) -> Prediction:
        """What is expected.

        Raises:
            CallerError: what is asked is unknown to the model (an undeclared network, device, path, algorithm).
        """

    def observe(self, asked: Asked_contra, seen: float, *, at: datetime) -> Self:
        """The model that remembers this observation, and what it would have predicted; it predicts as before."""

    def refit(self) -> Self:
        """The model that has learnt from all observations."""

    def error_card(self) -> ErrorCard: ...
