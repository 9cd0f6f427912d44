"""Numbers that stand for words: where nearly all rows have one code, what is said of the others is said of a few patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import NotEstimable

__all__ = ["CODES", "refuse_codes", "refuse_rare", "unlike"]

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


def refuse_codes(name: str, counted: NDArray[np.int64], least: int) -> None:
    """Refuses to learn as a number what is a code whose mean and spread would count patients.

    Args:
        counted: joint rows by fold, and of these those that do not have each code: int64 (fold, 1 + code).

    Raises:
        NotEstimable: in a fold all rows but 1 to `least` - 1 have one code; all rows have one of two codes; or one of three, one of
            which 1 to `least` - 1 rows of a fold have (mean and spread say how many have each).
    """
    for rows in counted:
        refuse_rare(name, float(rows[0]), rows[1:], least)
    having = counted[:, :1] - counted[:, 1:]  # (fold, code)
    if not counted[:, 0].any() or having.sum() < counted[:, 0].sum():
        return
    if np.count_nonzero(having.sum(axis=0)) == 2:
        raise NotEstimable(
            f'{name}: all rows have one of two codes, so that its mean is a number of patients; set task = "classification"'
        )
    if ((having > 0) & (having < least)).any():
        raise NotEstimable(
            f"{name}: all rows have one of three codes, and 1 to {least - 1} rows have one of them, so that mean and spread would "
            'tell of these few; set task = "classification", or choose an outcome that more patients had'
        )
