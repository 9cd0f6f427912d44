"""`huizhen ledger verify` and `huizhen ledger show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from huizhen.cli.words import say
from huizhen.errors import LedgerError
from huizhen.ledger.store import read_ledger, verify_ledger

__all__ = ["app"]

app = typer.Typer(help="Verify and read a site's ledger.", no_args_is_help=True, rich_markup_mode=None)
Path_ = Annotated[Path, typer.Argument(help="A site's ledger, e.g. ledger/west-lake.sqlite.")]


@app.command("verify")
def verify(
    context: typer.Context,
    path: Path_,
    head: Annotated[str, typer.Option(help="The newest hash as you noted it; finds a ledger that was cut short.")] = "",
    key: Annotated[str, typer.Option(help="The site's public key in hexadecimal; without it the ledger's own key is used.")] = "",
) -> None:
    """Check every entry's hash, link and signature; name the first bad entry."""
    verdict = verify_ledger(path, head=head or None, key=key or None)
    if not verdict.valid:
        raise LedgerError(say("ledger bad", context.obj, path=path, reason=verdict.reason))
    typer.echo(say("ledger ok", context.obj, path=path, entries=verdict.entries, head=verdict.head))


@app.command("show")
def show(path: Path_) -> None:
    """Print the entries, one JSON object a line."""
    for entry in read_ledger(path):
        typer.echo(
            json.dumps({"sequence": entry.sequence, "time": entry.time, "kind": entry.kind, **entry.payload}, ensure_ascii=False)
        )
