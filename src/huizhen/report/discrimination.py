"""How a learned model tells patients apart, and whether its risks come true: ROC and calibration curves beside each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator

from huizhen.privacy.result import Result, Table
from huizhen.report import numerals
from huizhen.report.content import Analysis
from huizhen.report.curves import joined
from huizhen.report.learned import BELOW, COLORS, LEFT, TOP, WIDTH, Floats, numbers, plain
from huizhen.report.quality import measured
from huizhen.report.svg import Sheet, ink
from huizhen.report.words import Phrase, as_is, say

__all__ = ["curves"]

GAP = 58.0
SQUARE = (WIDTH - 2 * LEFT - GAP + 34) / 2
LINE = 13.0
SEEN = 0.005  # an area that differs from the AUC by less is the same to a reader
UNIT = (0.0, 0.25, 0.5, 0.75, 1.0)


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
    text = say("plot_curves_text" if analysis.curves else "plot_curves_short")
    below, told = area_below(roc) if roc is not None else None, auc_of(analysis)
    if below is None or told is None or abs(below - told[0]) < SEEN:
        return sheet, text
    return sheet, joined(text, say("plot_curves_points", area=f"{below:.3f}"))


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


def area_below(roc: Table) -> float:
    """The area below the line that is drawn."""
    return float(np.trapezoid(numbers(roc, "sensitivity"), numbers(roc, "false_positive_rate")))


def auc_of(analysis: Analysis) -> tuple[float, object, object] | None:
    """The federation's area with its limits, on the rows of the curve that is drawn; None where it is not told."""
    if "roc" in analysis.curves.get("", {}):
        return measured(analysis, "auc").get("federation")
    return estimated(analysis.federation, "auc")


def auc_lines(analysis: Analysis, alone: bool, pooled: bool) -> list[tuple[Phrase, str]]:
    """What the curves' areas are, in the order of importance; each of the very rows that its curve is of."""
    if "roc" not in analysis.curves.get("", {}):
        own = reading(analysis.federation, "auc")
        return [(prefixed(say("federation"), own), "accent")] if own else []
    told = measured(analysis, "auc")
    if "federation" not in told:
        return []
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


def estimated(result: Result, measure: str, of: str = "") -> tuple[float, object, object] | None:
    """A measure of a label with its limits, as the result tells it; None where it does not."""
    table = result.tables.get("quality")
    if table is None or "measure" not in table.columns:
        return None
    labels = table.columns.get("label", ("",) * len(table.columns["measure"]))
    for i, (name, here) in enumerate(zip(table.columns["measure"], labels)):
        value, low, high = (table.columns[column][i] for column in ("estimate", "ci_low", "ci_high"))
        if (name, here) == (measure, of) and numerals.is_number(value):
            return float(value), low, high
    return None


def reading(result: Result, measure: str, of: str = "") -> str:
    """E.g. `` 0.912 (0.890–0.930)``; "" where it is not told."""
    told = estimated(result, measure, of)
    if told is None:
        return ""
    value, low, high = told
    limits = f" ({low:.2f}–{high:.2f})" if numerals.is_number(low) and numerals.is_number(high) else ""
    return f" {value:.3f}{limits}".replace("-", numerals.MINUS)


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
