"""What a study finds out: results as plain tables, with what a disclosure policy needs to judge their publication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.release import EMPTY

__all__ = ["CellTable", "Result", "Table", "Withheld", "listed"]


@dataclass(frozen=True, slots=True)
class Table:
    """A rectangular table for a reader.

    Attributes:
        columns: values by column name, all of one length; None where withheld or not estimable.
        index: name of the column that labels the rows, or "" for none.
        caption: what the table shows, one sentence.
        counts: columns that hold numbers of patients.
        support: column that holds the number of patients behind each row; rows with fewer than the policy's minimum are withheld.
        reveals: columns from which a withheld count of the same row could be computed (a standard error beside its standard
            deviation); withheld with it.
    """

    columns: Mapping[str, tuple[Any, ...]]
    index: str = ""
    caption: str = ""
    counts: tuple[str, ...] = ()
    support: str = ""
    reveals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellTable:
    """Numbers of patients, cross-classified; margins are sums of the cells and are published with them.

    Attributes:
        row_variable, column_variable: what is crossed ("" for a one-way table's single column).
        rows, columns: labels; a label that few patients bear and that nobody declared is replaced by publication.
        counts: (row, column) int64; -1 where withheld.
        reveals: names of facts and tables of the same result that would give a cell away; withheld when a cell is suppressed.
        caption: what the table shows.
        row_totals, column_totals, total: as published, -1 where withheld; None before publication, when they are the sums.
    """

    row_variable: str
    column_variable: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: NDArray[np.int64]
    reveals: tuple[str, ...] = ()
    caption: str = ""
    row_totals: NDArray[np.int64] | None = None
    column_totals: NDArray[np.int64] | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """Something that is not published, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one analysis found.

    Attributes:
        method: e.g. ``cox``.
        rows: rows behind it, over all participants.
        roster: the participants.
        facts: single numbers and words by name (``loglik``, ``df``, ``p_value``...); snake_case, documented by the method.
        tables: tables by name; a model's coefficients stand in ``coefficients``.
        cells: tables of counts by name.
        arrays: arrays by name (``covariance``, ...), float64.
        model: what a learned model consists of, canonical values; for a program, not for a reader.
        notes: what a careful reader must know, in plain words.
        failure: "" or why there is no answer, in plain words; then facts, tables and arrays hold no estimate.
        withheld: what the policies keep back; filled by publication.
    """

    method: str
    rows: int = 0
    roster: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    tables: Mapping[str, Table] = field(default_factory=lambda: EMPTY)
    cells: Mapping[str, CellTable] = field(default_factory=lambda: EMPTY)
    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=lambda: EMPTY)
    model: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    notes: tuple[str, ...] = ()
    failure: str = ""
    withheld: tuple[Withheld, ...] = ()


def listed(values: NDArray[Any]) -> tuple[Any, ...]:
    """A table's column: plain numbers, None where not finite."""
    return tuple(value if np.isfinite(value) else None for value in values.ravel().tolist())
