"""What a site tells others about a table: its variables, how complete they are and roughly what they hold, never a row.

    card = describe(source, name="lung", min_cell_count=5, min_rows=10)

What is not known to be safe is left out. No number of patients between 1 and the minimum cell count is told, nor can it be had
by subtraction; means and ranges are so coarse that one patient does not show in them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, Protocol

from huizhen.data.declared import Declared
from huizhen.data.examples import SITE, Categories, Examples, Images
from huizhen.data.profile import Rule, cells, is_identifier, is_scale, is_text, spread, years, years_of_labels, years_of_numbers

__all__ = ["Card", "VariableCard", "describe"]

AT_ONCE = 16  # columns of a source in memory at once
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class VariableCard:
    """What is told about one variable; None where it is withheld or does not apply.

    Attributes:
        kind: ``number``, ``category``, ``date``, ``identifier`` (a value of its own for nearly every row), ``text`` (free text) or
            ``image``.
        unit: as declared, or "".
        missing: rows without a value, rounded.
        missing_share: the same as a share of the rows, 0 to 1, three decimals.
        levels: rows by level, rounded, commonest first.
        rarer_levels: how many levels are not named.
        mean, sd: rounded so that the minimum cell count of patients does not show.
        low, high: about nine in ten values lie between; neither is the value of any patient. For a date: years.
        note: why something is withheld, in plain words; of images what of them was looked at.
        shape: of the images, (channel, *space); () for the others.
        stored: how their pixels are kept, ``uint8``, ``int16`` or ``float32``; "" for the others. Nothing else is told of them.
    """

    name: str
    kind: Literal["number", "category", "date", "identifier", "text", "image"]
    unit: str = ""
    missing: int | None = None
    missing_share: float | None = None
    levels: Mapping[str, int] = field(default_factory=lambda: NONE)
    rarer_levels: int = 0
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    shape: tuple[int, ...] = ()
    stored: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What a site tells about a table.

    Attributes:
        rows: rounded as the policy says; None where the table is too small to be described.
        note: why nothing is told, or "".
    """

    name: str
    rows: int | None
    variables: tuple[VariableCard, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The card as canonical values: strings, numbers, None, lists and mappings."""
        variables = [{key: getattr(card, key) for key in VariableCard.__slots__} for card in self.variables]
        for variable in variables:
            variable["levels"], variable["shape"] = dict(variable["levels"]), list(variable["shape"])
        return {"name": self.name, "rows": self.rows, "variables": variables, "note": self.note}


class ReadableColumn(Protocol):
    """A column of a source, as `huizhen.data.records.ColumnFacts`."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Literal["number", "category", "image"]: ...

    @property
    def filled(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def stored(self) -> str: ...


class Readable(Protocol):
    """A source, as `huizhen.data.records.Source`."""

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> Sequence[ReadableColumn]: ...

    def read(self, variables: Mapping[str, Declared], *, site: str) -> Examples: ...

    def examined(self, name: str) -> str:
        """What of a column of images was looked at, in words, once all that was looked at is sound."""


@dataclass(frozen=True, slots=True)
class _Guess:
    """A variable that nobody declared."""

    kind: Literal["number", "category", "image"]
    levels: tuple[str, ...] = ()
    unit: str = ""
    range: tuple[float, float] | None = None
    shape: tuple[int, ...] = ()


def describe(
    table: Readable | Examples,
    *,
    name: str,
    min_cell_count: int = 5,
    min_rows: int = 10,
    round_to: int = 1,
    variables: Mapping[str, Declared] = NONE,
) -> Card:
    """The card of a table.

    Args:
        table: a source (read a few columns at a time) or examples.
        name: what the table is called for others.
        min_cell_count: no number of patients from 1 to this minus 1 is told or can be derived.
        min_rows: a table or a variable with fewer rows is not described.
        round_to: numbers of patients are rounded to a multiple of this.
        variables: declared kinds and units, where there are any.

    Raises:
        DataError: the source cannot be read, or an image whose header was looked at is damaged or unlike the others.
    """
    rule = Rule(max(min_cell_count, 1), max(min_rows, min_cell_count, 1), max(round_to, 1))
    if table.rows < rule.min_rows:
        return Card(name, None, note=f"fewer than {rule.min_rows} rows: nothing is told")
    images = {card.name: card for card in _images(table)}
    columns = _columns(table, variables, images)
    cards = [images.get(column) or _describe(part, column, rule, variables.get(column)) for part, column in columns]
    return Card(name, rule.rounded(table.rows), tuple(cards))


def _images(table: Readable | Examples) -> Iterator[VariableCard]:
    """Columns of images by their headers: no pixel is read, and none is told."""
    if isinstance(table, Examples):
        for name, column in table.columns.items():
            if isinstance(column, Images):
                shape, stored = column.values.shape[1:], str(column.values.dtype)
                yield VariableCard(name, "image", missing=0, missing_share=0.0, shape=shape, stored=stored)
        return
    for facts in table.columns:
        if facts.kind == "image":
            note = table.examined(facts.name)
            yield VariableCard(facts.name, "image", missing=0, missing_share=0.0, shape=facts.shape, stored=facts.stored, note=note)


def _columns(
    table: Readable | Examples, variables: Mapping[str, Declared], images: Container[str]
) -> Iterator[tuple[Examples | None, str]]:
    if isinstance(table, Examples):
        yield from ((table, column) for column in table.columns if column != SITE)
        return
    columns = [column for column in table.columns if column.name != SITE]
    for start in range(0, len(columns), AT_ONCE):
        group = columns[start : start + AT_ONCE]
        wanted = {
            column.name: variables.get(column.name) or _Guess(column.kind)
            for column in group
            if column.filled and column.name not in images
        }
        part = table.read(wanted, site="") if wanted else None
        yield from ((part if column.filled else None, column.name) for column in group)


def _describe(part: Examples | None, name: str, rule: Rule, declared: Declared | None) -> VariableCard:
    unit = declared.unit if declared else ""
    if part is None or part.columns[name].missing().all():
        return VariableCard(
            name, declared.kind if declared and declared.kind != "image" else "category", unit, note="no value in any row"
        )
    column = part.tabular(name)
    counted = cells(column, rule)
    card = VariableCard(name, "number", unit, counted.missing, counted.missing_share, note=counted.note)
    if part.rows - int(column.missing().sum()) < rule.min_rows:
        few = f"fewer than {rule.min_rows} values: nothing more is told"
        return VariableCard(name, "category" if isinstance(column, Categories) else "number", unit, note=few)
    dates = years_of_labels(column) if isinstance(column, Categories) else years_of_numbers(column.values)
    if dates is not None:
        low, high = years(dates, rule)
        return replace(card, kind="date", low=low, high=high)
    if is_identifier(column):
        return replace(card, kind="identifier", note="a value of its own for nearly every row: none is told")
    if isinstance(column, Categories):
        if is_text(column):
            return replace(card, kind="text", note="free text: nothing of it is told")
        return replace(card, kind="category", levels=counted.levels, rarer_levels=counted.rarer)
    if is_scale(column):  # mean and levels together would give a level back that is withheld
        levels = cells(part.category(name), rule)
        return replace(
            card, missing=levels.missing, missing_share=levels.missing_share, levels=levels.levels, rarer_levels=levels.rarer
        )
    found = spread(column.values, rule)
    note = "; ".join(part for part in (counted.note, found.note) if part)
    return replace(card, mean=found.mean, sd=found.sd, low=found.low, high=found.high, note=note)
