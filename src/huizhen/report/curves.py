"""Survival curves with their confidence bands and the numbers at risk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from huizhen.privacy.result import Result, Table
from huizhen.report import numerals
from huizhen.report.content import Analysis
from huizhen.report.grid import labels_of
from huizhen.report.svg import Sheet, ink, wide
from huizhen.report.words import Phrase, as_is, label, say

__all__ = ["Curve", "curves", "draw"]

MOST_GROUPS = 12
COLORS = 6
DASHES = ("-", "--")
WIDTH, HEIGHT, TOP, LINE, BELOW = 480.0, 212.0, 10.0, 14.0, 44.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One group's curve, (time,) float64 each; NaN where withheld or not estimable."""

    group: str
    time: NDArray[np.float64]
    survival: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    at_risk: NDArray[np.float64]
    leaving: NDArray[np.float64]  # events and censorings

    def at(self, time: float) -> str:
        """The number at risk just before a time, as published."""
        i = int(np.searchsorted(self.time, time, side="left"))
        count = self.at_risk[i] if i < len(self.time) else max(self.at_risk[-1] - self.leaving[-1], 0.0)
        return "–" if np.isnan(count) else f"{count:.0f}"


def curves(result: Result) -> tuple[Curve, ...]:
    """Every curve of a result: of tables with the columns time and survival, split by the group they name, if any."""
    found = []
    for name, table in result.tables.items():
        if "time" in table.columns and "survival" in table.columns:
            found += curves_of(name, table)
    by = result.facts.get("by", "")
    if isinstance(by, str) and by:
        found = [
            replace(curve, group=f"{by} = {curve.group}") if curve.group and by not in curve.group else curve for curve in found
        ]
    return tuple(found[:MOST_GROUPS])


def curves_of(name: str, table: Table) -> list[Curve]:
    """The curves of one table: its own name tells the group where no column does."""
    timed = [i for i, time in enumerate(table.columns["time"]) if numerals.is_number(time)]
    splitting = [n for n in labels_of(table) if n != "time"] or [n for n in ("group", "by", "stratum") if n in table.columns]
    if not splitting:
        return [curve_of(table, own_group(name), timed)] if timed else []
    rows: dict[str, list[int]] = {}
    for i in timed:
        rows.setdefault(" · ".join(str(table.columns[n][i]) for n in splitting), []).append(i)
    return [curve_of(table, group, places) for group, places in rows.items()]


def own_group(name: str) -> str:
    """The group that a table's name tells: ``survival sex=1`` or ``survival: female``; "" for none."""
    return re.sub(r"\s*=\s*", " = ", name.removeprefix("survival").strip(" :/[]"), count=1)


def curve_of(table: Table, group: str, rows: list[int]) -> Curve:
    """The chosen rows of a table as one curve."""

    def column(name: str) -> NDArray[np.float64]:
        values = table.columns.get(name)
        taken = [values[i] if values is not None and numerals.is_number(values[i]) else np.nan for i in rows]
        numbers = np.array(taken, dtype=float)
        return np.where(numbers < 0, np.nan, numbers) if name in table.counts else numbers

    leaving = column("events") + column("censored") if "censored" in table.columns else np.full(len(rows), np.nan)
    return Curve(group, column("time"), column("survival"), column("ci_low"), column("ci_high"), column("at_risk"), leaving)


