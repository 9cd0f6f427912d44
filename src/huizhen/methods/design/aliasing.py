"""Columns that hold nothing new: constant ones, and linear combinations of others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import NotEstimable
from huizhen.methods.design.columns import Design

__all__ = ["refuse_aliased"]

Floats = NDArray[np.float64]
# Share of a column's variance that earlier columns leave unexplained. Rounding leaves about 1e-15 of a true combination;
# polynomials of a year like 1990..2020 still leave 1e-6 (R's glm stops at 1e-11 as well).
LEAST_NEW = 1e-11
# A column whose spread is this small a part of its size is constant but for rounding.
LEAST_SPREAD = 1e-13
NAMED = 1e-4  # standardised weight from which a column is named in a combination


def refuse_aliased(design: Design, products: Floats, rows: int, center: Floats) -> Floats:
    """Scales of the columns (column,): root mean squares about the centres.

    Args:
        products: sums of products of the columns about their centres (column, column).
        rows: how many rows the sums run over.
        center: the centres.

    Raises:
        NotEstimable: a column is constant, or a linear combination of earlier ones, which are named.
    """
    scale: Floats = np.sqrt(np.diag(products) / rows)
    constant = [name for name, spread, middle in zip(design.columns, scale, center) if spread <= LEAST_SPREAD * abs(middle)]
    if constant:
        raise NotEstimable(
            f"{_listed(constant)} {_is(constant)} the same in all rows, so there is nothing to estimate; leave it out"
        )
    correlation = products / rows / np.outer(scale, scale)
    problems = _combinations(design.columns, correlation)
    if problems:
        raise NotEstimable(f"{'; '.join(problems)}. Leave out one of them: their separate effects cannot be told apart")
    return scale


def _combinations(names: tuple[str, ...], correlation: Floats) -> list[str]:
    """One sentence for each column that earlier independent columns explain wholly (Cholesky, in the order of the columns)."""
    kept: list[int] = []
    factor = np.zeros_like(correlation)  # rows: independent columns, lower triangular
    problems = []
    for column in range(len(names)):
        size = len(kept)
        against = np.linalg.solve(factor[:size, :size], correlation[kept, column]) if size else np.empty(0)
        new = correlation[column, column] - against @ against
        if new > LEAST_NEW:
            factor[size, :size], factor[size, size] = against, np.sqrt(new)
            kept.append(column)
            continue
        weights = np.linalg.solve(factor[:size, :size].T, against)
        others = [names[kept[place]] for place in np.flatnonzero(np.abs(weights) > NAMED)]
        problems.append(f"{names[column]} is a linear combination of {_listed(others)}")
    return problems


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "the other columns"


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
