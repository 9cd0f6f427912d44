"""`huizhen site join`: a hospital's first step, on its own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from huizhen.cli.words import Language, say
from huizhen.clock import WallClock
from huizhen.site.folder import SiteFolder
from huizhen.site.joining import join as ask_to_join

__all__ = ["WAIT_S", "join", "join_at"]

WAIT_S = 600


def join(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The code that the hub's operator gave you.")],
    path: Annotated[Path, typer.Option("--dir", help="The site's folder.")] = Path("huizhen-site"),
    wait: Annotated[int, typer.Option(help="How many seconds to wait for the hub's operator.")] = WAIT_S,
    proxy: Annotated[str, typer.Option(help="An HTTP proxy, e.g. http://proxy:3128; none by default.")] = "",
) -> None:
    """Make this site's keys here, ask to join, and show the fingerprint to compare with the hub's operator."""
    join_at(path, code, context.obj, wait_s=wait, proxy=proxy)


def join_at(path: Path, code: str, spoken: Language, *, wait_s: float, proxy: str = "") -> None:
    """Joins by a code, in a folder, and says how it stands."""

    def shown(folder: SiteFolder) -> None:
        typer.echo(say("fingerprint", spoken, name=folder.name, fingerprint=folder.fingerprint()))

    state = ask_to_join(code, path, clock=WallClock(), wait_s=wait_s, shown=shown, proxy=proxy)
    typer.echo(say(f"join {state}", spoken, path=path))
