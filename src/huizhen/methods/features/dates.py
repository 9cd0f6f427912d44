"""Dates as sources write them, as numbers of days; for differences between two dates of one patient."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Categories

__all__ = ["day_numbers"]


def day_numbers(column: Categories) -> NDArray[np.float64]:
    """Days since a fixed day, float64 (row,); NaN where a row has no date, or one that is not written as 2026-01-31.

    What stands behind a date, such as a time of day, does not count.
    """
    days = np.array([*map(_day, column.levels), np.nan])
    return days[column.codes]


def _day(text: str) -> float:
    written = text.strip().replace("/", "-")
    if len(written) > 10 and written[10] not in "T ":
        return np.nan
    try:
        return float(date.fromisoformat(written[:10]).toordinal())
    except ValueError:
        return np.nan
