"""What a site adds up for a generalised linear model in a study with noise: every row of Euclidean length 1 at most.

A row's whole contribution is one vector. Where it would be longer than 1 in the units of the question it is shortened to that, so
that no question, whatever its coefficients, ranges or units, makes a patient count for more. Values are cut to their ranges before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, sqrt
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, Numbers, chunks
from huizhen.errors import Problem, SiteError
from huizhen.methods.description.levels import coder
from huizhen.methods.design.columns import Design
from huizhen.methods.linear.model import Model
from huizhen.methods.method import Local, Step
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import Answer, Part, Question, Sensitivity

__all__ = ["MOMENTS", "NOISY_STEPS", "SCORES", "SUMS", "noisy_step", "packed", "unpacked"]

Floats = NDArray[np.float64]
MOMENTS, SCORES = "glm.noisy_moments", "glm.noisy_scores"
SUMS = "sums"
LONGEST = 1 - 2.0**-30  # a row's length, more below 1 than rounding adds
SQRT2 = sqrt(2.0)


def noisy_step(step: str, columns: int, times: int) -> NoisyStep:
    """What is planned of a step: one vector, in which a patient changes a length of 1."""
    size = _triangle(columns + 1) if step == MOMENTS else columns + _triangle(columns)
    return NoisyStep(step, times, {SUMS: NoisyPart("reals", (_one_row(size),), size)})


def packed(matrix: Floats) -> Floats:
    """The upper triangle of a symmetric matrix, off-diagonal entries times sqrt(2): of the same Euclidean norm."""
    rows, columns = np.triu_indices(len(matrix))
    entries: Floats = np.where(rows == columns, 1.0, SQRT2) * matrix[rows, columns]
    return entries


def unpacked(vector: Floats, size: int) -> Floats:
    """The symmetric matrix of `packed`."""
    matrix, (rows, columns) = np.zeros((size, size)), np.triu_indices(size)
    matrix[rows, columns] = matrix[columns, rows] = vector / np.where(rows == columns, 1.0, SQRT2)
    return matrix


def moments(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sum of products of columns and centred response, packed, in the question's unit: float64 (triangle of column + 1)."""
    facts = question.facts
    (unit,) = _units(facts["units"], 1)
    center, scale = facts["centred"]
    size = len(facts["design"]["columns"]) + 1
    total = np.zeros((size, size))
    for x, response, offset in _chunks(question, examples, local):
        seen = response if offset is None else response - offset
        row = np.vstack([x, (seen - center) / scale])
        with np.errstate(all="ignore"):
            row *= np.sqrt(_shortening(np.einsum("cr,cr->r", row, row) / unit) / unit)
        total += row @ row.T
    return _answer(packed(total), examples), local


def scores(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Score and packed information in the question's units, float64 (column + triangle of column).

    Without coefficients those of the first guess, in which the response stands for its mean.
    """
    facts = question.facts
    score_unit, weight_unit = _units(facts["units"], 2)
    coefficients, size = facts["coefficients"], len(facts["design"]["columns"])
    model, gradient, information = Model.from_facts(facts), np.zeros(size), np.zeros((size, size))
    for x, response, offset in _chunks(question, examples, local):
        with np.errstate(all="ignore"):
            if coefficients is None:
                target, weight = model.family.first(response, None)
                slope = weight * (target if offset is None else target - offset)
            else:
                eta = coefficients @ x if offset is None else coefficients @ x + offset
                # A mean beyond what the response can be would outweigh all rows.
                mean = np.clip(model.family.inverse(eta), *facts["limits"])
                slope, weight = response - mean, model.family.variance(mean)
            slope, weight = slope / score_unit, weight / weight_unit
            square = np.einsum("cr,cr->r", x, x)
            kept = _shortening(np.sqrt(slope**2 * square + weight**2 * square**2))
        gradient += x @ np.where(kept > 0, slope * kept, 0.0)
        x *= np.sqrt(np.where(kept > 0, weight * kept, 0.0))
        information += x @ x.T
    return _answer(np.concatenate([gradient, packed(information)]), examples), local


NOISY_STEPS: Mapping[str, Step] = MappingProxyType({MOMENTS: moments, SCORES: scores})


def _answer(sums: Floats, examples: Examples) -> Answer:
    return Answer({SUMS: Part(sums, examples.rows, sensitivity=_one_row(sums.size))}, examples.rows)


def _one_row(size: int) -> Sensitivity:
    return Sensitivity(sqrt(size), 1.0, size)


def _triangle(size: int) -> int:
    return size * (size + 1) // 2


def _units(units: Floats, count: int) -> list[float]:
    found = [float(unit) for unit in units]
    if len(found) != count or not all(isfinite(unit) and unit > 0 for unit in found):
        raise SiteError(
            "This is not asked by the study.", [Problem("units", "no positive numbers", "those that follow from the study")]
        )
    return found


def _chunks(question: Question, examples: Examples, local: Local) -> Iterator[tuple[Floats, Floats, Floats | None]]:
    """Fitted columns (column, row), responses and offsets of a slice of rows, all finite, values cut to their ranges."""
    facts, within = question.facts, _within(question, examples)
    model, design = Model.from_facts(facts), Design.from_facts(facts["design"], local)
    low, high = facts["limits"]
    outcome = coder(examples, model.outcome.variable, model.levels) if model.levels else None
    categories = [coder(examples, piece.factor.variable, piece.levels) for piece in design.pieces if piece.levels]
    for rows in chunks(examples.rows):
        for labels in categories:
            labels(rows)  # refuses a label that is not declared
        with np.errstate(all="ignore"):
            x = design.standardised(within, rows)
        if outcome is not None:
            response = (outcome(rows) == 1).astype(np.float64)
            offset = within.number(model.offset)[rows] if model.offset else None
        else:
            response, offset, _ = model.observed(within, rows)
            response = np.clip(response, low, high)
        whole = np.isfinite(x).all(axis=0) & np.isfinite(response)
        if offset is not None:
            whole &= np.isfinite(offset)
            offset = np.where(whole, offset, 0.0)
        if not whole.all():
            x, response = np.where(whole, x, 0.0), np.where(whole, response, low)
        yield x, response, offset


def _within(question: Question, examples: Examples) -> Examples:
    """The rows with numbers cut to their ranges."""
    cut = {name: Numbers(np.clip(examples.number(name), *ends)) for name, ends in question.facts["ranges"].items()}
    return Examples({**examples.columns, **cut}, examples.rows)


def _shortening(length: Floats) -> Floats:
    """By what a row of such a length is multiplied; 0 where it is not finite."""
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(length), np.minimum(1.0, LONGEST / np.maximum(length, LONGEST)), 0.0)
