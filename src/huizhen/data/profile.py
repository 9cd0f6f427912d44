"""How much of a column may stand on a card: counts that hide small groups, and numbers too coarse to show a patient."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Categories, Numbers, Tabular

__all__ = [
    "Cells",
    "Rule",
    "Spread",
    "cells",
    "is_identifier",
    "is_scale",
    "is_text",
    "spread",
    "years",
    "years_of_labels",
    "years_of_numbers",
]

DISTINCT = 0.9  # share of rows with a value of their own above which a column identifies them
WORDS, LONG = 4, 25  # mean words, mean characters of free text
MANY_TEXTS = 0.5  # distinct texts per row above which a category is free text
DOMINANT = 0.5  # share of the squared distances from the median that fewer patients than the minimum may have
OUTER = 0.05  # share of values outside of each bound, about; more where that would be too few patients
FEW = 12  # different numbers up to which they are told as levels: codes, scores, stages
ISO = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?([ T].*)?")
LATE = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})([ T].*)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a policy says about cards."""

    min_cell_count: int
    min_rows: int
    round_to: int

    def rounded(self, count: int) -> int:
        return round(count / self.round_to) * self.round_to


@dataclass(frozen=True, slots=True)
class Cells:
    """Numbers of rows that may be told; None where withheld."""

    missing: int | None
    missing_share: float | None
    levels: Mapping[str, int]
    rarer: int
    note: str


@dataclass(frozen=True, slots=True)
class Spread:
    """What may be told of numbers; None where withheld."""

    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def cells(column: Tabular, rule: Rule) -> Cells:
    """How many rows are missing and, for a category, how many have each level.

    The cells add up to the rows, which are told; so with one cell withheld its size would follow. The smallest cell that could be
    told is then withheld too, and what remains unsaid could be any split of two or more cells.
    """
    absent = column.missing()
    rows, missing = len(absent), int(np.count_nonzero(absent))
    if isinstance(column, Numbers):
        hidden = 0 < missing < rule.min_cell_count or 0 < rows - missing < rule.min_cell_count
        counts: dict[str | None, int] = {None: missing}
        shown: dict[str | None, int] = {} if hidden else counts
    else:
        tally = np.bincount(column.codes[~absent], minlength=len(column.levels)).tolist()
        counts = {level: count for level, count in zip(column.levels, tally) if count} | {None: missing}
        shown = {level: count for level, count in counts.items() if count >= rule.min_cell_count or (level is None and not count)}
        if len(shown) < len(counts) and any(shown.values()):
            del shown[min((level for level in shown if shown[level]), key=lambda level: shown[level])]
    levels = {level: rule.rounded(count) for level, count in shown.items() if level is not None}
    commonest = dict(sorted(levels.items(), key=lambda item: (-item[1], item[0])))
    rarer = len(counts) - 1 - len(levels)
    if None not in shown:
        return Cells(None, None, commonest, rarer, "the number of missing values is withheld")
    told = rule.rounded(missing)
    return Cells(told, round(min(1.0, told / max(rule.rounded(rows), 1)), 3), commonest, rarer, "")


def spread(values: NDArray[np.float64], rule: Rule) -> Spread:
    """Mean, standard deviation and bounds of about nine tenths of the values, all of them coarse."""
    present = values[~np.isnan(values)]
    distinct, counts = np.unique(present, return_counts=True)
    if len(present) - int(counts.max()) < rule.min_cell_count:
        return Spread(note=f"fewer than {rule.min_cell_count} values differ from the commonest: nothing more is told")
    sd = float(np.std(present, ddof=1))
    away = np.sort((present - np.median(present)) ** 2)
    if away[-(rule.min_cell_count - 1) :].sum() > DOMINANT * away.sum() and rule.min_cell_count > 1:
        return Spread(note="a few values stand so far apart that mean and spread would be theirs: nothing more is told")
    step = _nice(sd * rule.min_cell_count / len(present))
    low = _bound(distinct, np.cumsum(counts), sd, rule)
    high = _bound(-distinct[::-1], np.cumsum(counts[::-1]), sd, rule)
    note = "" if low is not None and high is not None else "a bound that would stand for few patients is withheld"
    return Spread(_to(float(present.mean()), step), _to(sd, step), low, None if high is None else -high + 0.0, note)


