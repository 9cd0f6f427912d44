"""The forest plot: what a model found, term by term, from the federation, the pooled rows and every hospital alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from huizhen.privacy.result import Result, Table
from huizhen.report import numerals
from huizhen.report.content import Analysis
from huizhen.report.svg import Sheet, ink, wide
from huizhen.report.words import Phrase, as_is, label, say

__all__ = ["Estimates", "draw", "estimates"]

RATIOS = ("hazard_ratio", "odds_ratio", "rate_ratio", "risk_ratio", "mean_ratio", "ratio")
MOST_TERMS = 40
ROW, TOP, BOTTOM, WIDTH = 27.0, 8.0, 44.0, 480.0
LETTER = 6.2  # points that a letter may take: the reader's own font, which may be wide, draws the words
UNLIKE = 60.0  # standard errors that differ by more than this cannot share an axis: each is then drawn in its own standard errors
FARTHEST = 3.0  # a hospital alone is drawn up to this multiple of the federation's own width beyond it
TICKS = (
    (0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25),
    (0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 4),
    (0.1, 0.2, 0.5, 1, 2, 5, 10),
    (0.01, 0.1, 1, 10, 100),
    (1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6),
)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Coefficients to draw, on the scale of the coefficient: (term,) float64 each; NaN where withheld or not estimable."""

    terms: tuple[str, ...]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    measure: str  # the ratio's column, or "coefficient"

    @property
    def is_ratio(self) -> bool:
        """Whether the reader thinks in ratios: the axis is then logarithmic."""
        return self.measure != "coefficient"


def estimates(result: Result) -> Estimates | None:
    """The coefficients of a model result without its intercept; None where there are none to draw."""
    table = result.tables.get("coefficients")
    needed = ("coefficient", "ci_low", "ci_high")
    if result.failure or table is None or any(name not in table.columns for name in needed):
        return None
    names = table.columns.get(table.index) or table.columns.get("term")
    if names is None:
        return None
    kept = [i for i, name in enumerate(names) if name is not None and str(name).lower() not in ("intercept", "(intercept)")][
        :MOST_TERMS
    ]
    value, low, high = (floats(table, name, kept) for name in needed)
    error = floats(table, "standard_error", kept) if "standard_error" in table.columns else (high - low) / 4
    measure = next((name for name in RATIOS if name in table.columns), "coefficient")
    return Estimates(tuple(str(names[i]) for i in kept), value, error, low, high, measure) if np.isfinite(value).any() else None


def floats(table: Table, name: str, rows: Sequence[int]) -> NDArray[np.float64]:
    """Values as float64, NaN where there is no number."""
    values = table.columns[name]
    return np.array([float(values[i]) if numerals.is_number(values[i]) else np.nan for i in rows])


def draw(analysis: Analysis, key: str) -> tuple[Sheet, Phrase] | None:
    """The sheet and what it shows; None where the federation has no coefficients, or says of none how sure it is."""
    found = estimates(analysis.federation)
    if found is None or not np.isfinite(found.high - found.low).any():
        return None
    scale, measure = scaled(found)
    pooled = estimates(analysis.pooled) if analysis.pooled is not None else None
    alone = {site: np.where(np.isfinite(found.value), v, np.nan) for site, v in alone_values(analysis.alone, found.terms).items()}
    left = min(max(30.0, LETTER * max(wide(term) for term in found.terms) + 10), 180.0)
    right = min(max(112.0, LETTER * max(wide(text) for i in range(len(found.terms)) for text in reading(found, i))), 160.0)
    height = TOP + ROW * len(found.terms) + BOTTOM
    sheet = Sheet(key, WIDTH, height)
    axes = sheet.axes(left, TOP, WIDTH - left - right, ROW * len(found.terms))
    limits = span(found, alone, scale)
    place = np.arange(len(found.terms), dtype=float)
    axes.set_xlim(*limits)
    axes.set_ylim(len(found.terms) - 0.5, -0.5)
    axes.yaxis.set_major_locator(NullLocator())
    mark_ticks(axes, limits, ratio=found.is_ratio and bool(np.all(scale == 1)))
    axes.axvline(0, color=ink("soft"), linewidth=0.8, zorder=1)
    draw_alone(axes, alone, scale, limits, place)
    axes.hlines(
        place,
        np.clip(found.low / scale, *limits),
        np.clip(found.high / scale, *limits),
        color=ink("accent"),
        linewidth=2.2,
        zorder=4,
    )
    axes.scatter(found.value / scale, place, s=40, marker="s", color=ink("accent"), linewidths=0, zorder=5)
    if pooled is not None:
        matched = np.where(np.isfinite(found.value), pick(pooled, found.terms), np.nan)  # what is withheld stays so
        axes.scatter(matched / scale, place, s=95, marker="o", facecolors="none", edgecolors=ink("ring"), linewidths=1.1, zorder=6)
    for i, term in enumerate(found.terms):
        sheet.write(
            axes,
            -8 / (WIDTH - left - right),
            i,
            as_is(term),
            ha="right",
            va="center",
            transform=axes.get_yaxis_transform(),
            most=30,
        )
        sheet.write(axes, 1.03, i, reading(found, i), va="center", transform=axes.get_yaxis_transform(), fontsize=9)
    sheet.write(
        axes, 0.5, -33 / (ROW * len(found.terms)), measure, color="soft", ha="center", va="center", transform=axes.transAxes
    )
    text = say(
        "plot_forest_text" if pooled is not None and any(len(v) for v in alone.values()) else "plot_forest_text_short",
        measure=measure,
    )
    return sheet, text


