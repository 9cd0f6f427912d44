"""`huizhen study submit`, `status`, `watch`, `cancel`, `result`, `list`: a researcher asks the hospitals, from wherever that is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from huizhen.cli.progress import RoundBars
from huizhen.cli.sites import WAIT_S, join_at
from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import Language, colon, say
from huizhen.errors import CallerError, FederationError, Problem
from huizhen.federation.eventlines import event_from
from huizhen.federation.found import Found
from huizhen.federation.life import FINAL
from huizhen.federation.study import Study
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.ways import ActorWay
from huizhen.ids import is_name
from huizhen.site.folder import open_identity
from huizhen.translation import translate

__all__ = ["ASK_S", "EVERY_S", "HERE", "add_to", "kept", "line"]

ASK_S = 30.0
EVERY_S = 0.1  # how often whoever watches asks anew
Dir = Annotated[Path, typer.Option("--dir", help="The folder of your identity, made by `huizhen study join`.")]
HERE = Path("huizhen-researcher")
Id = Annotated[str, typer.Argument(metavar="ID", help="The study's id, as `submit` printed it.")]


def join(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The code that the hub's operator gave you.")],
    dir: Dir = HERE,
    wait: Annotated[int, typer.Option(help="How many seconds to wait for the hub's operator.")] = WAIT_S,
    proxy: Annotated[str, typer.Option(help="An HTTP proxy, e.g. http://proxy:3128; none by default.")] = "",
) -> None:
    """Join a hub as a researcher: make your keys here, and show the fingerprint to compare with the hub's operator."""
    join_at(dir, code, context.obj, wait_s=wait, proxy=proxy)


def submit(
    context: typer.Context,
    study_file: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).")],
    dir: Dir = HERE,
    priority: Annotated[int, typer.Option(help="0 to 9; of studies that wait the highest runs first.")] = 5,
    expires: Annotated[str, typer.Option(help="How long sites may decide, e.g. '72 h'.")] = "72 h",
    provider: Annotated[list[str], typer.Option(help="A compute provider to be asked, too. May be repeated.")] = [],  # noqa: B006
    wait: Annotated[bool, typer.Option("--wait", help="Watch it to its end, and write the report.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the report and the models.")] = Path("huizhen-out"),
) -> None:
    """Suggest a study to its sites. Each decides for itself; it runs when as many have accepted as the study asks for."""
    study = Study.read(study_file)
    with line(dir) as bus:
        body = {"study": study.content, "priority": priority, "expires": expires, "providers": provider}
        told = bus.ask("submit", body, timeout_s=ASK_S)
        id = kept(told, study)
        typer.echo(say("submitted", context.obj, id=id, digest=study.digest[:12]))
        if wait:
            _watch(bus, context.obj, id)
            _take(bus, context.obj, id, out, study)
        else:
            typer.echo(say("watch it", context.obj, id=id, dir=dir))


def status(context: typer.Context, id: Id, dir: Dir = HERE) -> None:
    """Say how a study stands, and what each site has decided."""
    with line(dir) as bus:
        _show(context.obj, bus.ask("status", {"id": id}, timeout_s=ASK_S))


def watch(context: typer.Context, id: Id, dir: Dir = HERE) -> None:
    """Watch a study to its end."""
    with line(dir) as bus:
        told = _watch(bus, context.obj, id)
    _show(context.obj, told)
    if told["state"] == "done":
        typer.echo(say("fetch it", context.obj, id=id, dir=dir))


def cancel(
    context: typer.Context,
    id: Id,
    dir: Dir = HERE,
    why: Annotated[str, typer.Option("--why", help="The reason, which the sites read.")] = "",
) -> None:
    """End a study of yours; nothing more is asked of any site."""
    with line(dir) as bus:
        told = bus.ask("cancel", {"id": id, "reason": why}, timeout_s=ASK_S)
        typer.echo(say("study stands", context.obj, id=id, state=translate(str(told["state"]), context.obj)))


