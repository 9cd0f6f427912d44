"""What must be agreed jointly before a formula means the same design matrix at every site.

Rounds, each left out where it is not needed: the levels of categories (counts by label); mean and standard deviation of variables
that are centred, scaled or given knots; knots (counts below cut points, see `knots`); sums of the columns; their products about the
joint means. From the last two, columns that hold nothing new are recognised before a model is fitted.

    design = yield from agree("glm", "y ~ age + stage", terms)
    ... Question("glm", "score", {"design": design.facts(), ...}, design.variables)
    # at a site
    design = Design.from_facts(question.facts["design"], local)
    for rows in chunks(examples.rows):
        x = design.standardised(examples, rows)  # float64 (column, row)
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from huizhen.data.examples import SITE
from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import LEVELS_STEPS
from huizhen.methods.design.aliasing import refuse_aliased
from huizhen.methods.design.columns import INTERCEPT, Design
from huizhen.methods.design.columnsums import (
    COLUMNS,
    PRODUCTS,
    SQUARES,
    SUMS,
    column_products,
    column_sums,
    moment_sums,
)
from huizhen.methods.design.formula import Factor, Formula, parse
from huizhen.methods.design.knots import BELOW, Moments, at_ranks, below
from huizhen.methods.design.labels import agree_labels
from huizhen.methods.design.piece import Piece
from huizhen.methods.design.spline import Spline
from huizhen.methods.method import Step
from huizhen.privacy.release import Question, Terms, Total

__all__ = ["DESIGN_STEPS", "INTERCEPT", "Design", "agree", "agree_pieces", "standardise"]


def agree(
    method: str,
    formula: Formula | str,
    terms: Terms,
    *,
    intercept: bool = True,
    uses: Iterable[str] = (),
    center: bool | None = None,
) -> Generator[Question, Total, Design]:
    """The design of the formula's right-hand side, agreed over all participants.

    Args:
        method: the method that asks.
        formula: parsed, or its text.
        terms: what was agreed before the first round.
        intercept: False: no column for the intercept, although categories are coded as if there were one (Cox).
        uses: further variables by which the method chooses its rows, named in the questions.
        center: whether columns are centred; by default where the design has an intercept. (Cox: always, it changes no coefficient.)

    Raises:
        NotEstimable: no rows, a level or an indicator too rare, a function that is not defined for some rows, a constant column, or
            one that is a linear combination of others.
    """
    parsed = parse(formula) if isinstance(formula, str) else formula
    if not intercept:
        parsed = Formula(parsed.text, parsed.response, parsed.terms, True)
    pieces = yield from agree_pieces(method, parsed, terms)
    design = Design.of(parsed, pieces, intercept=intercept)
    return (yield from standardise(method, design, terms, uses=uses, center=center))


def agree_pieces(method: str, formula: Formula, terms: Terms) -> Generator[Question, Total, tuple[Piece, ...]]:
    """The formula's factors with their joint levels, moments and knots, in the order of `formula.factors`."""
    categories = [factor for factor in formula.factors if _is_category(factor, terms)]
    levels = yield from agree_labels(method, categories, terms)
    measured = [factor for factor in formula.factors if _needs_moments(factor, terms)]
    moments = yield from _agree_moments(method, measured)
    pieces = []
    for factor in formula.factors:
        if factor in levels:
            pieces.append(Piece(factor, levels[factor]))
        elif factor.outer in ("bs", "ns"):
            pieces.append(Piece(factor, spline=(yield from _agree_spline(method, factor, terms, moments.get(factor)))))
        elif factor in moments:
            pieces.append(_shifted(factor, moments[factor]))
        else:
            pieces.append(Piece(factor))
    return tuple(pieces)


def standardise(
    method: str, design: Design, terms: Terms, *, uses: Iterable[str] = (), center: bool | None = None
) -> Generator[Question, Total, Design]:
    """The design with joint centres and scales, after refusing columns that hold nothing new."""
    if not design.columns:
        raise NotEstimable("The formula has no column to fit; name at least one variable after the ~")
    variables = named((*design.variables, *uses))
    total = yield Question(method, COLUMNS, {"design": design.facts()}, variables)
    if total.rows == 0:
        raise NotEstimable("No row is complete in all variables of the formula, so there is nothing to fit")
    _refuse_undefined(design, total)
    _refuse_rare(design, total, max(terms.min_cell_count, 1))
    centred = design.intercept if center is None else center
    means = total.sums["sums"] / total.rows if centred else np.zeros(len(design.columns))
    if design.intercept:
        means[0] = 0.0
    shifted = design.standardised_by(means, np.ones(len(means)), total.rows)
    total = yield Question(method, PRODUCTS, {"design": shifted.facts()}, variables, degrees=len(design.columns))
    products = total.sums["products"]
    scale = refuse_aliased(design, products, total.rows, means)
    return design.standardised_by(means, scale, total.rows)


def named(variables: Iterable[str]) -> tuple[str, ...]:
    """Distinct variables for a question; which site holds a row is no variable of a patient."""
    return tuple(name for name in dict.fromkeys(variables) if name != SITE)


def _is_category(factor: Factor, terms: Terms) -> bool:
    declared = terms.variables.get(factor.variable)
    return factor.outer == "C" or (
        not factor.calls and (factor.variable == SITE or (declared is not None and declared.kind == "category"))
    )


