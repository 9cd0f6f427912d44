"""The commands, and how each ends: 0 done; 1 an analysis has no answer; 2 the caller or a site can mend it; 3 a policy or the
federation forbids it; 4 the machine cannot; 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.markup import escape

from huizhen.cli import describing, ledgers, running, studies
from huizhen.cli.terminal import Terminal
from huizhen.cli.words import language, say
from huizhen.errors import CallerError, FederationError, HuizhenError, LedgerError, MachineError, PolicyError, SiteError

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
app.command("run")(running.run_study)
app.command("demo")(running.demo)
app.command("describe")(describing.describe)
app.command("methods")(studies.methods)

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
    context.obj = language(lang)
    if show_version:
        typer.echo(f"huizhen {version('huizhen')}")
        raise typer.Exit


def main() -> None:
    """The console script: errors become messages and exit codes, never tracebacks with data in them."""
    spoken = language(sys.argv[sys.argv.index("--lang") + 1] if "--lang" in sys.argv[:-1] else "")
    try:
        app(standalone_mode=True)
    except HuizhenError as error:
        show_error(error, spoken)
        sys.exit(next(code for kind, code in EXITS if isinstance(error, kind)))
    except KeyboardInterrupt:
        Terminal(stderr=True).print(say("interrupted", spoken, resume=""))
        sys.exit(130)


def show_error(error: HuizhenError, spoken: str) -> None:
    """What is wrong, problem by problem."""
    console = Terminal(stderr=True, highlight=False, soft_wrap=True)
    chosen = language(spoken)
    console.print(f"[bold red]{escape(error.message)}[/]")
    for problem in error.problems:
        console.print(f"  [bold]{escape(problem.where)}[/]")
        console.print(f"    {say('found', chosen)}: {escape(problem.found)}")
        console.print(f"    {say('expected', chosen)}: {escape(problem.expected)}")
        if problem.remedy:
            console.print(f"    {say('remedy', chosen)}: {escape(problem.remedy)}")
