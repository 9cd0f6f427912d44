"""Columns of mapped rows that grow part by part: numbers, labels as codes, places of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Numbers, Tabular
from huizhen.data.labels import as_categories
from huizhen.data.mapping.compiling import quoted

__all__ = ["Growing", "Part", "fetched"]

Kinds = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """Columns of some rows.

    Attributes:
        values: of numbers float64 (row,), NaN where missing; of labels int32 codes into `texts`, -1 where missing.
        places: of images, where each row's is, or None.
    """

    rows: int
    values: Mapping[str, NDArray[Any]]
    texts: Mapping[str, Sequence[str]]
    places: Mapping[str, Sequence[str | None]]


def fetched(made: Any, kinds: Kinds) -> Part:
    """The rows in the table ``made``, in their order."""
    texts: dict[str, list[str]] = {}
    columns, joined = ["m.row as row"], []
    for at, (name, kind) in enumerate(kinds.items()):
        column = f"m.{quoted(name)}"
        if kind == "number":
            columns.append(f"coalesce({column}, 'nan'::double) as c{at}")
        elif kind == "category":
            distinct = f"select distinct cast({quoted(name)} as varchar) as t from made where {quoted(name)} is not null"
            made.execute(
                f"create or replace temp table l{at} as select t, row_number() over (order by t) - 1 as code from ({distinct})"
            )
            texts[name] = [text for (text,) in made.execute(f"select t from l{at} order by code").fetchall()]
            joined.append(f"left join l{at} on l{at}.t = cast({column} as varchar)")
            columns.append(f"coalesce(l{at}.code, -1)::integer as c{at}")
        else:
            columns.append(f"{column} as c{at}")
    found = made.execute(f"select {', '.join(columns)} from made m {' '.join(joined)} order by row").fetchnumpy()
    values: dict[str, NDArray[Any]] = {}
    places = {}
    for at, (name, kind) in enumerate(kinds.items()):
        column = found[f"c{at}"]
        if kind == "image":
            places[name] = [text or None for text in np.ma.filled(column, "").tolist()]
        else:
            values[name] = np.asarray(column, np.float64 if kind == "number" else np.int32)
    return Part(len(found["row"]), values, texts, places)


@dataclass(slots=True)
class Growing:
    """Columns of all rows so far."""

    kinds: Kinds
    rows: int = 0
    places: dict[str, list[str | None]] = field(default_factory=dict)
    _values: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    _texts: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """The rows of the next patients."""
        self.rows += part.rows
        for name, places in part.places.items():
            self.places.setdefault(name, []).extend(places)
        for name, values in part.values.items():
            if name in part.texts:
                known = self._texts.setdefault(name, {})
                recode = [known.setdefault(text, len(known)) for text in part.texts[name]]
                values = np.array([*recode, -1], np.int32)[values]
            self._values.setdefault(name, []).append(values)

    def column(self, name: str, levels: Sequence[str]) -> tuple[Tabular, int]:
        """A column, whose parts are given up; and how many rows have a label outside the declared levels."""
        parts = self._values.pop(name)
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.kinds[name] == "number":
            return Numbers(values), 0
        return as_categories(values, list(self._texts[name]), levels)
