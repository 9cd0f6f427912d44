"""Families and links of generalised linear models: what one row says about the mean.

Definitions as in R's `family` objects (McCullagh and Nelder, Generalized Linear Models, 2nd ed., 1989, chapter 2): the linear
predictor eta = link(mean); the variance of a row is dispersion * variance(mean) / weight.

>>> family_of("binomial", "logit").inverse(np.array([0.0]))
array([0.5])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, lgamma, log, pi
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, ndtr, ndtri, xlogy

__all__ = ["LINKS", "Family", "Link", "Rows", "Saturated", "default_link", "family_of"]

Floats = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)
TINY = 1e-300
ROUNDING = 1e-26  # of squares: 1e-13 of a number
SQRT_2PI = np.sqrt(2 * pi)


class Rows(NamedTuple):
    """What every row contributes to one step of Fisher scoring, float64 (row,), and two sums.

    Attributes:
        score: derivative of the log-likelihood (at dispersion 1) in the linear predictor.
        weight: its expected information.
        deviance, pearson: sums over the rows.
        valid: whether all means lie inside the family's domain.
    """

    score: Floats
    weight: Floats
    deviance: float
    pearson: float
    valid: bool


@dataclass(frozen=True, slots=True)
class Link:
    """A link: from the mean to the linear predictor, back, and the slope of the way back in the linear predictor."""

    name: str
    forward: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


def _inside(mean: Floats) -> Floats:
    return np.clip(mean, EPSILON, 1.0 - EPSILON)


def _expit(eta: Floats) -> Floats:
    small = np.exp(-np.abs(eta))
    mean: Floats = np.where(eta >= 0, 1.0, small) / (1.0 + small)
    return mean


def _expit_slope(eta: Floats) -> Floats:
    small = np.exp(-np.abs(eta))
    return small / (1.0 + small) ** 2


def _cloglog_slope(eta: Floats) -> Floats:
    below = np.minimum(eta, 700.0)
    slope: Floats = np.maximum(np.exp(below - np.exp(below)), EPSILON)
    return slope


LINKS: Mapping[str, Link] = {
    "identity": Link("identity", lambda mean: mean, lambda eta: eta, np.ones_like),
    "log": Link("log", np.log, np.exp, np.exp),
    "inverse": Link("inverse", lambda mean: 1.0 / mean, lambda eta: 1.0 / eta, lambda eta: -1.0 / eta**2),
    "logit": Link("logit", lambda mean: np.log(mean / (1.0 - mean)), _expit, _expit_slope),
    # Means are kept off 0 and 1 by the spacing of floating point numbers, as in R.
    "probit": Link(
        "probit",
        ndtri,
        lambda eta: _inside(ndtr(eta)),
        lambda eta: np.maximum(np.exp(-0.5 * eta**2) / SQRT_2PI, EPSILON),
    ),
    "cloglog": Link("cloglog", lambda mean: np.log(-np.log1p(-mean)), lambda eta: _inside(-np.expm1(-np.exp(eta))), _cloglog_slope),
}


@dataclass(frozen=True, slots=True)
class Saturated:
    """Sums over all rows that do not change with the model: rows with a weight, sum of weights, and the family's two constants."""

    rows: float
    weights: float
    constant: float


