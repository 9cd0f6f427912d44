"""`huizhen site publish`, `unpublish`, `huizhen data search`, `show`: what sites tell of their data, and who finds it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import Language, colon, say
from huizhen.clock import WallClock
from huizhen.federation.cards import Content, SignedCard
from huizhen.federation.cardsearch import Reason, read_wish
from huizhen.ledger.keys import key_id, read_public_hex
from huizhen.site import publishing, searching
from huizhen.site.searching import Found, KnownSites
from huizhen.translation import translate

__all__ = ["add_to_data", "add_to_site", "publish", "publish_after_sync", "search", "show", "unpublish"]

SITE, RESEARCHER = Path("huizhen-site"), Path("huizhen-researcher")
SHOWN = 20  # codes and variables in a terminal; all are in the JSON

Dir = Annotated[Path, typer.Option("--dir", help="The site's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Identity = Annotated[
    Path | None,
    typer.Option("--dir", help="The folder of your identity, a site's or a researcher's; by default the one that is here."),
]
Cards = Annotated[Path | None, typer.Option("--cards", help="Look in a folder of card files, and ask no hub.")]


def publish(
    context: typer.Context,
    dir: Dir = SITE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would leave; nothing does.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the signed card to this file too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Publish what this site's data hold, as its policy permits, for other sites and researchers to find. The agent sends it."""
    if dry_run:
        content = publishing.drafted(dir)
        _print_content(content, context.obj, as_json=as_json)
        return
    published = publishing.publish(dir, WallClock())
    if out is not None:
        searching.write_card(published.signed, out)
    if as_json:
        typer.echo(_json(_fact(published.signed)))
        return
    _tell(published, context.obj)


def unpublish(context: typer.Context, dir: Dir = SITE) -> None:
    """Take back what this site has published; from then on nobody finds it. Who has read it has read it."""
    signed = publishing.unpublish(dir, WallClock())
    typer.echo(say("unpublished", context.obj, number=signed.number))


def search(
    context: typer.Context,
    text: Annotated[
        str, typer.Argument(help="Words, and codes as SYSTEM:CODE with a kind before them: 'diagnosis ICD10:C34'.")
    ] = "",
    variable: Annotated[list[str], typer.Option("--variable", help="A variable by name or code. May be repeated.")] = [],  # noqa: B006
    modality: Annotated[list[str], typer.Option("--modality", help="CT, MR, ECG, report ... May be repeated.")] = [],  # noqa: B006
    min_patients: Annotated[int, typer.Option(min=0, help="At least so many patients.")] = 0,
    dir: Identity = None,
    cards: Cards = None,
    as_json: AsJson = False,
) -> None:
    """Find sites by what they have published of their data. Every card is checked against its site's signature."""
    wish = read_wish(text, variables=variable, modalities=modality, min_patients=min_patients)
    found = searching.search_hub(_identity(dir), wish) if cards is None else searching.cards_in(cards, wish, _known(dir))
    if as_json:
        cards_found = [{**_fact(signed), "match": asdict(match)} for signed, match in found.cards]
        typer.echo(_json({"cards": cards_found, "left_out": [asdict(one) for one in found.left_out], "more": found.more}))
        return
    _print_found(found, context.obj)


