"""The classes that a model learns to tell apart: agreed from the joint levels of an outcome.

aim = yield from agree_classes("boosting", "stage", terms)
"""

from __future__ import annotations

from collections.abc import Generator

from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import agree_levels
from huizhen.methods.scores.aim import Aim
from huizhen.privacy.release import Question, Terms, Total

__all__ = ["agree_classes"]


def agree_classes(method: str, outcome: str, terms: Terms, *, threshold: float = 0.5) -> Generator[Question, Total, Aim]:
    """The aim of a classification: of two levels, or of several.

    Raises:
        NotEstimable: there is one level only.
    """
    levels = (yield from agree_levels(method, [outcome], terms))[outcome]
    if len(levels) < 2:
        raise NotEstimable(f"{outcome}: all rows have the same outcome, so nothing can be learnt about what it depends on")
    return Aim("binary" if len(levels) == 2 else "multiclass", (outcome,), levels, threshold=threshold)
