"""Forecast beside actual: the section of a report that tells how well a run was foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from huizhen.report import foreseeing, numerals
from huizhen.report.content import Outlook
from huizhen.report.grid import Cell, Grid, Head
from huizhen.report.plots import Plot
from huizhen.report.words import Phrase, as_is, say, told
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.learnt import Compared

__all__ = ["Section", "section_of"]

TOLD = ("total", "rest", "bytes")


@dataclass(frozen=True, slots=True)
class Section:
    """The section as a page wants it."""

    title: Phrase
    sentences: tuple[Phrase, ...]
    plots: tuple[Plot, ...]
    grids: tuple[Grid, ...]
    notes: tuple[Phrase, ...]
    digest: str


def section_of(outlook: Outlook) -> Section:
    """The section: a sentence or two, pictures, tables, and what was assumed."""
    seen, compared = outlook.foreseen, outlook.compared
    grids = [_beside(compared)] if compared else []
    return Section(
        say("outlook" if compared else "outlook_before"),
        tuple(_sentences(seen, compared)),
        foreseeing.pictures(seen, compared),
        (*grids, _sites(seen), _inputs(seen)),
        tuple(map(told, seen.notes)),
        seen.digest,
    )


def _sentences(seen: Foreseen, compared: Sequence[Compared]) -> list[Phrase]:
    total = seen.total
    fill = {"value": numerals.duration(total.value), "low": numerals.duration(total.low), "high": numerals.duration(total.high)}
    found = [say("outlook_total", **fill)]
    if seen.deadline_s:
        found.append(say("outlook_deadline", deadline=numerals.duration(seen.deadline_s), share=f"{100 * seen.in_time:.0f}"))
    for one in compared:
        if one.residual.part == "total":
            inside = "outlook_inside" if one.residual.covered else "outlook_outside"
            found.append(say(inside, seen=numerals.duration(one.residual.seen)))
    return found


def _beside(compared: Sequence[Compared]) -> Grid:
    heads = (Head(say("outlook_part"), numeric=False), *(Head(say(key)) for key in ("forecast", "interval_90", "actual", "off_by")))
    rows = []
    for one in compared:
        residual = one.residual
        if residual.part in TOLD or (residual.part == "times" and residual.predicted.low < residual.predicted.high):
            predicted = residual.predicted
            name = say(f"part.{residual.part}")
            label = Phrase(f"{name.en} {residual.subject}", f"{name.zh} {residual.subject}") if residual.part == "times" else name
            ends = (_value(predicted.low, predicted.unit), _value(predicted.high, predicted.unit))
            between = Phrase(f"{ends[0].en} – {ends[1].en}", f"{ends[0].zh} – {ends[1].zh}")
            off = as_is(f"{100 * residual.relative:+.0f} %".replace("-", numerals.MINUS)) if residual.seen else as_is("–")
            cells = (_value(predicted.value, predicted.unit), between, _value(residual.seen, predicted.unit), off)
            rows.append((Cell(label), *(Cell(text, kind="number") for text in cells)))
    return Grid(say("outlook"), heads, tuple(rows), help=say("outlook_help"))


def _sites(seen: Foreseen) -> Grid:
    travels = seen.engine == "wire"
    names = ("rows", *(("foreseen_down", "foreseen_up") if travels else ()), "foreseen_left", "foreseen_work")
    heads = (Head(say("site"), numeric=False), *(Head(say(name)) for name in names))
    rows = []
    for one in seen.sites:
        lines = [as_is(numerals.size(round(size))) for size in (one.down, one.up)] if travels else []
        cells = [
            as_is(numerals.short(round(one.rows))),
            *lines,
            as_is(numerals.size(round(one.left))),
            numerals.duration(one.work_s),
        ]
        rows.append((Cell(as_is(one.site)), *(Cell(text, kind="number") for text in cells)))
    return Grid(say("foreseen_sites"), heads, tuple(rows))


def _inputs(seen: Foreseen) -> Grid:
    heads = (
        Head(say("foreseen_input"), numeric=False),
        Head(say("foreseen_value")),
        Head(say("foreseen_spread")),
        Head(say("foreseen_known"), numeric=False),
        Head(say("foreseen_age")),
    )
    rows = []
    for one in seen.relied_on:
        value = one.value
        age = as_is("–") if one.age_s is None else numerals.duration(one.age_s)
        known, source_ = told(value.provenance), told(value.source)
        how = Phrase(f"{known.en} ({source_.en})", f"{known.zh}（{source_.zh}）") if value.source else known
        spread = as_is("" if value.spread == 1 else f"× {value.spread:.3g}")
        rows.append(
            (
                Cell(as_is(one.name)),
                *(Cell(text, kind="number") for text in (_of(value), spread)),
                Cell(how),
                Cell(age, kind="number"),
            )
        )
    return Grid(say("foreseen_inputs"), heads, tuple(rows))


def _of(value: Quantity) -> Phrase:
    unit = "" if value.unit in ("1", "count") else f" {value.unit}"
    return as_is(f"{value.value:.4g}{unit}")


def _value(value: float, unit: str) -> Phrase:
    if unit == "s":
        return numerals.duration(value)
    return as_is(numerals.size(round(value)) if unit == "byte" else f"{value:.4g}")
