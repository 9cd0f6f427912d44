"""What is told of a generalised linear model in a study with noise: nothing but what follows from its noisy sums."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.design.columns import INTERCEPT
from huizhen.methods.design.wald import coefficient_table
from huizhen.methods.linear.fitted import RATIOS
from huizhen.methods.linear.noisyfit import NoisyFit
from huizhen.methods.linear.noisymodel import NoisyModel
from huizhen.privacy.release import Terms
from huizhen.privacy.result import Result

__all__ = ["noisy_result"]

Floats = NDArray[np.float64]
STEADY = 4.0  # below this many times the noise, an eigenvalue of the information is known to a fourth at best
CUT = (
    "Values beyond a variable's declared range counted as its ends. Standard errors, tests and limits include the noise, as far as "
    "a straight line tells what it does."
)
USELESS = (
    "Useless: in some direction of the coefficients the noise is larger than what the patients say, and what could not be told "
    "from noise was kept near 0, so no standard errors are given. It would take a larger epsilon, more patients, narrower ranges "
    "or fewer terms."
)


def noisy_result(method: str, noisy: NoisyModel, found: NoisyFit, terms: Terms, *, confidence: float, ridge: float) -> Result:
    """The result for a reader, and for `predict`."""
    design, family = noisy.bounded.design, noisy.model.family
    coefficients, covariance = design.unscale(found.coefficients, found.covariance)
    if found.weakest < 1:  # how far a coefficient was drawn towards 0 is not known, so nothing is said of how sure it is
        covariance = np.full_like(covariance, np.nan)
    _, of_noise = design.unscale(found.coefficients, found.of_noise)
    normal = not family.estimates_dispersion
    residual = max(found.rows - noisy.columns, 1)
    table = coefficient_table(
        design.columns,
        coefficients,
        np.sqrt(np.diag(covariance)),
        confidence=confidence,
        df=inf if normal else residual,
        ratio=RATIOS.get((family.name, family.link.name), ("", "")),
    )
    facts: dict[str, Any] = {
        "family": family.name,
        "link": family.link.name,
        "n": found.rows,
        "df_residual": residual,
        "dispersion": found.dispersion,
        "iterations": found.rounds,
        "converged": True,
        "offset": noisy.model.offset,
        "design": design.facts(),
    }
    if ridge:
        facts["ridge"] = ridge
    return Result(
        method,
        found.rows,
        terms.roster,
        facts,
        {"coefficients": table},
        arrays={"coefficients": coefficients, "covariance": covariance, "noise_covariance": of_noise},
        notes=(CUT, *_judged(design.columns, covariance, of_noise, found.weakest)),
    )


def _judged(columns: tuple[str, ...], covariance: Floats, of_noise: Floats, weakest: float) -> list[str]:
    """Whether the noise leaves anything."""
    if weakest < 1:
        return [USELESS]
    drowned = [name for name, share in zip(columns, np.diag(of_noise) / np.diag(covariance)) if share > 0.5 and name != INTERCEPT]
    if drowned:
        return [f"Poor: most of the standard error is noise, not chance among patients, for {', '.join(drowned)}."]
    if weakest < STEADY:
        return ["Poor: the noise is a fourth and more of what the patients say in some direction; standard errors are rough."]
    return []
