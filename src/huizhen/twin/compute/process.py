"""Gaussian process regression in numpy: a smooth function of a few features, with what is not known of it.

Source: Rasmussen & Williams 2006 (Gaussian Processes for Machine Learning), algorithm 2.1, eq. 5.9, and the Matern kernel with
nu = 5/2, eq. 4.17; a length scale for each feature. Scales are those of the largest posterior under log-normal priors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

__all__ = ["Process", "fitted_process"]

Array = NDArray[np.float64]
# Priors of the logarithms (mean, standard deviation): features are natural logarithms, values are logarithms of a ratio.
LENGTH, SIZE, NOISE = (np.log(3.0), 1.0), (np.log(0.3), 0.8), (np.log(0.05), 0.7)
STEPS = 60
FAR = 6.0  # standard deviations of the prior that scales are looked for within
JITTER = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """A fitted process.

    Attributes:
        places: features of what was seen, float64 (seen, feature).
        lengths: of each feature; size: standard deviation of the function; noise: of one value about it.
        factor: lower triangle of the covariance; weights: its inverse times the values.
    """

    places: Array
    lengths: Array
    size: float
    noise: float
    factor: Array
    weights: Array

    def at(self, places: Array) -> tuple[Array, Array]:
        """Mean (asked,) and covariance (asked, asked) of the function, without noise."""
        across = _kernel(places, self.places, self.lengths, self.size)
        half = solve_triangular(self.factor, across.T, lower=True)
        return across @ self.weights, _kernel(places, places, self.lengths, self.size) - half.T @ half


def fitted_process(places: Array, values: Array) -> Process:
    """The process of values (seen,) at places (seen, feature)."""
    features = places.shape[1]
    start = np.array([LENGTH[0]] * features + [SIZE[0], NOISE[0]])
    near = [(middle - FAR * spread, middle + FAR * spread) for middle, spread in [LENGTH] * features + [SIZE, NOISE]]
    found = minimize(_misfit, start, args=(places, values), jac=True, method="L-BFGS-B", bounds=near, options={"maxiter": STEPS})
    lengths, size, noise = np.exp(found.x[:features]), float(np.exp(found.x[-2])), float(np.exp(found.x[-1]))
    covariance = _kernel(places, places, lengths, size) + (noise**2 + JITTER) * np.eye(len(values))
    factor: Array = np.asarray(np.linalg.cholesky(covariance), np.float64)
    return Process(places, lengths, size, noise, factor, np.asarray(cho_solve((factor, True), values)))


def _distances(left: Array, right: Array) -> Array:
    """Squared differences by feature, (left, right, feature)."""
    return (left[:, None, :] - right[None, :, :]) ** 2


def _kernel(left: Array, right: Array, lengths: Array, size: float) -> Array:
    far = np.sqrt(5.0 * (_distances(left, right) @ lengths**-2.0))
    return np.asarray(size**2 * (1.0 + far + far**2 / 3.0) * np.exp(-far), np.float64)


def _misfit(logs: Array, places: Array, values: Array) -> tuple[float, Array]:
    """Minus the log posterior of the scales, and its gradient."""
    count, features = places.shape
    lengths, size, noise = np.exp(logs[:features]), float(np.exp(logs[-2])), float(np.exp(logs[-1]))
    squares = _distances(places, places)
    far = np.sqrt(5.0 * (squares @ lengths**-2.0))
    decay = np.exp(-far)
    kernel = size**2 * (1.0 + far + far**2 / 3.0) * decay
    factor = cho_factor(kernel + (noise**2 + JITTER) * np.eye(count), lower=True)
    weights = cho_solve(factor, values)
    inner = np.outer(weights, weights) - cho_solve(factor, np.eye(count))
    slope = inner * (size**2 * 5.0 / 3.0 * (1.0 + far) * decay)  # times the scaled square: by the logarithm of a length
    gradient = np.empty(features + 2)
    gradient[:features] = -0.5 * np.einsum("ij,ijk->k", slope, squares, optimize=True) * lengths**-2.0
    gradient[-2] = -np.sum(inner * kernel)
    gradient[-1] = -np.trace(inner) * noise**2
    misfit = 0.5 * float(values @ weights) + float(np.log(np.diag(factor[0])).sum())
    middles = np.array([LENGTH[0]] * features + [SIZE[0], NOISE[0]])
    spreads = np.array([LENGTH[1]] * features + [SIZE[1], NOISE[1]])
    off = (logs - middles) / spreads
    return misfit + 0.5 * float(off @ off), gradient + off / spreads
