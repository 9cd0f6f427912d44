"""A learned model in pictures: the course of learning, ROC and calibration curves, and what the model looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from huizhen.privacy.result import Result, Table
from huizhen.report import numerals
from huizhen.report.content import Analysis
from huizhen.report.quality import measured
from huizhen.report.svg import Sheet, ink, wide
from huizhen.report.words import Phrase, as_is, label, say

__all__ = ["LEARNED", "curves", "importance", "learning"]

LEARNED = ("learning", "roc", "calibration", "importance")  # tables that a plot shows
WIDTH, GAP, LEFT, TOP, BELOW = 480.0, 58.0, 46.0, 20.0, 40.0
SQUARE = (WIDTH - 2 * LEFT - GAP + 34) / 2
LINE = 13.0
LOSSES = ("loss", "rmse", "mae", "deviance", "error")
MOST_VARIABLES, BAR = 20, 15.0
COLORS = 6
HIGH = 150.0
UNIT = (0.0, 0.25, 0.5, 0.75, 1.0)
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


def curves(analysis: Analysis, key: str) -> tuple[Sheet, Phrase] | None:
    """ROC curve and calibration beside each other; None where the result has neither."""
    roc, calibration = curve_of(analysis, "roc"), curve_of(analysis, "calibration")
    if roc is None and calibration is None:
        return None
    sheet = Sheet(key, WIDTH, TOP + SQUARE + BELOW)
    several = roc is not None and "label" in roc.columns
    if roc is not None:
        axes = sheet.axes(LEFT, TOP, SQUARE, SQUARE)
        draw_roc(sheet, axes, analysis, roc)
    if calibration is not None:
        axes = sheet.axes(LEFT + SQUARE + GAP, TOP, SQUARE, SQUARE)
        draw_calibration(sheet, axes, analysis, calibration)
    if several and roc is not None:
        labels = len(set(roc.columns["label"]))
        return sheet, say("plot_curves_labels") if labels <= COLORS else say("plot_curves_first", drawn=COLORS, labels=labels)
    return sheet, say("plot_curves_text" if analysis.curves else "plot_curves_short")


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


def draw_roc(sheet: Sheet, axes: Axes, analysis: Analysis, table: Table) -> None:
    """The federation's curve over those of the hospitals alone and of the pooled rows; of several labels one colour each."""
    unit_square(axes)
    name_axes(sheet, axes, "axis_false_positive", "axis_sensitivity", "plot_roc")
    if "label" in table.columns:
        for place, (name, points) in enumerate(by_label(table).items()):
            axes.plot(
                points["false_positive_rate"], points["sensitivity"], color=ink(f"g{place % COLORS}"), linewidth=1.5, zorder=4
            )
            write_line(sheet, axes, place, as_is(f"{name}{reading(analysis.federation, 'auc', name)}"), f"g{place % COLORS}")
        return
    alone = {site: part["roc"] for site, part in analysis.curves.items() if site not in ("", "*") and "roc" in part}
    for part in alone.values():
        axes.plot(
            numbers(part, "false_positive_rate"),
            numbers(part, "sensitivity"),
            color=ink("soft"),
            alpha=0.5,
            linewidth=0.8,
            zorder=2,
        )
    axes.plot(numbers(table, "false_positive_rate"), numbers(table, "sensitivity"), color=ink("accent"), linewidth=2.0, zorder=4)
    pooled = analysis.curves.get("*", {}).get("roc")
    if pooled is not None:
        x, y = numbers(pooled, "false_positive_rate"), numbers(pooled, "sensitivity")
        axes.plot(x, y, color=ink("ring"), linewidth=1.3, linestyle=(0, (1, 1.8)), zorder=5)
    for place, (words, color) in enumerate(auc_lines(analysis, bool(alone), pooled is not None)):
        write_line(sheet, axes, place, words, color)


def auc_lines(analysis: Analysis, alone: bool, pooled: bool) -> list[tuple[Phrase, str]]:
    """What the curves' areas are, in the order of importance."""
    told = measured(analysis, "auc")
    if "federation" not in told:
        own = reading(analysis.federation, "auc")
        return [(prefixed(say("federation"), own), "accent")] if own else []
    found = [(prefixed(say("federation"), f" {told['federation'][0]:.3f}"), "accent")]
    if pooled and "pooled" in told:
        found.append((prefixed(say("pooled"), f" {told['pooled'][0]:.3f}"), "ring"))
    own_values = [value for key, (value, _, _) in told.items() if key not in ("federation", "pooled")]
    if alone and own_values:
        span = f"{min(own_values):.3f}–{max(own_values):.3f}" if len(own_values) > 1 else f"{own_values[0]:.3f}"
        found.append((prefixed(say("alone_short"), f" {span}"), "soft"))
    return found


