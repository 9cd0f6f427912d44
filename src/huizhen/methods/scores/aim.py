"""What a learned model predicts: the task, the outcome that a site reads from its rows, and what the model's outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.cohort import parse
from huizhen.data.examples import SITE, Examples
from huizhen.errors import DataError, Problem
from huizhen.methods.description.levels import coder
from huizhen.methods.method import Use
from huizhen.methods.survival.followup import count_unusable, event_of

__all__ = ["Aim", "Task", "outcome_uses"]

Task = Literal["binary", "multiclass", "multilabel", "regression", "cox", "discrete_time", "segmentation"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What is predicted, as every site reads it.

    Attributes:
        task: kind of outcome.
        outcome: the variable; several for ``multilabel``; the time for ``cox`` and ``discrete_time``; the label map for
            ``segmentation``.
        levels: ``binary``: (negative, positive); ``multiclass`` and ``segmentation``: the classes, in order of the outputs.
        event: condition under which the event came, for ``cox`` and ``discrete_time``.
        ends: upper ends of the intervals of time, rising; for ``discrete_time``. For ``cox`` those of a joint grid, events' and
            censorings' together: between two of them may be one patient, so no count by interval may be published.
        threshold: predicted probability from which a label counts as positive.
        center: a number near the outcome, known to all sites, from which powers are taken; for ``regression``.
        shift, scale: for ``regression``, what a network learns is (outcome - shift) / scale.
    """

    task: Task
    outcome: tuple[str, ...]
    levels: tuple[str, ...] = ()
    event: str = ""
    ends: tuple[float, ...] = ()
    threshold: float = 0.5
    center: float = 0.0
    shift: float = 0.0
    scale: float = 1.0

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Aim:
        """The aim behind `facts`."""
        read: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
        return cls(**read)

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for a row (for a pixel, in ``segmentation``).

        Raw: logits of the positive level, of each class, of each label, of the hazard in each interval; the mean; the log hazard.
        """
        counts = {"multiclass": len(self.levels), "segmentation": len(self.levels), "discrete_time": len(self.ends)}
        return counts.get(self.task, len(self.outcome))

    def learned(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Targets on the scale that a network learns them on."""
        return (targets - self.shift) / self.scale if self.task == "regression" else targets

    def in_own_unit(self, outputs: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs of a network, as the outcome is read: float64 for ``regression``."""
        return outputs.astype(np.float64) * self.scale + self.shift if self.task == "regression" else outputs

    def targets(self, examples: Examples) -> NDArray[Any]:
        """The outcome of each row.

        Returns:
            ``binary``: float64 (row,) of 0 and 1. ``multiclass``: int64 (row,). ``multilabel``: float64 (row, label) of 0 and 1.
            ``regression``: float64 (row,). ``cox``: float64 (row, 2), time and event. ``discrete_time``: float64 (row, 2), interval
            (how many ends lie before the time, at most the last interval) and event. ``segmentation``: int64 (row, *space).

        Raises:
            DataError: a value that the aim does not know; never which.
        """
        return _TARGETS[self.task](self, examples)


def outcome_uses(task: Task | Literal["classification"], outcome: tuple[str, ...], event: str = "") -> tuple[Use, ...]:
    """The variables behind the outcome, and as what they are read."""
    if task in ("cox", "discrete_time"):
        named = tuple(Use(name, kind) for name, kind in parse(event).uses.items() if name != SITE)
        return (Use(outcome[0], "number"), *named)
    kind: Literal["number", "image", "any"] = {"regression": "number", "segmentation": "image"}.get(task, "any")  # type: ignore[assignment]
    return tuple(Use(name, kind) for name in outcome)


def _classes(aim: Aim, examples: Examples) -> NDArray[np.int64]:
    name = aim.outcome[0]
    codes = np.asarray(coder(examples, name, aim.levels)(slice(0, examples.rows)), np.int64)
    if (codes < 0).any():
        raise _stranger(name, ", ".join(aim.levels))
    return codes


def _binary(aim: Aim, examples: Examples) -> NDArray[np.float64]:
    return _classes(aim, examples).astype(np.float64)


def _labels(aim: Aim, examples: Examples) -> NDArray[np.float64]:
    found = np.empty((examples.rows, len(aim.outcome)))
    for place, name in enumerate(aim.outcome):
        found[:, place] = _classes(Aim("binary", (name,), ("0", "1")), examples)
    return found


def _number(aim: Aim, examples: Examples) -> NDArray[np.float64]:
    values = examples.number(aim.outcome[0])
    if not np.isfinite(values).all():
        raise _stranger(aim.outcome[0], "finite numbers")
    return values


def _survival(aim: Aim, examples: Examples) -> NDArray[np.float64]:
    time, event = examples.number(aim.outcome[0]), event_of(examples, aim.event)
    if count_unusable(time):
        raise _stranger(aim.outcome[0], "times from the start of follow-up, 0 or more")
    return np.column_stack([time, event])


def _intervals(aim: Aim, examples: Examples) -> NDArray[np.float64]:
    found = _survival(aim, examples)
    beyond = found[:, 0] > aim.ends[-1]
    found[beyond, 1] = 0.0  # followed to the last end without an event
    found[:, 0] = np.minimum(np.searchsorted(np.asarray(aim.ends), found[:, 0], side="left"), len(aim.ends) - 1)
    return found


def _maps(aim: Aim, examples: Examples) -> NDArray[np.int64]:
    values = examples.image(aim.outcome[0])[:, 0]
    found = values.astype(np.int64)
    if found.size and (not np.array_equal(found, values) or found.min() < 0 or found.max() >= len(aim.levels)):
        raise _stranger(aim.outcome[0], f"whole numbers from 0 to {len(aim.levels) - 1}")
    return found


def _stranger(name: str, expected: str) -> DataError:
    problem = Problem(f"variable {name!r}", "a value outside the range that was agreed", expected, "Correct it at the source")
    return DataError("The outcome cannot be read as the study needs it.", [problem])


_TARGETS = {
    "binary": _binary,
    "multiclass": _classes,
    "multilabel": _labels,
    "regression": _number,
    "cox": _survival,
    "discrete_time": _intervals,
    "segmentation": _maps,
}
