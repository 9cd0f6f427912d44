"""The joint description of variables: rows, missing, mean, spread and shape of numbers, counts of categories, correlations."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import stdtrit

from huizhen.data.examples import SITE
from huizhen.errors import Problem, StudyError
from huizhen.methods.description.levels import LEVELS_STEPS, Counts, agree_levels, cross_counts, noisy_cells, read_by
from huizhen.methods.description.moments import MOMENTS_STEPS, Moments, joint_moments, noisy_moments
from huizhen.methods.description.noised import levels_declared, ranges_declared, ranges_of
from huizhen.methods.method import Names, ScriptedMethod, Spec, Use
from huizhen.privacy.noisysteps import NoisyStep
from huizhen.privacy.release import Question, Terms, Total, Variable
from huizhen.privacy.result import CellTable, Result, Table, Withheld, listed

__all__ = ["SUMMARY", "SummarySpec", "category_cells", "labels", "presence", "rare_numbers"]

FEW_APART = (
    "The rows that miss none of the numbers are few, or leave out few of one variable's rows, or hold a code that few patients "
    "have: beside the other moments that would tell of these few."
)
CUT_TO_RANGES = (
    "Values beyond a variable's declared range counted as its ends. Standard errors and limits do not know of the noise: they are "
    "less certain than they look."
)


class SummarySpec(Spec):
    """Settings of ``[method.summary]``.

    Attributes:
        variables: what is described, numbers and categories.
        by: "" or the variable whose groups are described apart.
        correlation: also covariance and correlation of the numbers, over rows that miss none of them, all groups together.
        shape: also skewness and kurtosis.
        confidence: of the limits of the mean.
    """

    variables: Names = Field(min_length=1)
    by: str = ""
    correlation: bool = False
    shape: bool = False
    confidence: float = Field(default=0.95, gt=0, lt=1)


def _program(spec: SummarySpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Two rounds for numbers (`moments`), up to two for categories (`levels`), two for correlations.

    Tables: ``numbers`` (variable, group, n, missing, sum, mean, variance, sd, standard_error, ci_low, ci_high; with `shape`
    skewness and kurtosis as G1 and G2), ``categories`` (variable, group, n, missing), ``correlation``. Cells: one table for
    each categorical variable, under its name. Arrays: ``covariance``, ``correlation`` in the order of the numbers. Each
    variable's own rows count; missing values are counted, not dropped. Minimum and maximum are patients' own values and are
    not given: see `quantile`.
    """
    names = tuple(dict.fromkeys(spec.variables))
    categories = [name for name in names if name == SITE or terms.variables[name].kind == "category"]
    numbers = [name for name in names if name not in categories]
    levels = yield from agree_levels("summary", [*categories, *([spec.by] if spec.by else [])], terms, may_be_empty=categories)
    groups = levels[spec.by] if spec.by else ()
    tables: dict[str, Table] = {}
    cells: dict[str, CellTable] = {}
    arrays: dict[str, NDArray[np.float64]] = {}
    rows, roster = 0, terms.roster
    withheld: list[Withheld] = []
    if numbers:
        ranges = ranges_of(numbers, terms.variables) if terms.noise else None
        moments = yield from joint_moments("summary", numbers, by=spec.by, groups=groups, shape=spec.shape, ranges=ranges)
        tables["numbers"] = _numbers(spec, numbers, groups, moments, terms.min_cell_count)
        withheld += rare_numbers(numbers, moments, terms.min_cell_count)
        rows = int((moments.n + moments.missing)[:, 0].sum())
    if categories:
        counted = yield from cross_counts("summary", {name: levels[name] for name in categories}, by=spec.by, groups=groups)
        tables["categories"] = presence(spec.by, groups, counted)
        cells = {name: category_cells(name, levels[name], spec.by, groups, counted[name]) for name in categories}
        rows = sum(int(c.counts.sum() + c.missing.sum()) for c in list(counted.values())[:1])
    if spec.correlation and numbers:
        together = yield from joint_moments("summary", numbers, products=True)
        if _few_tell_apart(together, terms.min_cell_count):
            withheld.append(Withheld("correlation", FEW_APART))
        else:
            arrays, tables["correlation"] = _correlation(numbers, together)
    return Result(
        "summary",
        rows,
        roster,
        tables=tables,
        cells=cells,
        arrays=arrays,
        notes=(*_notes(spec, arrays), *((CUT_TO_RANGES,) if terms.noise and numbers else ())),
        withheld=tuple(withheld),
    )


def rare_numbers(names: Sequence[str], moments: Moments, least: int) -> list[Withheld]:
    """The variables whose mean would be a number of few patients."""
    rare = [name for name, few in zip(names, moments.rare(least)) if few]
    reason = (
        f"All patients but 1 to {least - 1} have one code, 0, 1 or 2, so that sum and mean would tell how many, or what they have."
    )
    return [Withheld(f"moments of {name}", reason) for name in rare]


