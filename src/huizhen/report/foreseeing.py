"""A forecast in pictures: where the time goes, one round as bars, the federation with its load, and what each hospital sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from huizhen.report import numerals
from huizhen.report.plots import Plot
from huizhen.report.svg import Sheet, ink, own_settings, wide
from huizhen.report.words import Phrase, as_is, say
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.shadow.learnt import Compared

__all__ = ["PARTS", "actual_parts", "pictures"]

WIDTH, ROW = 480.0, 17.0
PARTS = ("download", "compute", "protect", "upload", "aggregate", "wait", "rest")
INKS = {"download": "g3", "compute": "g0", "protect": "g2", "upload": "g1", "aggregate": "g4", "wait": "line", "rest": "soft"}
MOST_SITES = 24
SMALL = 8.5


def pictures(seen: Foreseen, compared: Sequence[Compared] = ()) -> tuple[Plot, ...]:
    """The pictures that a forecast calls for; with what came, where there was a run."""
    with own_settings():
        made = [("spent", _spent(seen, compared)), ("gantt", _gantt(seen) if seen.bars else None)]
        if 0 < len(seen.sites) <= MOST_SITES:
            made += [("load", _load(seen))]
        found = []
        for name, sheet in made:
            if sheet is not None:
                title, text = say(f"foreseen_{name}"), say(f"foreseen_{name}_text", round=seen.shown)
                found.append(Plot(sheet.markup(title, text), title, text))
    return tuple(found)


def actual_parts(compared: Sequence[Compared]) -> Mapping[str, float]:
    """Seconds of work and of all else, as they came; {} where there is nothing to tell."""
    seen = {one.residual.part: one.residual.seen for one in compared if one.residual.part in ("total", "rest")}
    if "total" not in seen or "rest" not in seen:
        return {}
    rest = min(seen["rest"], seen["total"])
    return {"compute": seen["total"] - rest, "rest": rest}


def _spent(seen: Foreseen, compared: Sequence[Compared]) -> Sheet:
    """Stacked bars: the forecast and, below it, what came; the forecast's interval as a line."""
    actual = actual_parts(compared)
    bars = [
        (say("forecast"), {name: one.value for name, one in seen.parts.items()}),
        *([(say("actual"), actual)] if actual else []),
    ]
    sheet, left, legend = Sheet("foreseen-spent", WIDTH, 24 + 30 * len(bars) + 24), 74.0, 24.0
    axes = _axes(sheet, left, legend, WIDTH - left - 66, 30.0 * len(bars))
    most = max(seen.total.high, *(sum(parts.values()) for _, parts in bars), 1e-9)
    axes.set_xlim(0, most)
    axes.set_ylim(len(bars), 0)
    for place, (name, parts) in enumerate(bars):
        _label(sheet, axes, name, place + 0.5, left)
        start = 0.0
        for part, value in parts.items():
            axes.add_patch(Rectangle((start, place + 0.2), value, 0.6, color=ink(INKS[part]), linewidth=0))
            start += value
        at = max(start, seen.total.high if place == 0 else 0.0) + most * 0.012
        sheet.write(axes, at, place + 0.5, numerals.duration(start), va="center", fontsize=SMALL)
    axes.plot([seen.total.low, seen.total.high], [0.5, 0.5], color=ink("ink"), linewidth=1.2)
    for end in (seen.total.low, seen.total.high):
        axes.plot([end, end], [0.38, 0.62], color=ink("ink"), linewidth=1.2)
    used = [part for part in PARTS if any(parts.get(part, 0.0) > 0.005 * most for _, parts in bars)]
    _legend(sheet, axes, used, 30.0 * len(bars), WIDTH - left - 66)
    return sheet


