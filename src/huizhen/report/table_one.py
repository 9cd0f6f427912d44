"""Table 1 of a paper, put together from the published pieces: mean (SD), median [IQR], n (%), by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from huizhen.privacy.result import CellTable, Result, Table
from huizhen.report import numerals
from huizhen.report.grid import NOTHING, Cell, Grid, Group, Head, is_kept_back, margins
from huizhen.report.words import Phrase, as_is, label, level_name, say

__all__ = ["table_one_grid"]

QUARTILES = (0.5, 0.25, 0.75)
INDENT = "\u2003"  # a level stands under its variable


def table_one_grid(result: Result) -> Grid | None:
    """The table for a reader; None where a result has not the pieces of one."""
    numbers, cells = result.tables.get("numbers"), result.cells
    if result.method != "table_one" or result.failure or (numbers is None and not cells):
        return None
    groups = groups_of(numbers, cells)
    rows = size_rows(numbers, groups)
    rows += [row for name in variables_of(numbers) for row in number_rows(result, name, groups)]
    rows += [row for name, table in cells.items() for row in category_rows(result, name, table, groups)]
    tested = any("p_value" in table.columns for table in result.tables.values())
    heads = [Head(say("characteristic"), numeric=False), *(Head(level_name(g) if g else say("overall")) for g in groups)]
    heads += [Head(label("p_value")), Head(label("smd"))] if tested else []
    by = next((table.column_variable for table in cells.values() if table.column_variable), "")
    above = (Group(as_is(""), 1), Group(as_is(by), len(groups)), *([Group(as_is(""), 2)] if tested else []))
    kept = tuple(row if tested else row[: len(groups) + 1] for row in rows)
    return Grid(say("table_one_caption"), tuple(heads), kept, groups=above if by else ())


def variables_of(numbers: Table | None) -> tuple[str, ...]:
    """The numeric variables in their order."""
    return () if numbers is None else tuple(dict.fromkeys(str(name) for name in numbers.columns["variable"]))


def groups_of(numbers: Table | None, cells: Mapping[str, CellTable]) -> tuple[str, ...]:
    """The groups across; one empty name where there are none."""
    if numbers is not None:
        found = tuple(dict.fromkeys(str(g) for g in numbers.columns.get("group", ()) if g is not None))
        return found or ("",)
    first = next(iter(cells.values()))
    return first.columns if first.column_variable else ("",)


def size_rows(numbers: Table | None, groups: tuple[str, ...]) -> list[tuple[Cell, ...]]:
    """How many patients each group has: those with a value of a variable and those without; none where all are kept back."""
    sizes = [group_size(numbers, group) for group in groups]
    if not any(sizes):
        return []
    return [(Cell(label("n")), *(Cell(as_is(str(size)) if size else NOTHING) for size in sizes), *empty(2))]


def group_size(numbers: Table | None, group: str) -> int | None:
    """Patients of one group, where both counts of some variable are published."""
    for name in variables_of(numbers):
        row = find(numbers, variable=name, group=group)
        if numbers is not None and row is not None and {"n", "missing"} <= numbers.columns.keys():
            with_value, without = numbers.columns["n"][row], numbers.columns["missing"][row]
            if with_value is not None and without is not None:
                return int(with_value) + int(without)
    return None


def find(table: Table | None, **wanted: Any) -> int | None:
    """The row of a table with these labels; a label whose column is not there, or "" for a group, does not count."""
    if table is None:
        return None
    columns = {name: table.columns[name] for name in wanted if name in table.columns and wanted[name] != ""}
    length = len(next(iter(table.columns.values()), ()))
    return next((i for i in range(length) if all(values[i] == wanted[name] for name, values in columns.items())), None)


def number_rows(result: Result, name: str, groups: tuple[str, ...]) -> list[tuple[Cell, ...]]:
    """Mean (SD) and median [IQR] of one variable."""
    tests = test_cells(result, "tests", name)
    rows = [(Cell(say("mean_sd", name=name)), *(mean_cell(result, name, group) for group in groups), *tests)]
    if "quantiles" in result.tables:
        cells = (median_cell(result, name, group) for group in groups)
        rows.append((Cell(say("median_iqr", name=name)), *cells, *empty(2)))
    return rows


def empty(count: int) -> tuple[Cell, ...]:
    """Cells with nothing in them."""
    return (Cell(as_is("")),) * count


def mean_cell(result: Result, name: str, group: str) -> Cell:
    """E.g. ``62.4 (9.1)``."""
    table = result.tables["numbers"]
    row = find(table, variable=name, group=group)
    values: list[Any] = [table.columns[column][row] if row is not None else None for column in ("mean", "sd")]
    if any(value is None or np.isnan(value) for value in values):
        kept = row is None or is_kept_back(result, "numbers", "mean", row)
        return withheld() if kept else Cell(NOTHING, say("not_given"), "none")
    decimals = places_for(values[1])
    mean, sd = (numerals.short(float(value), decimals) for value in values)
    return Cell(as_is(f"{mean} ({sd})"), as_is(f"{values[0]!r} ({values[1]!r})"), "number")


def median_cell(result: Result, name: str, group: str) -> Cell:
    """E.g. ``63 [56–69]``; a quartile that is published as an interval only is written as one: ``63 [55–57, 69]``."""
    table = result.tables["quantiles"]
    rows = [find(table, variable=name, group=group, probability=p) for p in QUARTILES]
    found = [None if row is None else quartile(table, row) for row in rows]
    known = [limits for limits in found if limits is not None]
    if len(known) < len(found):
        return (
            withheld()
            if rows[0] is None or is_kept_back(result, "quantiles", "value", rows[0])
            else Cell(NOTHING, say("not_given"), "none")
        )
    ends = [end for limits in known for end in limits]
    decimals = 0 if all(end.is_integer() for end in ends) else places_for(max(ends) - min(ends))
    median, low, high = ("–".join(numerals.short(end, decimals) for end in dict.fromkeys(limits)) for limits in known)
    joint = "–" if all(lower == upper for lower, upper in known) and not low.startswith(numerals.MINUS) else ", "
    return Cell(
        as_is(f"{median} [{low}{joint}{high}]"),
        as_is(" ".join("–".join(map(repr, dict.fromkeys(limits))) for limits in known)),
        "number",
    )


def quartile(table: Table, row: int) -> tuple[float, float] | None:
    """A quantile as lower and upper end, equal where it is known as a point; None where it is not published."""
    value = table.columns["value"][row]
    ends = (value, value) if value is not None else tuple(table.columns.get(n, (None,) * (row + 1))[row] for n in ("low", "high"))
    if any(end is None or not np.isfinite(end) for end in ends):
        return None
    return float(ends[0]), float(ends[1])


def places_for(spread: float) -> int:
    """Decimals that suit a spread: two digits of it, at most four decimals."""
    return 1 if not spread > 0 else max(0, min(1 - int(np.floor(np.log10(spread))), 4))


def category_rows(result: Result, name: str, table: CellTable, groups: tuple[str, ...]) -> list[tuple[Cell, ...]]:
    """The variable with its test, and one row for each level."""
    counts = np.asarray(table.counts)
    _, of_columns, _ = margins(table)
    first = (Cell(say("n_percent", name=name)), *empty(len(groups)), *test_cells(result, f"{name}_test", name))
    places = [table.columns.index(g) if g in table.columns else None if g else 0 for g in groups]
    levels = [
        (
            Cell(indented(level_name(level))),
            *(Cell(NOTHING, kind="none") if j is None else share_cell(int(counts[i, j]), of_columns[j]) for j in places),
            *empty(2),
        )
        for i, level in enumerate(table.rows)
    ]
    return [first, *levels]


def indented(name: Phrase) -> Phrase:
    """A level under its variable."""
    return Phrase(INDENT + name.en, INDENT + name.zh)


def share_cell(count: int, whole: int | None) -> Cell:
    """E.g. ``138 (60.5)``."""
    if count < 0:
        return withheld()
    share = f" ({100 * count / whole:.1f})" if whole else ""
    return Cell(as_is(f"{numerals.short(count)}{share}"), as_is(str(count)), "number")


def test_cells(result: Result, table_name: str, variable: str) -> tuple[Cell, Cell]:
    """p-value and standardised difference of one variable."""
    table = result.tables.get(table_name)
    row = find(table, variable=variable)
    found = []
    for column in ("p_value", "smd"):
        value = table.columns.get(column, (None,) * (row + 1))[row] if table is not None and row is not None else None
        if value is None or np.isnan(value):
            found.append(Cell(NOTHING, say("not_given"), "none"))
        else:
            text = numerals.p_value(value) if column == "p_value" else numerals.short(float(value), 2)
            found.append(Cell(as_is(text), as_is(numerals.exact(value)), "number"))
    return found[0], found[1]


def withheld() -> Cell:
    """A cell that a policy keeps back."""
    return Cell(say("withheld"), say("withheld_help"), "withheld")
