"""`huizhen ledger verify` and `huizhen ledger show`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from huizhen.cli.words import say
from huizhen.errors import CallerError, LedgerError, Problem
from huizhen.ledger.chain import Head
from huizhen.ledger.keys import read_public_hex
from huizhen.ledger.store import read_file, verify_file
from huizhen.translation import translate

__all__ = ["add_to"]

LedgerPath = Annotated[Path, typer.Argument(help="A site's ledger, e.g. ledger/west-lake.sqlite.")]


def verify(
    context: typer.Context,
    path: LedgerPath,
    head: Annotated[
        str, typer.Option(metavar="ENTRIES:HASH", help="The head as you noted it: finds a ledger that was cut short.")
    ] = "",
    key: Annotated[
        str, typer.Option(help="The site's public key in hexadecimal; without it the file SITE.pub beside the ledger.")
    ] = "",
) -> None:
    """Check every entry's hash, link and signature; name the first bad entry."""
    _there(path)
    verdict = verify_file(path, [read_public_hex(key or _key_beside(path))], head=_head(head) if head else None)
    if not verdict.sound:
        raise LedgerError(say("ledger bad", context.obj, path=path, reason=translate(verdict.reason, context.obj)))
    typer.echo(say("ledger ok", context.obj, path=path, entries=verdict.head.entries, head=verdict.head.hash))


def show(path: LedgerPath) -> None:
    """Print the entries, one JSON object a line."""
    _there(path)
    for entry in read_file(path):
        typer.echo(
            json.dumps({"sequence": entry.sequence, "time": entry.time, "kind": entry.kind, **entry.payload}, ensure_ascii=False)
        )


def _there(path: Path) -> None:
    if not path.is_file():
        problem = Problem(str(path), "no such file", "a site's ledger, e.g. huizhen-out/STUDY/ledger/SITE.sqlite")
        raise CallerError("There is no ledger.", [problem])


def _key_beside(path: Path) -> str:
    beside = path.with_suffix(".pub")
    try:
        return beside.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        problem = Problem(str(beside), "no readable file", "the site's public key in hexadecimal", "Give it with --key")
        raise CallerError("There is no key to verify the ledger with.", [problem]) from None


def _head(text: str) -> Head:
    entries, separator, digest = text.partition(":")
    if not separator or not entries.isdigit() or len(digest) != 64:
        raise CallerError("The head cannot be read.", [Problem("--head", text, "ENTRIES:HASH, as the report prints it")])
    return Head(int(entries), digest)


def add_to(group: typer.Typer) -> None:
    """Adds these commands to a group."""
    for name, command in COMMANDS.items():
        group.command(name)(command)


COMMANDS: dict[str, Callable[..., None]] = {"verify": verify, "show": show}
