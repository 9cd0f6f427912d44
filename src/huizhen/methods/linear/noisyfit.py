"""Coefficients of a generalised linear model from noisy sums, and how uncertain sampling and noise together make them.

Gaussian: all from one noisy matrix of moments (Wang 2018, UAI, AdaSSP). Binomial and Poisson: noisy Newton steps, as planned
(Avella-Medina, Bradshaw & Loh 2023, Annals of Statistics 51, 2067). The noise of a step does not live on in the next, so what the
later steps say is put together in one last step: K steps count like one with noise 1 / sqrt(K) as large.

Where the noise is larger than an eigenvalue of the information, that is lifted to what the noise alone would give, as AdaSSP adds a
ridge there: steps stay short, and what patients cannot tell apart from noise stays near 0.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.design.agreement import named
from huizhen.methods.design.columns import INTERCEPT
from huizhen.methods.linear.noisymodel import NoisyModel
from huizhen.methods.linear.noisysums import MOMENTS, SCORES, SUMS, unpacked
from huizhen.privacy.release import Question, Terms, Total

__all__ = ["FEWEST_ROUNDS", "ROUNDS", "NoisyFit", "fit_moments", "fit_scores"]

Floats = NDArray[np.float64]
ROUNDS = 8  # of noisy Newton: more would make each noisier, fewer leave fewer to be put together
BEFORE = 3  # rounds until the steps are those of noise: Newton's method squares its error in each
FEWEST_ROUNDS = BEFORE + 1


@dataclass(frozen=True, slots=True, eq=False)
class NoisyFit:
    """Coefficients on the fitted columns.

    Attributes:
        coefficients: float64 (column,), in the response's unit.
        covariance: of sampling and noise together, float64 (column, column).
        of_noise: the part of it that is the noise's.
        dispersion: 1, or the residual variance.
        rows: noisy number of rows.
        rounds: questions that were asked.
        weakest: the smallest eigenvalue of the information over the noise's largest, to be expected; below 1 it was lifted.
    """

    coefficients: Floats
    covariance: Floats
    of_noise: Floats
    dispersion: float
    rows: int
    rounds: int
    weakest: float


def fit_moments(method: str, noisy: NoisyModel, terms: Terms, ridge: float) -> Generator[Question, Total, NoisyFit]:
    """Least squares from one release of all moments.

    Args:
        ridge: as of `GlmSpec`.
    """
    center, scale = noisy.centred
    total = yield _ask(method, noisy, MOMENTS, {"units": np.array([noisy.moment_unit]), "centred": np.array([center, scale])})
    moments = unpacked(total.sums[SUMS], noisy.columns + 1) * noisy.moment_unit
    sd = terms.noise_sd[MOMENTS, SUMS][0] * noisy.moment_unit
    penalty = _penalty(noisy, ridge)
    steady, weakest = _steady(moments[:-1, :-1], sd)
    inverse = _inverse(steady + np.diag(penalty))
    found = inverse @ moments[:-1, -1]
    contrast = np.append(-found, 1.0)
    # The noise E in the moments adds E contrast to X'(y - X b), and contrast' E contrast to the squares that are left.
    left = max(float(contrast @ moments @ contrast), sd * float(contrast @ contrast))
    dispersion = left / max(total.rows - noisy.columns, 1)
    of_noise = inverse @ _of_matrix(sd, contrast)[:-1, :-1] @ inverse
    covariance = dispersion * inverse @ steady @ inverse + of_noise
    coefficients = found * scale
    if noisy.bounded.design.intercept:
        coefficients[0] += center
    return NoisyFit(coefficients, covariance * scale**2, of_noise * scale**2, dispersion * scale**2, total.rows, 1, weakest)


def fit_scores(method: str, noisy: NoisyModel, terms: Terms, ridge: float, rounds: int) -> Generator[Question, Total, NoisyFit]:
    """Noisy Newton steps.

    Args:
        ridge: as of `GlmSpec`.
        rounds: questions, as planned; `FEWEST_ROUNDS` at least.
    """
    size, penalty = noisy.columns, _penalty(noisy, ridge)
    sd = terms.noise_sd[SCORES, SUMS][0]
    at: list[Floats] = []
    scores: list[Floats] = []
    matrices: list[Floats] = []
    guessed = noisy.model.family.name == "poisson"  # where 0 may be far away, the first step is from the responses themselves
    coefficients, step = np.zeros(size), None
    for place in range(rounds):
        first = guessed and place == 0
        units = noisy.score_units(first=first)
        facts = {"units": np.array(units), "coefficients": None if first else coefficients}
        total = yield _ask(method, noisy, SCORES, facts)
        score, information = total.sums[SUMS][:size] * units[0], unpacked(total.sums[SUMS][size:], size) * units[1]
        if place <= BEFORE:
            at, scores, matrices = [], [], []
        at, scores, matrices = [*at, coefficients], [*scores, score], [*matrices, information]
        step = _Step.of(at, scores, matrices, penalty, (sd * units[0], sd * units[1]))
        coefficients = step.coefficients
    assert step is not None
    of_noise = step.inverse @ step.noise @ step.inverse
    covariance = step.inverse @ step.information @ step.inverse + of_noise
    return NoisyFit(coefficients, covariance, of_noise, 1.0, total.rows, rounds, step.weakest)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One Newton step from the mean of some rounds' coefficients, scores and informations."""

    coefficients: Floats
    information: Floats
    inverse: Floats  # of information and penalty
    noise: Floats  # covariance of the noise in the score at these coefficients
    weakest: float

    @classmethod
    def of(cls, at: list[Floats], scores: list[Floats], matrices: list[Floats], penalty: Floats, sd: tuple[float, float]) -> _Step:
        middle, score = _mean(at), _mean(scores)
        of_score, of_matrix = sd[0] / sqrt(len(at)), sd[1] / sqrt(len(at))
        information, weakest = _steady(_mean(matrices), of_matrix)
        inverse = _inverse(information + np.diag(penalty))
        moved = inverse @ (score - penalty * middle)
        noise = of_score**2 * np.eye(len(score)) + _of_matrix(of_matrix, moved)
        return cls(middle + moved, information, inverse, noise, weakest)


