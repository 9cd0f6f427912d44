"""The first table of a paper: who the patients are, by group, with tests and standardised mean differences, in pieces.

The reading form is put together after publication, from `Result.tables` and `Result.cells`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from huizhen.data.examples import SITE
from huizhen.methods.compare import Groups, anova, t_test, welch_anova
from huizhen.methods.description.contingency import pearson
from huizhen.methods.description.levels import LEVELS_STEPS, agree_levels, cross_counts, read_by
from huizhen.methods.description.moments import MOMENTS_STEPS, Moments, joint_moments
from huizhen.methods.method import Names, ScriptedMethod, Spec, Use
from huizhen.methods.quantile import QUANTILE_STEPS, joint_quantiles, quantile_columns, quantile_notes
from huizhen.methods.summary import category_cells, labels, presence, rare_numbers
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import CellTable, Result, Table, Withheld, listed

__all__ = ["TABLE_ONE", "TableOneSpec", "smd_categories", "smd_numbers"]

QUARTILES = (0.25, 0.5, 0.75)


class TableOneSpec(Spec):
    """Settings of ``[method.table_one]``.

    Attributes:
        variables: what is described, in the order of the table.
        by: "" or the variable whose groups are the columns.
        variances: ``equal`` (Student's t, ANOVA: what R's tableone does) or ``unequal`` (Welch).
    """

    variables: Names = Field(min_length=1)
    by: str = ""
    variances: Literal["equal", "unequal"] = "equal"


def _program(spec: TableOneSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Moments, quartiles and counts by group.

    Tables: ``numbers`` (variable, group, n, missing, mean, sd), ``quantiles`` (see `quantile`), ``tests`` (for numbers: test,
    statistic, df, p_value, smd), ``categories`` (variable, group, n, missing), and ``NAME_test`` for each categorical
    variable (chi-squared, in two by two with R's continuity correction). Cells: one table for each categorical variable,
    under its name. There is no column for all groups together: it would give a withheld group back by subtraction.
    """
    names = tuple(dict.fromkeys(spec.variables))
    categories = [name for name in names if name == SITE or terms.variables[name].kind == "category"]
    numbers = [name for name in names if name not in categories]
    levels = yield from agree_levels("table_one", [*categories, *([spec.by] if spec.by else [])], terms, may_be_empty=categories)
    groups = levels[spec.by] if spec.by else ()
    tables: dict[str, Table] = {}
    cells: dict[str, CellTable] = {}
    notes: tuple[str, ...] = ()
    withheld: list[Withheld] = []
    rows = 0
    if numbers:
        moments = yield from joint_moments("table_one", numbers, by=spec.by, groups=groups)
        found = yield from joint_quantiles(
            "table_one", numbers, QUARTILES, moments, by=spec.by, groups=groups, at_least=terms.min_cell_count
        )
        rows = int((moments.n + moments.missing)[:, 0].sum())
        rare = moments.rare(terms.min_cell_count)
        withheld += rare_numbers(numbers, moments, terms.min_cell_count)
        tables["numbers"] = _numbers(spec, numbers, groups, moments, rare)
        tables["quantiles"] = quantile_columns(numbers, spec.by, groups, QUARTILES, found)
        notes = quantile_notes(found, terms.min_cell_count)
        if spec.by:
            tables["tests"] = _tests(spec, numbers, moments, rare)
    if categories:
        counted = yield from cross_counts("table_one", {name: levels[name] for name in categories}, by=spec.by, groups=groups)
        first = counted[categories[0]]
        rows = int(first.counts.sum() + first.missing.sum())
        tables["categories"] = presence(spec.by, groups, counted)
        for name in categories:
            reveals: tuple[str, ...] = ()
            if spec.by:
                tables[f"{name}_test"], reveals = _category_test(name, counted[name].counts), (f"{name}_test",)
            cells[name] = category_cells(name, levels[name], spec.by, groups, counted[name], reveals=reveals)
    return Result("table_one", rows, terms.roster, tables=tables, cells=cells, notes=notes, withheld=tuple(withheld))


def smd_numbers(groups: Groups) -> float | None:
    """Mean over all pairs of groups of |difference of means| / sqrt(mean of the two variances), as R's tableone."""
    found = []
    for a, b in combinations(range(len(groups.n)), 2):
        spread = (groups.variance[a] + groups.variance[b]) / 2
        found.append(abs(groups.mean[a] - groups.mean[b]) / np.sqrt(spread) if spread > 0 else np.nan)
    return float(np.mean(found)) if found and np.isfinite(found).all() else None


