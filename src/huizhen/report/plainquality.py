"""Learned models beside each other in a terminal: every model on the same patients, then on each hospital's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table as Lines
from rich.text import Text

from huizhen.report.content import Analysis
from huizhen.report.grid import Grid
from huizhen.report.quality import quality_grids, unjudged
from huizhen.report.words import Language, say

__all__ = ["quality_lines"]

MOST_MODELS = 8  # federation, pooled rows and six hospitals
UNBOUNDED = 10_000  # a terminal so wide that any table fits


def quality_lines(analysis: Analysis, language: Language) -> list[RenderableType]:
    """As many columns as there is room for; what is left out, and what could not be judged, is said below."""
    shown: list[RenderableType] = [Fitting(grid, language) for grid in quality_grids(analysis)]
    return shown + [Text(note.within(language), style="dim") for note in unjudged(analysis)]


@dataclass(frozen=True, slots=True)
class Fitting:
    """A grid without its small print, its last columns left out where they would not fit: a number cut short is no number."""

    grid: Grid
    language: Language

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        most = len(self.grid.heads)
        drawn = self.drawn(most)
        while most > 2 and console.measure(drawn, options=options.update_width(UNBOUNDED)).maximum > options.max_width:
            most -= 1
            drawn = self.drawn(most)
        yield drawn

    def drawn(self, most: int) -> Lines:
        """The first `most` columns."""
        drawn = Lines(title=Text(self.grid.caption.within(self.language), style="italic"), title_justify="left")
        drawn.box, drawn.pad_edge = box.SIMPLE_HEAD, False
        for head in self.grid.heads[:most]:
            drawn.add_column(Text(head.text.within(self.language)), justify="right" if head.numeric else "left", no_wrap=True)
        for row in self.grid.rows[:MOST_MODELS]:
            drawn.add_row(*(Text(cell.text.within(self.language)) for cell in row[:most]))
        hidden = len(self.grid.rows) - MOST_MODELS
        unsaid = [say("term_more_rows", count=hidden)] if hidden > 0 else []
        if len(self.grid.heads) > most:
            unsaid.append(say("term_more_columns", count=len(self.grid.heads) - most))
        if unsaid:
            drawn.caption = Text(" · ".join(phrase.within(self.language) for phrase in unsaid))
            drawn.caption_justify = "right"
        return drawn
