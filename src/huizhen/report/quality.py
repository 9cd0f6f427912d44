"""Learned models beside each other on the rows that none learnt from: the federation, the pooled rows, every hospital alone."""

from __future__ import annotations

from collections.abc import Sequence

from huizhen.privacy.result import Table
from huizhen.report import numerals
from huizhen.report.comparison import confidence_of
from huizhen.report.content import Analysis
from huizhen.report.grid import NOTHING, Cell, Grid, Head
from huizhen.report.words import Phrase, as_is, label, say, told

__all__ = ["LEADING", "leading_measure", "measured", "quality_grids", "sentence", "unjudged"]

LEADING = ("auc", "concordance", "dice", "r2", "rmse", "accuracy")  # what a reader asks for first
SHOWN = (
    *("auc", "concordance", "dice", "r2", "rmse", "mae"),
    *("accuracy", "sensitivity", "specificity", "brier", "calibration_slope"),
)
ALL_ROWS = "all"
MOST_SITES = 12
DECIMALS = {"auc": 3, "concordance": 3, "brier": 3, "log_loss": 3, "dice": 3, "accuracy": 3, "sensitivity": 3, "specificity": 3}


def quality_grids(analysis: Analysis) -> tuple[Grid, ...]:
    """Every measure on all rows held aside, one model a row; and the leading measure on each hospital's rows."""
    table = analysis.quality
    if table is None:
        return ()
    measures = [name for name in SHOWN if any(value is not None for value in table.columns.get(name, ()))]
    return tuple(
        grid
        for grid in (on_all(table, measures, confidence_of(analysis.federation)), by_site(table, leading_measure(table)))
        if grid is not None
    )


def unjudged(analysis: Analysis) -> tuple[Phrase, ...]:
    """Which models could not be judged on whose patients, and why: each model and reason once."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for one in analysis.unjudged:
        where.setdefault((one.model, one.site, one.reason), []).append(one.rows)
    return tuple(
        say("unjudged", model=whose(kind, site), rows=whose_rows(rows), reason=told(reason))
        for (kind, site, reason), rows in where.items()
    )


def whose_rows(rows: Sequence[str]) -> Phrase:
    """The hospitals whose patients, or all patients together."""
    names = [say("all_together") if name == ALL_ROWS else as_is(name) for name in rows]
    return Phrase(", ".join(name.en for name in names), "、".join(name.zh for name in names))


def whose(kind: str, site: str) -> Phrase:
    """Whose model."""
    return say("model_alone", site=site) if kind == "alone" else say(kind)


def leading_measure(table: Table) -> str:
    """The first of `LEADING` that is told; "" for none."""
    return next((name for name in LEADING if any(value is not None for value in table.columns.get(name, ()))), "")


def measured(analysis: Analysis, measure: str) -> dict[str, tuple[float, float | None, float | None]]:
    """A measure with its limits on all rows held aside, by model: ``federation``, ``pooled`` or a hospital's name."""
    table = analysis.quality
    if table is None or measure not in table.columns:
        return {}
    found = {}
    for i in places(table, ALL_ROWS):
        value, low, high = (table.columns[f"{measure}{limit}"][i] for limit in ("", "_low", "_high"))
        if numerals.is_number(value):
            found[table.columns["site"][i] or table.columns["model"][i]] = (float(value), low, high)
    return found


def on_all(table: Table, measures: Sequence[str], confidence: float) -> Grid | None:
    """One row a model, one column a measure, the interval in small print."""
    rows = [(name_cell(table, i), *(measure_cell(table, measure, i) for measure in measures)) for i in places(table, ALL_ROWS)]
    if not rows or not measures:
        return None
    heads = (Head(say("model"), numeric=False), *(Head(label(measure)) for measure in measures))
    patients = next((table.columns["patients"][i] for i in places(table, ALL_ROWS)), None)
    caption = say("quality_all") if patients is None else say("quality_all_of", count=numerals.short(patients))
    return Grid(caption, heads, tuple(rows), help=say("quality_help", percent=f"{100 * confidence:g}"))


def by_site(table: Table, measure: str) -> Grid | None:
    """One row a model, one column a hospital's rows."""
    sites = [name for name in dict.fromkeys(table.columns["rows"]) if name != ALL_ROWS]
    if not measure or not sites:
        return None
    cells: dict[tuple[str, str], dict[str, Cell]] = {}
    names: dict[tuple[str, str], Cell] = {}
    for where in sites[:MOST_SITES]:
        for i in places(table, where):
            key = (table.columns["model"][i], table.columns["site"][i])
            names[key] = name_cell(table, i)
            cells.setdefault(key, {})[where] = measure_cell(table, measure, i)
    heads = (Head(say("model"), numeric=False), *(Head(as_is(site)) for site in sites[:MOST_SITES]))
    rows = tuple(
        (names[key], *(row.get(site, Cell(NOTHING, kind="none")) for site in sites[:MOST_SITES])) for key, row in cells.items()
    )
    more = say("quality_more", count=len(sites) - MOST_SITES) if len(sites) > MOST_SITES else None
    return Grid(say("quality_by_site", measure=label(measure)), heads, rows, help=more)


def places(table: Table, rows: str) -> list[int]:
    """The rows of the table on one set of patients: federation, pooled, then the hospitals."""
    order = {"federation": 0, "pooled": 1}
    here = [i for i, name in enumerate(table.columns["rows"]) if name == rows]
    return sorted(here, key=lambda i: order.get(table.columns["model"][i], 2))


def name_cell(table: Table, i: int) -> Cell:
    """Whose model."""
    return Cell(whose(table.columns["model"][i], table.columns["site"][i]))


def measure_cell(table: Table, measure: str, i: int) -> Cell:
    """A measure with its interval."""
    value, low, high = (table.columns[f"{measure}{limit}"][i] for limit in ("", "_low", "_high"))
    if not numerals.is_number(value):
        return Cell(NOTHING, say("not_given_or_withheld"), "none")
    decimals = DECIMALS.get(measure)
    decimals = 2 if decimals is None and abs(value) < 100 else decimals
    limits = ""
    if numerals.is_number(low) and numerals.is_number(high):
        limits = "–".join(numerals.short(float(limit), decimals) for limit in (low, high))
        limits = f"({limits})" if numerals.MINUS not in limits else f"({limits.replace('–', ' to ')})"
    return Cell(as_is(numerals.short(float(value), decimals)), as_is(numerals.exact(value)), "number", limits)


def lead(analysis: Analysis) -> tuple[str, dict[str, tuple[float, float | None, float | None]]]:
    """The leading measure and its values by model."""
    measure = leading_measure(analysis.quality) if analysis.quality is not None else ""
    return measure, measured(analysis, measure) if measure else {}


def sentence(analysis: Analysis) -> Phrase | None:
    """What sharing was worth, in one sentence; None where models are not beside each other."""
    measure, told = lead(analysis)
    if "federation" not in told:
        return None
    alone = [value for name, (value, _, _) in told.items() if name not in ("federation", "pooled")]
    fill: dict[str, object] = {"measure": label(measure), "federation": f"{told['federation'][0]:.3f}", "label": analysis.label}
    if alone:
        fill["alone"] = f"{min(alone):.3f}" if len(alone) == 1 else f"{min(alone):.3f}–{max(alone):.3f}"
    if "pooled" in told:
        fill["pooled"] = f"{told['pooled'][0]:.3f}"
    return say("short_learned" if len(fill) == 5 else "short_learned_only", **fill)
