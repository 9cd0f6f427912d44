"""`huizhen data sources`, `huizhen data sync`: a hospital's records, taken over into its own registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from huizhen.cli.cards import publish_after_sync
from huizhen.cli.site_inbox import CONFIGURATION
from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import Language, say
from huizhen.clock import WallClock
from huizhen.data.events.schema import SyncReport
from huizhen.errors import HuizhenError, Problem, SiteError
from huizhen.site import registering
from huizhen.site.settings import read_settings
from huizhen.translation import translate

__all__ = ["add_to", "sources", "sync"]

Dir = Annotated[Path, typer.Option("--dir", help="The site's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HEADS = ("source", "kind", "events", "synced")  # keys of `WORDS`


def sources(context: typer.Context, dir: Dir = Path("huizhen-site"), as_json: AsJson = False) -> None:
    """List what is read into the registry, and when it was read last."""
    found = registering.connected(read_settings(dir / CONFIGURATION), dir)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], ensure_ascii=False))
        return
    table = Table(*(say(head, context.obj) for head in HEADS), box=None)
    for each in found:
        table.add_row(harmless(each.alias), each.kind, f"{each.events:,}", each.synced or say("never", context.obj))
    Terminal().print(table)
    for each in found:
        for what, count in _commonest(each.treated):
            values = {"alias": harmless(each.alias), "count": f"{count:,}", "what": translate(what, context.obj)}
            typer.echo(say("source treated", context.obj, **values))


def sync(
    context: typer.Context,
    alias: Annotated[list[str] | None, typer.Argument(help="Names of sources; all by default.")] = None,
    dir: Dir = Path("huizhen-site"),
    as_json: AsJson = False,
) -> None:
    """Read what changed since the last sync. It may be interrupted at any time: the next one goes on."""
    failed: list[HuizhenError] = []
    settings = read_settings(dir / CONFIGURATION)
    if not as_json and (key := registering.made_key(settings, dir)) is not None:
        typer.echo(say("key made", context.obj, path=key))
    for found in registering.sync(settings, dir, alias or [], WallClock()):
        if isinstance(found, HuizhenError):
            failed.append(found)
        elif as_json:
            typer.echo(json.dumps(asdict(found), ensure_ascii=False))
        else:
            _show(found, context.obj)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise SiteError("Sources cannot be read.", [problem for error in failed for problem in _said(error)])
    if settings.publish.after_sync:
        publish_after_sync(dir, context.obj, quietly=as_json)


def _said(error: HuizhenError) -> tuple[Problem, ...]:
    return error.problems or (Problem("source", error.message, "a source"),)


def _show(report: SyncReport, spoken: Language) -> None:
    counts = {name: f"{getattr(report, name):,}" for name in ("read", "new", "changed", "same", "older", "removed")}
    typer.echo(say("sync done", spoken, alias=report.alias, **counts))
    for reason, count in _commonest(report.refused):
        typer.echo("  " + say("sync refused", spoken, count=f"{count:,}", reason=translate(reason, spoken)))
    for what, count in _commonest(report.treated):
        typer.echo("  " + say("sync treated", spoken, count=f"{count:,}", what=translate(what, spoken)))
    for reason, count in _commonest(report.notes):
        typer.echo("  " + say("sync doubtful", spoken, count=f"{count:,}", reason=translate(reason, spoken)))


def _commonest(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda pair: -pair[1])


def add_to(data: typer.Typer) -> None:
    """Adds these commands to a group."""
    data.command("sources")(sources)
    data.command("sync")(sync)
