"""The maximum of the partial likelihood, by Newton's method with step halving, and the plain words for where there is none."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen.errors import NotEstimable
from huizhen.methods.design.columns import Design
from huizhen.methods.hazards.likelihood import At, Surface
from huizhen.methods.hazards.riskset import Floats
from huizhen.privacy.release import Question, Total

__all__ = ["Maximum", "maximise"]

HALVINGS = 20
SLACK = 1e-12  # relative; a maximum may be missed by rounding without being worth a halving
GAINS_NOTHING = 1e-9  # in log-likelihood
STILL_MOVES = 1e-3  # in units of standardised columns; with the line above: a standard error of more than 30
BEYOND_REASON = 30.0  # a log hazard ratio for one standard deviation: exp(30) is 1e13
FLAT = 1e-9  # smallest eigenvalue of the information, scaled to a unit diagonal, that is told from 0


@dataclass(frozen=True, slots=True)
class Maximum:
    """Where the penalised likelihood is largest.

    Attributes:
        coefficients: of the standardised columns, float64 (column,).
        there: the likelihood there.
        null: the likelihood at no effect.
        penalty: second derivative of the penalty, float64 (column, column).
        iterations: Newton steps.
    """

    coefficients: Floats
    there: At
    null: At
    penalty: Floats
    iterations: int

    @property
    def covariance(self) -> Floats:
        """Inverse of the penalised information, float64 (column, column), of the standardised columns."""
        return np.asarray(np.linalg.inv(self.there.information + self.penalty), np.float64)


def maximise(
    surface: Surface, design: Design, *, ridge: float, tolerance: float, max_iterations: int
) -> Generator[Question, Total, Maximum]:
    """Newton's method from no effect.

    Args:
        surface: the likelihood.
        design: its columns.
        ridge: lambda of the penalty ``lambda / 2 sum beta^2`` on coefficients in the user's units.
        tolerance: largest last step, relative to the coefficients of standardised columns (and to 1).
        max_iterations: the most steps.

    Raises:
        NotEstimable: columns that do not vary within risk sets, a coefficient that runs to infinity, no convergence.
    """
    size = len(design.columns)
    penalty = np.diag(ridge / design.scale**2)
    coefficients = np.zeros(size)
    now = null = yield from _at_start(surface, design)
    if ridge == 0:
        _refuse_flat(design, null.information)
    for iteration in range(1, max_iterations + 1):
        score = now.score - penalty @ coefficients
        step = _solve(design, now.information + penalty, score)
        if ridge == 0 and score @ step < GAINS_NOTHING and np.abs(step).max() > STILL_MOVES:
            raise _monotone(design, step)
        moved = yield from _improve(surface, design, penalty, coefficients, step, now)
        if moved is None:
            break
        change = float(np.max(np.abs(moved[0] - coefficients) / np.maximum(np.abs(moved[0]), 1.0)))
        coefficients, now = moved
        if change <= tolerance:
            return Maximum(coefficients, now, null, penalty, iteration)
    if ridge == 0 and np.abs(coefficients).max() > BEYOND_REASON:
        raise _monotone(design, coefficients)
    raise NotEstimable(
        f"the likelihood found no maximum within {max_iterations} steps. "
        "Leave out covariates, merge rare levels, or add a ridge penalty"
    )


def _at_start(surface: Surface, design: Design) -> Generator[Question, Total, At]:
    null = yield from surface.at(design, np.zeros(len(design.columns)))
    assert null is not None  # no effect is never beyond reason
    return null


def _improve(
    surface: Surface, design: Design, penalty: Floats, coefficients: Floats, step: Floats, now: At
) -> Generator[Question, Total, tuple[Floats, At] | None]:
    """The first of the step, its half, its quarter... that does not worsen the penalised likelihood."""
    worth = now.loglik - _cost(penalty, coefficients)
    least = worth - SLACK * max(abs(worth), 1.0)
    for _ in range(HALVINGS):
        tried = coefficients + step
        found = yield from surface.at(design, tried, above=least + _cost(penalty, tried))
        if found is not None:
            return tried, found
        step = step / 2.0
    return None


def _cost(penalty: Floats, coefficients: Floats) -> float:
    return 0.5 * float(coefficients @ penalty @ coefficients)


def _solve(design: Design, information: Floats, score: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(information, score), np.float64)
    except np.linalg.LinAlgError:
        raise NotEstimable(
            "the likelihood is flat in some direction of the coefficients: "
            f"expected information on every column of {', '.join(design.columns)}. Leave out covariates, or add a ridge penalty"
        ) from None


def _refuse_flat(design: Design, information: Floats) -> None:
    """Columns may differ between patients and yet not within any risk set (constant within every stratum, say)."""
    spread = np.diag(information)
    idle = spread <= FLAT * design.rows
    if idle.any():
        raise NotEstimable(
            f"{_names(design, np.flatnonzero(idle))}: no variation within any risk set (constant within every stratum?). "
            "Leave the covariate out, or change the strata"
        )
    root = np.sqrt(spread)
    values, vectors = np.linalg.eigh(information / np.outer(root, root))
    if values[0] < FLAT:
        involved = np.flatnonzero(np.abs(vectors[:, 0]) > 0.05)
        raise NotEstimable(
            f"{_names(design, involved)}: within the risk sets one is a linear combination of the others. Leave one of them out"
        )


def _monotone(design: Design, direction: Floats) -> NotEstimable:
    names = _names(design, np.flatnonzero(np.abs(direction) > 0.1 * np.abs(direction).max()))
    return NotEstimable(
        f"the coefficient of {names} runs to infinity (a monotone likelihood): whatever its size, a larger one fits better: "
        "nothing in these data speaks against it. Merge rare levels, leave the covariate out, or add a ridge penalty"
    )


def _names(design: Design, columns: Sequence[Any] | Any) -> str:
    return " and ".join(design.columns[column] for column in columns)
