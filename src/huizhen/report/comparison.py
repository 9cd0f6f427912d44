"""One analysis seen from several sides: federation, pooled rows, an independent library.

What the federation does not publish is not shown from another side either: every table here is led by the rows, columns and facts
of the federation's own published result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from huizhen.privacy.result import Result, Table
from huizhen.report import numerals
from huizhen.report.content import Analysis
from huizhen.report.grid import (
    NOTHING,
    Cell,
    Column,
    Grid,
    Group,
    Head,
    absent,
    cell_of,
    columns_of,
    is_withheld,
    labels_of,
    names_withheld,
    numbers_of,
    value_cell,
)
from huizhen.report.words import Phrase, as_is, label, level_name, say

__all__ = [
    "Side",
    "beside",
    "brief",
    "confidence_of",
    "every_column",
    "fact_cell",
    "facts_grid",
    "height",
    "label_cell",
    "main_columns",
    "matching",
    "row_differences",
    "sides",
]

# What a reader compares first: the first of these that a table has stands again under each other side.
MAIN = (
    ("coefficient", "standard_error"),
    ("mean", "sd"),
    ("observed", "expected"),
    *((name,) for name in ("median", "value", "estimate", "survival", "statistic", "chi2")),
)
FLOOR = 1e-6  # a number below this share of its column's largest is compared with that share: 1e-17 for 0 is no difference


class Side(NamedTuple):
    """One way of answering the same question."""

    name: Phrase
    result: Result
    is_pooled: bool


def sides(analysis: Analysis) -> tuple[Side, ...]:
    """The other sides that have an answer: the pooled rows, the reference library."""
    found = []
    if analysis.pooled is not None and not analysis.pooled.failure:
        found.append(Side(say("pooled"), analysis.pooled, True))
    if analysis.reference is not None and not analysis.reference.failure:
        found.append(
            Side(as_is(analysis.reference_name) if analysis.reference_name else say("reference"), analysis.reference, False)
        )
    return tuple(found)


def confidence_of(result: Result) -> float:
    """The confidence level of a result's limits."""
    level = result.facts.get("confidence", 0.95)
    return float(level) if numerals.is_number(level) else 0.95


def main_columns(table: Table) -> tuple[str, ...]:
    """The one or two columns of a table that are compared side by side."""
    measured = [c.name for c in columns_of(table, 0.95) if not c.high and numbers_of(table.columns[c.name])]
    if table.index and set(measured) - {*table.counts, table.support} <= set(table.columns[table.index]):
        return ()  # a square matrix: there is no main column
    known = next((names for names in MAIN if names[0] in measured), ())
    others = [name for name in measured if name not in table.counts and not numerals.is_p_value(name)]
    return tuple(name for name in known if name in measured) or tuple(others[:1] or measured[:1])


def matching(table: Table, other: Table) -> list[int | None]:
    """For each row of `table` the row of `other` with the same labels; by position where there are no labels of their own."""
    names = [name for name in labels_of(table) if name in other.columns]
    count = len(next(iter(table.columns.values()), ()))
    there = len(next(iter(other.columns.values()), ()))
    keys = list(zip(*(other.columns[name] for name in names))) if names else []
    if not names or len(set(keys)) < len(keys):
        return [i if count == there else None for i in range(count)]
    place = {key: i for i, key in enumerate(keys)}
    return [place.get(tuple(table.columns[name][i] for name in names)) for i in range(count)]


def row_differences(table: Table, other: Table) -> list[float | None]:
    """The largest relative difference in each row over all published numbers that both tables have."""
    shared = [name for name in table.columns if name in other.columns and numbers_of(table.columns[name])]
    floors = {name: FLOOR * max(map(abs, numbers_of(table.columns[name]))) for name in shared}
    found: list[float | None] = []
    for i, j in enumerate(matching(table, other)):
        gaps = [
            gap(table.columns[name][i], other.columns[name][j], floors[name])
            for name in shared
            if j is not None and is_published(table, name, i) and is_published(other, name, j)
        ]
        found.append(max(gaps) if gaps else None)
    return found


def is_published(table: Table, name: str, row: int) -> bool:
    """Whether a table has a number here that no policy keeps back."""
    value = table.columns[name][row]
    return numerals.is_number(value) and not is_withheld(value, counts=name in table.counts)


def gap(a: float, b: float, floor: float) -> float:
    """The relative difference of two numbers; equal infinities and equal gaps do not differ."""
    if a == b or (np.isnan(a) and np.isnan(b)):
        return 0.0
    return float(abs(a - b) / max(abs(a), abs(b), floor)) if np.isfinite(a) and np.isfinite(b) else np.inf


def brief(table: Table, confidence: float) -> tuple[Column, ...]:
    """The columns a reader looks at first: where there is a ratio, its limits stand for those of the coefficient."""
    spared: tuple[str, ...] = ()
    if any(name.endswith("_ratio") for name in table.columns) and "coefficient" in table.columns:
        spared = ("z", "t", "ci_low")
    elif {"mean", "sd"} <= table.columns.keys():
        spared = ("sum", "variance", "skewness", "kurtosis")
    return tuple(column for column in columns_of(table, confidence) if column.name not in spared)


