"""A forecast as a page of its own, before a study runs: one HTML file that needs nothing beside itself."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from markupsafe import Markup

from huizhen.report.content import Outlook
from huizhen.report.outlook import section_of
from huizhen.report.page import NOTHING_ELSE, digest, environment, source, written
from huizhen.twin.forecast.foreseen import Foreseen

__all__ = ["render", "write"]


def render(seen: Foreseen) -> str:
    """The whole page; the same forecast gives the same bytes."""
    style, script = source("page.css"), source("page.js")
    return (
        environment()
        .get_template("outlook.html")
        .render(
            section=section_of(Outlook(seen)),
            title=seen.title,
            day=seen.made.date().isoformat(),
            version=version("huizhen"),
            style=Markup(style),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own file
            policy=f"{NOTHING_ELSE}; style-src '{digest(style)}'; script-src '{digest(script)}'",
        )
    )


def write(seen: Foreseen, path: Path) -> Path:
    """Writes the page whole; returns `path`.

    Raises:
        MachineError: the folder cannot be written or the disk is full.
    """
    return written(render(seen), path)
