"""`huizhen hub studies`, `show`, `queue`: how studies stand at a hub; its folder is only read, also while the hub runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import colon, say
from huizhen.clock import WallClock, written
from huizhen.errors import CallerError, Problem
from huizhen.federation.life import Life, ready
from huizhen.hub.db import Drafted, HubStore
from huizhen.hub.lives import life_in
from huizhen.translation import translate

__all__ = ["STORE", "add_to", "queue", "show", "studies"]

STORE = "hub.sqlite"  # in a hub's folder
HEADS = ("study", "title", "initiator", "priority", "state")  # keys of `WORDS`

Dir = Annotated[Path, typer.Option("--dir", help="The hub's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def studies(context: typer.Context, dir: Dir = Path("huizhen-hub"), as_json: AsJson = False) -> None:
    """List all studies, in the order of submission."""
    with _store(dir) as store:
        found = [(one, life_in(store, one.id)) for one in store.studies()]
    _print(context, found, as_json=as_json)


def queue(context: typer.Context, dir: Dir = Path("huizhen-hub"), as_json: AsJson = False) -> None:
    """List the studies that may start now: the highest priority first, then the one that was submitted first."""
    now = WallClock().now()
    with _store(dir) as store:
        lives = [(one, life_in(store, one.id)) for one in store.studies()]
    waiting = sorted(((one, life) for one, life in lives if ready(life, now)), key=lambda pair: (-pair[0].priority, pair[0].place))
    _print(context, waiting, as_json=as_json)


def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="STUDY", help="Its id.")],
    dir: Dir = Path("huizhen-hub"),
    as_json: AsJson = False,
) -> None:
    """Show how one study stands: who was asked, who has accepted, why it ended."""
    with _store(dir) as store:
        drafted = store.drafted(name)
        if drafted is None:
            raise CallerError("There is no such study.", [Problem("study", name[:80], "the id of a study at this hub")])
        life, events = life_in(store, name), store.events(name)
    facts = {**_fact(drafted, life), **_standing(life), "events": [dict(event) for event in events]}
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    for key, word in SHOWN.items():
        if facts[key] != "":
            typer.echo(harmless(f"{say(word, context.obj)}{colon(context.obj)}{translate(str(facts[key]), context.obj)}"))
    for site, stance in life.stances.items():
        lost = f" ({say('lost in mid-run', context.obj)})" if site in life.lost else ""
        typer.echo(f"  {site}{colon(context.obj)}{translate(stance, context.obj)}{lost}")
    for event in events:
        typer.echo(
            harmless(f"  {event['at'][:19]}  {translate(event['kind'], context.obj)}  {event['by']}  {event['reason']}".rstrip())
        )


SHOWN = {
    "id": "study",
    "title": "title",
    "question": "question",
    "initiator": "initiator",
    "priority": "priority",
    "state": "state",
    "reason": "reason",
    "proposal": "proposal",
    "expires": "expires",
    "run": "run",
    "result": "result",
}


def add_to(group: typer.Typer) -> None:
    """Adds these commands to a group, e.g. the one that makes and runs a hub."""
    for command in (studies, show, queue):
        group.command(command.__name__)(command)


@contextmanager
def _store(dir: Path) -> Iterator[HubStore]:
    with HubStore.read(dir / STORE) as store:
        yield store


def _print(context: typer.Context, found: list[tuple[Drafted, Life]], *, as_json: bool) -> None:
    facts = [_fact(one, life) for one, life in found]
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    elif not facts:
        typer.echo(say("no studies", context.obj))
    else:
        table = Table(*(say(head, context.obj) for head in HEADS), box=None, pad_edge=False)
        table.columns[0].no_wrap, table.columns[0].overflow = True, "ignore"  # what is typed next is shown whole
        for one in facts:
            table.add_row(one["id"], one["title"], one["initiator"], str(one["priority"]), translate(one["state"], context.obj))
        Terminal().print(table)


def _fact(one: Drafted, life: Life) -> dict[str, Any]:
    about = one.content["study"]["study"]
    facts = {"id": one.id, "title": about["title"], "question": about["question"], "initiator": one.initiator}
    return {**facts, "priority": one.priority, "state": life.state, "reason": life.reason}


def _standing(life: Life) -> dict[str, Any]:
    expires = "" if life.expires is None else written(life.expires)
    standing = {"proposal": life.proposal, "expires": expires, "run": life.run, "result": life.result}
    return {**standing, "stances": dict(life.stances), "lost": list(life.lost)}