def every_column(table: Table, confidence: float) -> tuple[Column, ...]:
    """All columns."""
    return columns_of(table, confidence)


def beside(analysis: Analysis, name: str, caption: Phrase, choose: Callable[[Table, float], tuple[Column, ...]] = brief) -> Grid:
    """A table of the federation, in the columns that are chosen, with the main columns of the other sides to its right."""
    result, table = analysis.federation, analysis.federation.tables[name]
    labels, shown = labels_of(table), choose(table, confidence_of(analysis.federation))
    others = [side for side in sides(analysis) if name in side.result.tables]
    main = [Column(column, label(column)) for column in main_columns(table)]
    blocks = [Block(say("federation"), result, shown, list(range(height(table))))]
    for side in others if choose is brief else ():
        other = side.result.tables[name]
        kept = tuple(column for column in main if column.name in other.columns)
        if kept:
            blocks.append(Block(side.name, side.result, kept, matching(table, other)))
    compared = bool(others) and analysis.exact
    gaps = row_differences(table, others[0].result.tables[name]) if compared else []
    rows = [
        (
            *(label_cell(result, name, column, i) for column in labels),
            *(cell for block in blocks for cell in row_of(result, name, i, block)),
            *([Cell(as_is(numerals.difference(gaps[i])), as_is(repr(gaps[i])), "number")] if compared else []),
        )
        for i in range(height(table))
    ]
    heads = [Head(label(n), numeric=False) for n in labels] + [Head(c.head) for block in blocks for c in block.columns]
    groups = [Group(as_is(""), len(labels))] * bool(labels) + [Group(block.title, len(block.columns)) for block in blocks]
    if compared:
        heads.append(Head(say("difference")))
        groups.append(Group(as_is(""), 1))
    note = None if not compared else say("difference_help" if others[0].is_pooled else "difference_reference_help")
    return Grid(caption, tuple(heads), tuple(rows), len(labels), tuple(groups) if len(blocks) > 1 else (), help=note)


class Block(NamedTuple):
    """The columns of one side, and where each row of the leading table stands in that side's table."""

    title: Phrase
    result: Result
    columns: tuple[Column, ...]
    places: list[int | None]


def label_cell(result: Result, name: str, column: str, row: int) -> Cell:
    """The cell that names a row; names of measures and tests are in the reader's words."""
    value = result.tables[name].columns[column][row]
    if value is None:
        return absent(result, name, column, row)
    return Cell(label(str(value)) if column in ("measure", "test") else level_name(str(value)))


def row_of(lead: Result, name: str, i: int, block: Block) -> list[Cell]:
    """The cells of one side in row `i` of the leading table; a value that the leading table withholds is not shown here either."""
    table, cells = lead.tables[name], []
    j = block.places[i]
    for column in block.columns:
        counted = column.name in table.counts or column.name == table.support
        open_ = block.result is lead or not is_withheld(table.columns[column.name][i], counts=counted)
        if j is None or not open_:
            cells.append(Cell(NOTHING, say("not_given"), "none"))
        else:
            cells.append(cell_of(block.result, name, column, j, numerals.column_decimals(table.columns[column.name])))
    return cells


def height(table: Table) -> int:
    """The number of rows of a table."""
    return len(next(iter(table.columns.values()), ()))


def facts_grid(analysis: Analysis) -> Grid | None:
    """The single numbers and words of the federation's result beside those of the other sides."""
    facts = {name: value for name, value in analysis.federation.facts.items() if is_plain(value)}
    if not facts:
        return None
    others = [side for side in sides(analysis) if any(name in side.result.facts for name in facts)]
    rows = [
        (
            Cell(label(name)),
            fact_cell(analysis.federation, name, value),
            *(
                fact_cell(side.result, name, side.result.facts.get(name, np.nan)) if value is not None else Cell(NOTHING)
                for side in others
            ),
        )
        for name, value in facts.items()
    ]
    heads = (Head(say("fact"), numeric=False), Head(say("federation")), *(Head(side.name) for side in others))
    return Grid(say("facts"), heads, tuple(rows))


def is_plain(value: Any) -> bool:
    """Whether a fact is a single number or a short word, and not what a method keeps for prediction."""
    return (
        value is None
        or isinstance(value, bool | np.bool_)
        or numerals.is_number(value)
        or (isinstance(value, str) and len(value) <= 200)
    )


def fact_cell(result: Result, name: str, value: Any) -> Cell:
    """One fact; None is withheld or not estimable."""
    if value is None and names_withheld(result, name):
        return Cell(say("withheld"), say("withheld_help"), "withheld")
    return Cell(NOTHING, say("not_given"), "none") if value is None else value_cell(value, p_value=numerals.is_p_value(name))
