"""The card of a registry: what a site tells others of its events, never a row and no number of few patients.

Numbers of patients are told if they, and all patients without them, are 0 or at least the minimum; numbers of events are told by
two significant digits. Years and bounds of numbers have at least the minimum of patients beyond them, each patient counted once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor, log10
from typing import Any

__all__ = ["CODES_SQL", "KINDS_SQL", "YEARS_SQL", "CodeCard", "Facts", "KindCard", "RegistryCard", "registry_card"]

MANY = 500  # codes on a card, the commonest first
WIDE, NARROW = 20, 4  # minima of patients that a bound beyond which a twentieth, a quarter of them lie needs

KINDS_SQL = """
    select kind, count(*) as events, count(distinct patient) as patients, count(begins) as timed, count(code) as coded,
        count(number) as numbers, count(case when number is not null then unit end) as with_unit, sum(length(text)) as letters
    from events group by kind order by kind"""
YEARS_SQL = """
    select kind, first, last, count(*) as patients
    from (select kind, patient, min(year(begins)) as first, max(year(begins)) as last from events where begins is not null
          group by kind, patient)
    group by all"""
CODES_SQL = """
    with people as (select kind, system, code, unit, patient, count(*) as events,
            avg(number) as mean, count(number) as numbers, min(number = floor(number)) as whole
        from events where code is not null and kind <> 'value' group by kind, system, code, unit, patient),
    words as (select kind as of_kind, system as of_system, code as of_code, arg_max(display, (patients, display)) as display
        from (select kind, system, code, display, count(distinct patient) as patients from events
            where code is not null and display is not null and kind <> 'value' group by kind, system, code, display)
        where patients >= $least group by kind, system, code)
    select kind, system, code, max(display) as display, unit, count(*) as patients, sum(events) as events,
        count(mean) as with_number, min(whole) as whole,
        quantile_cont(mean, [0.05, 0.25, 0.75, 0.95]) as bounds
    from people left join words on kind = of_kind and code = of_code and system is not distinct from of_system
    group by kind, system, code, unit having count(*) >= $least order by patients desc, kind, system, code, unit"""


@dataclass(frozen=True, slots=True)
class KindCard:
    """What is told of a kind of event; None where it is withheld.

    Attributes:
        patients: who have such events, rounded.
        events: by two significant digits.
        first, last: years.
        timed, coded: share of the events with a time, with a code; two decimals.
        with_unit: share of the numbers that have a unit.
        letters: mean length of a text.
    """

    kind: str
    patients: int | None = None
    events: int | None = None
    first: int | None = None
    last: int | None = None
    timed: float | None = None
    coded: float | None = None
    with_unit: float | None = None
    letters: int | None = None


@dataclass(frozen=True, slots=True)
class CodeCard:
    """A code that enough patients have.

    Attributes:
        low, high: between them lie the means of nine in ten patients; of half of them where there are few patients.
        is_whole: whether all numbers are.
    """

    kind: str
    system: str
    code: str
    display: str
    unit: str
    patients: int
    per_patient: float
    low: float | None = None
    high: float | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class RegistryCard:
    """What a site tells of its registry.

    Attributes:
        patients: rounded; None where there are too few to be described.
        modalities: of images that enough patients have.
        note: why nothing is told, or "".
    """

    name: str
    patients: int | None
    kinds: tuple[KindCard, ...] = ()
    codes: tuple[CodeCard, ...] = ()
    modalities: tuple[str, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The card as canonical values."""
        return {"registry": 1, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Facts:
    """What was asked of the events: exact, for the site's own eyes.

    Attributes:
        kinds, years, codes: rows of `KINDS_SQL`, `YEARS_SQL`, `CODES_SQL`.
    """

    patients: int
    kinds: Sequence[Sequence[Any]]
    years: Sequence[Sequence[Any]]
    codes: Sequence[Sequence[Any]]


def registry_card(name: str, facts: Facts, *, min_cell_count: int, min_rows: int, round_to: int) -> RegistryCard:
    """What may be told of a registry."""
    least = max(min_cell_count, 1)
    if facts.patients < max(min_rows, least):
        return RegistryCard(name, None, note=f"fewer than {max(min_rows, least)} patients: nothing is told")
    spans = _spans(facts.years, least)
    kinds = [_kind(row, facts.patients, spans, least, round_to) for row in facts.kinds]
    codes = [_code(row, least, round_to) for row in facts.codes if _may(row[5], facts.patients, least)]
    modalities = tuple(dict.fromkeys(one.code for one in codes if one.kind == "image"))
    return RegistryCard(name, _rounded(facts.patients, least, round_to), tuple(kinds), tuple(codes[:MANY]), modalities)


def _may(count: int, whole: int, least: int) -> bool:
    return count >= least and (count == whole or whole - count >= least)


def _rounded(count: int, least: int, step: int) -> int:
    return max(round(count / step) * step, -(-least // step) * step)


def _kind(row: Sequence[Any], whole: int, spans: Mapping[str, tuple[int | None, int | None]], least: int, step: int) -> KindCard:
    kind, events, patients, timed, coded, numbers, with_unit, letters = row
    if patients < least:
        return KindCard(kind)
    first, last = spans.get(kind, (None, None))
    return KindCard(
        kind,
        _rounded(patients, least, step) if _may(patients, whole, least) else None,
        int(_two_digits(events)),
        first,
        last,
        round(timed / events, 2),
        round(coded / events, 2),
        round(with_unit / numbers, 2) if numbers >= least else None,
        int(_two_digits(letters / events)) if letters else None,
    )


def _spans(rows: Sequence[Sequence[Any]], least: int) -> dict[str, tuple[int | None, int | None]]:
    """By kind the years before and after which fewer than the minimum of patients have events."""
    found: dict[str, tuple[int | None, int | None]] = {}
    for kind in {row[0] for row in rows}:
        firsts = sorted((row[1], row[3]) for row in rows if row[0] == kind)
        lasts = sorted(((row[2], row[3]) for row in rows if row[0] == kind), reverse=True)
        first, last = _reached(firsts, least), _reached(lasts, least)
        found[kind] = (None, None) if first is None or last is None or first > last else (first, last)
    return found


def _reached(years: Sequence[tuple[int, int]], least: int) -> int | None:
    seen = 0
    for year, patients in years:
        seen += patients
        if seen >= least:
            return year
    return None


def _code(row: Sequence[Any], least: int, step: int) -> CodeCard:
    kind, system, code, display, unit, patients, events, with_number, whole, bounds = row
    low, high = (None, None)
    if with_number >= NARROW * least:
        outer, inner = (bounds[0], bounds[3]), (bounds[1], bounds[2])
        low, high = (_two_digits(bound) for bound in (outer if with_number >= WIDE * least else inner))
    per_patient = _two_digits(events / patients)
    words = (system or "", code, display or "", unit or "")
    return CodeCard(kind, *words, _rounded(patients, least, step), per_patient, low, high, bool(whole) and low is not None)


def _two_digits(value: float) -> float:
    """By two significant digits.

    >>> _two_digits(1234), _two_digits(0.0567)
    (1200.0, 0.057)
    """
    return 0.0 if value == 0 else round(float(value), 1 - floor(log10(abs(value))))
