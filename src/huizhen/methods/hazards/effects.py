"""Is there an effect? Tests of all coefficients of a Cox model, and of each term of its formula."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from huizhen.methods.design.columns import Design
from huizhen.methods.design.formula import Term
from huizhen.methods.design.wald import chi_square_p, joint_wald
from huizhen.methods.hazards.likelihood import Surface
from huizhen.methods.hazards.newton import Maximum, maximise
from huizhen.methods.hazards.riskset import Floats
from huizhen.methods.hazards.setting import Setting
from huizhen.methods.hazards.spec import CoxSpec
from huizhen.privacy.release import Question, Total
from huizhen.privacy.result import Table

__all__ = ["likelihood_facts", "maximum", "term_tests"]

SINGULAR = 1e12  # condition number of a correlation matrix from which no joint test is read


def maximum(spec: CoxSpec, surface: Surface, design: Design) -> Generator[Question, Total, Maximum]:
    """The maximum for the columns of `design`, as the spec wants it searched."""
    return (yield from maximise(surface, design, ridge=spec.ridge, tolerance=spec.tolerance, max_iterations=spec.max_iterations))


def likelihood_facts(best: Maximum, covariance: Floats, events: int) -> dict[str, Any]:
    """Log-likelihoods, the three tests of all coefficients, and information criteria; `covariance` is that of the estimates."""
    p, loglik, null = len(best.coefficients), best.there.loglik, best.null.loglik
    tests = {
        "lr": 2.0 * (loglik - null),
        "wald": _wald(best.coefficients, covariance, range(p)),
        "score": float(best.null.score @ np.linalg.lstsq(best.null.information, best.null.score, rcond=None)[0]),
    }
    facts: dict[str, Any] = {"parameters": p, "loglik": loglik, "loglik_null": null, "df": p}
    for name, statistic in tests.items():
        facts |= {f"{name}_chi2": statistic, f"{name}_p": _p_value(statistic, p)}
    criteria = {"aic": 2.0 * p - 2.0 * loglik, "bic": p * float(np.log(events)) - 2.0 * loglik}
    return {**facts, **criteria, "iterations": best.iterations, "converged": True}


def _wald(coefficients: Floats, covariance: Floats, columns: Sequence[int]) -> float | None:
    """Joint Wald statistic; None where the covariance does not reach that far (robust over fewer sites than coefficients)."""
    block = covariance[np.ix_(columns, columns)]
    root = np.sqrt(np.diag(block))
    if not (root > 0).all() or np.linalg.cond(block / np.outer(root, root)) > SINGULAR:
        return None
    return joint_wald(coefficients, covariance, columns)


def _p_value(statistic: float | None, df: int) -> float | None:
    return None if statistic is None else chi_square_p(statistic, df)


def term_tests(
    spec: CoxSpec, setting: Setting, design: Design, best: Maximum, covariance: Floats
) -> Generator[Question, Total, Table]:
    """One row for each term and kind of test, as for generalised linear models (`effects.term_tests`).

    A likelihood-ratio test of a term leaves out all products that contain it (type II); of a term in no product it is R's `drop1`.
    """
    rows: list[tuple[str, str, int, float | None, str, float | None]] = []
    for kind in dict.fromkeys(spec.tests):
        for term in spec.parsed.terms:
            own = _columns_of(design, [term])
            if kind == "wald":
                statistic = _wald(best.coefficients, covariance, own)
            else:
                kept = [other for other in spec.parsed.terms if other == term or not term <= other]
                larger = yield from _loglik(spec, setting, design, best, kept)
                smaller = yield from _loglik(spec, setting, design, best, [other for other in kept if other != term])
                statistic = 2.0 * (larger - smaller)
            rows.append((str(term), kind, len(own), statistic, "chi2", _p_value(statistic, len(own))))
    names = ("term", "test", "df", "statistic", "distribution", "p_value")
    return Table(dict(zip(names, zip(*rows))), "term", "Tests of whole terms.")


def _columns_of(design: Design, terms: Sequence[Term]) -> list[int]:
    named = {str(term) for term in terms}
    return [place for place, term in enumerate(design.terms) if term in named]


def _loglik(
    spec: CoxSpec, setting: Setting, design: Design, best: Maximum, terms: Sequence[Term]
) -> Generator[Question, Total, float]:
    """Log-likelihood of the model with some of the terms."""
    columns = _columns_of(design, terms)
    if not columns:
        return best.null.loglik
    if len(columns) == len(design.columns):
        return best.there.loglik
    return (yield from maximum(spec, setting.surface, design.select(columns))).there.loglik
