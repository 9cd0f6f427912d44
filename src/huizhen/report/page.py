"""The report as one page of HTML that needs nothing beside itself: styles, script and plots stand inside it.

No address of another machine is in it, and its own `Content-Security-Policy` forbids every style and script but the two that it
came with, by their digests: a study's title that looks like markup stays a title.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import unicodedata
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from huizhen.errors import MachineError
from huizhen.report import disclosure, numerals, outlook, plots, story
from huizhen.report.content import ReportContent
from huizhen.report.words import Phrase, say, told

__all__ = ["NOTHING_ELSE", "digest", "environment", "render", "source", "write", "written"]

NOTHING_ELSE = "default-src 'none'; base-uri 'none'; form-action 'none'"


def render(content: ReportContent) -> str:
    """The whole page; the same content gives the same bytes."""
    style, script = source("page.css"), source("page.js")
    left = content.left
    return (
        environment()
        .get_template("page.html")
        .render(
            content=content,
            style=Markup(style),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own file
            policy=f"{NOTHING_ELSE}; style-src '{digest(style)}'; script-src '{digest(script)}'",
            answer=story.short_answer(content),
            stats=story.stats(content),
            chapters=story.chapters(content),
            most_rows=max(content.participants.values(), default=1) or 1,
            left_plot=plots.left_by_site(left, "left"),
            left_text=say(
                "disclosure_text",
                bytes=numerals.size(sum(one.bytes for one in left)),
                numbers=numerals.short(sum(one.numbers for one in left)),
            ),
            individual=sum(one.numbers for one in left if one.kind == "individual"),
            disclosure=disclosure,
            outlook=None if content.outlook is None else outlook.section_of(content.outlook),
        )
    )


def write(content: ReportContent, path: Path) -> Path:
    """Write the page so that `path` holds the old file or the whole new one, never a part; returns `path`.

    Raises:
        MachineError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    return written(render(content), path)


def written(text: str, path: Path) -> Path:
    """Writes a page so that `path` holds the old file or the whole new one; returns `path`.

    Raises:
        MachineError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    page = text.encode()
    target = Path(path)
    # The process and a random part: two runs that write the same report do not meet in one temporary file.
    beside_it = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside_it.open("xb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside_it, target)
    except OSError as problem:
        raise MachineError(
            f"the report could not be written to {target}: found {problem.strerror or problem}, expected a folder that can be "
            f"written and {numerals.size(len(page))} free. Free some space or name another folder; nothing was left half-written"
        ) from problem
    finally:
        with contextlib.suppress(OSError):
            beside_it.unlink(missing_ok=True)
    return target


def source(name: str) -> str:
    """One of the files that stand beside this one."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").strip()


def digest(text: str) -> str:
    """What a Content-Security-Policy calls the text of an inline style or script (CSP level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def environment() -> Environment:
    """The template engine: everything is escaped, an unknown name is an error."""
    engine = Environment(
        loader=PackageLoader("huizhen", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.filters["both"] = both
    engine.filters["told"] = told
    engine.tests["chinese"] = lambda text: any(unicodedata.east_asian_width(letter) == "W" for letter in text)
    engine.filters["short"] = numerals.short
    engine.globals["say"] = lambda key, **fill: both(say(key, **fill))
    return engine


def both(phrase: Phrase) -> Markup:
    """A phrase in both languages; the page shows one of them."""
    if phrase.en == phrase.zh:
        return escape(phrase.en)
    return Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh-Hans">{}</span>').format(*phrase)
