"""The work of methods that compute by formula, counted from rows, columns and settings: what a site does in each step.

The steps are those of `huizhen.methods`; each is the list of its array operations as the code does them, chunk by chunk, in the
kernels of `kinds`. A method without a formula here is refused: what is not counted is not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from huizhen.data.examples import CHUNK
from huizhen.errors import CallerError, Problem, closest
from huizhen.twin.compute.kinds import operation
from huizhen.twin.compute.tracing import gathered
from huizhen.twin.course import Operation, Work

__all__ = ["FORMULAS", "Sizes", "formula_works", "reading_work"]

Operations = list[Operation]
CODES = 3  # values that summaries are watched for


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a method's work hangs on.

    Attributes:
        rows: of the site; columns: of the design (an intercept counts), or variables.
        variables: that the design's columns are made of; 0: as many as columns.
        groups: of a ``by``, of strata or of curves; cells: of a table, or moments of events.
        cuts: bins of a covariate, or cuts of a quantile's round; intervals: of the grid of times.
        depth: of trees; nodes: of which histograms are asked in a round.
        transcendental: exponentials and logarithms of a row in a round of a generalised linear model, by its family.
    """

    rows: int
    columns: int = 1
    variables: int = 0
    groups: int = 1
    cells: int = 4
    cuts: int = 63
    intervals: int = 1024
    depth: int = 6
    nodes: int = 0
    powers: int = 2
    transcendental: int = 3


def formula_works(method: str, sizes: Sizes) -> Mapping[str, Work]:
    """A site's work by step of the method; those of a step are done once for each time it is asked.

    Raises:
        CallerError: a method without a formula, or sizes below 0.
    """
    problems = []
    if method not in FORMULAS:
        near = closest(method, list(FORMULAS))
        remedy = f"Did you mean {near}?" if near else ""
        problems.append(Problem("method", method, f"one of: {', '.join(FORMULAS)}", remedy))
    for name in ("rows", "columns", "groups", "cells", "cuts", "intervals", "depth"):
        if getattr(sizes, name) < 0:
            problems.append(Problem(name, str(getattr(sizes, name)), "0 or more"))
    if problems:
        raise CallerError("The work of this method cannot be counted.", problems)
    steps = FORMULAS[method](sizes)
    return MappingProxyType({step: Work(f"{method}.{step}", gathered(found), sizes.rows) for step, found in steps.items()})


def reading_work(source_bytes: float, form: str = "csv") -> Work:
    """Reading a source: its bytes, once."""
    return Work("reading", (Operation(f"read.{form}", (), 0.0, float(source_bytes)),))


def _chunked(kind: str, rows: int, *, columns: int = 0, calls: float = 1.0, more: tuple[int, ...] = ()) -> Operations:
    """A kernel over all rows, a chunk at a time."""
    whole, rest = divmod(rows, CHUNK)
    found = []
    for size, times in ((CHUNK, whole), (rest, 1)):
        if size and times:
            shape = (columns, size) if columns else (size, *more)
            found.append(operation(kind, shape, calls * times))
    return found


def _along(rows: int, **calls: float) -> Operations:
    """Kernels over rows, chunk by chunk, each so often: ``exp=2`` is ``np.exp`` twice."""
    return [one for name, times in calls.items() for one in _chunked(f"np.{name}", rows, calls=times)]


def _design(sizes: Sizes) -> Operations:
    """The standardised columns: filled, centred, scaled."""
    columns = max(sizes.columns, 1)
    return _along(sizes.rows, map=3.0 * columns)


def _glm(sizes: Sizes) -> Mapping[str, Operations]:
    """Fisher scoring: X'u, X'WX and the deviance; robust covariance asks for squared scores once more."""
    rows, columns = sizes.rows, max(sizes.columns, 1)
    eta = _chunked("np.vector", rows, columns=columns)
    family = _along(rows, exp=sizes.transcendental / 2, log=sizes.transcendental / 2, map=10, compare=4, cumsum=3)
    half = [*_along(rows, map=1), *_chunked("np.scale", rows, columns=columns)]
    score = [*_design(sizes), *eta, *family, *_chunked("np.vector", rows, columns=columns), *half]
    score += _chunked("np.gram", rows, columns=columns)
    squared = [
        *_design(sizes),
        *eta,
        *family,
        *_chunked("np.scale", rows, columns=columns),
        *_chunked("np.gram", rows, columns=columns),
    ]
    return {"score": score, "squared_scores": squared, "solve": [operation("np.solve", (columns,))]}