def _needs_moments(factor: Factor, terms: Terms) -> bool:
    if factor.outer in ("bs", "ns"):
        return _inner_count(factor) > 0 or _declared_range(factor, terms) is None
    return factor.outer in ("center", "scale")


def _agree_moments(method: str, factors: Sequence[Factor]) -> Generator[Question, Total, Mapping[Factor, Moments]]:
    if not factors:
        return {}
    facts = {"factors": [factor.facts() for factor in factors]}
    variables = named(factor.variable for factor in factors)
    total = yield Question(method, SUMS, {**facts, "means": np.zeros(len(factors))}, variables)
    if total.rows == 0:
        raise NotEstimable("No row is complete in all variables of the formula, so there is nothing to fit")
    for factor, undefined in zip(factors, total.sums["undefined"]):
        if undefined:
            raise _undefined(str(factor))
    means = total.sums["sums"] / total.rows
    total = yield Question(method, SQUARES, {**facts, "means": means}, variables)
    # What is left of the sum about the rounded mean corrects it to the last digit.
    rest = total.sums["sums"] / total.rows
    squares = total.sums["squares"] - total.rows * rest**2
    moments = zip((means + rest).tolist(), np.maximum(squares, 0.0).tolist())
    return {factor: Moments(total.rows, mean, square) for factor, (mean, square) in zip(factors, moments)}


def _shifted(factor: Factor, moments: Moments) -> Piece:
    if factor.outer == "center":
        return Piece(factor, shift=moments.mean)
    if moments.squares <= 0:
        raise NotEstimable(f"{factor} has the same value in all rows and cannot be scaled; leave it out")
    return Piece(factor, shift=moments.mean, divisor=moments.deviation)


def _inner_count(factor: Factor) -> int:
    """How many inner knots are to be agreed."""
    call = factor.calls[-1]
    df = call.option("df")
    if call.option("knots") is not None or df is None:
        return 0
    return max(int(df) - _degree(factor), 0)


def _degree(factor: Factor) -> int:
    """Columns of the spline without inner knots: what df exceeds it by are knots."""
    call = factor.calls[-1]
    return 1 if call.name == "ns" else int(call.option("degree") or 3)


def _declared_range(factor: Factor, terms: Terms) -> tuple[float, float] | None:
    stated = factor.calls[-1].option("range")
    if stated is not None:
        return stated[0], stated[1]
    declared = terms.variables.get(factor.variable)
    return declared.range if declared is not None and len(factor.calls) == 1 else None


def _agree_spline(method: str, factor: Factor, terms: Terms, moments: Moments | None) -> Generator[Question, Total, Spline]:
    call = factor.calls[-1]
    if call.option("df") is not None and call.option("df") < _degree(factor):
        raise NotEstimable(f"{factor} needs df of at least {_degree(factor)}")
    boundary, count = _declared_range(factor, terms), _inner_count(factor)
    inner = tuple(call.option("knots") or ())
    if moments is not None:
        last, least = moments.rows, min(max(terms.min_cell_count, 1), moments.rows)
        asked = [1 + (last - 1) * place / (count + 1) for place in range(1, count + 1)]
        asked += [] if boundary else [least, last + 1 - least]
        found = yield from at_ranks(method, factor, moments, asked, least)
        inner = inner or found[:count]
        boundary = boundary or (found[count], found[count + 1])
    assert boundary is not None
    places = (boundary[0], *inner, boundary[1])
    if any(low >= high for low, high in pairwise(places)):
        raise NotEstimable(f"The knots of {factor} do not increase within its range; give fewer of them (df), or knots= and range=")
    return Spline(inner, boundary, 3 if call.name == "ns" else _degree(factor), natural=call.name == "ns")


def _refuse_undefined(design: Design, total: Total) -> None:
    for name, undefined in zip(design.columns, total.sums["undefined"]):
        if undefined:
            raise _undefined(name)


def _undefined(name: str) -> NotEstimable:
    return NotEstimable(
        f"{name} is not a finite number in some rows (a logarithm needs positive values, for example); "
        "leave those rows out by a cohort condition, or transform the variable otherwise"
    )


def _refuse_rare(design: Design, total: Total, least: int) -> None:
    rare: dict[str, int] = {}
    counts = total.sums["unlike"]  # (code, column): rows that are not 0, not 1, not 2
    few = np.any((counts > 0) & (counts < least) & (total.rows >= least), axis=0)
    for column in np.flatnonzero(few):
        rare[design.terms[column]] = rare.get(design.terms[column], 0) + 1
    if rare:
        said = "; ".join(f"{term}: {count}" for term, count in rare.items())
        raise NotEstimable(
            f"Columns of the design that set apart fewer than {least} rows over all participants ({said}). Their coefficients "
            "would describe single patients: leave the term out, or merge levels in [variables.NAME]"
        )


DESIGN_STEPS: Mapping[str, Step] = MappingProxyType(
    {
        **LEVELS_STEPS,
        SUMS: moment_sums,
        SQUARES: moment_sums,
        BELOW: below,
        COLUMNS: column_sums,
        PRODUCTS: column_products,
    }
)