def scaled(found: Estimates) -> tuple[NDArray[np.float64], Phrase]:
    """What each term is divided by, and the name of the axis: 1 where terms can share an axis, else its standard error."""
    errors = found.error[np.isfinite(found.error) & (found.error > 0)]
    if len(errors) and errors.max() / errors.min() > UNLIKE:
        return np.where(np.isfinite(found.error) & (found.error > 0), found.error, 1.0), say("in_errors")
    return np.ones(len(found.terms)), label(found.measure)


def alone_values(alone: Mapping[str, Result], terms: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    """Every hospital's own coefficients for these terms, by hospital; those that could not be estimated are not there."""
    found = {site: estimates(result) for site, result in alone.items()}
    return {site: pick(values, terms) for site, values in found.items() if values is not None}


def pick(found: Estimates, terms: tuple[str, ...]) -> NDArray[np.float64]:
    """The values of these terms, NaN for a term that is not there."""
    by_term = dict(zip(found.terms, found.value))
    return np.array([by_term.get(term, np.nan) for term in terms])


def span(found: Estimates, alone: Mapping[str, NDArray[np.float64]], scale: NDArray[np.float64]) -> tuple[float, float]:
    """Limits of the axis: the federation's intervals and zero, and the hospitals alone as far as they are not far away."""
    own = np.concatenate([found.low / scale, found.high / scale, [0.0]])
    own = own[np.isfinite(own)]
    low, high = float(own.min()), float(own.max())
    width = max(high - low, 1e-9)
    others = np.concatenate([values / scale for values in alone.values()]) if alone else np.empty(0)
    others = others[np.isfinite(others) & (others > low - FARTHEST * width / 4) & (others < high + FARTHEST * width / 4)]
    low, high = min(low, *others, 0.0), max(high, *others, 0.0)
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def draw_alone(
    axes: Axes, alone: Mapping[str, Any], scale: NDArray[np.float64], limits: tuple[float, float], place: NDArray[np.float64]
) -> None:
    """Small marks below the federation's; a mark at the edge stands for a value outside the axis."""
    if not alone:
        return
    values = np.concatenate([own / scale for own in alone.values()])
    rows = np.tile(place + 0.3, len(alone))
    inside = np.isfinite(values) & (values >= limits[0]) & (values <= limits[1])
    axes.scatter(values[inside], rows[inside], s=11, color=ink("soft"), alpha=0.55, linewidths=0, zorder=2)
    for marker, outside, edge in (("<", values < limits[0], 0.0), (">", values > limits[1], 1.0)):
        at = limits[0] + (0.006 + 0.988 * edge) * (limits[1] - limits[0])
        axes.scatter(
            np.full(outside.sum(), at), rows[outside], s=11, marker=marker, color=ink("soft"), alpha=0.55, linewidths=0, zorder=2
        )


def mark_ticks(axes: Axes, limits: tuple[float, float], *, ratio: bool) -> None:
    """Ticks a reader expects: 0.5, 1, 2 for ratios, round numbers otherwise."""
    if not ratio:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(lambda value, _: numerals.short(value) if value else "0")
        return
    for ticks in TICKS:
        inside = [tick for tick in ticks if limits[0] <= np.log(tick) <= limits[1]]
        if len(inside) >= 3 and (limits[1] - limits[0]) <= 2.2 * (np.log(ticks[-1]) - np.log(ticks[0])):
            break
    axes.xaxis.set_major_locator(FixedLocator(list(np.log(inside)) if inside else [0.0]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{np.exp(value):.4g}")


def decimals_of(values: Sequence[float]) -> int | None:
    """Decimals that give three digits of the interval's width; None where powers of ten are clearer."""
    width = values[2] - values[1]
    if not np.isfinite(width) or width <= 0 or not numerals.FIXED_FROM <= width < numerals.FIXED_TO:
        return None
    return max(0, min(2 - int(np.floor(np.log10(width))), 6))


def reading(found: Estimates, i: int) -> Phrase:
    """E.g. ``0.58 (0.41–0.80)``."""
    values = [found.value[i], found.low[i], found.high[i]]
    if not np.isfinite(values[0]):
        return as_is("–")
    if found.is_ratio:
        values = list(np.exp(np.clip(values, -700, 700)))
    decimals = 2 if found.is_ratio and all(0.095 <= v < 1000 for v in values if np.isfinite(v)) else decimals_of(values)
    middle, low, high = (numerals.short(float(v), decimals) for v in values)
    joints = (" to ", " 至 ") if low.startswith(numerals.MINUS) else ("–", "–")
    return Phrase(*(f"{middle} ({low}{joint}{high})" for joint in joints))
