"""What the settings of methods that learn have in common: the rows that are kept aside, and an outcome of times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

from huizhen.data.folds import Aside
from huizhen.errors import HuizhenError
from huizhen.methods.survival.followup import SurvivalSpec

__all__ = ["Rule", "aside_mistakes", "survival_of"]

Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Rule = Annotated[Share | str, BeforeValidator(lambda value: float(value) if type(value) is int else value)]


def aside_mistakes(aside: Aside, early_stopping: int) -> list[str]:
    """What is wrong with the rows kept aside: a condition that cannot be read, shares that leave none, nothing to stop by."""
    problems = []
    try:
        _ = aside.uses
    except HuizhenError as error:
        problems.append(f"validation, test: {error}")
    if sum(rule for rule in aside.rules if isinstance(rule, float)) >= 1:
        problems.append("validation, test: found shares that leave nothing to train on, expected less than 1 together")
    if early_stopping and not aside.validation:
        problems.append("early_stopping: found no validation, expected a share or a condition to judge by")
    return problems


def survival_of(task: str, time: str, event: str, resolution: float, strata: Sequence[str] = ()) -> SurvivalSpec | None:
    """What a joint grid of times needs to know; None where the task has none, or its outcome is not named.

    Raises:
        StudyError: the condition of the event cannot be read.
    """
    if task != "cox" or not (time and event):
        return None
    return SurvivalSpec(time=time, event=event, resolution=resolution, strata=tuple(strata))
