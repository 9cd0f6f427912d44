"""How a published number of patients is rounded and judged; one rule for cells, columns and single numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.release import Terms

__all__ = ["WITHHELD", "is_number", "is_small", "round_count", "round_counts"]

WITHHELD = -1  # stands in an array of counts where a count is held back


def is_number(value: Any) -> bool:
    """Whether a table's value is a number; booleans, words, None and NaN are not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and value == value


def is_small(value: Any, minimum: int) -> bool:
    """Whether a value is a number of patients that must not be seen: more than 0 and below the minimum."""
    return is_number(value) and bool(0 < value < minimum)


def round_counts(counts: NDArray[np.int64], terms: Terms) -> NDArray[np.int64]:
    """Counts as published: the nearest multiple of `terms.round_to` (halves to the even one), but not below the minimum count."""
    step = terms.round_to
    if step == 1:
        return counts.copy()
    lowest = -(-terms.min_cell_count // step) * step
    nearest = np.rint(counts / step).astype(np.int64) * step
    return np.where(counts > 0, np.maximum(nearest, lowest), counts)


def round_count(value: Any, terms: Terms) -> Any:
    """One count as published; what is no number stays as it is."""
    if terms.round_to == 1 or not is_number(value):
        return value
    rounded = round_counts(np.array(round(value), dtype=np.int64), terms)
    return int(rounded) if isinstance(value, (int, np.integer)) else float(rounded)