def labels(variables: Sequence[str], by: str, groups: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The columns that label a table of groups by variables: variables run slowest; no column ``group`` without `by`."""
    each = groups or ("",)
    columns = {"variable": tuple(name for name in variables for _ in each)}
    return columns | ({"group": tuple(group for _ in variables for group in each)} if by else {})


def presence(by: str, groups: Sequence[str], counted: Mapping[str, Counts]) -> Table:
    """Rows that have and that miss each categorical variable, by group."""
    n = np.concatenate([counts.counts.sum(axis=0) for counts in counted.values()])
    missing = np.concatenate([counts.missing for counts in counted.values()])
    columns = labels(list(counted), by, groups) | {"n": tuple(n.tolist()), "missing": tuple(missing.tolist())}
    return Table(columns, "variable", "Rows with and without a value", ("n", "missing"), "n")


def category_cells(
    name: str, levels: Sequence[str], by: str, groups: Sequence[str], counts: Counts, *, reveals: tuple[str, ...] = ()
) -> CellTable:
    """Patients by level and group, for a reader."""
    caption = f"Patients by {name} and {by}" if by else f"Patients by {name}"
    return CellTable(name, by, tuple(levels), tuple(groups) or ("n",), counts.counts, reveals, caption)


def _few_tell_apart(moments: Moments, least: int) -> bool:
    """Whether the rows without a missing value are few, or leave out few of some variable's, or hold a rare code."""
    assert moments.complete is not None
    assert moments.complete_unlike is not None
    counts = np.concatenate([moments.complete, moments.n[0] - moments.complete[0], moments.complete_unlike.ravel()])
    return bool(((counts > 0) & (counts < least)).any() or moments.rare(least).any())


def _numbers(spec: SummarySpec, names: Sequence[str], groups: Sequence[str], moments: Moments, least: int) -> Table:
    reach = stdtrit(np.maximum(moments.n - 1, 1), 0.5 + spec.confidence / 2) * moments.standard_error
    shown: dict[str, NDArray[Any]] = {
        "n": moments.n,
        "missing": moments.missing,
        "sum": moments.total,
        "mean": moments.mean,
        "variance": moments.variance,
        "sd": moments.sd,
        "standard_error": moments.standard_error,
        "ci_low": moments.mean - reach,
        "ci_high": moments.mean + reach,
    }
    if spec.shape:
        shown |= {"skewness": moments.skewness, "kurtosis": moments.kurtosis}
    rare = moments.rare(least)
    shown = {title: values if title in ("n", "missing") else np.where(rare, np.nan, values) for title, values in shown.items()}
    columns = labels(names, spec.by, groups) | {title: listed(values.T) for title, values in shown.items()}
    reveals = ("sum", "standard_error", "ci_low", "ci_high")  # over the mean or the standard deviation they are n
    return Table(columns, "variable", "Numeric variables", ("n", "missing"), "n", reveals)


def _correlation(names: Sequence[str], moments: Moments) -> tuple[dict[str, NDArray[np.float64]], Table]:
    assert moments.complete is not None
    assert moments.products is not None
    rows, every = int(moments.complete[0]), int(moments.n[0, 0] + moments.missing[0, 0])
    covariance = moments.products[0] / (rows - 1) if rows > 1 else np.full((len(names),) * 2, np.nan)
    spread = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(spread, spread)
    table = {"variable": tuple(names)} | {name: listed(column) for name, column in zip(names, correlation.T)}
    counts = {"complete_rows": (rows,) * len(names), "incomplete_rows": (every - rows,) * len(names)}
    arrays = {"covariance": covariance, "correlation": correlation}
    return arrays, Table(table | counts, "variable", "Pearson correlation", tuple(counts), "complete_rows")


def _notes(spec: SummarySpec, arrays: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    notes = []
    if spec.by:
        notes.append(f"Rows that miss {spec.by!r} are left out.")
    if arrays:
        notes.append("Correlations rest on the rows that miss none of the numeric variables, all groups together.")
    return tuple(notes)


def _noised(spec: SummarySpec, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> tuple[NoisyStep, ...]:
    """Moments of the numbers within their declared ranges, counts of the categories at their declared levels."""
    if spec.correlation:
        found, remedy = "products of variables, which noise does not cover", "Leave correlation out"
        raise StudyError("Noise cannot be added.", [Problem("correlation", found, "no correlation", remedy)])
    names = tuple(dict.fromkeys(spec.variables))
    categories = [name for name in names if name == SITE or (name in variables and variables[name].kind == "category")]
    numbers = [name for name in names if name not in categories]
    sizes = levels_declared([*categories, *([spec.by] if spec.by else [])], variables, level)
    groups = sizes[spec.by] if spec.by else 1
    steps = noisy_moments(ranges_declared(numbers, variables, level), groups, shape=spec.shape) if numbers else ()
    return (*steps, *((noisy_cells({name: sizes[name] for name in categories}, groups),) if categories else ()))


def _needs(spec: SummarySpec) -> list[str]:
    return list(read_by([spec.by]))


SUMMARY = ScriptedMethod(
    name="summary",
    spec=SummarySpec,
    program=_program,
    steps={**LEVELS_STEPS, **MOMENTS_STEPS},
    reads=lambda spec: [Use(name, "any") for name in read_by([*spec.variables, spec.by])],
    needs=_needs,
    noised=_noised,
)
