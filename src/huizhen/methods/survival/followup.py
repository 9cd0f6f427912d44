"""How long each patient was followed and whether the event came: the outcome that every survival method reads.

A spec names the time by a numeric variable and the event by a condition (``status == 2``) or by a variable of 0 and 1.
A horizon ends the study for everybody: whoever was followed longer counts as censored there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from huizhen.data.cohort import parse
from huizhen.data.condition import Compare
from huizhen.data.examples import SITE, Examples, Numbers
from huizhen.errors import DataError, NotEstimable, Problem, StudyError
from huizhen.methods.method import Names, Spec, Use

__all__ = ["FollowUp", "SurvivalSpec", "event_of", "follow_up", "local_strata", "outcome_uses"]


class SurvivalSpec(Spec):
    """What every survival method is told.

    Attributes:
        time: variable with the time from the start to the event or to the end of follow-up, >= 0.
        event: condition that is true where the event came, e.g. ``status == 2``, or a variable of 0 and 1.
        strata: variables whose levels are compared only within themselves; ``site`` for the site that holds the row.
        resolution: width of the finest interval of the joint grid of times, in the unit of `time`.
        horizon: end of the study, in the unit of `time`; later events and censorings count as censored there. None: no such end.
        confidence: coverage of confidence intervals.
    """

    time: str
    event: str
    strata: Names = ()
    resolution: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    horizon: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    confidence: float = Field(default=0.95, gt=0, lt=1)

    @field_validator("event")
    @classmethod
    def _is_condition(cls, text: str) -> str:
        try:
            parse(text)
        except StudyError as error:
            raise ValueError(str(error)) from None
        return text

    @property
    def by_site(self) -> bool:
        """Whether every comparison stays within a site, so that sums on the sites' own times suffice."""
        return SITE in self.strata

    @property
    def outcome(self) -> dict[str, Any]:
        """What a site must know to read the outcome; travels in the facts of a question."""
        return {"time": self.time, "event": self.event, "horizon": self.horizon}


class FollowUp(NamedTuple):
    """The outcome of the rows of one site.

    Attributes:
        time: float64 (row,), cut at the horizon.
        event: bool (row,), False beyond the horizon.
    """

    time: NDArray[np.float64]
    event: NDArray[np.bool_]


def outcome_uses(spec: SurvivalSpec) -> tuple[Use, ...]:
    """The variables behind time, event and strata; the column ``site`` belongs to every table and is not one of them."""
    event = parse(spec.event).uses
    strata = [name for name in spec.strata if name != SITE]
    return (
        Use(spec.time, "number"),
        *(Use(name, kind) for name, kind in event.items() if name != SITE),
        *(Use(name, "any") for name in strata),
    )


def follow_up(examples: Examples, outcome: Mapping[str, Any]) -> FollowUp:
    """Time and event of each row; `outcome` as `SurvivalSpec.outcome` gives it."""
    time, event = examples.number(outcome["time"]), event_of(examples, outcome["event"])
    horizon = outcome["horizon"]
    if horizon is None:
        return FollowUp(time, event)
    beyond = time > horizon
    return FollowUp(np.where(beyond, horizon, time), event & ~beyond)


def event_of(examples: Examples, text: str) -> NDArray[np.bool_]:
    """Whether the event came, bool (row,), for rows that miss none of the condition's variables.

    Raises:
        DataError: a variable named alone holds something else than 0 and 1 (status coded 1 and 2, say).
    """
    condition = parse(text)
    truth = condition.evaluate(examples)
    if isinstance(condition, Compare) and text.strip().strip("`") == condition.variable:
        _must_be_binary(examples, condition.variable)
    if (truth < 0).any():
        problem = Problem("event", "rows for which the condition is unknown", "rows that miss none of its variables")
        raise DataError("the event of some rows is unknown", [problem])
    return np.asarray(truth == 1)


def local_strata(examples: Examples, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Stratum of each row as a number that means something at this site only, int64 (row,)."""
    code = np.zeros(examples.rows, np.int64)
    for name in names:
        column = examples.category(name)
        code = code * len(column.levels) + column.codes
        code = np.unique(code, return_inverse=True)[1].astype(np.int64)
    return code


def refuse_unusable(unusable: int) -> None:
    """Negative or endless times are mistakes in the data, never censorings."""
    if unusable:
        rows = "a row has a time" if unusable == 1 else "some rows have times"
        raise NotEstimable(
            f"{rows} below zero or without end: expected times from the start of follow-up, 0 or more. "
            "Correct the times at the source, or leave those rows out with a cohort condition"
        )


def count_unusable(time: NDArray[np.float64]) -> int:
    """How many times are negative, endless or missing."""
    return int(np.count_nonzero(~(np.isfinite(time) & (time >= 0))))


def _must_be_binary(examples: Examples, name: str) -> None:
    column = examples.tabular(name)
    if isinstance(column, Numbers):
        binary = bool(np.isin(column.values, (0.0, 1.0)).all())
    else:
        used = np.unique(column.codes)
        binary = {column.levels[code] for code in used if code >= 0} <= {"0", "1"}
    if not binary:
        remedy = f"Write the event as a condition, e.g. {name} == 2"
        problem = Problem(f"event variable {name!r}", "values other than 0 and 1", "0 (censored) and 1 (event)", remedy)
        raise DataError("the event is not a variable of 0 and 1", [problem])
