"""`huizhen hub run` and `huizhen site run`: the programs that stay."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from huizhen.cli.terminal import harmless
from huizhen.cli.words import Language, say
from huizhen.clock import WallClock
from huizhen.errors import SiteError
from huizhen.hub.app import HubProgram
from huizhen.hub.folder import open_folder
from huizhen.site.app import CONFIGURATION, SiteProgram
from huizhen.site.check import check_site
from huizhen.site.folder import open_identity
from huizhen.translation import translate

__all__ = ["run_hub", "run_site"]


def run_hub(context: typer.Context, path: Annotated[Path, typer.Argument(help="The hub's folder.")] = Path("huizhen-hub")) -> None:
    """Run the hub: its server, and whatever studies are due, until it is interrupted."""
    folder = open_folder(path)
    with _until_stopped(), HubProgram(folder, WallClock(), _teller(context.obj)) as hub:
        typer.echo(say("hub runs", context.obj, addresses=", ".join(folder.settings.addresses)))
        hub.wait()


def run_site(
    context: typer.Context, path: Annotated[Path, typer.Option("--dir", help="The site's folder.")] = Path("huizhen-site")
) -> None:
    """Run this site's agent: it waits for suggestions, and answers what was accepted, until it is interrupted."""
    folder = open_identity(path)
    if problems := check_site(path / CONFIGURATION, [path / "identity" / "identity.pem"]):
        raise SiteError("The site is not ready.", problems)
    with _until_stopped(), SiteProgram(folder, WallClock(), _teller(context.obj)) as site:
        typer.echo(say("site runs", context.obj, name=site.settings.site.name))
        site.wait()


def _teller(spoken: Language) -> Callable[[str], None]:
    """Tells the operator, with the time; what comes from elsewhere is shown, and commands no terminal."""

    def tell(text: str) -> None:
        with suppress(OSError):  # where the disk is full that it is written to, the program goes on all the same
            typer.echo(f"{WallClock().now().astimezone():%Y-%m-%d %H:%M:%S}  {harmless(translate(text, spoken))}", err=True)

    return tell


@contextmanager
def _until_stopped() -> Iterator[None]:
    """A polite end, by Ctrl-C or by the system, lets go of everything in order."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
