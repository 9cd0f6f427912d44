"""The plots of a report: which an analysis has, as inline drawings with a title and a sentence of what is seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from huizhen.privacy.result import CellTable, Result
from huizhen.report import curves, discrimination, forest, learned, numerals
from huizhen.report.content import Analysis, Left
from huizhen.report.svg import Sheet, ink, own_settings, wide
from huizhen.report.words import Phrase, as_is, level_name, say

__all__ = ["Plot", "left_by_site", "of_analysis", "of_cells"]

KINDS = ("addend", "counts", "individual")
WIDTH = 480.0
BAR, GAP = 13.0, 8.0
MOST_BARS = 48
MOST_SITES = 40
MOST_VARIABLES = 24


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing and what it shows."""

    svg: Markup
    title: Phrase
    text: Phrase


def of_analysis(analysis: Analysis, key: str) -> tuple[Plot, ...]:
    """All plots that an analysis's result calls for; `key` makes their ids unique."""
    if analysis.federation.failure:
        return ()
    makers: tuple[tuple[str, Callable[[Analysis, str], tuple[Sheet, Phrase] | None]], ...] = (
        ("forest", forest.draw),
        ("survival", curves.draw),
        ("curves", discrimination.curves),
        ("learning", learned.learning),
        ("importance", learned.importance),
        ("correlation", lambda seen, name: correlation(seen.federation, name)),
    )
    found = []
    with own_settings():
        for name, make in makers:
            made = make(analysis, f"{key}-{name}")
            if made is not None:
                title = say(f"plot_{name}")
                found.append(Plot(made[0].markup(title, made[1]), title, made[1]))
    return tuple(found)


def of_cells(table: CellTable, key: str) -> Plot | None:
    """Bars for a table of counts: a group of bars for each row; None where there are too many."""
    counts = np.asarray(table.counts)
    if not 0 < counts.size <= MOST_BARS:
        return None
    with own_settings():
        sheet = count_bars(table, counts, key)
        title, text = say("plot_counts"), say("plot_counts_text")
        return Plot(sheet.markup(title, text), title, text)


def count_bars(table: CellTable, counts: NDArray[np.int64], key: str) -> Sheet:
    """One bar for each cell, the number at its end; a withheld cell has a dashed stub and the word."""
    many, groups = counts.shape[1], counts.shape[0]
    legend = 18.0 if many > 1 else 0.0
    body = groups * (many * BAR + GAP)
    left = min(max(40.0, 5.6 * max(wide(name) for name in table.rows) + 12), 170.0)
    sheet = Sheet(key, WIDTH, legend + body + 8)
    axes = sheet.axes(left, legend, WIDTH - left - 60, body)
    axes.set_axis_off()
    largest = max(int(counts.max()), 1)
    axes.set_xlim(0, largest)
    axes.set_ylim(body, 0)
    for i, row in enumerate(table.rows):
        start = i * (many * BAR + GAP) + GAP / 2
        sheet.write(
            axes,
            -8 / (WIDTH - left - 60),
            start + many * BAR / 2,
            level_name(row),
            ha="right",
            va="center",
            transform=axes.get_yaxis_transform(),
            most=30,
        )
        for j in range(many):
            draw_count(sheet, axes, int(counts[i, j]), start + j * BAR, largest, j)
    for j, name in enumerate(table.columns if many > 1 else ()):
        x = j * (WIDTH - left - 20) / max(many, 4)
        axes.scatter(
            [x / (WIDTH - left - 60)],
            [1 + 10 / body],
            s=40,
            marker="s",
            color=ink(f"g{j % 6}"),
            transform=axes.transAxes,
            clip_on=False,
        )
        place = ((x + 9) / (WIDTH - left - 60), 1 + 10 / body)
        sheet.write(axes, *place, level_name(name), va="center", transform=axes.transAxes, fontsize=9, most=16)
    return sheet


def draw_count(sheet: Sheet, axes: object, count: int, top: float, largest: int, j: int) -> None:
    """One bar."""
    add, color = axes.add_patch, ink(f"g{j % 6}")  # type: ignore[attr-defined]
    if count < 0:
        add(
            Rectangle(
                (0, top + 1), largest * 0.05, BAR - 2, fill=False, edgecolor=ink("soft"), linestyle=(0, (2, 2)), linewidth=0.8
            )
        )
        sheet.write(axes, largest * 0.06, top + BAR / 2, say("withheld"), va="center", color="soft", fontsize=8.5)  # type: ignore[arg-type]
        return
    add(Rectangle((0, top + 1), count, BAR - 2, color=color, linewidth=0))
    words = as_is(numerals.short(count))
    sheet.write(axes, count + largest * 0.012, top + BAR / 2, words, va="center", fontsize=8.5)  # type: ignore[arg-type]


