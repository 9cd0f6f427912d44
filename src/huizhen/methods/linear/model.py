"""What a generalised linear model says of each row besides its columns: response, family, offset and weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.errors import NotEstimable
from huizhen.methods.description.codes import CODES, refuse_rare, unlike
from huizhen.methods.design.agreement import named
from huizhen.methods.design.formula import Factor
from huizhen.methods.design.piece import codes, transformed
from huizhen.methods.linear.family import Family, Saturated, family_of
from huizhen.methods.method import Local
from huizhen.privacy.release import Answer, Part, Question, Total

__all__ = ["RESPONSE", "Model", "ask_response", "response"]

Floats = NDArray[np.float64]
RESPONSE = "glm.response"


@dataclass(frozen=True, slots=True)
class Model:
    """Response, family, offset and weights.

    Attributes:
        outcome: the response, maybe with elementwise functions.
        family: with its link.
        levels: of a response with two categories; the second counts as 1.
        offset, weights: names of variables, "" for none.
        frequency: whether a weight says how many equal rows a row stands for (else: R's prior weights).
    """

    outcome: Factor
    family: Family
    levels: tuple[str, ...] = ()
    offset: str = ""
    weights: str = ""
    frequency: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that are read."""
        return tuple(name for name in (self.outcome.variable, self.offset, self.weights) if name)

    def observed(self, examples: Examples, rows: slice) -> tuple[Floats, Floats | None, Floats | None]:
        """Responses, offsets and weights, each float64 (row,) or None."""
        if self.levels:
            seen = (codes(examples, self.outcome.variable, self.levels, rows) == 1).astype(np.float64)
        else:
            seen = transformed(self.outcome, examples, rows)
        offset = examples.number(self.offset)[rows] if self.offset else None
        return seen, offset, examples.number(self.weights)[rows] if self.weights else None

    def facts(self) -> dict[str, Any]:
        """Canonical form."""
        return {
            "outcome": self.outcome.facts(),
            "family": self.family.name,
            "link": self.family.link.name,
            "levels": list(self.levels),
            "offset": self.offset,
            "weights": self.weights,
            "frequency": self.frequency,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Model:
        """The model behind `facts`; other keys are left alone."""
        family = family_of(facts["family"], facts["link"])
        outcome = Factor.from_facts(facts["outcome"])
        return cls(outcome, family, tuple(facts["levels"]), facts["offset"], facts["weights"], facts["frequency"])


def ask_response(method: str, model: Model, least: int) -> Generator[Question, Total, tuple[Saturated, float]]:
    """Sums over the responses, and their weighted mean.

    Args:
        least: the fewest patients that a sum may be about.

    Raises:
        NotEstimable: a response or weight that the family cannot have, one class only, all responses 0; weights that leave few
            patients, or that few outweigh; a response that all but few patients share.
    """
    total = yield Question(method, RESPONSE, model.facts(), named(model.variables))
    outside, bad_weights, bad_offset = total.sums["flags"].tolist()
    name = str(model.outcome)
    if outside:
        raise NotEstimable(
            f"{name}: some rows have a response that the {model.family.name} family cannot have; it must be {model.family.may_be}. "
            "Choose another family, or leave those rows out by a cohort condition"
        )
    if bad_weights:
        raise NotEstimable(f"{model.weights}: some weights are negative or not finite; a weight must be 0 or a positive number")
    if bad_offset:
        raise NotEstimable(f"{model.offset}: some offsets are not finite numbers; leave those rows out by a cohort condition")
    rows, weights, weighted, constant, squared = total.sums["sums"].tolist()
    if weights <= 0:
        raise NotEstimable("No row is complete in all variables of the model with a positive weight, so there is nothing to fit")
    # Kish's effective number of rows (1965, Survey Sampling, section 8.2): equal weights count them, unequal ones count fewer.
    if model.weights and weights**2 < least * squared:
        raise NotEstimable(
            f"{model.weights}: the weights make fewer than {least} patients outweigh all others, so that the model would describe "
            "those few; choose other weights"
        )
    refuse_rare(name, rows, total.sums.get("unlike", np.zeros(0)), least)
    if model.family.name == "binomial" and not 0 < weighted < weights * (1 - 1e-15):
        raise NotEstimable(f"{name}: all rows have the same outcome, so nothing can be learnt about what it depends on")
    if model.family.name == "poisson" and weighted <= 0:
        raise NotEstimable(f"{name}: all counts are 0, so nothing can be learnt about what they depend on")
    return Saturated(rows, weights, constant), weighted / weights


def response(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: sums over the responses; for a binomial model the rows by class."""
    model = Model.from_facts(question.facts)
    sums, flags, classes = np.zeros(5), np.zeros(3, dtype=np.int64), np.zeros(2, dtype=np.int64)
    apart = np.zeros(len(CODES), dtype=np.int64)
    for rows in chunks(examples.rows):
        seen, offset, weights = model.observed(examples, rows)
        wrong = np.array(_wrong(model, seen, offset, weights), dtype=np.int64)
        flags |= wrong
        if wrong.any():
            continue
        weight = np.ones_like(seen) if weights is None else weights
        sums += _sums(model, seen, weight)
        counts = weight > 0  # a row of weight 0 takes no part
        if model.family.name == "binomial":
            ones = int(np.count_nonzero(seen[counts] >= 0.5))
            classes += int(np.count_nonzero(counts)) - ones, ones
        else:
            apart += unlike(seen[counts])
    parts = {"sums": Part(sums, examples.rows), "flags": Part(flags, examples.rows, unit="sites")}
    if model.family.name == "binomial":
        parts["classes"] = Part(classes, examples.rows, cells=True)
    else:
        parts["unlike"] = Part(apart, examples.rows, cells=True)
    return Answer(parts, examples.rows), local


def _wrong(model: Model, seen: Floats, offset: Floats | None, weights: Floats | None) -> tuple[bool, bool, bool]:
    """Whether some response, some weight, some offset is none that there can be."""
    bad_weights = weights is not None and not bool(np.all((weights >= 0.0) & (weights < np.inf)))
    bad_offset = offset is not None and not bool(np.all(np.isfinite(offset)))
    return model.family.outside(seen, weights), bad_weights, bad_offset


def _sums(model: Model, seen: Floats, weight: Floats) -> Floats:
    """Rows that count, sum of weights, weighted sum of responses, constant of the likelihood, sum of squared weights."""
    unit = np.ones_like(weight)
    # A frequency multiplies what one row says; a prior weight changes it.
    constant = (weight * model.family.constant(seen, unit) if model.frequency else model.family.constant(seen, weight)).sum()
    rows = weight.sum() if model.frequency else np.count_nonzero(weight)
    return np.array([rows, weight.sum(), weight @ seen, constant, weight @ weight])
