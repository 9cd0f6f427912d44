"""A fitted generalised linear model: what is read off the sums at the maximum, and how it is told to a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import show_number
from huizhen.methods.design.columns import Design
from huizhen.methods.design.wald import chi_square_p, coefficient_table, f_p
from huizhen.methods.linear.family import Saturated
from huizhen.methods.linear.model import Model
from huizhen.methods.linear.scoring import Fit
from huizhen.privacy.release import Terms
from huizhen.privacy.result import Result, Table

__all__ = ["Fitted", "glm_result"]

Floats = NDArray[np.float64]
RATIOS = {
    ("binomial", "logit"): ("odds_ratio", "or"),
    ("binomial", "log"): ("risk_ratio", "rr"),
    ("poisson", "log"): ("rate_ratio", "rr"),
    ("gamma", "log"): ("mean_ratio", "mr"),
    ("gaussian", "log"): ("mean_ratio", "mr"),
}


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model with everything that was added up for it.

    Attributes:
        model, design, fit: what was fitted, on what, and the maximum.
        null: the intercept alone (or, without one, the offset alone); None where it is no model.
        mean_only: the intercept alone in any case, for the pseudo-R2.
        sums: what does not change with the coefficients.
        mean: of the responses, weighted.
        squared: sum of squared scores, for robust standard errors.
        hc1: whether the robust covariance is multiplied by n / (n - p).
        ridge: lambda.
    """

    model: Model
    design: Design
    fit: Fit
    null: Fit | None
    mean_only: Fit | None
    sums: Saturated
    mean: float
    squared: Floats | None = None
    hc1: bool = False
    ridge: float = 0.0

    @property
    def parameters(self) -> int:
        """Number of coefficients."""
        return len(self.design.columns)

    @property
    def df_residual(self) -> float:
        """Rows that count, less coefficients."""
        return self.sums.rows - self.parameters

    @property
    def df_null(self) -> float:
        """The same for the null model."""
        return self.sums.rows - self.design.intercept

    @property
    def dispersion(self) -> float:
        """1, or Pearson's chi-square over the residual degrees of freedom."""
        return self.fit.pearson / self.df_residual if self.model.family.estimates_dispersion else 1.0

    @cached_property
    def _in_units(self) -> tuple[Floats, Floats]:
        inverse = self.fit.inverse()
        if self.squared is None:
            covariance = self.dispersion * inverse
        else:
            covariance = inverse @ self.squared @ inverse * (self.sums.rows / self.df_residual if self.hc1 else 1.0)
        return self.design.unscale(self.fit.coefficients, covariance)

    @property
    def coefficients(self) -> Floats:
        """In the user's units, float64 (column,)."""
        return self._in_units[0]

    @property
    def covariance(self) -> Floats:
        """Of the coefficients, float64 (column, column)."""
        return self._in_units[1]

    @property
    def loglik(self) -> float:
        """As R's logLik."""
        return self.model.family.log_likelihood(self.fit.deviance, self.sums)


def glm_result(
    method: str, fitted: Fitted, terms: Terms, *, confidence: float, tests: Table | None, notes: Sequence[str]
) -> Result:
    """The result for a reader, and for `predict`."""
    family, link = fitted.model.family.name, fitted.model.family.link.name
    df = fitted.df_residual if fitted.model.family.estimates_dispersion else inf
    table = coefficient_table(
        fitted.design.columns,
        fitted.coefficients,
        np.sqrt(np.diag(fitted.covariance)),
        confidence=confidence,
        df=df,
        ratio=RATIOS.get((family, link), ("", "")),
    )
    facts: dict[str, Any] = {"family": family, "link": link, "n": _whole(fitted.sums.rows), **_measures(fitted)}
    if not fitted.ridge:
        facts |= _criteria(fitted) | _against_null(fitted)
    facts |= {
        "iterations": fitted.fit.iterations,
        "converged": True,
        "offset": fitted.model.offset,
        "design": fitted.design.facts(),
    }
    tables = {"coefficients": table} if tests is None else {"coefficients": table, "tests": tests}
    return Result(
        method,
        fitted.design.rows,
        terms.roster,
        facts,
        tables,
        arrays={"coefficients": fitted.coefficients, "covariance": fitted.covariance},
        notes=(*notes, *_notes(fitted)),
    )


def _measures(fitted: Fitted) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "deviance": fitted.fit.deviance,
        "df_residual": _whole(fitted.df_residual),
        "null_deviance": fitted.null.deviance if fitted.null else None,
        "df_null": _whole(fitted.df_null),
        "pearson_chi2": fitted.fit.pearson,
        "dispersion": fitted.dispersion,
        "loglik": fitted.loglik,
    }
    if fitted.ridge:
        facts["ridge"] = fitted.ridge
        facts["df_effective"] = float(np.trace(fitted.fit.inverse() @ fitted.fit.information))
    return facts


def _whole(count: float) -> int | float:
    """A number of rows is whole, unless frequency weights are not."""
    return int(count) if float(count).is_integer() else count


def _criteria(fitted: Fitted) -> dict[str, float]:
    counted = fitted.parameters + fitted.model.family.estimates_dispersion
    facts = {"aic": 2.0 * counted - 2.0 * fitted.loglik, "bic": log(fitted.sums.rows) * counted - 2.0 * fitted.loglik}
    if fitted.model.family.estimates_dispersion:
        facts["aic_without_dispersion"] = 2.0 * fitted.parameters - 2.0 * fitted.loglik
    return facts


def _against_null(fitted: Fitted) -> dict[str, float]:
    """What the model explains beyond the null model."""
    facts: dict[str, float] = {}
    family, null = fitted.model.family, fitted.null
    if fitted.mean_only is not None and not family.estimates_dispersion:
        facts["pseudo_r2"] = 1.0 - fitted.loglik / family.log_likelihood(fitted.mean_only.deviance, fitted.sums)
    df = int(fitted.parameters - fitted.design.intercept)
    if null is None or df == 0:
        return facts
    gain = null.deviance - fitted.fit.deviance
    statistic = gain / fitted.dispersion
    facts |= {"lr_chi2": statistic, "lr_df": df, "lr_p": chi_square_p(statistic, df)}
    if family.name == "gaussian" and family.link.name == "identity":
        r2 = gain / null.deviance
        facts |= {
            "r2": r2,
            "adjusted_r2": 1.0 - (1.0 - r2) * fitted.df_null / fitted.df_residual,
            "f_statistic": statistic / df,
            "f_df": df,
            "f_p": f_p(statistic / df, df, fitted.df_residual),
        }
    return facts


def _notes(fitted: Fitted) -> list[str]:
    notes = []
    for piece in fitted.design.pieces:
        if piece.spline:
            inner = ", ".join(show_number(knot) for knot in piece.spline.inner) or "none"
            low, high = (show_number(knot) for knot in piece.spline.boundary)
            notes.append(f"{piece.factor}: inner knots {inner}; boundary knots {low} and {high}, agreed over all sites.")
    if fitted.ridge:
        notes.append(
            "Ridge: coefficients are shrunk towards 0. Standard errors are from the penalised information; p-values and intervals "
            "ignore the bias of shrinking, and no likelihood-based criterion is given."
        )
    spread = fitted.mean_only.deviance if fitted.mean_only else 0.0
    if fitted.model.family.is_rounding(fitted.fit.deviance, fitted.mean, spread, fitted.sums):
        notes.append("The fit is perfect but for rounding: standard errors, tests and criteria mean nothing.")
    if fitted.null is None:
        notes.append("The null model gives no possible mean with this link, so nothing is compared with it.")
    return notes