def result(
    context: typer.Context,
    id: Id,
    dir: Dir = HERE,
    out: Annotated[Path, typer.Option(help="Folder for the report and the models.")] = Path("huizhen-out"),
) -> None:
    """Fetch what a study found, show it, and write the report and the models."""
    with line(dir) as bus:
        _take(bus, context.obj, id, out)


def studies(context: typer.Context, dir: Dir = HERE) -> None:
    """List the studies that you have submitted."""
    with line(dir) as bus:
        told = bus.ask("studies", {}, timeout_s=ASK_S)["studies"]
    table = Table(*(translate(head, context.obj) for head in ("id", "title", "state")), box=None, pad_edge=False)
    for one in told:
        table.add_row(str(one["id"]), harmless(str(one["title"])), translate(str(one["state"]), context.obj))
    Terminal(soft_wrap=True).print(table)


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    for name, command in COMMANDS.items():
        app.command(name)(command)


COMMANDS: dict[str, Callable[..., None]] = {
    "join": join,
    "submit": submit,
    "status": status,
    "watch": watch,
    "cancel": cancel,
    "result": result,
    "list": studies,
}


@contextmanager
def line(dir: Path) -> Iterator[Bus]:
    """The line of whoever has joined in a folder to their hub."""
    folder = open_identity(dir)
    with Bus(folder.access, ActorWay(folder.pair.public), {}) as bus:
        yield bus


def _watch(bus: Bus, spoken: Language, id: str) -> Mapping[str, Any]:
    """Shows what happens until the study is over; how it stands then."""
    since, stood, pause = 0, "", threading.Event()
    with RoundBars(Terminal(), spoken) as bars:
        while True:
            told = bus.ask("events", {"id": id, "since": since}, timeout_s=ASK_S)
            for number, line in told["events"]:
                since = number + 1
                bars.watch(event_from(line))
            if told["state"] != stood:
                stood = str(told["state"])
                bars.say(say("study stands", spoken, id=id, state=translate(stood, spoken)))
            if stood in FINAL:
                return told
            pause.wait(EVERY_S)


def kept(told: Mapping[str, Any], study: Study) -> str:
    """The id under which the hub keeps a study; it becomes the name of a folder here.

    Raises:
        FederationError: it is none, or the hub keeps another study.
    """
    id = told.get("id")
    if not isinstance(id, str) or not is_name(id) or told.get("digest") != study.digest:
        problem = Problem("submit", "another study, or no id", f"the study {study.digest[:12]}", "Ask who runs the hub")
        raise FederationError("The hub has not kept what was submitted.", [problem])
    return id


def _take(bus: Bus, spoken: Language, id: str, out: Path, asked: Study | None = None) -> None:
    told = bus.ask("result", {"id": id}, timeout_s=ASK_S)
    study, found = Study.parse(told["study"]), Found.parse(told["result"])
    labels = [outcome.label for outcome in found.outcomes]  # they become names of files
    is_of_study = labels == [analysis.label for analysis in study.analyses]
    if not is_name(id) or not is_of_study or (asked is not None and asked.digest != study.digest):
        problem = Problem("result", "the result of another study", "the one that was submitted", "Ask who runs the hub")
        raise FederationError("The hub tells something else than was asked for.", [problem])
    from huizhen.cli.running import tell  # with all that draws, which no other command here needs
    from huizhen.embedded.across import findings_of

    findings = findings_of(study, found)
    tell(Terminal(), spoken, findings, out / f"{id}-{study.digest[:8]}")
    if findings.failures:
        raise typer.Exit(1)


def _show(spoken: Language, told: Mapping[str, Any]) -> None:
    console = Terminal(soft_wrap=True)
    console.print(say("study stands", spoken, id=told["id"], state=translate(str(told["state"]), spoken)), markup=False)
    if told.get("reason"):
        console.print(f"{say('reason', spoken)}{colon(spoken)}{translate(harmless(str(told['reason'])), spoken)}", markup=False)
    for site, stance in dict(told.get("stances", {})).items():
        console.print(f"  {site}{colon(spoken)}{translate(str(stance), spoken)}", markup=False)
    if told.get("state") == "failed":
        raise CallerError("The study has no result.")
