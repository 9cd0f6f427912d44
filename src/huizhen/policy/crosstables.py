"""What of the tables of counts in a result is published: cells, totals and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from huizhen.policy.rounding import WITHHELD, round_counts
from huizhen.policy.suppression import Suppression, suppress, suppress_line
from huizhen.privacy.release import Terms
from huizhen.privacy.result import CellTable

__all__ = ["public_labels", "publish_cells"]

Known = frozenset[tuple[str, str, int]]  # variable, label and its total, where that total is held back in some table


def publish_cells(tables: Mapping[str, CellTable], terms: Terms, *, rows: int) -> dict[str, CellTable]:
    """The tables as published, with their totals; a table that was published before stays as it is.

    Each table is protected by itself. A total that is held back in one table is held back in every table that shows the same total
    of the same label and variable. Tables whose cells are sums of other tables' cells do not belong into one result.

    Args:
        rows: the number of patients behind the result, which is published too.
    """
    fresh = {name: table for name, table in tables.items() if table.total is None and table.counts.size}
    forced: dict[str, Known] = dict.fromkeys(fresh, frozenset())
    while True:
        held = {name: _suppress(table, terms, rows, forced[name]) for name, table in fresh.items()}
        hidden = {name: _hidden_totals(table, held[name]) for name, table in fresh.items()}
        everywhere: Known = frozenset().union(*hidden.values())
        missed = {name: (everywhere - hidden[name]) & _all_totals(table) for name, table in fresh.items()}
        if not any(missed.values()):
            break
        forced = {name: forced[name] | missed[name] for name in fresh}
    return {name: _published(table, held[name], terms) if name in held else table for name, table in tables.items()}


def public_labels(variable: str, terms: Terms) -> frozenset[str]:
    """The labels of a variable that are known without any patient: those declared, and the names of the participants."""
    declared = terms.variables[variable].levels if variable in terms.variables else ()
    return frozenset(declared) | frozenset(terms.roster)


def _suppress(table: CellTable, terms: Terms, rows: int, hidden: Known) -> Suppression:
    others = 0 if terms.noise else rows - int(table.counts.sum())  # of two noisy numbers the difference tells of nobody
    of_rows = np.array([one in hidden for one in _totals(table.row_variable, table.rows, table.counts.sum(axis=1))])
    of_columns = np.array([one in hidden for one in _totals(table.column_variable, table.columns, table.counts.sum(axis=0))])
    if min(table.counts.shape) >= 2:
        known = others if others >= 0 else None
        return suppress(table.counts, minimum=terms.min_cell_count, others=known, hidden_rows=of_rows, hidden_columns=of_columns)
    along, across = (of_rows, of_columns) if table.counts.shape[1] == 1 else (of_columns, of_rows)
    return _suppress_line(table, terms.min_cell_count, others, along, bool(across.any()))


def _suppress_line(table: CellTable, minimum: int, others: int, hidden: NDArray[np.bool_], hide_total: bool) -> Suppression:
    counts = table.counts.ravel()
    if 0 < others < minimum:  # all patients = cells + the others, and that sum is published
        held = suppress_line(np.append(counts, others), minimum=minimum, hidden=np.append(hidden, True))[:-1]
        hide_total = True
    else:
        if hide_total:  # the total is the sum of the cells, so a cell goes with it
            hidden = hidden | (np.arange(len(counts)) == np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
        held = suppress_line(counts, minimum=minimum, hidden=hidden)
        hide_total = hide_total or 0 < int(counts.sum()) < minimum
    totals = np.array([hide_total])
    if table.counts.shape[1] == 1:
        return Suppression(held[:, None], held, totals, hide_total)
    return Suppression(held[None, :], totals, held, hide_total)


def _totals(variable: str, labels: tuple[str, ...], totals: NDArray[np.int64]) -> list[tuple[str, str, int]]:
    return [(variable, label, int(total)) for label, total in zip(labels, totals)]


def _all_totals(table: CellTable) -> Known:
    rows = _totals(table.row_variable, table.rows, table.counts.sum(axis=1))
    columns = _totals(table.column_variable, table.columns, table.counts.sum(axis=0))
    return frozenset(total for total in (*rows, *columns) if total[0])


def _hidden_totals(table: CellTable, held: Suppression) -> Known:
    labels = {(table.row_variable, label) for label, hidden in zip(table.rows, held.row_totals) if hidden}
    labels |= {(table.column_variable, label) for label, hidden in zip(table.columns, held.column_totals) if hidden}
    return frozenset(total for total in _all_totals(table) if total[:2] in labels)


def _published(table: CellTable, held: Suppression, terms: Terms) -> CellTable:
    in_rows, in_columns = table.counts.sum(axis=1), table.counts.sum(axis=0)
    total = np.array([table.counts.sum()])
    return replace(
        table,
        rows=_labels(table.row_variable, table.rows, in_rows, terms),
        columns=_labels(table.column_variable, table.columns, in_columns, terms) if table.column_variable else table.columns,
        counts=np.where(held.cells, WITHHELD, round_counts(table.counts, terms)),
        row_totals=np.where(held.row_totals, WITHHELD, round_counts(in_rows, terms)),
        column_totals=np.where(held.column_totals, WITHHELD, round_counts(in_columns, terms)),
        total=WITHHELD if held.total else int(round_counts(total, terms)[0]),
    )


def _labels(variable: str, labels: tuple[str, ...], counts: NDArray[np.int64], terms: Terms) -> tuple[str, ...]:
    """A label that fewer patients bear than the minimum, and that was not declared, is itself a patient's value."""
    public = public_labels(variable, terms)
    rare = [label for label, count in zip(labels, counts) if count < terms.min_cell_count and label not in public]
    names = {label: f"(withheld {number})" for number, label in enumerate(rare, start=1)}
    return tuple(names.get(label, label) for label in labels)
