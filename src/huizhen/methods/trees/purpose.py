"""What a forest is to predict: agreed on first, from the settings and what the variables are."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from huizhen.errors import NotEstimable
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.classes import agree_classes
from huizhen.methods.survival.groups import Groups
from huizhen.methods.survival.timegrid import agree_exits
from huizhen.methods.trees.spec import BoostingSpec
from huizhen.privacy.release import Question, Terms, Total

__all__ = ["agree_aim", "agree_grid"]


def agree_aim(method: str, spec: BoostingSpec, terms: Terms) -> Generator[Question, Total, Aim]:
    """What is predicted: the task, and of classes the joint levels.

    Raises:
        NotEstimable: one class only; a category that predictions are to rise or fall with.
    """
    _refuse_monotone_categories(spec, terms)
    if spec.task == "cox":
        return Aim("cox", (spec.time,), event=spec.event)
    if spec.task == "regression":
        return Aim("regression", (spec.outcome,))
    return (yield from agree_classes(method, spec.outcome, terms))


def agree_grid(method: str, spec: BoostingSpec, terms: Terms) -> Generator[Question, Total, tuple[dict[str, Any], tuple[str, ...]]]:
    """The joint grid of times that risk sets stand on, and what a reader must know of it."""
    assert spec.survival is not None
    exits = yield from agree_exits(method, spec.survival, Groups())
    grid = exits.grid(terms.min_cell_count)
    facts = {"resolution": grid.resolution, "event_ends": grid.event_ends, "censored_ends": grid.censored_ends}
    return facts, (exits.note(grid),)


def _refuse_monotone_categories(spec: BoostingSpec, terms: Terms) -> None:
    for name in spec.monotone:
        if name in terms.variables and terms.variables[name].kind != "number":
            raise NotEstimable(
                f"monotone: {name} is a category, whose levels have no order to rise or fall along; leave it out, or code it as a "
                "number"
            )
