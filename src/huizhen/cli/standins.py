"""`huizhen data card`, `huizhen data synthesise`: what a registry holds, told by its policy; and stand-ins made from a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import Language, say
from huizhen.data.registrycard import RegistryCard
from huizhen.embedded.standins import Wanted, read_card, write_standins
from huizhen.site.publishing import card_of_registry
from huizhen.translation import translate

__all__ = ["add_to", "card", "synthesise"]

SHOWN = 20  # codes in a terminal; all are in the JSON


def card(
    context: typer.Context,
    dir: Annotated[Path, typer.Option("--dir", help="The site's folder.")] = Path("huizhen-site"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what the registry holds, without a row, as the policy permits: kinds of events, codes, years, completeness."""
    found = card_of_registry(dir)
    if as_json:
        typer.echo(harmless(json.dumps(found.to_dict(), ensure_ascii=False, indent=2)))
        return
    for table in _tables(found, context.obj):
        Terminal().print(table)


def synthesise(
    context: typer.Context,
    card: Annotated[Path, typer.Argument(metavar="CARD", help="A card (JSON) of a table or of a registry.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    rows: Annotated[int | None, typer.Option(help="Rows or patients; as many as the card tells by default.")] = None,
    volumes: Annotated[int, typer.Option(min=0, max=10_000, help="CT volumes with nodules, as DICOM series.")] = 0,
    signals: Annotated[int, typer.Option(min=0, max=100_000, help="Signals like electrocardiograms.")] = 0,
    side: Annotated[int, typer.Option(min=16, max=1024, help="Rows and columns of a slice.")] = 128,
) -> None:
    """Make stand-ins from a card alone: the right shapes, types and ranges, and nobody's data."""
    for path in write_standins(read_card(card), out, Wanted(seed, rows, volumes, signals, side)):
        typer.echo(say("standin written", context.obj, path=path))


def add_to(app: typer.Typer) -> None:
    """The commands, below `huizhen data`."""
    app.command("card")(card)
    app.command("synthesise")(synthesise)


def _tables(found: RegistryCard, spoken: Language) -> list[Table]:
    about = translate(found.note, spoken) if found.note else f"{say('patients', spoken)}: {found.patients:,}"
    title = f"{say('card of', spoken, name=found.name)} ({about})"
    kinds = Table(title=Text(title, style="italic"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("kind", "patients", "events", "years", "with time", "with code", "with unit"):
        kinds.add_column(say(head, spoken), justify="left" if head == "kind" else "right")
    for one in found.kinds:
        years = "" if one.first is None or one.last is None else f"{one.first}-{one.last}"
        shares = ("" if share is None else f"{share:.0%}" for share in (one.timed, one.coded, one.with_unit))
        patients = say("withheld", spoken) if one.patients is None else f"{one.patients:,}"
        kinds.add_row(
            Text(say(f"kind {one.kind}", spoken)), patients, "" if one.events is None else f"{one.events:,}", years, *shares
        )
    codes = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("kind", "code", "patients", "unit"):
        codes.add_column(say(head, spoken), overflow="fold", justify="right" if head == "patients" else "left")
    for each in found.codes[:SHOWN]:
        words = f"{each.system} {each.code} {each.display}"
        codes.add_row(*(Text(text) for text in (say(f"kind {each.kind}", spoken), words, f"{each.patients:,}", each.unit)))
    return [kinds, codes] if found.codes else [kinds]
