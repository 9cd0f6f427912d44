"""`huizhen data`: what a site does with its own records."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="Work on a site's own records.", no_args_is_help=True, rich_markup_mode=None)