def show(
    context: typer.Context,
    site: Annotated[str, typer.Argument(metavar="SITE", help="The site's name.")],
    dir: Identity = None,
    cards: Cards = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Believe the key that the site has now, whatever was seen before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what one site has published of its data."""
    if cards is None:
        signed = searching.card_at_hub(_identity(dir), site, anew=new_key)
    else:
        signed = searching.card_in_file(cards, site, _known(dir))
    if as_json:
        typer.echo(_json(_fact(signed)))
        return
    key = key_id(read_public_hex(signed.key))
    typer.echo(say("card signed", context.obj, name=signed.site, number=signed.number, at=signed.at[:10], by=key))
    if signed.card is not None:
        _print_content(signed.card, context.obj, as_json=False)


def publish_after_sync(dir: Path, spoken: Language, *, quietly: bool) -> None:
    """Publishes anew, and says so unless a program reads."""
    published = publishing.publish(dir, WallClock())
    if not quietly:
        _tell(published, spoken)


def add_to_site(group: typer.Typer) -> None:
    """Adds what a site does with its own card."""
    group.command("publish")(publish)
    group.command("unpublish")(unpublish)


def add_to_data(group: typer.Typer) -> None:
    """Adds what anybody does with the cards of others."""
    group.command("search")(search)
    group.command("show")(show)


def _identity(dir: Path | None) -> Path:
    if dir is not None:
        return dir
    return RESEARCHER if RESEARCHER.is_dir() and not SITE.is_dir() else SITE


def _known(dir: Path | None) -> KnownSites:
    return KnownSites(None) if dir is None else searching.known_of(dir)


def _tell(published: publishing.Published, spoken: Language) -> None:
    signed = published.signed
    typer.echo(say("published" if published.is_new else "card stands", spoken, number=signed.number))
    typer.echo(f"{say('key', spoken)}{colon(spoken)}{key_id(read_public_hex(signed.key))}")


def _fact(signed: SignedCard) -> dict[str, Any]:
    return {**signed.content, "signature": signed.signature.hex()}


def _json(content: Any) -> str:
    return harmless(json.dumps(content, ensure_ascii=False, indent=2))


# --- tables -----------------------------------------------------------------------------------------------------------------------


def _print_found(found: Found, spoken: Language) -> None:
    if found.cards:
        table = _table(spoken, "site", "patients", "years", "modalities", "why it matched")
        for signed, match in found.cards:
            card = signed.card or Content()
            modalities = ", ".join(one.name for one in card.modalities)
            why = "\n".join(_why(reason, spoken) for reason in match.reasons)
            table.add_row(*(Text(text) for text in (signed.site, _count(card.patients, spoken), _years(card), modalities, why)))
        Terminal().print(table)
    else:
        typer.echo(say("no card fits", spoken, count=found.looked_at))
    if found.more:
        typer.echo(say("more cards", spoken, count=found.more))
    for one in found.left_out:
        typer.echo(harmless(say("card left out", spoken, why=translate(str(one), spoken))), err=True)


def _why(reason: Reason, spoken: Language) -> str:
    if reason.kind == "patients":
        return f"{say('patients', spoken)}{colon(spoken)}{_span(reason, spoken)}"
    kind = say(WORD_OF.get(reason.kind, f"kind {reason.kind}"), spoken)
    text = f"{kind} {reason.found}"
    if reason.complete is not None:
        return f"{text}{colon(spoken)}{reason.complete} {say('with a value', spoken)}"
    return text if reason.kind in ("variable", "about", "source") else f"{text}{colon(spoken)}{_span(reason, spoken)}"


WORD_OF = {"variable": "variable", "modality": "modality", "about": "about", "source": "source"}


def _span(reason: Reason, spoken: Language) -> str:
    if reason.least != reason.most:
        return f"{_count(reason.least, spoken)} - {_count(reason.most, spoken)}"
    return _count(reason.least, spoken)


def _count(count: int | None, spoken: Language) -> str:
    return say("withheld", spoken) if count is None else f"{count:,}"


def _years(card: Any) -> str:
    return "" if card.first is None or card.last is None else f"{card.first}-{card.last}"


def _print_content(card: Content, spoken: Language, *, as_json: bool) -> None:
    if as_json:
        typer.echo(_json(card.model_dump()))
        return
    if card.about:
        typer.echo(harmless(card.about))
    typer.echo(f"{say('patients', spoken)}{colon(spoken)}{_count(card.patients, spoken)}  {_years(card)}")
    for score, band in card.quality.items():
        typer.echo(f"{say(score, spoken)}{colon(spoken)}{band}")
    for table in (_kinds(card, spoken), _codes(card, spoken), _modalities(card, spoken), _variables(card, spoken)):
        if table.rows:
            Terminal().print(table)


def _kinds(card: Content, spoken: Language) -> Table:
    table = _table(spoken, "kind", "patients", "years", "with time", "with code", "with unit")
    for one in card.kinds:
        shares = (one.timed or "", one.coded or "", one.with_unit or "")
        table.add_row(say(f"kind {one.kind}", spoken), _count(one.patients, spoken), _years(one), *shares)
    return table


def _codes(card: Content, spoken: Language) -> Table:
    table = _table(spoken, "kind", "code", "patients", "unit")
    for one in card.codes[:SHOWN]:
        words = f"{one.system} {one.code} {one.display}"
        table.add_row(say(f"kind {one.kind}", spoken), Text(words), _count(one.patients, spoken), Text(one.unit))
    return table


def _modalities(card: Content, spoken: Language) -> Table:
    table = _table(spoken, "modality", "patients")
    for one in card.modalities:
        table.add_row(Text(one.name), _count(one.patients, spoken))
    return table


def _variables(card: Content, spoken: Language) -> Table:
    table = _table(spoken, "source", "variable", "kind", "unit", "code", "with a value")
    for source in card.sources:
        for one in source.variables[:SHOWN]:
            row = (source.alias, one.name, translate(one.type, spoken), one.unit, one.code, one.complete or "")
            table.add_row(*map(Text, row))
    return table


def _table(spoken: Language, *heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(say(head, spoken), overflow="fold", justify="right" if head == "patients" else "left")
    return table
