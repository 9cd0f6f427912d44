"""`huizhen site new`, `check`, `inbox`, `show`, `accept`, `decline`, `withdraw`: what a person does at a site.

They work on the site's folder, also while its agent runs in another process; the agent delivers what is decided here.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import colon, say
from huizhen.clock import WallClock
from huizhen.errors import SiteError
from huizhen.federation.suggestion import Here, suggestion
from huizhen.ledger.keys import load_key, public_hex
from huizhen.site.check import check_site
from huizhen.site.db import Kept, SiteStore
from huizhen.site.inbox import Inbox
from huizhen.site.looking import Looking
from huizhen.site.running import starting_of
from huizhen.site.settings import read_settings, write_template
from huizhen.translation import translate

__all__ = ["CONFIGURATION", "IDENTITY", "STORE", "accept", "add_to", "check", "decline", "inbox", "new", "show", "withdraw"]

CONFIGURATION, STORE, IDENTITY = "site.toml", "site.sqlite", "identity/identity.pem"  # in a site's folder
HEADS = ("suggestion", "title", "initiator", "here", "hub", "expires")  # keys of `WORDS`

Dir = Annotated[Path, typer.Option("--dir", help="The site's folder.")]
Name = Annotated[str, typer.Argument(metavar="SUGGESTION", help="Its id, or the first 8 digits of its digest.")]
Why = Annotated[str, typer.Option("--why", help="The reason, which the hub and the researcher read.")]


def new(context: typer.Context, dir: Dir = Path("huizhen-site")) -> None:
    """Write a commented configuration into the folder. A file that is there is not overwritten."""
    path = dir / CONFIGURATION
    write_template(path)
    typer.echo(say("site written", context.obj, path=path))


def check(context: typer.Context, dir: Dir = Path("huizhen-site")) -> None:
    """Say what is wrong before the agent starts: configuration, keys, sources, methods; all at once."""
    problems = check_site(dir / CONFIGURATION, [dir / IDENTITY])
    if problems:
        raise SiteError("The site is not ready.", problems)
    typer.echo(say("site ok", context.obj, path=dir))


def inbox(
    context: typer.Context,
    dir: Dir = Path("huizhen-site"),
    every: Annotated[bool, typer.Option("--all", help="Also those that are decided or over.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the suggestions that wait for a decision."""
    with _inbox(dir) as mine:
        mine.expire()
        entries = [one for one in mine.entries() if every or one.standing == "open"]
    if as_json:
        typer.echo(json.dumps([_fact(one) for one in entries], ensure_ascii=False, indent=2))
    elif not entries:
        typer.echo(say("inbox empty", context.obj))
    else:
        table = Table(*(say(head, context.obj) for head in HEADS), box=None, pad_edge=False)
        table.columns[0].no_wrap, table.columns[0].overflow = True, "ignore"  # what is typed next is shown whole
        table.columns[-1].no_wrap, table.columns[-1].overflow = True, "ignore"
        for one in entries:
            facts = _fact(one)
            cells = (
                one.study,
                facts["title"],
                facts["initiator"],
                *(translate(text, context.obj) for text in (one.standing, one.state)),
            )
            table.add_row(*cells, one.expires[:16].replace("T", " "))
        Terminal().print(table)


def show(context: typer.Context, name: Name, dir: Dir = Path("huizhen-site")) -> None:
    """Show in plain words what a suggestion asks, what leaves, how it is protected, and what it costs here."""
    with _inbox(dir) as mine:
        kept = mine.find(name)
        for note in kept.notes:
            typer.echo(harmless(f"! {translate(note, context.obj)}"))
        proposal = mine.proposal(kept)
        passages = suggestion(proposal, mine.site, Here(mine.settings.policy))
    typer.echo(f"{say('digest', context.obj)}{colon(context.obj)}{kept.digest}")
    typer.echo(f"{say('here', context.obj)}{colon(context.obj)}{translate(kept.standing, context.obj)}")
    for passage in passages:
        typer.echo(f"\n{translate(passage.heading, context.obj)}")
        for line in passage.lines:
            typer.echo(harmless(f"  {translate(line, context.obj)}"))


def accept(
    context: typer.Context,
    name: Name,
    dir: Dir = Path("huizhen-site"),
    source: Annotated[str, typer.Option("--source", help="Which source answers it, by its alias; else the configured one.")] = "",
) -> None:
    """Accept a suggestion: exactly what `show` says, under the digest that it shows."""
    with _inbox(dir) as mine:
        consent = mine.accept(name, decider=_person(), source=source)
    typer.echo(say("accepted", context.obj, study=consent.study, digest=consent.proposal))


def decline(context: typer.Context, name: Name, dir: Dir = Path("huizhen-site"), why: Why = "") -> None:
    """Decline a suggestion."""
    with _inbox(dir) as mine:
        consent = mine.decline(name, decider=_person(), why=why)
    typer.echo(say("declined", context.obj, study=consent.study))


def withdraw(context: typer.Context, name: Name, dir: Dir = Path("huizhen-site"), why: Why = "") -> None:
    """Take an acceptance back, at any time: from now on the site answers nothing in this study."""
    with _inbox(dir) as mine:
        consent = mine.withdraw(name, decider=_person(), why=why)
    typer.echo(say("withdrawn", context.obj, study=consent.study))


def add_to(group: typer.Typer) -> None:
    """Adds these commands to a group, e.g. the one that joins a hub and runs the agent."""
    for command in (new, check, inbox, show, accept, decline, withdraw):
        group.command(command.__name__)(command)


@contextmanager
def _inbox(dir: Path) -> Iterator[Inbox]:
    """The inbox in a folder."""
    settings = read_settings(dir / CONFIGURATION)
    key = load_key(dir / IDENTITY)
    with SiteStore.existing(dir / STORE) as store, closing(starting_of(settings, dir)) as starting:
        reader = Looking(settings, starting)
        yield Inbox(settings.site.name, settings, store, key, public_hex(key.public), WallClock(), reader.count, reader.read)


def _fact(one: Kept) -> dict[str, str]:
    """What a list says of a suggestion; of one that cannot be read, what little it says."""
    facts = {"study": one.study, "digest": one.digest, "standing": one.standing, "state": one.state, "expires": one.expires}
    try:
        about, initiator = str(one.content["study"]["study"]["title"]), str(one.content["initiator"]["name"])
    except (KeyError, TypeError):
        about, initiator = "?", "?"
    return {**facts, "title": about, "initiator": initiator}


def _person() -> str:
    """Who decides, as this machine knows them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