def draw_calibration(sheet: Sheet, axes: Axes, analysis: Analysis, table: Table) -> None:
    """Observed shares with their intervals over predicted risks; points on the diagonal are right."""
    unit_square(axes)
    parts = by_label(table) if "label" in table.columns else {"": {name: numbers(table, name) for name in table.columns}}
    name_axes(sheet, axes, "axis_predicted", "axis_observed", "plot_calibration")
    most = max(
        (float(np.nanmax(part[name], initial=0.0)) for part in parts.values() for name in ("mean_predicted", "observed")),
        default=1.0,
    )
    if most < 0.42:  # rare outcomes: a quarter of the square would hold all points
        side = next(edge for edge in (0.05, 0.1, 0.2, 0.5) if most * 1.15 <= edge)
        axes.set_xlim(0, side)
        axes.set_ylim(0, side)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(lambda value, _: f"{value:g}")
    for place, part in enumerate(parts.values()):
        color = ink("accent" if len(parts) == 1 else f"g{place % COLORS}")
        x, y = part["mean_predicted"], part["observed"]
        if len(parts) == 1:
            axes.vlines(x, part["ci_low"], part["ci_high"], color=color, linewidth=1.4, alpha=0.55, zorder=3)
        axes.plot(x, y, color=color, linewidth=1.0, alpha=0.6, zorder=4)
        axes.scatter(x, y, s=17, color=color, linewidths=0, zorder=5)
    own = slope_of(analysis) if len(parts) == 1 else ""
    if own:
        words, above = prefixed(say("slope"), own), 1 + 11 / SQUARE
        sheet.write(axes, 1.0, above, words, color="soft", ha="right", va="center", transform=axes.transAxes, fontsize=8.8)


def slope_of(analysis: Analysis) -> str:
    """The calibration slope of the federation's model with its interval, on the rows of the curve."""
    told = measured(analysis, "calibration_slope").get("federation")
    if told is None:
        return "" if analysis.curves else reading(analysis.federation, "calibration_slope")
    value, low, high = told
    limits = f" ({low:.2f}–{high:.2f})" if numerals.is_number(low) and numerals.is_number(high) else ""
    return f" {value:.2f}{limits}".replace("-", numerals.MINUS)


def curve_of(analysis: Analysis, name: str) -> Table | None:
    """The federation's curve: on the rows that all models are judged on, else its own."""
    table = analysis.curves.get("", {}).get(name) or analysis.federation.tables.get(name)
    known = table is not None and len(next(iter(table.columns.values()), ())) > 1
    return (
        table
        if known and table is not None and any(np.isfinite(numbers(table, n)).any() for n in ("sensitivity", "observed"))
        else None
    )


def reading(result: Result, measure: str, of: str = "") -> str:
    """E.g. `` 0.912 (0.890–0.930)``; "" where it is not told."""
    table = result.tables.get("quality")
    if table is None or "measure" not in table.columns:
        return ""
    labels = table.columns.get("label", ("",) * len(table.columns["measure"]))
    for i, (name, here) in enumerate(zip(table.columns["measure"], labels)):
        value, low, high = (table.columns[column][i] for column in ("estimate", "ci_low", "ci_high"))
        if (name, here) == (measure, of) and numerals.is_number(value):
            limits = f" ({low:.2f}–{high:.2f})" if numerals.is_number(low) and numerals.is_number(high) else ""
            return f" {value:.3f}{limits}".replace("-", numerals.MINUS)
    return ""


def by_label(table: Table) -> dict[str, Mapping[str, Floats]]:
    """The rows of each label; at most as many labels as there are colours."""
    labels = np.array([str(one) for one in table.columns["label"]])
    columns = {name: numbers(table, name) for name in table.columns if name != "label"}
    return {
        name: {c: values[labels == name] for c, values in columns.items()} for name in list(dict.fromkeys(labels.tolist()))[:COLORS]
    }


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1, with the diagonal."""
    plain(axes)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(list(UNIT)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.plot([0, 1], [0, 1], color=ink("line"), linewidth=1.0, zorder=1)


def plain(axes: Axes) -> None:
    """Quiet horizontal lines."""
    axes.grid(axis="y", color=ink("line"), linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def name_axes(sheet: Sheet, axes: Axes, across: str, up: str, title: str) -> None:
    """Names of both axes, and what is seen above."""
    sheet.write(axes, 0.5, -30 / SQUARE, say(across), color="soft", ha="center", va="center", transform=axes.transAxes)
    sheet.write(axes, -36 / SQUARE, 0.5, say(up), color="soft", rotation=90, ha="center", va="center", transform=axes.transAxes)
    sheet.write(axes, 0.0, 1 + 11 / SQUARE, say(title), va="center", transform=axes.transAxes)


def write_line(sheet: Sheet, axes: Axes, place: int, words: Phrase, color: str) -> None:
    """A line of text in the empty lower right corner, counted from below."""
    sheet.write(
        axes,
        0.985,
        (9 + LINE * place) / SQUARE,
        words,
        color=color,
        ha="right",
        va="center",
        transform=axes.transAxes,
        fontsize=8.8,
    )


def prefixed(name: Phrase, rest: str) -> Phrase:
    """A name with what follows it."""
    return Phrase(name.en + rest, name.zh + rest)


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
