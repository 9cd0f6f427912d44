"""The report in short, for a terminal: the same story as the page in one language, as renderables of rich."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table as Lines
from rich.text import Text

from huizhen.privacy.result import Result
from huizhen.report import disclosure, numerals, story
from huizhen.report.alone import alone_text, leading
from huizhen.report.comparison import height, label_cell, main_columns, matching, row_differences, sides
from huizhen.report.content import Analysis, ReportContent
from huizhen.report.grid import Column, Grid, cell_of, counts_grid, labels_of, value_cell
from huizhen.report.plainquality import quality_lines
from huizhen.report.table_one import table_one_grid
from huizhen.report.words import Language, Phrase, as_is, label, say, told

__all__ = ["tables"]

MOST_SITES = 6
MOST_ROWS = 16
MOST_FACTS = 8
LONGEST_HEAD, LONGEST_LABEL = 10, 28  # letters before a head is broken at its blanks, before a label is folded
UNBOUNDED = 10_000  # a terminal so wide that any table fits


def tables(content: ReportContent, language: Language = "en") -> tuple[RenderableType, ...]:
    """The short answer, each analysis, who was left out, what left each hospital; nothing a policy withholds.

    Args:
        language: ``en`` or ``zh``.
    """
    answer = "".join(sentence.within(language) + ("" if language == "zh" else " ") for sentence in story.short_answer(content))
    shown: list[RenderableType] = [Text(told(content.title).within(language), style="bold"), Text(answer.strip())]
    shown += [chapter(analysis, language) for analysis in content.analyses]
    if content.left_out:
        shown.append(lines(disclosure.left_out_grid(content), language))
    if content.refusals:
        shown.append(lines(disclosure.refusal_grid(content), language))
    if content.left:
        shown.append(lines(disclosure.left_grid(content.left), language))
    return tuple(shown)


def chapter(analysis: Analysis, language: Language) -> RenderableType:
    """One analysis: the leading table side by side, else its counts, else its facts; or why there is no answer."""
    result, parts = analysis.federation, [heading(analysis, language)]
    if result.failure:
        return Group(*parts, Text(say("failed_why", reason=told(result.failure)).within(language), style="yellow"))
    assembled = table_one_grid(result)
    if assembled is not None:
        return Group(*parts, lines(assembled, language))
    name = leading(result)
    judged = quality_lines(analysis, language)
    parts += judged
    if name and not (name == "quality" and judged):  # its own measures stand among those of all models on the same patients
        parts.append(SideBySide(analysis, name, language))
    for title, table in result.cells.items():
        parts.append(lines(counts_grid(table, story.caption_of(table.caption, title)), language))
    test = facts_line(result, language)
    if test is not None and (not name or "coefficients" not in result.tables):
        parts.append(test)
    return Group(*parts)


def heading(analysis: Analysis, language: Language) -> RenderableType:
    """The analysis's name with patients, rounds and equality."""
    small = " · ".join(phrase.within(language) for phrase in (*story.meta(analysis), *story.remarks(analysis)))
    return Text.assemble("\n", (analysis.label, "bold"), "  ", (small, "dim"))


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Rows of the leading table with as many hospitals alone as there is room for: a number that is cut short is no number."""

    analysis: Analysis
    name: str
    language: Language

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        most = min(len(able(self.analysis, self.name)), MOST_SITES)
        drawn = side_by_side(self.analysis, self.name, self.language, most=most)
        while most and console.measure(drawn, options=options.update_width(UNBOUNDED)).maximum > options.max_width:
            most -= 1
            drawn = side_by_side(self.analysis, self.name, self.language, most=most)
        yield drawn


def side_by_side(analysis: Analysis, name: str, language: Language, *, most: int) -> Lines:
    """Rows of the leading table: federation, pooled rows, difference, and the first `most` hospitals alone."""
    result, table = analysis.federation, analysis.federation.tables[name]
    column = Column(main_columns(table)[0], label(main_columns(table)[0]))
    others, alone = [side for side in sides(analysis) if name in side.result.tables], able(analysis, name)
    compared = bool(others) and analysis.exact
    caption = say("captioned", caption=story.caption_of(table.caption, name), column=column.head).within(language)
    drawn = new_table(caption, [label(n).within(language) for n in labels_of(table)], widest=LONGEST_LABEL)
    heads = [say("federation"), *(side.name for side in others), *([say("difference")] if compared else [])]
    for head in (*heads, *map(as_is, list(alone)[:most])):
        text = head.within(language)
        drawn.add_column(Text(text if len(text) <= LONGEST_HEAD else text.replace(" ", "\n")), justify="right", no_wrap=True)
    gaps = row_differences(table, others[0].result.tables[name]) if compared else []
    for i in range(min(height(table), MOST_ROWS)):
        texts = [label_cell(result, name, n, i).text.within(language) for n in labels_of(table)]
        texts += numbers_in_row(result, name, column, i, [side.result for side in others], language)
        texts += [numerals.difference(gaps[i])] if compared else []
        texts += [alone_text(table, own.tables[name], column.name, i) for own in list(alone.values())[:most]]
        drawn.add_row(*map(Text, texts))
    more = len(alone) - most
    unsaid = [say("term_more_sites", count=more)] if more > 0 else []
    if height(table) > MOST_ROWS:
        unsaid.append(say("term_more_rows", count=height(table) - MOST_ROWS))
    if unsaid:
        drawn.caption = Text(" · ".join(phrase.within(language) for phrase in unsaid))
        drawn.caption_justify = "right"
    return drawn


def numbers_in_row(result: Result, name: str, column: Column, i: int, others: Sequence[Result], language: Language) -> list[str]:
    """The federation's number and those of the other sides; where the first is not published, the others are not shown."""
    table = result.tables[name]
    decimals = numerals.column_decimals(table.columns[column.name])
    own = cell_of(result, name, column, i, decimals)
    texts = [own.text.within(language)]
    for other in others:
        j = matching(table, other.tables[name])[i]
        there = own.kind == "number" and j is not None and column.name in other.tables[name].columns
        texts.append(cell_of(other, name, column, j, decimals).text.within(language) if there and j is not None else "–")
    return texts