@dataclass(frozen=True, slots=True)
class Family:
    """A family with its link.

    Attributes:
        name, link: what it is.
        variance: of a mean.
        unit_deviance: of responses and means, float64 (row,).
        start: a first guess of the means from responses and weights, as R's.
        constant: each row's share of the saturated log-likelihood's constant; see `log_likelihood`.
        log_likelihood: from the deviance and the sums of `Saturated`; equal to R's `logLik`.
        may_be: the domain of the response, in words.
        low, high: the domain of the mean, open interval.
        estimates_dispersion: whether there is one to estimate.
    """

    name: str
    link: Link
    variance: Callable[[Floats], Floats]
    unit_deviance: Callable[[Floats, Floats], Floats]
    start: Callable[[Floats, Floats], Floats]
    constant: Callable[[Floats, Floats], Floats]
    log_likelihood: Callable[[float, Saturated], float]
    may_be: str
    low: float
    high: float
    estimates_dispersion: bool

    def inverse(self, eta: Floats) -> Floats:
        """Means of linear predictors."""
        return self.link.inverse(eta)

    def is_rounding(self, deviance: float, mean: float, spread: float, sums: Saturated) -> bool:
        """Whether a deviance is no more than rounding leaves; `mean` of the responses and `spread`, their deviance about it."""
        size = mean**2 * sums.weights + spread if self.name == "gaussian" else sums.weights
        return self.estimates_dispersion and deviance <= ROUNDING * size

    def outside(self, response: Floats, weights: Floats | None) -> bool:
        """Whether some response is none that the family can have."""
        if self.name == "binomial" and weights is None:
            return bool(np.any((response != 0.0) & (response != 1.0)))
        if self.name == "binomial":
            return not bool(np.all((response >= 0.0) & (response <= 1.0)))
        with np.errstate(all="ignore"):
            whole = np.ones_like(response)
            guess = self.link.forward(self.start(response, whole)) + self.constant(response, whole)
        # Where the response itself is no possible mean, there is nothing to start from (R refuses it as well).
        return not bool(np.all((response >= self.low) & (response < np.inf) & np.isfinite(guess)))

    def rows(self, response: Floats, eta: Floats, weights: Floats | None) -> Rows:
        """What the rows say at these linear predictors."""
        if self.name == "binomial" and self.link.name == "logit":
            return _logistic(response, eta, weights)
        with np.errstate(all="ignore"):
            mean = self.link.inverse(eta)
            slope, variance = self.link.slope(eta), self.variance(mean)
            ratio = slope / variance if weights is None else weights * slope / variance
            residual = response - mean
            chi, loss = residual**2 / variance, self.unit_deviance(response, mean)
            pearson, deviance = (float(part.sum() if weights is None else weights @ part) for part in (chi, loss))
            inside = bool(np.all((mean > self.low) & (mean < self.high)))
            if inside and isfinite(deviance) and isfinite(pearson):
                return Rows(ratio * residual, ratio * slope, deviance, pearson, True)
        return Rows(np.zeros_like(eta), np.zeros_like(eta), 0.0, 0.0, False)

    def first(self, response: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
        """Working response on the scale of the linear predictor, and its weight, at R's first guess of the means."""
        mean = self.start(response, np.ones_like(response) if weights is None else weights)
        eta = self.link.forward(mean)
        slope = self.link.slope(eta)
        weight = slope**2 / self.variance(mean) if weights is None else weights * slope**2 / self.variance(mean)
        return eta + (response - mean) / slope, weight


def _logistic(response: Floats, eta: Floats, weights: Floats | None) -> Rows:
    """The same for the commonest model, with one exponential and one logarithm per row."""
    small = np.exp(-np.abs(eta))
    more = 1.0 + small
    mean = np.where(eta >= 0.0, 1.0, small)
    mean /= more
    weight = small / more
    weight /= more
    residual = response - mean
    # -log p(response) = log(1 + e^eta) - response * eta, whose first part is max(eta, 0) + log(1 + e^-|eta|).
    loss = np.maximum(eta, 0.0)
    loss -= response * eta
    loss += np.log1p(small)
    if weights is None:
        return Rows(residual, weight, 2.0 * float(loss.sum()), _chi_square(residual, weight, None), True)
    # A proportion leaves something even to the saturated model.
    whole = np.ones_like(response)
    loss += _xlogx(response, whole) + _xlogx(1.0 - response, whole)
    return Rows(weights * residual, weights * weight, 2.0 * float(weights @ loss), _chi_square(residual, weight, weights), True)


def _chi_square(residual: Floats, variance: Floats, weights: Floats | None) -> float:
    """Pearson's statistic; a variance that underflows is kept off 0."""
    chi = residual * residual
    chi /= np.maximum(variance, TINY)
    return float(chi.sum() if weights is None else weights @ chi)


def _binomial_deviance(response: Floats, mean: Floats) -> Floats:
    return 2.0 * (_xlogx(response, mean) + _xlogx(1.0 - response, 1.0 - mean))


def _xlogx(part: Floats, over: Floats) -> Floats:
    """part * log(part / over), 0 where part is 0."""
    logs: Any = xlogy(part, part / over)
    return np.asarray(logs, dtype=np.float64)


def _binomial_constant(response: Floats, weights: Floats) -> Floats:
    """log of the binomial probability under the saturated model; weights are numbers of trials, rounded as in R."""
    trials, ones = np.rint(weights), np.rint(weights * response)
    trials = np.maximum(trials, TINY)  # a row without a trial says nothing
    chosen = _log_factorial(trials) - _log_factorial(ones) - _log_factorial(trials - ones)
    return chosen + _xlogx(ones, trials) + _xlogx(trials - ones, trials)


def _log_factorial(count: Floats) -> Floats:
    return np.asarray(gammaln(count + 1.0), dtype=np.float64)


def _poisson_deviance(response: Floats, mean: Floats) -> Floats:
    return 2.0 * (_xlogx(response, mean) - (response - mean))


def _poisson_constant(response: Floats, weights: Floats) -> Floats:
    return weights * (_xlogx(response, np.ones_like(response)) - response - _log_factorial(response))


def _gamma_deviance(response: Floats, mean: Floats) -> Floats:
    return 2.0 * ((response - mean) / mean - np.log(response / mean))


def _gaussian_likelihood(deviance: float, sums: Saturated) -> float:
    return -0.5 * (sums.rows * (log(2 * pi * deviance / sums.rows) + 1.0) - sums.constant) if deviance > 0 else np.inf


def _gamma_likelihood(deviance: float, sums: Saturated) -> float:
    # R takes deviance / sum of weights for the dispersion in its likelihood, although it reports the Pearson estimate.
    shape = sums.weights / deviance if deviance > 0 else np.inf
    return float(sums.weights * (shape * log(shape) - lgamma(shape) - shape) - 0.5 * shape * deviance - sums.constant)


def _log_weight(_response: Floats, weights: Floats) -> Floats:
    return np.log(weights, out=np.zeros_like(weights), where=weights > 0)


def _known(deviance: float, sums: Saturated) -> float:
    return sums.constant - 0.5 * deviance


def _proportion(response: Floats, weights: Floats) -> Floats:
    return (weights * response + 0.5) / (weights + 1.0)


FAMILIES: Mapping[str, Callable[[Link], Family]] = {
    "gaussian": lambda link: Family(
        "gaussian",
        link,
        np.ones_like,
        lambda response, mean: (response - mean) ** 2,
        lambda response, _weights: response,
        _log_weight,
        _gaussian_likelihood,
        {"identity": "a finite number", "log": "a positive number"}.get(link.name, "a finite number other than 0"),
        -np.inf,
        np.inf,
        True,
    ),
    "binomial": lambda link: Family(
        "binomial",
        link,
        lambda mean: mean * (1.0 - mean),
        _binomial_deviance,
        _proportion,
        _binomial_constant,
        _known,
        "0 or 1 (with weights for numbers of trials: a proportion)",
        0.0,
        1.0,
        False,
    ),
    "poisson": lambda link: Family(
        "poisson",
        link,
        lambda mean: mean,
        _poisson_deviance,
        lambda response, _weights: response + 0.1,
        _poisson_constant,
        _known,
        "0 or a positive number",
        0.0,
        np.inf,
        False,
    ),
    "gamma": lambda link: Family(
        "gamma",
        link,
        lambda mean: mean**2,
        _gamma_deviance,
        lambda response, _weights: response,
        lambda response, weights: weights * np.log(response),
        _gamma_likelihood,
        "a positive number",
        0.0,
        np.inf,
        True,
    ),
}
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "gaussian": ("identity", "log", "inverse"),
    "binomial": ("logit", "probit", "cloglog", "log", "identity"),
    "poisson": ("log", "identity"),
    "gamma": ("inverse", "log", "identity"),
}


def default_link(family: str) -> str:
    """R's default (canonical) link of a family."""
    return ALLOWED[family][0]


def family_of(name: str, link: str) -> Family:
    """The family with this link.

    Raises:
        ValueError: the family does not have this link.
    """
    if link not in ALLOWED[name]:
        raise ValueError(f"the {name} family has the links {', '.join(ALLOWED[name])}, not {link}")
    return FAMILIES[name](LINKS[link])
