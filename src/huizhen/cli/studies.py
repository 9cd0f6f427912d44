"""`huizhen study new`, `huizhen study check`, `huizhen methods`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from huizhen import extension
from huizhen.cli.words import colon, say
from huizhen.errors import CallerError, MachineError, Problem
from huizhen.federation.study import METHODS, Study
from huizhen.translation import translate

__all__ = ["add_to", "methods"]


def new(context: typer.Context, path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("study.toml")) -> None:
    """Write a commented study file to start from. A file that is there is not overwritten."""
    template = (files("huizhen.cli") / "study_template.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template)
    except FileExistsError:
        problem = Problem(
            str(path), "a file that is there already", "a name that is free", "Give another name: a file is not overwritten"
        )
        raise CallerError("The study file cannot be written.", [problem]) from None
    except OSError as error:
        problem = Problem(str(path), str(error.strerror), "a new file in a writable folder")
        raise MachineError("The study file cannot be written.", [problem]) from None
    typer.echo(say("study written", context.obj, path=path))


def check(context: typer.Context, path: Annotated[Path, typer.Argument(help="A study file.")]) -> None:
    """Validate a study file: all mistakes at once, each with its key, what was found and what was expected."""
    study = Study.read(path)
    typer.echo(say("study ok", context.obj, path=path, title=study.title))
    typer.echo(f"  {say('methods', context.obj)}{colon(context.obj)}{', '.join(analysis.label for analysis in study.analyses)}")
    typer.echo(f"  {say('variables', context.obj)}{colon(context.obj)}{', '.join(study.uses)}")
    typer.echo(f"  {say('digest', context.obj)}{colon(context.obj)}{study.digest}")


def methods(context: typer.Context) -> None:
    """List the methods that are installed, with their settings."""
    heads = (translate(head, context.obj) for head in ("method", "settings", "exact"))
    table = Table(*heads, title=None, box=None, pad_edge=False)
    for name in extension.installed(METHODS):
        method = extension.load(METHODS, name)
        table.add_row(name, ", ".join(method.spec.model_fields), translate("yes" if method.exact else "no", context.obj))
    Console().print(table)


def add_to(group: typer.Typer) -> None:
    """Adds these commands to a group."""
    for name, command in COMMANDS.items():
        group.command(name)(command)


COMMANDS: dict[str, Callable[..., None]] = {"new": new, "check": check}
