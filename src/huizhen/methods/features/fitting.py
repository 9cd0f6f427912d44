"""How the features of a study are fitted: by the questions of the methods that describe; what protects those protects these.

Means and standard deviations come from joint moments, medians, bounds, groups and knots from joint quantiles, levels from joint
counts. What stands inside another function is fitted before it. Nobody's own value is used: a quantile that would be one is the
middle of the narrowest interval that holds enough patients, and levels that few patients have stand together as ``other``.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from huizhen.data.examples import Examples
from huizhen.data.folds import TRAINING, Aside
from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import LEVELS_STEPS, ask_levels
from huizhen.methods.description.moments import MOMENTS_STEPS, Moments, joint_moments
from huizhen.methods.features.coding import labels_of, made
from huizhen.methods.features.declared import Features, key_of
from huizhen.methods.features.expression import Call, Expression, Feature, Variable
from huizhen.methods.features.fitted import Fitted, Parameters
from huizhen.methods.method import Local, Step
from huizhen.methods.quantile import QUANTILE_STEPS, Quantile, joint_quantiles
from huizhen.privacy.release import Answer, Question, Terms, Total
from huizhen.privacy.release import Variable as Declared

__all__ = ["FITTED", "HELD_ASIDE", "OTHER", "PREFIX", "fit", "fit_steps", "variables_of"]

FITTED, HELD_ASIDE = "fitted_features", "held_aside"  # facts of a question
PREFIX = "features."  # of the steps by which features are fitted
OTHER = "other"
ROWS = "fit_rows"  # in the memo
INNER, OUTER = 0.01, 0.99  # of all rows, what lies beyond the bounds of `minmax`: extremes are single patients' own
# Where the knots of a restricted cubic spline lie: Harrell, Regression Modeling Strategies (2nd ed. 2015), table 2.3.
KNOTS: Mapping[int, tuple[float, ...]] = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
    6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95),
    7: (0.025, 0.1833, 0.3417, 0.50, 0.6583, 0.8167, 0.975),
}
Round = Generator[Question, Total, Any]
Drawn = tuple[Aside, tuple[str, ...]]


def fit(method: str, features: Features, terms: Terms, aside: Drawn | None = None) -> Generator[Question, Total, Fitted]:
    """What the features need to know of all rows, or of those that a model learns from.

    Args:
        aside: which rows no model learns from, and the columns whose content draws them.

    Raises:
        NotEstimable: a feature that these rows cannot give.
    """
    asking = _Asking(method, features, aside, Fitted())
    while waiting := {key: one for key, one in features.fitted_calls.items() if key not in asking.fitted.parameters}:
        ready = {
            key: call for key, (name, call) in waiting.items() if features.needed_by(name, call) <= set(asking.fitted.parameters)
        }
        found = yield from _fitted_together(asking, ready, terms)
        asking = replace(asking, fitted=Fitted({**asking.fitted.parameters, **found}))
    return asking.fitted


def fit_steps(features: Features) -> Mapping[str, Step]:
    """The steps at a site by which these features are fitted; none where all is declared."""
    calls = [call for _, call in features.fitted_calls.values()]
    wanted: dict[str, Step] = {}
    if any(call.function == "category" or call.word == "mode" for call in calls):
        wanted["levels"] = LEVELS_STEPS["levels"]
    if any(_is_numeric(call) for call in calls):
        wanted |= MOMENTS_STEPS
    if any(_probabilities(call) for call in calls):
        wanted |= QUANTILE_STEPS
    return MappingProxyType({PREFIX + name: _answering(features, step) for name, step in wanted.items()})


def variables_of(features: Features, fitted: Fitted) -> dict[str, Declared]:
    """The columns of features as methods know variables: a category has its levels, as if the study had declared them."""
    found = {}
    for column, name in features.owner.items():
        expression = features.expressions[name]
        if features.kind(name) == "category":
            found[column] = Declared("category", levels=_levels(features, fitted, name, expression))
        else:
            bounded = isinstance(expression, Call) and expression.function == "minmax"
            found[column] = Declared("number", range=(0.0, 1.0) if bounded else None)
    return found


@dataclass(frozen=True, slots=True)
class _Asking:
    """How the questions of other methods are asked of features."""

    method: str
    features: Features
    aside: Drawn | None
    fitted: Fitted

    def of(self, round_: Round) -> Round:
        """The same questions, of columns that the sites make of their rows; what they return."""
        total: Total | None = None
        while True:
            try:
                said = next(round_) if total is None else round_.send(total)
            except StopIteration as stop:
                return stop.value
            total = yield replace(
                said,
                step=PREFIX + said.step,
                facts={**said.facts, FITTED: self.fitted.facts(), HELD_ASIDE: self._held_aside},
                variables=tuple(use.name for use in self.features.reads),
            )

    @property
    def _held_aside(self) -> dict[str, Any] | None:
        return None if self.aside is None else {"rules": list(self.aside[0].rules), "drawn_by": list(self.aside[1])}


def _answering(features: Features, step: Step) -> Step:
    """A step of another method, over columns that are made of features."""

    def answer(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:
        facts = dict(question.facts)
        fitted, aside = Fitted.told(facts.pop(FITTED), features, whole=False), facts.pop(HELD_ASIDE)
        known = set(fitted.parameters)
        besides = [one for key, one in features.fitted_calls.items() if features.needed_by(*one) <= known]
        if ROWS not in local.memo or local.memo[ROWS][0] != known:
            rows = made(features, fitted, examples, besides=besides)
            if aside is not None:
                rows = rows.where(Aside(*aside["rules"]).fold(rows, aside["drawn_by"]) == TRAINING)
            local.memo[ROWS] = (known, rows)
        return step(replace(question, facts=facts), local.memo[ROWS][1], local, rng)

    return answer


def _fitted_together(asking: _Asking, ready: Mapping[str, Call], terms: Terms) -> Generator[Question, Total, dict[str, Parameters]]:
    """What can be found at once, with as few rounds as all of it takes."""
    found: dict[str, Parameters] = {key: bounds for key, call in ready.items() if (bounds := _declared_bounds(call, terms))}
    numbers = [key for key, call in ready.items() if _is_numeric(call) and key not in found]
    if numbers:
        moments = yield from asking.of(joint_moments(asking.method, numbers))
        _refuse_numbers({key: ready[key] for key in numbers}, moments, terms.min_cell_count)
        found |= {key: one for j, key in enumerate(numbers) if (one := _from_moments(ready[key], moments, j))}
        by_probabilities: dict[tuple[float, ...], list[str]] = {}
        for key in numbers:
            if asked := _probabilities(ready[key]):
                by_probabilities.setdefault(asked, []).append(key)
        for asked, keys in by_probabilities.items():
            places = [numbers.index(key) for key in keys]
            quantiles = yield from asking.of(
                joint_quantiles(asking.method, keys, asked, _some(moments, places), at_least=terms.min_cell_count)
            )
            for j, key in enumerate(keys):
                points = [_place(key, quantiles[(j, 0, p)]) for p in asked]
                found[key] = _from_points(key, ready[key], points)
    found |= yield from _categories(asking, ready, terms)
    return found


def _categories(asking: _Asking, ready: Mapping[str, Call], terms: Terms) -> Generator[Question, Total, dict[str, Parameters]]:
    wanted: list[tuple[str, tuple[str, ...]]] = []
    for key, call in ready.items():
        if call.function == "category":
            wanted.append((key, _declared_levels(call.of[0], terms)))
        elif call.word == "mode":
            name = asking.features.fitted_calls[key][0]
            wanted.append((key, _levels(asking.features, asking.fitted, name, call.of[0])))
    if not wanted:
        return {}
    counted = yield from asking.of(ask_levels(asking.method, wanted))
    found: dict[str, Parameters] = {}
    for (key, _), counts in zip(wanted, counted):
        if ready[key].word == "mode":
            found[key] = {"value": _most_common(key, counts, terms.min_cell_count)}
        else:
            found[key] = _merged(key, counts, terms.min_cell_count)
    return found


def _declared_levels(of: Expression, terms: Terms) -> tuple[str, ...]:
    declared = terms.variables.get(of.name) if isinstance(of, Variable) else None
    return declared.levels if declared is not None else ()


def _declared_bounds(call: Call, terms: Terms) -> Parameters | None:
    """The declared range of a variable that is scaled to 0 and 1."""
    if call.function != "minmax" or not isinstance(call.of[0], Variable):
        return None
    declared = terms.variables.get(call.of[0].name)
    return None if declared is None or declared.range is None else {"low": declared.range[0], "high": declared.range[1]}


def _is_numeric(call: Call) -> bool:
    return call.function != "category" and call.word != "mode"


def _probabilities(call: Call) -> tuple[float, ...]:
    """The joint quantiles that a function rests on; () where it rests on none."""
    if call.word == "median":
        return (0.5,)
    if call.function == "minmax":
        return INNER, OUTER
    if call.function == "quantiles":
        return tuple(place / call.numbers[0] for place in range(1, int(call.numbers[0])))
    return KNOTS[int(call.numbers[0])] if call.function == "spline" else ()


def _refuse_numbers(calls: Mapping[str, Call], moments: Moments, least: int) -> None:
    rare = moments.rare(least)
    for j, (key, call) in enumerate(calls.items()):
        n = int(moments.n[0, j])
        if n < max(least, 1):
            raise NotEstimable(f"{key}: fewer than {max(least, 1)} rows have a value, too few to fit a feature; leave it out")
        if rare[j]:
            raise NotEstimable(
                f"{key}: all rows but fewer than {least} have the same value, so that what is fitted would tell of these few; "
                "leave it out"
            )
        if call.function != "impute" and (n < 2 or not moments.powers[2][0, j] > 0):
            raise NotEstimable(f"{key}: the same value in all rows, so there is nothing to scale or to divide; leave it out")


def _from_moments(call: Call, moments: Moments, j: int) -> Parameters | None:
    if call.function == "standardise":
        return {"mean": float(moments.mean[0, j]), "sd": float(moments.sd[0, j])}
    return {"value": float(moments.mean[0, j])} if call.word == "mean" else None


def _some(moments: Moments, places: Sequence[int]) -> Moments:
    """The moments of some of the variables, as far as quantiles need them."""
    powers = {exponent: values[:, places] for exponent, values in moments.powers.items()}
    cut = {name: getattr(moments, name)[:, places] for name in ("n", "missing", "total", "mean", "offset")}
    return replace(moments, **cut, unlike=moments.unlike[:, :, places], powers=powers)


def _place(key: str, found: Quantile) -> float:
    """A quantile, or the middle of the interval in which it lies with enough patients."""
    if found.value is not None:
        return float(found.value)
    if found.low is None or found.high is None:
        raise NotEstimable(f"{key}: too few rows have a value for a joint quantile; leave it out")
    return (found.low + found.high) / 2


def _from_points(key: str, call: Call, points: list[float]) -> Parameters:
    if call.word == "median":
        return {"value": points[0]}
    if any(low >= high for low, high in pairwise(points)):
        raise NotEstimable(
            f"{key}: joint quantiles fall together, for many rows share a value; ask for fewer, or give points of your own"
        )
    if call.function == "minmax":
        return {"low": points[0], "high": points[1]}
    return {"knots" if call.function == "spline" else "cuts": points}


def _most_common(key: str, counts: Mapping[str, int], least: int) -> str:
    """The level that most rows have, of several the first."""
    if max(counts.values(), default=0) < max(least, 1):
        raise NotEstimable(f"{key}: no level is had by at least {max(least, 1)} rows, so none can stand for what is missing")
    return max(counts, key=lambda level: counts[level])


def _merged(key: str, counts: Mapping[str, int], least: int) -> Parameters:
    """Levels in order; those that fewer rows have than the policies' minimum stand together, with the next rarest if need be."""
    there = {level: count for level, count in counts.items() if count}
    together = {level for level, count in there.items() if count < least or level == OTHER}
    by_size = sorted((level for level in there if level not in together), key=lambda level: (there[level], level), reverse=True)
    while together and sum(there[level] for level in together) < least and by_size:
        together.add(by_size.pop())
    levels = [level for level in there if level not in together] + ([OTHER] if together else [])
    if len(levels) < 2:
        raise NotEstimable(
            f"{key}: fewer than two levels are had by at least {max(least, 1)} rows, so there is nothing to tell apart; "
            "leave it out"
        )
    return {"levels": levels, "other": bool(together)}


def _levels(features: Features, fitted: Fitted, name: str, expression: Expression) -> tuple[str, ...]:
    """The levels of an expression that gives a category."""
    if isinstance(expression, Feature):
        return _levels(features, fitted, expression.name, features.expressions[expression.name])
    assert isinstance(expression, Call)
    if expression.function == "category":
        return tuple(fitted.parameters[key_of(name, expression)]["levels"])
    if expression.word == "mode":
        return _levels(features, fitted, name, expression.of[0])
    return labels_of(expression)
