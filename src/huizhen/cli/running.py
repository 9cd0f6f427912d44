"""`huizhen run` and `huizhen demo`: conduct, show, and write the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from huizhen.cli.foreseen import beside, foretold
from huizhen.cli.interruption import Interruption
from huizhen.cli.policies import read_policies
from huizhen.cli.progress import RoundBars
from huizhen.cli.terminal import Terminal, quietly
from huizhen.cli.words import Language, colon, say
from huizhen.embedded.exporting import is_taken_away
from huizhen.embedded.findings import Findings
from huizhen.embedded.foresight import forecast
from huizhen.embedded.run import run
from huizhen.embedded.shadowing import history_in
from huizhen.embedded.story import story
from huizhen.errors import CallerError, MachineError, Problem
from huizhen.federation.events import Event
from huizhen.federation.study import Study
from huizhen.ids import NAME_RULE, is_name
from huizhen.report import page, plain
from huizhen.translation import translate
from huizhen.twin.forecast.journal import NAME

__all__ = ["demo", "run_study", "sites_from", "tell"]

Out = Annotated[Path, typer.Option(help="Folder for the report, the models, the sites' ledgers and the checkpoints.")]


def run_study(
    context: typer.Context,
    study_file: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).")],
    site: Annotated[
        list[str],
        typer.Option(
            "--site", metavar="NAME=PATH", help="A site and its data: CSV, Parquet, an .npz archive of images, or a folder."
        ),
    ],
    out: Out = Path("huizhen-out"),
    policy: Annotated[
        list[str], typer.Option("--policy", metavar="[NAME=]FILE", help="A disclosure policy, for all sites or for one.")
    ] = [],  # noqa: B006  (typer reads the default and never edits it)
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Also compute each site alone and the pooled rows, side by side.")
    ] = True,
    foreseeing: Annotated[
        bool, typer.Option("--forecast/--no-forecast", help="Forecast the run first, commit to it, and tell what came beside it.")
    ] = False,
) -> None:
    """Run a study on files of this machine, one site for each --site, and write a report."""
    study = Study.read(study_file)
    sites = sites_from(site, "--site")
    common, single = read_policies(policy)
    if strangers := [name for name in single if name not in sites]:
        problems = [Problem(f"--policy {name}=", "a site that is not here", f"one of: {', '.join(sites)}") for name in strangers]
        raise CallerError("A policy names no site.", problems)
    folder = out / f"{study_file.stem}-{study.digest[:8]}"
    seen, shadow = None, out / NAME
    if foreseeing:
        each = {name: single.get(name, common) for name in sites}
        seen = forecast(study, sites, in_process=True, policies=each, history=history_in(shadow), keeps=out)
        Terminal().print(foretold(seen, context.obj), markup=False)
        _make_ready(out)
    more = {"policy": common, "policies": single, "compare": compare, "foreseen": seen, "shadow": shadow if seen else None}
    findings = _watched(Terminal(), context.obj, study, sites, folder, **more)
    tell(Terminal(), context.obj, findings, folder)
    if findings.cut_short:
        Terminal(stderr=True).print(say("cut short", context.obj))
        raise typer.Exit(130)
    if findings.failures:
        raise typer.Exit(1)


def demo(context: typer.Context, out: Out = Path("huizhen-out")) -> None:
    """Two real multi-site questions, answered in front of you: every site alone, the federation, the pooled rows."""
    from huizhen.embedded.demo import DEMOS
    from huizhen.embedded.reference import with_references

    console, failed = Terminal(), False
    _make_ready(out)
    for each in DEMOS:
        study = each.study()
        console.rule(f"[bold]{escape(study.title)}[/]")
        console.print(f"{say('demo question', context.obj)}{colon(context.obj)}{study.about.question}")
        console.print(f"{say('demo data', context.obj)}{colon(context.obj)}{translate(each.source, context.obj)}\n")
        sites = each.sites()
        folder = out / f"demo-{each.name}"
        seen = forecast(study, sites, in_process=True)
        console.print(f"{foretold(seen, context.obj)}\n", markup=False)
        findings = with_references(_watched(console, context.obj, study, sites, None, foreseen=seen), sites)
        tell(console, context.obj, findings, folder)
        failed = failed or bool(findings.failures)
    console.print(say("demo next", context.obj), markup=False)
    if failed:
        raise typer.Exit(1)


def _make_ready(folder: Path) -> None:
    """A folder that cannot be written is said before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise MachineError(
            "The run's folder cannot be made.", [Problem(str(folder), found, "a folder that can be written")]
        ) from None


def _watched(
    console: Console,
    spoken: Language,
    study: Study,
    sites: Mapping[str, Any],
    folder: Path | None,
    **more: Any,
) -> Findings:
    try:
        finishing = Terminal(stderr=True)
        with (
            RoundBars(console, spoken) as bars,
            Interruption(lambda: finishing.print(say("finishing", spoken))) as interruption,
        ):

            def watch(event: Event) -> None:
                bars.watch(event)
                interruption.heed(event)

            return run(study, sites, out=folder, watch=watch, **more)
    except KeyboardInterrupt:
        resume = say("resume", spoken) if folder else ""
        Terminal(stderr=True).print(say("interrupted", spoken, resume=resume))
        raise typer.Exit(130) from None


def tell(console: Console, spoken: Language, findings: Findings, folder: Path) -> None:
    content = story(findings)
    for renderable in plain.tables(content, language=spoken):
        console.print(renderable)
    for label, reason in findings.failures.items():
        console.print(say("no answer", spoken, label=label, reason=translate(reason, spoken)), style="bold red", markup=False)
    if findings.doubts:
        console.print(say("doubts", spoken), style="bold", markup=False)
    for doubt in findings.doubts:
        console.print(f"  {translate(str(doubt), spoken)}", markup=False)
    if findings.compared:
        console.print(beside(findings.compared, spoken))
    path = folder / "report.html"
    page.write(content, path)
    console.print(f"\n[bold]{say('report written', spoken)}[/]{colon(spoken)}{escape(str(path.resolve()))}\n", soft_wrap=True)
    for finding in findings:
        if is_taken_away(finding.result):
            console.print(
                say("writing model", spoken, label=finding.label), markup=False, style="dim"
            )  # large networks take a while
            with quietly():
                written = finding.export(folder / "models")
            files = ", ".join(str(file.resolve()) for file in written)
            console.print(
                f"[bold]{say('model written', spoken, label=finding.label)}[/]{colon(spoken)}{escape(files)}\n", soft_wrap=True
            )


def sites_from(options: list[str], named: str) -> dict[str, Path]:
    """Sites by name, from NAME=PATH; all mistakes at once. `named`: what the option is called."""
    problems, sites = [], {}
    for option in options:
        name, separator, path = option.partition("=")
        if not separator or not path:
            problems.append(Problem(f"{named} {option}", "no NAME=PATH", f"for example {named} west-lake=data/west.csv"))
        elif not is_name(name):
            problems.append(Problem(f"{named} {option}", repr(name), NAME_RULE))
        elif name in sites:
            problems.append(
                Problem(f"{named} {option}", f"the name {name!r} twice", "names that differ", "Give every site its own name")
            )
        else:
            sites[name] = Path(path)
    if problems:
        raise CallerError("The sites cannot be read from the command line.", problems)
    return sites
