"""What of a joint result is published: suppression, rounding, and everything that would give a suppressed count away.

Sums leave the sites exact; only what people get to see passes here. Nothing is published that was withheld, and every withheld
thing is named with its reason, never with its value. Publishing twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.policy.crosstables import public_labels, publish_cells
from huizhen.policy.rounding import WITHHELD, is_number, is_small, round_count
from huizhen.policy.suppression import suppress_line
from huizhen.privacy.release import Terms
from huizhen.privacy.result import CellTable, Result, Table, Withheld

__all__ = ["COUNT_FACTS", "publish"]

# Facts that are numbers of patients, whatever the method.
COUNT_FACTS = frozenset({"rows", "n", "patients", "events", "censored", "missing", "cases", "controls", "deaths"})


# What a number of patients can be computed from, beside the other facts of a model: the log of n or of the events in `bic`, n less
# the coefficients in the degrees of freedom, the dispersion beside Pearson's chi-square.
TELL_COUNTS = frozenset(
    {"bic", "df_residual", "df_null", "df_within", "dispersion", "adjusted_r2", "f_statistic", "f_p", "aic_without_dispersion"}
)


def publish(result: Result, terms: Terms) -> Result:
    """The result as people may see it.

    - A result on 1 to minimum - 1 patients is withheld whole.
    - Tables of counts: cells and totals from 1 to minimum - 1, and further ones until no margin gives those back; labels that so
      few patients bear, unless declared; the facts, tables and arrays that the table names in `reveals`, also where counts are
      rounded.
    - Other tables: rows whose support lies below the minimum; in a row with a small count all counts (n + missing = rows), with the
      columns named in `reveals`; and further rows where a column adds up to all patients.
    - Facts that are numbers of patients, where they, or all patients without them, are 1 to minimum - 1.
    - What is left of counts is rounded to a multiple of `terms.round_to`.

    Withheld are: -1 in arrays of counts, None in tables and facts; withheld tables and arrays are left out.
    """
    if 0 < result.rows < terms.min_cell_count:
        return _nothing(result, terms)
    cells = publish_cells(result.cells, terms, rows=result.rows)
    tables, withheld = _publish_tables(result, terms)
    facts = dict(result.facts)
    withheld += _withhold_cells(result.cells, cells, terms)
    for name in _revealing(cells, terms):
        if facts.get(name) is not None or name in tables or name in result.arrays:
            withheld.append(Withheld(name, f"It would give away a count that is {_why_hidden(terms)}."))
        if name in facts:
            facts[name] = None
        tables.pop(name, None)
    arrays = {name: array for name, array in result.arrays.items() if name not in _revealing(cells, terms)}
    for name in COUNT_FACTS & facts.keys():
        if is_small(facts[name], terms.min_cell_count) or _leaves_few(facts[name], result.rows, terms):
            withheld.append(Withheld(name, f"It, or all patients without it, is a number from 1 to {terms.min_cell_count - 1}."))
            facts[name] = None
        facts[name] = round_count(facts[name], terms)
    if terms.round_to > 1 or any(facts[name] is None for name in COUNT_FACTS & facts.keys()):
        for name in TELL_COUNTS & facts.keys():
            if facts[name] is not None:
                withheld.append(Withheld(name, f"It would give away a count that is {_why_hidden(terms)}."))
            facts[name] = None
    return replace(
        result,
        rows=round_count(result.rows, terms),
        facts=facts,
        tables=tables,
        cells=cells,
        arrays=arrays,
        withheld=tuple(dict.fromkeys((*result.withheld, *sorted(withheld, key=lambda one: one.what)))),
    )


def _nothing(result: Result, terms: Terms) -> Result:
    reason = f"It rests on fewer than {terms.min_cell_count} patients, the least that the participants' policies allow."
    return Result(
        result.method,
        roster=result.roster,
        failure=result.failure or f"The answer is withheld. {reason}",
        withheld=(*result.withheld, Withheld("the whole result", reason)),
    )


def _why_hidden(terms: Terms) -> str:
    return "withheld" if terms.round_to == 1 else "withheld or rounded"


def _leaves_few(value: Any, rows: int, terms: Terms) -> bool:
    """Whether all patients less these, as they are or as they will be published, are too few."""
    if not is_number(value):
        return False
    published = round_count(rows, terms) - round_count(value, terms)
    return is_small(rows - value, terms.min_cell_count) or is_small(published, terms.min_cell_count)


def _withhold_cells(before: Mapping[str, CellTable], after: Mapping[str, CellTable], terms: Terms) -> list[Withheld]:
    reason = f"Cells and totals from 1 to {terms.min_cell_count - 1} patients, and those that would give them back."
    named = [Withheld(f"cells of {name}", reason) for name in after if before[name].total is None and _has_hole(after[name])]
    rare = "Labels that too few patients bear, and that the study does not declare."
    return named + [
        Withheld(f"labels of {name}", rare)
        for name, table in after.items()
        if (table.rows, table.columns) != (before[name].rows, before[name].columns)
    ]


def _has_hole(table: CellTable) -> bool:
    totals = (table.row_totals, table.column_totals)
    return (
        bool((table.counts == WITHHELD).any())
        or table.total == WITHHELD
        or any(one is not None and bool((one == WITHHELD).any()) for one in totals)
    )


def _revealing(cells: Mapping[str, CellTable], terms: Terms) -> list[str]:
    hidden = [table for table in cells.values() if terms.round_to > 1 or _has_hole(table)]
    return sorted({name for table in hidden for name in table.reveals})


def _publish_tables(result: Result, terms: Terms) -> tuple[dict[str, Table], list[Withheld]]:
    tables: dict[str, Table] = {}
    withheld: list[Withheld] = []
    for name, table in result.tables.items():
        thin, hidden = _thin_rows(table, terms), _hidden_counts(table, terms, result.rows)
        if thin.any():
            reason = f"They rest on fewer than {terms.min_cell_count} patients."
            withheld.append(Withheld(f"rows of {name}", reason))
        if terms.round_to > 1 and set(table.reveals) & table.columns.keys():
            withheld.append(Withheld(f"{', '.join(table.reveals)} of {name}", "They would give away a count that is rounded."))
        if (hidden & ~thin).any():
            reason = f"Counts from 1 to {terms.min_cell_count - 1} patients, and those that would give them back."
            withheld.append(Withheld(f"counts of {name}", reason))
        tables[name] = _publish_table(table, thin, hidden, terms)
    return tables, withheld


def _thin_rows(table: Table, terms: Terms) -> NDArray[np.bool_]:
    """The rows behind which too few patients stand, none included: bool (row,)."""
    length = len(next(iter(table.columns.values()), ()))
    support = table.columns.get(table.support, (None,) * length)
    return np.array([is_number(value) and value < terms.min_cell_count for value in support], dtype=bool)


def _counting(table: Table) -> list[str]:
    return [name for name in dict.fromkeys((*table.counts, table.support)) if name in table.columns]


def _hidden_counts(table: Table, terms: Terms, rows: int) -> NDArray[np.bool_]:
    """The rows whose counts are withheld: bool (row,)."""
    columns = [table.columns[name] for name in _counting(table)]
    hidden = np.zeros(len(next(iter(table.columns.values()), ())), dtype=bool)
    for column in columns:
        hidden |= np.array([is_small(value, terms.min_cell_count) for value in column], dtype=bool)
    while hidden.any():
        wider = hidden.copy()
        for line in _partitions(columns, rows):
            wider |= suppress_line(line, minimum=terms.min_cell_count, hidden=wider)
        if (wider == hidden).all():
            break
        hidden = wider
    return hidden


def _partitions(columns: Sequence[Sequence[Any]], rows: int) -> list[NDArray[np.int64]]:
    """The count columns, and their sum row by row, that add up to all patients: there a withheld row is all the others missing."""
    whole = [column for column in columns if all(is_number(value) and value >= 0 for value in column)]
    lines = [np.array([round(value) for value in column], dtype=np.int64) for column in whole]
    if len(lines) > 1:
        lines.append(np.sum(lines, axis=0, dtype=np.int64))
    return [line for line in lines if line.sum() == rows]


def _publish_table(table: Table, thin: NDArray[np.bool_], hidden: NDArray[np.bool_], terms: Terms) -> Table:
    counting = _counting(table)
    columns: dict[str, tuple[Any, ...]] = {}
    for name, values in table.columns.items():
        if name == table.index:
            columns[name] = _index(values, thin, name, terms)
            continue
        drop = thin | hidden if name in counting or name in table.reveals else thin
        if terms.round_to > 1 and name in table.reveals:
            drop = np.ones_like(thin)  # it would undo the rounding
        kept = (None if gone else value for value, gone in zip(values, drop))
        columns[name] = tuple(round_count(value, terms) if name in counting else value for value in kept)
    return replace(table, columns=columns)


def _index(labels: Sequence[Any], thin: NDArray[np.bool_], name: str, terms: Terms) -> tuple[Any, ...]:
    """Labels of rows; a word that stands for too few patients is a patient's value, unless it was known before."""
    public = public_labels(name, terms) | terms.variables.keys()
    rare = [label for label, gone in zip(labels, thin) if gone and isinstance(label, str) and label not in public]
    names = {label: f"(withheld {number})" for number, label in enumerate(dict.fromkeys(rare), start=1)}
    return tuple(names.get(label, label) if gone else label for label, gone in zip(labels, thin))
