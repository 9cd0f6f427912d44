"""`huizhen cohort check`, `huizhen cohort count`: how many patients are left after each criterion, here or at several sites."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from huizhen.cli.asking import HERE
from huizhen.cli.counting import count_across, study_of
from huizhen.cli.terminal import Terminal
from huizhen.cli.words import Language, say
from huizhen.clock import WallClock
from huizhen.data.criteria.attrition import Attrition
from huizhen.data.criteria.reading import read_criteria
from huizhen.embedded.cohorts import count_together
from huizhen.errors import CallerError, Problem
from huizhen.ids import NAME_RULE, is_name, new_id
from huizhen.site.counting import count_here
from huizhen.site.otherunits import left_out
from huizhen.translation import translate

__all__ = ["add_to", "check", "count"]

WITHIN_S = 60
File = Annotated[Path, typer.Argument(metavar="CRITERIA", help="A file of criteria (TOML).")]


def check(
    context: typer.Context,
    criteria: File,
    dir: Annotated[Path | None, typer.Option("--dir", help="Look into this site's registry, too: for the site's own eyes.")] = None,
) -> None:
    """Check a file of criteria: every mistake at once."""
    found = read_criteria(criteria)
    typer.echo(say("criteria ok", context.obj, path=criteria, title=found.title, count=len(found.criteria)))
    for each in left_out(dir, found) if dir is not None else ():
        unit = each.unit or say("no unit", context.obj)
        typer.echo(say("other unit", context.obj, criterion=each.criterion, unit=unit, count=f"{each.events:,}"))


def count(
    context: typer.Context,
    criteria: File,
    dir: Annotated[Path, typer.Option("--dir", help="The site's folder.")] = Path("huizhen-site"),
    site: Annotated[
        list[str], typer.Option("--site", metavar="NAME=DIR", help="A site's folder; several are counted one by one and together.")
    ] = [],  # noqa: B006  (typer reads the default and never edits it)
    across: Annotated[
        list[str], typer.Option("--across", metavar="SITE", help="A site of the hub that you have joined; may be repeated.")
    ] = [],  # noqa: B006
    identity: Annotated[Path, typer.Option("--identity", help="The folder of your identity, made by `huizhen study join`.")] = HERE,
    by_site: Annotated[bool, typer.Option("--by-site", help="Ask each site for its own numbers, too.")] = False,
    sum: Annotated[str, typer.Option("--sum", help="plain, masked or paillier; by default masked for 3 sites or more.")] = "",
    within: Annotated[int, typer.Option("--within", help="How many seconds to wait for the sites.")] = WITHIN_S,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count the patients who are left after each criterion, as the sites' policies let it be seen."""
    wanted, run = read_criteria(criteria), new_id("count")
    clock = WallClock()
    if across and site:
        problem = Problem("--site", "folders of this machine beside --across", "one of the two")
        raise CallerError("Sites are counted here or across a hub.", [problem])
    if across:
        found = count_across(identity, study_of(wanted, across, by_site=by_site, sum=sum), within_s=within)
    else:
        found = count_together(_folders(site), wanted, clock, run=run) if site else count_here(dir, wanted, clock, run=run)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
        return
    Terminal().print(_table(found, context.obj))
    for note in found.note.splitlines():
        typer.echo(translate(note, context.obj))


def _folders(options: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    problems = []
    for option in options:
        name, separator, folder = option.partition("=")
        if not separator or not is_name(name) or name in found:
            problems.append(Problem("--site", repr(option)[:80], f"NAME=DIR, each name once; a name: {NAME_RULE}"))
        found[name] = Path(folder)
    if problems:
        raise CallerError("Sites are given as NAME=DIR.", problems)
    return found


def _table(found: Attrition, spoken: Language) -> Table:
    table = Table(title=Text(found.title, style="italic"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(say("criterion", spoken), overflow="fold")
    for head in (*found.sites, say("all sites" if found.sites else "patients", spoken)):
        table.add_column(Text(head), justify="right")
    columns = [*found.sites.values(), found.patients]
    for place, step in enumerate(found.steps):
        first = say("index event", spoken, kind=say(f"kind {step}", spoken)) if place == 0 else step
        table.add_row(Text(first), *(_shown(column[place], spoken) for column in columns))
    return table


def _shown(patients: int | None, spoken: Language) -> str:
    return say("withheld", spoken) if patients is None else f"{patients:,}"


def add_to(group: typer.Typer) -> None:
    """Adds these commands to a group."""
    group.command("check")(check)
    group.command("count")(count)