def smd_categories(counts: NDArray[np.int64]) -> float | None:
    """The same for proportions of several levels (Yang & Dalton 2012, SAS Global Forum 335), int64 (level, group)."""
    share = counts[1:] / counts.sum(axis=0)  # (level but the first, group)
    found = []
    for a, b in combinations(range(counts.shape[1]), 2):
        p, q = share[:, a], share[:, b]
        covariance = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
        away = p - q
        found.append(float(np.sqrt(max(away @ np.linalg.pinv(covariance, hermitian=True) @ away, 0.0))))
    return float(np.mean(found)) if found else None


def _numbers(spec: TableOneSpec, names: Sequence[str], groups: Sequence[str], moments: Moments, rare: NDArray[np.bool_]) -> Table:
    shown: dict[str, NDArray[Any]] = {"n": moments.n, "missing": moments.missing}
    shown |= {"mean": np.where(rare, np.nan, moments.mean), "sd": np.where(rare, np.nan, moments.sd)}
    columns = labels(names, spec.by, groups) | {title: listed(values.T) for title, values in shown.items()}
    return Table(columns, "variable", "Numeric variables", ("n", "missing"), "n")


def _tests(spec: TableOneSpec, names: Sequence[str], moments: Moments, rare: NDArray[np.bool_]) -> Table:
    """One row for each number. Support is the smallest group: a test over a withheld group would help to work it out; and where
    the missing are too few to be told, so is what the number of rows could be had from.
    """
    counts, reveals = ("n", "missing", "smallest_group"), ("statistic", "df", "df_within", "p_value")
    rows = [_number_test(spec, moments, j, bool(rare[j])) for j in range(len(names))]
    columns = {"variable": tuple(names)} | {title: tuple(row[title] for row in rows) for title in rows[0]}
    return Table(columns, "variable", f"Differences by {spec.by}", counts, "smallest_group", reveals)


def _number_test(spec: TableOneSpec, moments: Moments, j: int, rare: bool) -> dict[str, Any]:
    n = moments.n[:, j]
    held = n > 0
    row: dict[str, Any] = dict.fromkeys(("test", "statistic", "df", "df_within", "p_value", "smd"))
    row |= {"n": int(n.sum()), "missing": int(moments.missing[:, j].sum())}
    row["smallest_group"] = int(n[held].min()) if held.any() else 0
    groups = Groups(n[held].astype(float), moments.offset[held, j], moments.variance[held, j])
    equal = spec.variances == "equal"
    if rare or len(groups.n) < 2 or (groups.n < 2).any() or not (groups.variance > 0).any():
        return row
    if len(groups.n) == 2:
        found = t_test(groups, pooled=equal, confidence=0.95)
        row |= {"test": "student" if equal else "welch", "statistic": found["t"], "df": found["df"], "p_value": found["p_value"]}
    elif equal or (groups.variance > 0).all():
        found = anova(groups) if equal else welch_anova(groups)
        row |= {"test": "anova" if equal else "welch_anova", "statistic": found["f"], "p_value": found["p_value"]}
        row |= {"df": found["df_between"], "df_within": found["df_within"]}
    return row | {"smd": smd_numbers(groups)}


def _category_test(name: str, counts: NDArray[np.int64]) -> Table:
    held = counts[:, counts.sum(axis=0) > 0]
    found = pearson(counts)
    corrected = "chi2_yates" in found
    row = {
        "test": ("chi2_yates" if corrected else "chi2") if found else None,
        "statistic": found.get("chi2_yates", found.get("chi2")),
        "df": found.get("df"),
        "p_value": found.get("p_value_yates", found.get("p_value")),
        "smd": smd_categories(held) if held.shape[1] > 1 and held.shape[0] > 1 else None,
        "expected_below_5": found.get("expected_below_5"),
    }
    return Table({"variable": (name,)} | {title: (value,) for title, value in row.items()}, "variable", f"Difference of {name}")


def _needs(spec: TableOneSpec) -> list[str]:
    return list(read_by([spec.by]))


TABLE_ONE = ScriptedMethod(
    name="table_one",
    spec=TableOneSpec,
    program=_program,
    steps={**LEVELS_STEPS, **MOMENTS_STEPS, **QUANTILE_STEPS},
    reads=lambda spec: [Use(name, "any") for name in read_by([*spec.variables, spec.by])],
    needs=_needs,
)