def _ask(method: str, noisy: NoisyModel, step: str, facts: Mapping[str, object]) -> Question:
    variables = named((*noisy.bounded.design.variables, *noisy.model.variables))
    return Question(method, step, {**noisy.facts(), **facts}, variables, noisy.columns)


def _penalty(noisy: NoisyModel, ridge: float) -> Floats:
    """Diagonal of the penalty on the fitted columns; the intercept has none."""
    design = noisy.bounded.design
    penalised: Floats = ridge / design.scale**2 * np.array([float(name != INTERCEPT) for name in design.columns])
    return penalised


def _mean(arrays: list[Floats]) -> Floats:
    mean: Floats = np.mean(arrays, axis=0)
    return mean


def _inverse(matrix: Floats) -> Floats:
    inverse: Floats = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    return inverse


def _steady(matrix: Floats, sd: float) -> tuple[Floats, float]:
    """The matrix with no eigenvalue below what noise alone gives, and its smallest in units of that.

    The largest eigenvalue of a symmetric matrix of noise, variance sd^2 on the diagonal and half of it elsewhere, is about
    sd sqrt(2 p) (Wigner's semicircle).
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    least = max(sd * sqrt(2 * len(matrix)), 1e-12 * float(np.abs(values).max(initial=0.0)), np.finfo(float).tiny)
    return (vectors * np.maximum(values, least)) @ vectors.T, float(values[0] / least)


def _of_matrix(sd: float, vector: Floats) -> Floats:
    """Covariance of E v, E a symmetric matrix of independent noise: variance sd^2 on the diagonal, half of it elsewhere."""
    covariance: Floats = sd**2 / 2 * (float(vector @ vector) * np.eye(len(vector)) + np.outer(vector, vector))
    return covariance