def able(analysis: Analysis, name: str) -> dict[str, Result]:
    """The hospitals that have an own result to set beside."""
    if name == "quality":  # a hospital's own measures rest on other patients than the federation's
        return {}
    return {site: result for site, result in analysis.alone.items() if not result.failure and name in result.tables}


def facts_line(result: Result, language: Language) -> RenderableType | None:
    """The single numbers in one line."""
    found = [(n, v) for n, v in result.facts.items() if numerals.is_number(v)][:MOST_FACTS]
    told = [f"{label(n).within(language)} {value_cell(v, p_value=numerals.is_p_value(n)).text.within(language)}" for n, v in found]
    return Text(" · ".join(told)) if told else None


def lines(grid: Grid, language: Language) -> RenderableType:
    """A grid as a table of rich; long ones are cut with the number of rows left."""
    drawn = new_table(grid.caption.within(language), [])
    for head in grid.heads:
        drawn.add_column(Text(head.text.within(language)), justify="right" if head.numeric else "left", overflow="fold")
    for row in grid.rows[:MOST_ROWS]:
        drawn.add_row(*(Text(cell_words(cell.text, cell.note, language)) for cell in row))
    if len(grid.rows) > MOST_ROWS:
        drawn.caption = Text(say("term_more_rows", count=len(grid.rows) - MOST_ROWS).within(language))
    if grid.foot:
        drawn.add_section()
        drawn.add_row(*(Text(cell_words(cell.text, cell.note, language), style="bold") for cell in grid.foot))
    return drawn


def cell_words(text: Phrase, note: str, language: Language) -> str:
    """A cell's text with its small print."""
    return f"{text.within(language)} {note}".rstrip()


def new_table(caption: str, heads: Sequence[str], widest: int | None = None) -> Lines:
    """An empty table in the terminal's calm style; words are shown as they stand, never read as markup."""
    drawn = Lines(title=Text(caption, style="italic"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        drawn.add_column(Text(head), overflow="fold", max_width=widest)
    return drawn
