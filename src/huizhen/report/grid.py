"""A grid: a table as a reader sees it, in both languages, with every digit behind each number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from huizhen.privacy.result import CellTable, Result, Table
from huizhen.report import numerals
from huizhen.report.words import Phrase, as_is, label, level_name, say

__all__ = ["Cell", "Column", "Grid", "Group", "Head", "cell_of", "columns_of", "counts_grid", "is_withheld", "labels_of"]

NOTHING, SILENT = as_is("–"), as_is("")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, all its digits or its explanation (`exact`), and small print after it (`note`)."""

    text: Phrase
    exact: Phrase = SILENT
    kind: Literal["number", "word", "withheld", "none"] = "word"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of one column."""

    text: Phrase
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """A head above `span` columns."""

    text: Phrase
    span: int


@dataclass(frozen=True, slots=True)
class Grid:
    """A table for the eye; the first `labels` cells of a row name it; `foot` is the last row set apart, e.g. totals."""

    caption: Phrase
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    labels: int = 1
    groups: tuple[Group, ...] = ()
    foot: tuple[Cell, ...] = ()
    help: Phrase | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column to be shown: one of the table's, or a lower and an upper limit together (`high` not empty)."""

    name: str
    head: Phrase
    high: str = ""


def labels_of(table: Table) -> tuple[str, ...]:
    """The columns that name a row: the index, every column that holds words only, and the probability of a quantile."""
    words = [
        name
        for name, values in table.columns.items()
        if name in (table.index, "probability")
        or (any(isinstance(v, str) for v in values) and all(v is None or isinstance(v, str) for v in values))
    ]
    return tuple(sorted(words, key=lambda name: name != table.index))


def columns_of(table: Table, confidence: float) -> tuple[Column, ...]:
    """The columns to be shown beside the labels: lower and upper limits are joined to one interval."""
    names = [name for name in table.columns if name not in labels_of(table)]
    shown = []
    for name in names:
        partner = name.removesuffix("low") + "high"
        if name.endswith("low") and partner in names:
            head = say("between") if name == "low" else say("interval", percent=f"{100 * confidence:g}")
            shown.append(Column(name, head, partner))
        elif not (name.endswith("high") and name.removesuffix("high") + "low" in names):
            shown.append(Column(name, label(name)))
    return tuple(shown)


def is_withheld(value: Any, *, counts: bool) -> bool:
    """Whether a policy keeps a table's value back: None, or a negative number of patients."""
    return value is None or (counts and numerals.is_number(value) and value < 0)


def cell_of(result: Result, name: str, column: Column, row: int, decimals: int | None) -> Cell:
    """The cell of one column in one row of a result's table."""
    table = result.tables[name]
    if column.high:
        return interval(result, name, column, row)
    value = table.columns[column.name][row]
    if is_withheld(value, counts=column.name in table.counts or column.name == table.support):
        return absent(result, name, column.name, row)
    return value_cell(value, p_value=numerals.is_p_value(column.name), decimals=decimals)


def value_cell(value: Any, *, p_value: bool = False, decimals: int | None = None) -> Cell:
    """A single value that is not withheld."""
    if isinstance(value, bool | np.bool_):
        return Cell(say("yes" if value else "no"))
    if not numerals.is_number(value):
        return Cell(level_name(str(value)))
    if np.isnan(value):
        return Cell(NOTHING, say("not_given"), "none")
    text = numerals.p_value(value) if p_value else numerals.short(value, decimals)
    return Cell(as_is(text), as_is(numerals.exact(value)), "number")


def interval(result: Result, name: str, column: Column, row: int) -> Cell:
    """Lower and upper limit in one cell."""
    table = result.tables[name]
    low, high = table.columns[column.name][row], table.columns[column.high][row]
    low, high = (np.nan if limit is None else limit for limit in (low, high))
    if np.isnan(low) and np.isnan(high):
        return absent(result, name, column.name, row)
    both = [*table.columns[column.name], *table.columns[column.high]]
    decimals = 2 if column.name != "ci_low" and column.name != "low" and 0.095 <= abs(low) < 100 else numerals.column_decimals(both)
    texts = [numerals.short(limit, decimals) for limit in (low, high)]
    exact = as_is(" – ".join(numerals.exact(limit) for limit in (low, high)))
    joint = " to " if any(text.startswith((numerals.MINUS, "–")) for text in texts) else "–"
    return Cell(Phrase(joint.join(texts), (" 至 " if joint == " to " else joint).join(texts)), exact, "number")


