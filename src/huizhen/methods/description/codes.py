"""Numbers that stand for words: where nearly all rows have one code, what is said of the others is said of a few patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import NotEstimable

__all__ = ["CODES", "refuse_rare", "unlike"]

CODES = (0, 1, 2)  # what yes and no, or two kinds, are coded by when they are numbers


def unlike(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows that do not have each code, int64 (code,)."""
    return np.array([np.count_nonzero(values != code) for code in CODES], np.int64)


def refuse_rare(name: str, rows: float, counts: NDArray[Any], least: int) -> None:
    """Refuses an outcome of which all rows but 1 to `least` - 1 have one code.

    Args:
        rows: joint rows.
        counts: those that do not have each code, (code,).

    Raises:
        NotEstimable: it is one.
    """
    if rows >= least and bool(((counts > 0) & (counts < least)).any()):
        raise NotEstimable(
            f"{name}: all rows but 1 to {least - 1} have one code, 0, 1 or 2, so that the model would describe these few; choose "
            "an outcome that more patients had"
        )
