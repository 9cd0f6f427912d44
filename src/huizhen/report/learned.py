"""A learned model in pictures: the course of learning, and what the model looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from huizhen.privacy.result import Table
from huizhen.report import numerals
from huizhen.report.content import Analysis
from huizhen.report.svg import Sheet, ink, wide
from huizhen.report.words import Phrase, as_is, label, say

__all__ = ["LEARNED", "importance", "learning"]

LEARNED = ("learning", "roc", "calibration", "importance")  # tables that a plot shows
WIDTH, LEFT, TOP, BELOW = 480.0, 46.0, 20.0, 40.0
LOSSES = ("loss", "rmse", "mae", "deviance", "error")
MOST_VARIABLES, BAR = 20, 15.0
COLORS = 6
HIGH = 150.0
Floats = NDArray[np.float64]


def learning(analysis: Analysis, key: str) -> tuple[Sheet, Phrase] | None:
    """Loss and joint measure by round or tree; None where the result tells no course."""
    table = analysis.federation.tables.get("learning")
    if table is None or not table.index or len(table.columns[table.index]) < 2:
        return None
    names = [name for name in table.columns if name != table.index and np.isfinite(numbers(table, name)).sum() > 1]
    panels = [part for part in ([n for n in names if is_loss(n)], [n for n in names if not is_loss(n)]) if part]
    if not panels:
        return None
    sheet = Sheet(key, WIDTH, TOP + HIGH + BELOW)
    width = (WIDTH - LEFT - 12 - (LEFT + 4) * (len(panels) - 1)) / len(panels)
    for place, part in enumerate(panels):
        axes = sheet.axes(LEFT + place * (width + LEFT + 4), TOP, width, HIGH)
        draw_course(sheet, axes, table, part, analysis.federation.facts.get(f"chosen_{table.index}"), width)
    return sheet, say("plot_learning_text", step=lower(label(table.index)))


def importance(analysis: Analysis, key: str) -> tuple[Sheet, Phrase] | None:
    """Bars of how much each variable contributed, the largest first; None where the result does not tell."""
    table = analysis.federation.tables.get("importance")
    if table is None:
        return None
    names = [name for name, values in table.columns.items() if any(isinstance(value, str) for value in values)]
    measures = [
        n for n in ("gain", "importance", *table.columns) if n in table.columns and n not in names and n not in table.counts
    ]
    if not names or not measures:
        return None
    value = numbers(table, measures[0])
    order = [i for i in np.argsort(-np.nan_to_num(value, nan=-1.0), kind="stable") if np.isfinite(value[i])][:MOST_VARIABLES]
    if not order or value[order[0]] <= 0:
        return None
    variables = [str(table.columns[names[0]][i]) for i in order]
    left = min(max(60.0, 5.9 * max(wide(name) for name in variables) + 12), 190.0)
    body = BAR * len(order)
    sheet = Sheet(key, WIDTH, body + 34)
    axes = sheet.axes(left, 4, WIDTH - left - 56, body)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(0, float(value[order[0]]))
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(NullLocator())
    axes.spines["bottom"].set_visible(False)
    total = float(np.nansum(np.maximum(value, 0.0)))
    axes.barh(range(len(order)), value[order], height=0.66, color=ink("accent"), linewidth=0)
    for place, (i, name) in enumerate(zip(order, variables)):
        across = axes.get_yaxis_transform()
        sheet.write(axes, -8 / (WIDTH - left - 56), place, as_is(name), ha="right", va="center", transform=across, most=32)
        share = as_is(f"{100 * value[i] / total:.1f} %")
        sheet.write(
            axes, float(value[i] / value[order[0]]) + 0.012, place, share, va="center", transform=across, fontsize=8.5, color="soft"
        )
    sheet.write(axes, 0.0, -16 / body, label(measures[0]), color="soft", va="center", transform=axes.transAxes)
    return sheet, say("plot_importance_text", measure=lower(label(measures[0])))


def draw_course(sheet: Sheet, axes: Axes, table: Table, names: Sequence[str], chosen: object, width: float) -> None:
    """One panel: lines in different colours, their names above, a ring at the round that was kept."""
    steps = numbers(table, table.index)
    plain(axes)
    axes.set_xlim(steps[0], steps[-1])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: numerals.short(round(value, 9)) if value else "0")
    start = 0.0
    for place, name in enumerate(names):
        values, color = numbers(table, name), f"g{(place + (0 if is_loss(name) else 2)) % COLORS}"
        known = np.isfinite(values)
        axes.plot(steps[known], values[known], color=ink(color), linewidth=1.7, zorder=4, clip_on=False)
        kept = known & (steps == chosen) & (chosen != steps[-1])
        for i in np.flatnonzero(kept).tolist():
            axes.scatter(
                [steps[i]], [values[i]], s=30, facecolors="none", edgecolors=ink("ring"), linewidths=1.2, zorder=6, clip_on=False
            )
        sheet.write(axes, start, 1 + 10 / HIGH, label(name), color=color, va="center", transform=axes.transAxes)
        start += (6.0 * max(wide(label(name).en), wide(label(name).zh)) + 14) / width
    sheet.write(axes, 0.5, -30 / HIGH, label(table.index), color="soft", ha="center", va="center", transform=axes.transAxes)


def plain(axes: Axes) -> None:
    """Quiet horizontal lines."""
    axes.grid(axis="y", color=ink("line"), linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def lower(name: Phrase) -> Phrase:
    """A name within a sentence."""
    return Phrase(name.en.lower() if not name.en.isupper() else name.en, name.zh)


def is_loss(name: str) -> bool:
    """Whether less of it is better."""
    return name.endswith(LOSSES)


def numbers(table: Table, name: str) -> Floats:
    """A column as float64, NaN where there is no number or no such column."""
    values = table.columns.get(name, (None,) * len(next(iter(table.columns.values()), ())))
    return np.array([float(v) if numerals.is_number(v) else np.nan for v in values])