def correlation(result: Result, key: str) -> tuple[Sheet, Phrase] | None:
    """A heat map of the correlation matrix; None where there is none."""
    found = correlation_of(result)
    if found is None:
        return None
    names, matrix = found
    left = min(max(40.0, 5.6 * max(wide(name) for name in names) + 12), 150.0)
    cell = min(46.0, (WIDTH - left - 10) / len(names))
    side = cell * len(names)
    sheet = Sheet(key, WIDTH, side + 26)
    axes = sheet.axes(left, 20, side, side)
    axes.set_axis_off()
    axes.set_xlim(0, len(names))
    axes.set_ylim(len(names), 0)
    for i, name in enumerate(names):
        sheet.write(axes, -8 / side, i + 0.5, as_is(name), ha="right", va="center", transform=axes.get_yaxis_transform(), most=26)
        sheet.write(axes, i + 0.5, -0.12, as_is(name), ha="center", va="bottom", fontsize=8.5, most=max(4, int(cell / 5.4)))
        for j in range(len(names)):
            draw_correlation(sheet, axes, matrix[i, j], i, j, cell)
    return sheet, say("plot_correlation_text")


def draw_correlation(sheet: Sheet, axes: object, value: float, i: int, j: int, cell: float) -> None:
    """One square, the stronger the fuller."""
    if not np.isfinite(value):
        return
    color = ink("plus" if value >= 0 else "minus")
    square = Rectangle(
        (j + 0.02, i + 0.02), 0.96, 0.96, facecolor=color, alpha=min(0.04 + 0.5 * abs(float(value)), 0.54), linewidth=0
    )
    axes.add_patch(square)  # type: ignore[attr-defined]
    if cell >= 24:
        words = as_is(f"{value:.2f}".replace("-", numerals.MINUS))
        sheet.write(axes, j + 0.5, i + 0.5, words, ha="center", va="center", fontsize=9)  # type: ignore[arg-type]


def correlation_of(result: Result) -> tuple[tuple[str, ...], NDArray[np.float64]] | None:
    """Names and matrix: of a table ``correlation``, or of an array with the variables named in the facts or in a table's index."""
    table = result.tables.get("correlation")
    if table is not None and table.index:
        names = tuple(str(name) for name in table.columns[table.index])
        if all(name in table.columns for name in names):
            rows = [
                [table.columns[b][a] if numerals.is_number(table.columns[b][a]) else np.nan for b in names]
                for a in range(len(names))
            ]
            return (names, np.array(rows, dtype=float)) if 1 < len(names) <= MOST_VARIABLES else None
    matrix = result.arrays.get("correlation")
    if matrix is None or not 1 < len(matrix) <= MOST_VARIABLES:
        return None
    listed: list[Sequence[object]] = [
        v for v in (result.facts.get("variables"), result.facts.get("correlation_variables")) if isinstance(v, list | tuple)
    ]
    listed += [t.columns[t.index] for t in result.tables.values() if t.index]
    names = next((tuple(str(n) for n in names) for names in listed if len(names) == len(matrix)), ())
    return (names, np.asarray(matrix, dtype=float)) if names else None


def left_by_site(left: Sequence[Left], key: str) -> Plot | None:
    """Stacked bars: bytes that left each hospital, by kind."""
    sites = tuple(dict.fromkeys(one.site for one in left))
    if not 0 < len(sites) <= MOST_SITES:
        return None
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for one in left:
        sums[one.site, one.kind] += one.bytes
    with own_settings():
        sheet = left_bars(sites, sums, tuple(k for k in KINDS if any(o.kind == k for o in left)), key)
        title, text = say("plot_left"), say("plot_left_text")
        return Plot(sheet.markup(title, text), title, text)


def left_bars(sites: tuple[str, ...], sums: dict[tuple[str, str], int], kinds: tuple[str, ...], key: str) -> Sheet:
    """The sheet of `left_by_site`."""
    step, legend = 15.0, 20.0
    body = step * len(sites)
    left = min(max(40.0, 5.6 * max(wide(site) for site in sites) + 12), 150.0)
    sheet = Sheet(key, WIDTH, legend + body + 26)
    axes = sheet.axes(left, legend, WIDTH - left - 60, body)
    axes.set_ylim(body, 0)
    totals = {site: sum(sums[site, kind] for kind in kinds) for site in sites}
    axes.set_xlim(0, max(*totals.values(), 1))
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: numerals.size(int(value)))
    for i, site in enumerate(sites):
        sheet.write(
            axes,
            -8 / (WIDTH - left - 60),
            (i + 0.5) * step,
            as_is(site),
            ha="right",
            va="center",
            transform=axes.get_yaxis_transform(),
            most=26,
        )
        start = 0
        for kind in kinds:
            color = ink(f"g{KINDS.index(kind)}")
            axes.add_patch(Rectangle((start, i * step + 2), sums[site, kind], step - 4, color=color, linewidth=0))
            start += sums[site, kind]
        sheet.write(
            axes,
            1.02,
            (i + 0.5) * step,
            as_is(numerals.size(start)),
            va="center",
            transform=axes.get_yaxis_transform(),
            fontsize=8.5,
        )
    for j, kind in enumerate(kinds):
        x = j * 130 / (WIDTH - left - 60)
        color = ink(f"g{KINDS.index(kind)}")
        axes.scatter([x + 0.01], [1 + 10 / body], s=40, marker="s", color=color, transform=axes.transAxes, clip_on=False)
        sheet.write(axes, x + 0.03, 1 + 10 / body, say(f"kind.{kind}"), va="center", transform=axes.transAxes, fontsize=9)
    return sheet