def _gantt(seen: Foreseen) -> Sheet:
    """One round: a row for each hospital and one for the hub."""
    sites = [one.site for one in seen.sites if any(bar.site == one.site for bar in seen.bars)]
    rows = {site: place for place, site in enumerate([*sites, ""])}
    left = _left([*sites, say("foreseen_hub").en])
    sheet = Sheet("foreseen-gantt", WIDTH, 24 + ROW * len(rows) + 24)
    axes = _axes(sheet, left, 24, WIDTH - left - 20, ROW * len(rows))
    axes.set_xlim(0, max(bar.ends_s for bar in seen.bars))
    axes.set_ylim(len(rows), 0)
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    for site, place in rows.items():
        _label(sheet, axes, as_is(site) if site else say("foreseen_hub"), place + 0.5, left)
    for bar in seen.bars:
        width = bar.ends_s - bar.begins_s
        axes.add_patch(Rectangle((bar.begins_s, rows[bar.site] + 0.18), width, 0.64, color=ink(INKS[bar.part]), linewidth=0))
    used = [part for part in PARTS if any(bar.part == part for bar in seen.bars)]
    _legend(sheet, axes, used, ROW * len(rows), WIDTH - left - 20)
    return sheet


def _load(seen: Foreseen) -> Sheet:
    """The hub, and every hospital at the end of its line: the more bytes, the thicker; a dot as large as its work."""
    sites, height = seen.sites, max(26.0 * len(seen.sites), 60.0)
    left = _left([one.site for one in sites])
    sheet = Sheet("foreseen-load", WIDTH, height + 12)
    axes = sheet.axes(64, 6, WIDTH - 64 - left - 96, height)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(sites), 0)
    middle, travels = len(sites) / 2, seen.engine == "wire"
    moved = [one.down + one.up if travels else one.left for one in sites]
    most, busiest = max(*moved, 1.0), max(*(one.work_s for one in sites), 1e-12)
    for place, (one, size) in enumerate(zip(sites, moved, strict=True)):
        axes.plot([0, 1], [middle, place + 0.5], color=ink("g1"), linewidth=0.6 + 4.4 * size / most, alpha=0.55, clip_on=False)
        axes.scatter([1], [place + 0.5], s=16 + 90 * one.work_s / busiest, color=ink("g0"), zorder=3, clip_on=False)
        words = f"{one.site} · {numerals.size(round(size))} · {_short(one.work_s)}"
        sheet.write(axes, 1.06, place + 0.5, as_is(words), va="center", fontsize=SMALL, most=44)
    axes.scatter([0], [middle], s=120, marker="s", color=ink("ink"), zorder=3, clip_on=False)
    sheet.write(axes, -0.05, middle, say("foreseen_hub"), ha="right", va="center")
    return sheet


def _axes(sheet: Sheet, left: float, top: float, width: float, height: float) -> Axes:
    axes = sheet.axes(left, top, width, height)
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.locator_params(axis="x", nbins=5)
    return axes


def _label(sheet: Sheet, axes: Axes, name: Phrase, y: float, left: float) -> None:
    place: dict[str, Any] = {"ha": "right", "va": "center", "transform": axes.get_yaxis_transform()}
    sheet.write(axes, -8 / (WIDTH - left), y, name, most=26, **place)


def _legend(sheet: Sheet, axes: Axes, parts: Sequence[str], height: float, width: float) -> None:
    x = 0.0
    for part in parts:
        axes.scatter(
            [x / width], [1 + 12 / height], s=36, marker="s", color=ink(INKS[part]), transform=axes.transAxes, clip_on=False
        )
        words = say(f"part.{part}")
        sheet.write(axes, (x + 8) / width, 1 + 12 / height, words, va="center", transform=axes.transAxes, fontsize=SMALL)
        x += 18 + 5.4 * max(wide(words.en), wide(words.zh))


def _left(names: Sequence[str]) -> float:
    return min(max(44.0, 5.6 * max(wide(name) for name in names) + 12), 150.0)


def _short(seconds: float) -> str:
    """Seconds on an axis, in any language."""
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return "0" if seconds == 0 else f"{seconds * 1e6:.3g} µs"
