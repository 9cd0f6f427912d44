"""How the tests read the book: pages with their headings, tables, code blocks and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<fence>```+)(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=fence)$", re.M | re.S
)
HEADING = re.compile(r"^(#+) (.+)$", re.M)
LINK = re.compile(r"(?<!\\)!?\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A block of code, with the comment right above it (``complete study``, ``run``...)."""

    mark: str
    language: str
    code: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        return [Block(found["mark"] or "", found["language"].strip(), found["code"]) for found in FENCE.finditer(self.text)]

    def marked(self, mark: str) -> list[Block]:
        return [block for block in self.blocks if block.mark.split(":")[0] == mark]

    @property
    def headings(self) -> list[tuple[int, str]]:
        return [(len(sharps), title) for sharps, title in HEADING.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """As GitHub and MyST make them: lower case, no punctuation, hyphens for blanks."""
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in self.headings}

    @property
    def links(self) -> list[str]:
        return LINK.findall(self.prose)

    def section(self, title: str) -> str:
        """What stands under a heading, up to the next of its rank or above."""
        lines, inside, rank = [], False, 0
        for line in self.prose.splitlines():
            heading = HEADING.match(line)
            if heading and inside and len(heading[1]) <= rank:
                break
            if heading and heading[2] == title:
                inside, rank = True, len(heading[1])
            elif inside:
                lines.append(line)
        assert inside, f"{self.name} has no heading {title!r}"
        return "\n".join(lines)

    def table(self, title: str) -> dict[str, str]:
        """The first two columns of the first table under a heading, code marks taken off the first."""
        rows = {}
        for line in self.section(title).splitlines():
            if not line.startswith("|"):
                if rows:
                    break
                continue
            first, second = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:3])
            if not set(first) <= set("-: ") or first == "":
                rows[first.strip("`")] = second
        return dict(list(rows.items())[1:])  # without the head


@dataclass(frozen=True)
class Book:
    """All pages."""

    root: Path = ROOT

    def page(self, name: str) -> Page:
        return Page(self.root / name)

    @property
    def pages(self) -> list[Page]:
        found = [*self.root.glob("*.md"), *(self.root / "docs").rglob("*.md"), *(self.root / "changes").glob("*.md")]
        return [Page(path) for path in sorted(found)]

    def marked(self, mark: str) -> Iterator[tuple[Page, Block]]:
        for page in self.pages:
            for block in page.marked(mark):
                yield page, block


@pytest.fixture(scope="session")
def book() -> Book:
    return Book()


@pytest.fixture(scope="session")
def as_written():
    """A default as the reference writes it: TOML between code marks; nothing where there is none."""

    def show(value: Any) -> str:
        return "" if value is None else f"`{toml(value)}`"

    return show


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml(each) for each in value)}]"
    return "{}" if value == {} else repr(value)
