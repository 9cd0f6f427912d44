"""A terminal that a table cannot command: control characters in names and labels are shown, not obeyed."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

__all__ = ["Terminal", "harmless", "quietly"]

# The two blocks of control characters (ISO 6429) but for the line feed, and the marks that turn the direction of writing.
CODES = (*range(10), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
SHOWN = dict.fromkeys(CODES, "\N{REPLACEMENT CHARACTER}")


def harmless(text: str) -> str:
    """`text` with a mark in place of every character that a terminal would obey."""
    return text.translate(SHOWN)


class Terminal(Console):
    """rich's console, whose texts hold no control characters but its own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


@contextmanager
def quietly() -> Iterator[None]:
    """While it is entered, what libraries print and log is dropped: it is not ours, and the terminal is."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