def absent(result: Result, table: str, column: str, row: int) -> Cell:
    """A value that is not there: withheld where a policy says so of this row or its counts, else not estimable."""
    if is_kept_back(result, table, column, row):
        return Cell(say("withheld"), say("withheld_help"), "withheld")
    return Cell(NOTHING, say("not_given"), "none")


def is_kept_back(result: Result, name: str, column: str, row: int) -> bool:
    """Whether a missing value of a table was withheld: a number of patients always; others with their row, or as revealing."""
    table = result.tables[name]
    reveals: tuple[str, ...] = getattr(table, "reveals", ())
    if column in table.counts or column == table.support:
        return True
    if not names_withheld(result, name):
        return False
    return not table.support or table.columns[table.support][row] is None or column in reveals


def names_withheld(result: Result, name: str) -> bool:
    """Whether something of this name is withheld; a remark that names nothing of the result counts for everything."""
    known = {*result.facts, *result.tables, *result.cells, *result.arrays}
    named = [known & {word for word in known if is_named(word, one.what)} for one in result.withheld]
    return any(name in words or not words for words in named)


def is_named(name: str, what: str) -> bool:
    """Whether a remark on what is withheld, e.g. ``rows of numbers``, speaks of this name."""
    return what == name or what.endswith(f" of {name}")


def counts_grid(table: CellTable, caption: Phrase) -> Grid:
    """Numbers of patients with their margins, as published; a margin that a withheld cell leaves open stays open."""
    counts, crossed = np.asarray(table.counts), len(table.columns) > 1
    of_rows, of_columns, whole = margins(table)
    shares = of_rows if crossed else [whole] * len(table.rows)
    body = tuple(
        (
            Cell(level_name(name)),
            *(count_cell(int(n), share_of=shares[i]) for n in counts[i]),
            *([margin(of_rows[i])] if crossed else []),
        )
        for i, name in enumerate(table.rows)
    )
    foot = (Cell(say("total")), *(margin(n) for n in (of_columns if crossed else [whole])), *([margin(whole)] if crossed else []))
    names = [Head(level_name(name) if crossed else label(name or "n")) for name in table.columns]
    heads = (Head(as_is(table.row_variable), numeric=False), *names, *([Head(say("total"))] if crossed else []))
    above = (Group(as_is(""), 1), Group(as_is(table.column_variable), len(table.columns)), Group(as_is(""), 1))
    groups = above if crossed and table.column_variable else ()
    return Grid(caption, heads, body, foot=foot, groups=groups, help=say("of_row") if crossed else None)


def margins(table: CellTable) -> tuple[list[int | None], list[int | None], int | None]:
    """Totals of the rows, of the columns and of all: as published, else the sums of what is published whole; None where open."""
    counts = np.asarray(table.counts)
    known = counts >= 0
    rows = published(getattr(table, "row_totals", None)) or [total(counts[i], known[i]) for i in range(counts.shape[0])]
    columns = published(getattr(table, "column_totals", None)) or [total(counts[:, j], known[:, j]) for j in range(counts.shape[1])]
    stated = getattr(table, "total", None)
    return rows, columns, total(counts.ravel(), known.ravel()) if stated is None else None if stated < 0 else int(stated)


def published(totals: Any) -> list[int | None]:
    """Totals with None for those withheld; empty where the table states none."""
    return [] if totals is None else [None if n < 0 else int(n) for n in totals]


def total(counts: Any, known: Any) -> int | None:
    """The sum where every addend is published, else None."""
    return int(np.sum(counts)) if bool(np.all(known)) else None


def count_cell(count: int, *, share_of: int | None) -> Cell:
    """A number of patients with its share in small print."""
    if count < 0:
        return Cell(say("withheld"), say("withheld_help"), "withheld")
    share = f"{100 * count / share_of:.1f} %" if share_of else ""
    return Cell(as_is(numerals.short(count)), as_is(str(count)), "number", share)


def margin(count: int | None) -> Cell:
    """A total, or an open one."""
    return Cell(NOTHING, say("withheld_help"), "none") if count is None else count_cell(count, share_of=None)


def numbers_of(values: Sequence[Any]) -> list[float]:
    """The finite numbers among values."""
    return [float(v) for v in values if numerals.is_number(v) and np.isfinite(v)]
