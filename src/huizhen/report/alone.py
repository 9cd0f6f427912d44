"""Every hospital alone: what each would have found by itself, beside the others, and why some would have found nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from huizhen.privacy.result import Result, Table
from huizhen.report import numerals
from huizhen.report.comparison import fact_cell, height, main_columns, matching
from huizhen.report.content import Analysis
from huizhen.report.grid import NOTHING, Cell, Grid, Head, labels_of
from huizhen.report.learned import LEARNED
from huizhen.report.words import Phrase, as_is, label, say, told

__all__ = ["alone_grid", "alone_text", "leading", "reasons"]

LONGEST_BESIDE = 24  # rows of a table that can still be laid out as columns


def leading(result: Result) -> str:
    """The table whose rows are laid out as columns for every hospital alone; "" for none."""
    if "coefficients" in result.tables and main_columns(result.tables["coefficients"]):
        return "coefficients"
    fitting = (
        name
        for name, table in result.tables.items()
        if name not in LEARNED
        and height(table) <= LONGEST_BESIDE
        and main_columns(table)
        and labels_of(table)
        and "survival" not in table.columns
    )
    return next(fitting, "")


def alone_grid(analysis: Analysis) -> Grid | None:
    """Every hospital alone, one row each: the main numbers of the leading table, or the numeric facts."""
    able = {site: result for site, result in analysis.alone.items() if not result.failure}
    if not able:
        return None
    name = leading(analysis.federation)
    return alone_by_row(analysis, able, name) if name else alone_by_fact(analysis, able)


def alone_by_row(analysis: Analysis, able: Mapping[str, Result], name: str) -> Grid:
    """One column for each row of the leading table."""
    table = analysis.federation.tables[name]
    first, *second = main_columns(table)
    second = second if second and second[0] in ("standard_error", "sd") else []
    names = labels_of(table)
    heads = [" · ".join(str(table.columns[n][i]) for n in names if table.columns[n][i] is not None) for i in range(height(table))]
    decimals = [numerals.column_decimals([table.columns[first][i]]) for i in range(height(table))]
    rows = []
    for site, result in able.items():
        there = result.tables.get(name)
        places = matching(table, there) if there is not None and first in there.columns else [None] * height(table)
        cells = [alone_cell(table, there, i, j, first, second, decimals[i]) for i, j in enumerate(places)]
        rows.append((Cell(as_is(site)), rows_cell(result), *cells))
    measured = label(first)
    if name == "quality":
        what = say("sites_alone_own", what=measured)
    else:
        what = say("sites_alone_error" if second[:1] == ["standard_error"] else "sites_alone_what", what=measured)
    caption = say("sites_alone_caption", what=what)
    return Grid(caption, (Head(say("site"), numeric=False), Head(say("rows_head")), *(Head(as_is(h)) for h in heads)), tuple(rows))


def alone_cell(
    table: Table, there: Table | None, i: int, j: int | None, first: str, second: Sequence[str], decimals: int | None
) -> Cell:
    """A hospital's own number, with its standard error in small print; not shown where the federation's is withheld."""
    value = there.columns[first][j] if there is not None and j is not None and first in there.columns else None
    if value is None or table.columns[first][i] is None or not numerals.is_number(value) or np.isnan(value):
        return Cell(NOTHING, say("not_given"), "none")
    error = there.columns[second[0]][j] if there is not None and second and second[0] in there.columns and j is not None else None
    small = (
        f"({numerals.short(error, decimals)})" if error is not None and numerals.is_number(error) and not np.isnan(error) else ""
    )
    return Cell(as_is(numerals.short(value, decimals)), as_is(numerals.exact(value)), "number", small)


def alone_text(table: Table, there: Table, column: str, i: int) -> str:
    """A hospital's own number for row `i` of the federation's table."""
    j = matching(table, there)[i]
    return alone_cell(table, there, i, j, column, (), numerals.column_decimals(table.columns[column])).text.en


def alone_by_fact(analysis: Analysis, able: Mapping[str, Result]) -> Grid | None:
    """One column for each numeric fact, at most six."""
    names = [n for n, v in analysis.federation.facts.items() if numerals.is_number(v) and n not in ("confidence", "df")][:6]
    rows = [
        (
            Cell(as_is(site)),
            rows_cell(result),
            *(fact_cell(result, n, result.facts.get(n, np.nan)) for n in names),
        )
        for site, result in able.items()
    ]
    heads = (Head(say("site"), numeric=False), Head(say("rows_head")), *(Head(label(n)) for n in names))
    return Grid(say("sites_alone_caption", what=""), heads, tuple(rows)) if names else None


def rows_cell(result: Result) -> Cell:
    """The number of patients behind a hospital's own result."""
    return (
        Cell(as_is(numerals.short(result.rows)), as_is(str(result.rows)), "number") if result.rows else Cell(NOTHING, kind="none")
    )


def reasons(analysis: Analysis) -> tuple[tuple[Phrase, tuple[str, ...]], ...]:
    """Why hospitals could not be estimated alone: each reason once, with the hospitals it concerns."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for site, result in analysis.alone.items():
        if result.failure:
            grouped[result.failure].append(site)
    return tuple((told(reason), tuple(sites)) for reason, sites in grouped.items())