def draw(analysis: Analysis, key: str) -> tuple[Sheet, Phrase] | None:
    """The sheet and what it shows; None where there is no curve."""
    found = curves(analysis.federation)
    if analysis.federation.failure or not found:
        return None
    counted = any(np.isfinite(curve.at_risk).any() for curve in found)
    below = LINE * (len(found) + 1) if counted else 0.0
    left = max(56.0, 5.4 * max(wide(curve.group) for curve in found) + 30) if counted else 56.0
    left = min(left, 150.0)
    sheet = Sheet(key, WIDTH, TOP + HEIGHT + BELOW + below)
    axes = sheet.axes(left, TOP, WIDTH - left - 16, HEIGHT)
    shape(axes, max(float(curve.time.max()) for curve in found))
    for i, curve in enumerate(found):
        color, dashes = ink(f"g{i % COLORS}"), DASHES[i // COLORS % 2]
        draw_curve(axes, curve, color, dashes)
    pooled = published(curves(analysis.pooled) if analysis.pooled is not None else (), found)
    for curve in pooled:
        axes.step(
            *from_one(curve.time, curve.survival), where="post", color=ink("ink"), linewidth=0.9, linestyle=(0, (1, 2.5)), zorder=5
        )
    unit = WIDTH - left - 16
    sheet.write(
        axes, -38 / unit, 0.5, say("axis_survival"), rotation=90, ha="center", va="center", transform=axes.transAxes, color="soft"
    )
    sheet.write(axes, 0.5, -32 / HEIGHT, time_name(analysis), ha="center", va="center", transform=axes.transAxes, color="soft")
    name_curves(sheet, axes, found)
    if counted:
        write_at_risk(sheet, axes, found, unit)
    write_p_value(sheet, axes, analysis.federation.facts, len(found))
    text = say("plot_survival_text", time=time_name(analysis))
    return sheet, joined(text, say("plot_survival_pooled")) if pooled else text


def published(pooled: tuple[Curve, ...], found: tuple[Curve, ...]) -> tuple[Curve, ...]:
    """The pooled curves at the groups and times that the federation publishes: what is withheld there is not shown from here."""
    shown = {curve.group: curve.time[np.isfinite(curve.survival)] for curve in found}
    kept = []
    for curve in pooled:
        there = np.isin(curve.time, shown.get(curve.group, np.empty(0)))
        if there.any():
            kept.append(replace(curve, survival=np.where(there, curve.survival, np.nan)))
    return tuple(kept)


def joined(first: Phrase, second: Phrase) -> Phrase:
    """Two sentences."""
    return Phrase(f"{first.en} {second.en}", f"{first.zh}{second.zh}")


def time_name(analysis: Analysis) -> Phrase:
    """The name of the time axis, with the unit where the method tells it."""
    unit = analysis.federation.facts.get("time_unit", "")
    name = label("time")
    return Phrase(f"{name.en.lower()} ({unit})", f"{name.zh}（{unit}）") if unit else Phrase(name.en.lower(), name.zh)


def from_one(time: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A curve that begins at time 0 with everybody alive."""
    return np.concatenate([[0.0], time]), np.concatenate([[1.0], values])


def shape(axes: Axes, last: float) -> None:
    """The frame: survival from 0 to 1, round times."""
    axes.set_xlim(0, last * 1.02 if last > 0 else 1)
    axes.set_ylim(0, 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", color=ink("line"), linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def draw_curve(axes: Axes, curve: Curve, color: str, dashes: str) -> None:
    """One step curve with its band."""
    if np.isfinite(curve.low).any():
        time, low = from_one(curve.time, curve.low)
        high = from_one(curve.time, curve.high)[1]
        axes.fill_between(time, low, high, step="post", color=color, alpha=0.14, linewidth=0, zorder=2)
    axes.step(*from_one(curve.time, curve.survival), where="post", color=color, linewidth=1.7, linestyle=dashes, zorder=4)


def name_curves(sheet: Sheet, axes: Axes, found: tuple[Curve, ...]) -> None:
    """A legend in the upper right corner, in the colours of the curves."""
    for i, curve in enumerate(found if len(found) > 1 else ()):
        y = 1 - (7 + LINE * i) / HEIGHT
        axes.plot(
            [0.98, 0.935],
            [y, y],
            color=ink(f"g{i % COLORS}"),
            linestyle=DASHES[i // COLORS % 2],
            linewidth=2.2,
            transform=axes.transAxes,
        )
        sheet.write(axes, 0.92, y, as_is(curve.group), ha="right", va="center", transform=axes.transAxes, most=36)


def write_at_risk(sheet: Sheet, axes: Axes, found: tuple[Curve, ...], unit: float) -> None:
    """The numbers at risk under each tick of time."""
    top = -(BELOW + 2) / HEIGHT
    place = axes.get_xaxis_transform()
    sheet.write(
        axes, -18 / unit, top, say("axis_at_risk"), color="soft", ha="right", va="center", transform=axes.transAxes, fontsize=8.5
    )
    ticks = [t for t in axes.xaxis.get_majorticklocs() if 0 <= t <= axes.get_xlim()[1]]
    for i, curve in enumerate(found):
        y = top - LINE * (i + 1) / HEIGHT
        name = curve.group if len(found) > 1 else ""
        sheet.write(
            axes, -18 / unit, y, as_is(name), color=f"g{i % COLORS}", ha="right", va="center", transform=axes.transAxes, most=24
        )
        for t in ticks:
            sheet.write(axes, float(t), y, as_is(curve.at(float(t))), ha="center", va="center", transform=place, fontsize=8.5)


def write_p_value(sheet: Sheet, axes: Axes, facts: Mapping[str, object], groups: int) -> None:
    """The log-rank test, where the result has one."""
    p = facts.get("p_value", facts.get("logrank_p", facts.get("log_rank_p")))
    if groups > 1 and numerals.is_number(p):
        shown = numerals.p_value(p)
        words = say("axis_log_rank", p=shown if shown[0] in "<>" else f"= {shown}")
        sheet.write(axes, 0.02, 0.06, words, transform=axes.transAxes, va="center", color="soft")
