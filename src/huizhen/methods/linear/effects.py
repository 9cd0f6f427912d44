"""Tests of whole terms of a generalised linear model: joint Wald tests, and likelihood-ratio tests by refitting without a term."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.design.agreement import standardise
from huizhen.methods.design.columns import INTERCEPT, Design
from huizhen.methods.design.formula import Formula, Term
from huizhen.methods.design.wald import chi_square_p, f_p, joint_wald
from huizhen.methods.linear.fitted import Fitted
from huizhen.methods.linear.scoring import Search, fit
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Table

__all__ = ["term_tests"]

Floats = NDArray[np.float64]
Deviance = Generator[Question, Total, float]


def term_tests(
    method: str,
    fitted: Fitted,
    formula: Formula,
    terms: Terms,
    search: Search,
    base: Callable[[Design], Floats | None],
    *,
    kinds: Sequence[str],
) -> Generator[Question, Total, Table]:
    """One row for each term and kind of test.

    ``wald``: all coefficients of the term are 0 in the full model (chi-square; F where the dispersion is estimated, as R's
    `car::linearHypothesis`). ``likelihood-ratio``: the deviance of the model without the term and without all products that contain
    it, less that of the model without those products (type II, as R's `car::Anova`; for a term in no product this is R's `drop1`),
    over the dispersion of the full model.

    Args:
        base: coefficients of a design whose means certainly lie in the family's domain.
    """
    rows: list[tuple[str, str, int, float, str, float]] = []
    if "wald" in kinds:
        rows += [_wald(fitted, term) for term in formula.terms]
    if "likelihood-ratio" in kinds:
        seen: dict[tuple[str, ...], float] = {fitted.design.columns: fitted.fit.deviance}
        for term in formula.terms:
            kept = tuple(other for other in formula.terms if other == term or not term <= other)
            with_term, columns = yield from _deviance(method, fitted, _only(formula, kept), terms, search, base, seen)
            fewer = tuple(other for other in kept if other != term)
            without, left = yield from _deviance(method, fitted, _only(formula, fewer), terms, search, base, seen)
            statistic, df = (without - with_term) / fitted.dispersion, columns - left
            rows.append((str(term), "likelihood-ratio", df, statistic, "chi2", chi_square_p(statistic, df)))
    names = ("term", "test", "df", "statistic", "distribution", "p_value")
    return Table(dict(zip(names, zip(*rows))), index="term", caption="Tests of whole terms.")


def _wald(fitted: Fitted, term: Term) -> tuple[str, str, int, float, str, float]:
    columns = [place for place, name in enumerate(fitted.design.terms) if name == str(term)]
    statistic, df = joint_wald(fitted.coefficients, fitted.covariance, columns), len(columns)
    if not fitted.model.family.estimates_dispersion:
        return str(term), "wald", df, statistic, "chi2", chi_square_p(statistic, df)
    return str(term), "wald", df, statistic / df, "F", f_p(statistic / df, df, fitted.df_residual)


def _only(formula: Formula, terms: tuple[Term, ...]) -> Formula:
    return replace(formula, terms=terms)


def _deviance(
    method: str,
    fitted: Fitted,
    formula: Formula,
    terms: Terms,
    search: Search,
    base: Callable[[Design], Floats | None],
    seen: dict[tuple[str, ...], float],
) -> Generator[Question, Total, tuple[float, int]]:
    """Deviance and number of columns of the model with the formula's terms."""
    smaller = Design.of(formula, fitted.design.pieces, intercept=fitted.design.intercept)
    if smaller.columns not in seen:
        place = {name: index for index, name in enumerate(fitted.design.columns)}
        if set(smaller.columns) <= set(place):
            design = fitted.design.select([place[name] for name in smaller.columns])
        else:
            # Without the term, others are coded otherwise: the columns are not a part of the full model's.
            design = yield from standardise(method, smaller.select(range(len(smaller.columns))), terms, uses=fitted.model.variables)
        if design.columns in ((), (INTERCEPT,)) and fitted.null:
            seen[smaller.columns] = fitted.null.deviance
        else:
            found = yield from fit(method, fitted.model, design, search, rows=fitted.sums.rows, base=base(design))
            seen[smaller.columns] = found.deviance
    return seen[smaller.columns], len(smaller.columns)
