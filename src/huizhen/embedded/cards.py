"""The card of a table on this machine, and how it is shown in a terminal."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from huizhen.data.card import Card, VariableCard, describe
from huizhen.data.records import open_source
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.translation import translate

__all__ = ["card_of", "card_table"]


def card_of(path: Path, policy: DisclosurePolicy) -> Card:
    """What may be known of a table.

    Raises:
        DataError: the table cannot be read.
    """
    return describe(
        open_source(path),
        name=path.name,
        min_cell_count=policy.min_cell_count,
        min_rows=policy.min_rows,
        round_to=policy.round_to,
    )


def card_table(card: Card, title: str, language: str = "en") -> Table:
    """The card for a reader, one row a variable."""
    caption = translate(card.note or f"{card.rows} rows", language)
    table = Table(title=Text(title, style="italic"), title_justify="left", caption=caption, box=box.SIMPLE_HEAD, pad_edge=False)
    rows = []
    for variable in card.variables:
        missing = "" if variable.missing is None else f"{variable.missing}"
        kind, note = translate(variable.kind, language), translate(variable.note, language)
        rows.append((variable.name, kind, variable.unit, missing, _values(variable, language), note))
    heads = ("variable", "kind", "unit", "missing", "values", "note")
    said = [i for i, head in enumerate(heads) if head not in ("unit", "note") or any(row[i] for row in rows)]
    for i in said:
        table.add_column(translate(heads[i], language), overflow="fold", justify="right" if heads[i] == "missing" else "left")
    for row in rows:
        # Names and labels are the table's own: shown as they stand, never read as markup.
        table.add_row(*(Text(row[i]) for i in said))
    return table


def _values(variable: VariableCard, language: str) -> str:
    if variable.levels:
        named = [f"{level} ({count})" for level, count in variable.levels.items()]
        return ", ".join([*named, translate(f"{variable.rarer_levels} rarer levels", language)] if variable.rarer_levels else named)
    if variable.shape:
        return f"{' x '.join(map(str, variable.shape))} ({variable.stored})"
    parts = []
    if variable.mean is not None:
        parts.append(f"mean {variable.mean:g}, sd {variable.sd:g}" if variable.sd is not None else f"mean {variable.mean:g}")
    if variable.low is not None and variable.high is not None:
        parts.append(f"mostly {variable.low:g} to {variable.high:g}")
    return translate("; ".join(parts), language)
