"""The commands, and how each ends: 0 done; 1 an analysis has no answer; 2 the caller or a site can mend it; 3 a policy or the
federation forbids it; 4 the machine cannot; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib.metadata import version
from typing import Annotated

import typer
from rich.markup import escape

from huizhen.cli import asking, describing, hub_studies, hubs, ledgers, programs, records, rows, running, site_inbox, sites, studies
from huizhen.cli.help import in_chinese, mistake
from huizhen.cli.terminal import Terminal
from huizhen.cli.words import colon, language, say
from huizhen.errors import CallerError, FederationError, HuizhenError, LedgerError, MachineError, PolicyError, Problem, SiteError
from huizhen.translation import translate

__all__ = ["app", "main"]

HELP = """Hospitals answer a medical question together while no patient row leaves its hospital.

New here? Try, in this order:

  huizhen demo                     two real questions, with a report

  huizhen describe my.csv          what a table holds, without a row

  huizhen study new study.toml     a commented study file, to be edited

  huizhen study check study.toml   every mistake in it, at once

  huizhen run study.toml --site a=a.csv --site b=b.parquet
"""

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(studies.app, name="study")
app.add_typer(ledgers.app, name="ledger")
app.add_typer(hubs.app, name="hub")
app.add_typer(sites.app, name="site")
app.add_typer(records.app, name="data")
rows.add_to(records.app)
asking.add_to(studies.app)
hub_studies.add_to(hubs.app)
hubs.app.command("run")(programs.run_hub)
site_inbox.add_to(sites.app)
sites.app.command("run")(programs.run_site)
app.command("run")(running.run_study)
app.command("demo")(running.demo)
app.command("describe")(describing.describe)
app.command("methods")(studies.methods)

INTERRUPTED = 130
EXITS: tuple[tuple[type[HuizhenError], int], ...] = (
    (CallerError, 2),
    (SiteError, 2),
    (PolicyError, 3),
    (FederationError, 3),
    (LedgerError, 3),
    (MachineError, 4),
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    lang: Annotated[str, typer.Option("--lang", help="Language of the output: en or zh.")] = "",
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if lang and not lang.lower().startswith(("en", "zh")):
        raise CallerError("This language is not spoken here.", [Problem("--lang", repr(lang), "en or zh")])
    context.obj = language(lang)
    if show_version:
        typer.echo(f"huizhen {version('huizhen')}")
        raise typer.Exit


def main() -> None:
    """The console script. An interrupted run ends at once, whatever a site's thread is still doing inside a library."""
    try:
        _main()
    except SystemExit as end:
        if end.code == INTERRUPTED and threading.active_count() > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise


def _main() -> None:
    """Errors become messages and exit codes, never tracebacks with data in them."""
    spoken = language(_lang(sys.argv[1:]))
    try:
        if spoken == "en":
            app(standalone_mode=True)
        else:
            sys.exit(_run_in_chinese())
    except HuizhenError as error:
        show_error(error, spoken)
        sys.exit(next(code for kind, code in EXITS if isinstance(error, kind)))
    except KeyboardInterrupt:
        Terminal(stderr=True).print(say("interrupted", spoken, resume=""))
        sys.exit(INTERRUPTED)


def _lang(arguments: list[str]) -> str:
    """The value of --lang before the command line is read, so that help and mistakes speak the language too."""
    for option, value in zip(arguments, [*arguments[1:], ""]):
        if option == "--lang" or option.startswith("--lang="):
            return option.partition("=")[2] or value
    return ""


def _run_in_chinese() -> int:
    """The commands with Chinese help; a mistyped command is told in Chinese. Returns the exit code."""
    try:
        return in_chinese(typer.main.get_command(app))(standalone_mode=False) or 0
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # the mark of click's own errors
            raise
        Terminal(stderr=True, highlight=False, soft_wrap=True).print(say("usage", "zh", reason=mistake(error)), markup=False)
        return int(getattr(error, "exit_code", 2))


def show_error(error: HuizhenError, spoken: str) -> None:
    """What is wrong, problem by problem."""
    console = Terminal(stderr=True, highlight=False, soft_wrap=True)
    chosen = language(spoken)

    def told(text: str) -> str:
        return escape(translate(text, chosen))

    console.print(f"[bold red]{told(error.message)}[/]")
    for problem in error.problems:
        console.print(f"  [bold]{told(problem.where)}[/]")
        console.print(f"    {say('found', chosen)}{colon(chosen)}{told(problem.found)}")
        console.print(f"    {say('expected', chosen)}{colon(chosen)}{told(problem.expected)}")
        if problem.remedy:
            console.print(f"    {say('remedy', chosen)}{colon(chosen)}{told(problem.remedy)}")