def _cox(sizes: Sizes) -> Mapping[str, Operations]:
    """Newton's steps of the partial likelihood; `cells` are the moments of events."""
    rows, columns, cells = sizes.rows, max(sizes.columns, 1), max(sizes.cells, 1)
    variables = sizes.variables or columns
    scores = [*_design(sizes), *_chunked("np.vector", rows, columns=columns), operation("np.gather", (max(rows, 1),))]
    scores += _along(rows, exp=1, map=2)
    columns_of = [*_chunked("np.gather", rows, calls=variables), *_design(sizes)]
    hazard = [
        operation("np.bincount", (max(rows, 1), cells), 2.0),
        operation("np.cumsum", (cells,), 3.0),
        operation("np.map", (cells,), 8.0),
    ]
    sums = [*columns_of, *_chunked("np.gather", rows, calls=3), *_along(rows, map=6), *_chunked("np.vector", rows, columns=columns)]
    sums += [*_chunked("np.scale", rows, columns=columns), *_chunked("np.product", rows, columns=columns)]
    moments = [
        *columns_of,
        *_chunked("np.scale", rows, columns=columns),
        *_chunked("np.reduceat", rows, columns=columns, calls=1.5),
    ]
    grown = [*_chunked("np.cumsum", cells, calls=columns), *_chunked("np.scale", cells, columns=columns, calls=3)]
    grown += _chunked("np.product", cells, columns=columns)
    sorting = [operation("np.lexsort", (max(rows, 1),)), *_along(rows, gather=5, map=4, compare=4, cumsum=2, select=4)]
    sorting += [operation("np.bincount", (max(rows, 1), cells), 2.0)]
    at_risk = [*scores, operation("np.bincount", (max(rows, 1), cells), 2.0), *_along(rows, map=2)]
    return {
        "events": [*_along(rows, compare=3, map=2), *sorting],
        "likelihood": [*scores, *hazard, *sums, *moments, *grown],
        "risk": at_risk,
        "curvature": [*scores, *sums, *moments],
        "solve": [operation("np.solve", (columns,))],
    }


def _kaplan_meier(sizes: Sizes) -> Mapping[str, Operations]:
    """Reach of follow-up, then exits by group and fine interval."""
    rows = max(sizes.rows, 1)
    fine = [operation("np.map", (rows,), 7.0), operation("np.compare", (rows,), 1.0)]
    reach = [*fine, operation("np.sort", (rows,)), operation("np.compare", (rows,), 6.0), operation("np.map", (rows,), 4.0)]
    exits = [*fine, operation("np.map", (rows,), 5.0), operation("np.gather", (rows,))]
    exits.append(operation("np.bincount", (rows, 2 * sizes.groups * sizes.intervals)))
    return {"reach": reach, "exits": exits}


def _moments(sizes: Sizes) -> Mapping[str, Operations]:
    """Counts and sums by group, then powers of the distance from the joint mean; of each variable."""
    rows, times = sizes.rows, float(max(sizes.columns, 1))
    bins = (sizes.groups + 1,)

    def counted(often: float) -> Operations:
        return [*_chunked("np.bincount", rows, more=bins, calls=often * times), *_along(rows, modulo=often * times)]

    sums = [*_along(rows, compare=5 * times, select=(4 + CODES) * times), *counted(2 + CODES)]
    centred = [
        *_along(rows, gather=times, map=(1 + sizes.powers) * times, compare=2 * times, select=2 * times),
        *counted(sizes.powers),
    ]
    return {"sums": sums, "centred": centred}


def _quantile(sizes: Sizes) -> Mapping[str, Operations]:
    """Moments, then rounds of counts between cuts."""
    rows, times = sizes.rows, float(max(sizes.columns, 1))
    between = [*_along(rows, compare=2 * times, select=2 * times, map=2 * times)]
    between += [*_chunked("np.searchsorted", rows, more=(sizes.cuts,), calls=times)]
    between += [*_chunked("np.bincount", rows, more=(sizes.groups * (sizes.cuts + 1),), calls=times)]
    return {**_moments(sizes), "between": between}


def _tabulate(sizes: Sizes) -> Mapping[str, Operations]:
    """One table: codes of two or three variables, and a count of places."""
    rows, names = sizes.rows, max(sizes.columns, 1)
    tables = [*_along(rows, gather=names, compare=names + 2, map=4, select=1)]
    tables += _chunked("np.bincount", rows, more=(sizes.cells,))
    return {"levels": [*_chunked("np.bincount", rows, more=(sizes.groups + 1,), calls=names)], "tables": tables}


def _boosting(sizes: Sizes) -> Mapping[str, Operations]:
    """Bins once; for each tree derivatives, and for each level of it histograms and rows going left or right."""
    rows, covariates = max(sizes.rows, 1), max(sizes.columns, 1)
    encode = _chunked("np.searchsorted", rows, more=(max(sizes.cuts, 1),), calls=covariates)
    weigh = [*_along(rows, exp=1, log=1, map=12, compare=4), *_chunked("trees.settle", rows)]
    nodes = sizes.nodes or 2 ** max(sizes.depth - 1, 0)
    level = [operation("trees.histogram", (max(rows // nodes, 1), covariates), nodes / 2), operation("trees.partition", (rows,))]
    return {"encode": encode, "weigh": weigh, "histograms": level, "margins": _along(rows, gather=2, map=1)}


FORMULAS: Mapping[str, Callable[[Sizes], Mapping[str, Sequence[Operation]]]] = MappingProxyType(
    {
        "boosting": _boosting,
        "cox": _cox,
        "glm": _glm,
        "kaplan_meier": _kaplan_meier,
        "quantile": _quantile,
        "summary": _moments,
        "tabulate": _tabulate,
    }
)