def is_identifier(column: Tabular) -> bool:
    """Whether nearly every row has a value of its own: any text, or whole numbers."""
    if isinstance(column, Numbers):
        present = column.values[~np.isnan(column.values)]
        return bool(np.all(present == np.round(present))) and len(np.unique(present)) > DISTINCT * len(present)
    present_codes = column.codes[column.codes >= 0]
    return len(np.unique(present_codes)) > DISTINCT * len(present_codes)


def is_scale(column: Numbers) -> bool:
    """Whether a numeric variable takes so few values that they are better told as levels than by mean and bounds."""
    return len(np.unique(column.values[~np.isnan(column.values)])) <= FEW


def is_text(column: Categories) -> bool:
    """Whether the labels read as sentences, or are too many to be levels."""
    levels, filled = column.levels, int(np.count_nonzero(column.codes >= 0))
    words = sum(len(level.split()) for level in levels) / len(levels)
    characters = sum(map(len, levels)) / len(levels)
    return words >= WORDS or characters >= LONG or len(levels) > MANY_TEXTS * filled


def years(found: NDArray[np.float64], rule: Rule) -> tuple[float | None, float | None]:
    """First and last year up to which, and from which on, at least the minimum cell count of rows lies."""
    present = np.sort(found[~np.isnan(found)])
    if len(present) < 2 * rule.min_cell_count:
        return None, None
    return float(present[rule.min_cell_count - 1]), float(present[-rule.min_cell_count])


def years_of_labels(column: Categories) -> NDArray[np.float64] | None:
    """The year of each row where all labels are dates: float64 (row,), NaN where missing; else None."""
    found = [_year(level) for level in column.levels]
    if not found or None in found:
        return None
    return np.array([*found, math.nan], np.float64)[column.codes]


def years_of_numbers(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The year of each row where all numbers are dates such as 20240131: float64 (row,), NaN where missing; else None."""
    present = values[~np.isnan(values)]
    day, month, year = present % 100, present // 100 % 100, present // 10_000
    right = (
        (present == np.round(present)) & (day >= 1) & (day <= 31) & (month >= 1) & (month <= 12) & (year >= 1900) & (year < 2100)
    )
    return np.floor(values / 10_000) if right.all() else None


def _year(label: str) -> float | None:
    match = ISO.fullmatch(label)
    if match and int(match[2]) <= 12 and int(match[3]) <= 31:
        return float(match[1])
    match = LATE.fullmatch(label)
    return float(match[3]) if match and min(int(match[1]), int(match[2])) <= 12 else None


def _bound(distinct: NDArray[np.float64], up_to: NDArray[np.int64], sd: float, rule: Rule) -> float | None:
    """A round number with all but about `OUTER` of the values above it, enough of them below and none upon it; or None."""
    start = distinct[np.searchsorted(up_to, max(OUTER * up_to[-1], min(1.5 * rule.min_cell_count, up_to[-1])))]
    for step in (_nice(sd / 4), _nice(sd / 10), _nice(sd / 20)):
        for quarters in (0, 2, 1, 3, 4):
            bound = float(f"{(math.floor(start / step) - quarters / 4) * step:.12g}")
            below = int(np.searchsorted(distinct, bound))
            is_taken = np.any(np.isclose(distinct, bound, rtol=1e-9, atol=0))
            if below and up_to[below - 1] >= rule.min_cell_count and not is_taken:
                return bound
    return None


def _nice(step: float) -> float:
    """The smallest of 1, 2, 5, 10, ... times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(multiple * power for multiple in (1.0, 2.0, 5.0, 10.0) if multiple * power >= step * (1 - 1e-12))


def _to(value: float, step: float) -> float:
    digits = max(0, -math.floor(math.log10(step)))
    return round(round(value / step) * step, digits) + 0.0
