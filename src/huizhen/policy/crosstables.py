"""What of the tables of counts in a result is published: cells, totals and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from huizhen.policy.rounding import WITHHELD, round_counts
from huizhen.policy.suppression import Suppression, suppress, suppress_line
from huizhen.privacy.release import Terms
from huizhen.privacy.result import CellTable

__all__ = ["public_labels", "publish_cells"]

Labels = frozenset[tuple[str, str]]  # (variable, label) whose total is held back in some table


def publish_cells(tables: Mapping[str, CellTable], terms: Terms, *, rows: int) -> dict[str, CellTable]:
    """The tables as published, with their totals; a table that was published before stays as it is.

    Each table is protected by itself. A total that is held back in one table is held back in every table that has the same label
    of the same variable. Tables whose cells are sums of other tables' cells do not belong into one result.

    Args:
        rows: the number of patients behind the result, which is published too.
    """
    fresh = {name: table for name, table in tables.items() if table.total is None and table.counts.size}
    hidden: Labels = frozenset()
    while True:
        held = {name: _suppress(table, terms, rows, hidden) for name, table in fresh.items()}
        found = hidden.union(*(_hidden_labels(fresh[name], held[name]) for name in fresh))
        if found == hidden:
            break
        hidden = found
    return {name: _published(table, held[name], terms) if name in held else table for name, table in tables.items()}


def public_labels(variable: str, terms: Terms) -> frozenset[str]:
    """The labels of a variable that are known without any patient: those declared, and the names of the participants."""
    declared = terms.variables[variable].levels if variable in terms.variables else ()
    return frozenset(declared) | frozenset(terms.roster)


def _suppress(table: CellTable, terms: Terms, rows: int, hidden: Labels) -> Suppression:
    others = rows - int(table.counts.sum())
    of_rows = np.array([(table.row_variable, label) in hidden for label in table.rows], dtype=bool)
    of_columns = np.array([(table.column_variable, label) in hidden for label in table.columns], dtype=bool)
    if min(table.counts.shape) >= 2:
        known = others if others >= 0 else None
        return suppress(table.counts, minimum=terms.min_cell_count, others=known, hidden_rows=of_rows, hidden_columns=of_columns)
    return _suppress_line(table, terms.min_cell_count, others, of_rows if table.counts.shape[1] == 1 else of_columns)


def _suppress_line(table: CellTable, minimum: int, others: int, hidden: NDArray[np.bool_]) -> Suppression:
    counts = table.counts.ravel()
    if 0 < others < minimum:  # all patients = cells + the others, and that sum is published
        held = suppress_line(np.append(counts, others), minimum=minimum, hidden=np.append(hidden, True))[:-1]
        no_total = True
    else:
        held = suppress_line(counts, minimum=minimum, hidden=hidden)
        no_total = 0 < int(counts.sum()) < minimum
    totals = np.array([no_total])
    if table.counts.shape[1] == 1:
        return Suppression(held[:, None], held, totals, no_total)
    return Suppression(held[None, :], totals, held, no_total)


def _hidden_labels(table: CellTable, held: Suppression) -> Iterable[tuple[str, str]]:
    for variable, labels, totals in (
        (table.row_variable, table.rows, held.row_totals),
        (table.column_variable, table.columns, held.column_totals),
    ):
        if variable:
            yield from ((variable, label) for label, hidden in zip(labels, totals) if hidden)


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
