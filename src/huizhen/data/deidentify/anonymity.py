"""How well a table hides each of its patients: k-anonymity, distinct and entropy l-diversity, and the class that each row is in.

Rows with the same values in the columns by which somebody could be recognised form a class. k: rows of the smallest class
(Sweeney 2002).
l, distinct: different values of the sensitive column in the poorest class; entropy: exp of the smallest entropy of that column
in a class, so that a
class with l values alike often has l (Machanavajjhala et al. 2007, definition 4.1).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Codes", "Diversity", "Measured", "Texts", "classes_of", "coded", "diversity_of", "measured"]

Codes = NDArray[np.int64]  # (row,)
Diversity = Literal["distinct", "entropy"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found; counts only.

    Attributes:
        rows: of the table.
        classes: of rows with the same values.
        k: rows of the smallest class.
        unique: rows that are alone in theirs.
        distinct: different sensitive values in the poorest class; 0 without a sensitive column.
        entropy: exp of the smallest entropy; 0 without a sensitive column.
    """

    rows: int
    classes: int
    k: int
    unique: int
    distinct: int = 0
    entropy: float = 0.0


class Texts:
    """A column that grows row by row, in four bytes a row: codes into its distinct texts."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._codes = array("i")

    def add(self, text: str) -> None:
        self._codes.append(self._place.setdefault(text, len(self._place)))

    def sorted(self) -> tuple[Codes, list[str]]:
        """As `coded`."""
        levels = sorted(self._place)
        place = {text: at for at, text in enumerate(levels)}
        recode = np.array([place[text] for text in self._place] or [0], np.int64)
        return recode[np.frombuffer(self._codes, np.intc)], levels


def coded(values: Sequence[str | None] | Texts) -> tuple[Codes, list[str]]:
    """A column as codes into its distinct texts, sorted; a missing value is a value of its own."""
    if isinstance(values, Texts):
        return values.sorted()
    texts = ["" if value is None else str(value) for value in values]
    levels = sorted(set(texts))
    place = {text: at for at, text in enumerate(levels)}
    return np.fromiter((place[text] for text in texts), np.int64, len(texts)), levels


def classes_of(columns: Sequence[Codes]) -> Codes:
    """The class of every row, numbered from 0: rows are of one class where all columns agree."""
    joint: Codes = np.zeros(len(columns[0]) if columns else 0, np.int64)
    for column in columns:  # numbered again after each column, so that the product never overflows
        _, joint = np.unique(joint * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    return joint


def diversity_of(classes: Codes, sensitive: Codes, weights: NDArray[np.float64], how: Diversity) -> NDArray[np.float64]:
    """l of every class."""
    count = int(classes.max(initial=-1)) + 1
    width = int(sensitive.max(initial=0)) + 1
    cells, of_cell = np.unique(classes * width + sensitive, return_inverse=True)
    rows = np.bincount(of_cell, weights)
    owner = cells // width
    if how == "distinct":
        return np.bincount(owner, minlength=count).astype(np.float64)
    share = rows / np.bincount(owner, rows, minlength=count)[owner]
    return np.asarray(np.exp(np.bincount(owner, -share * np.log(share), minlength=count)))


def measured(columns: Sequence[Codes], sensitive: Codes | None = None) -> Measured:
    """k and l of a table.

    >>> measured([np.array([0, 0, 1, 1, 1])], np.array([0, 1, 0, 0, 1]))
    Measured(rows=5, classes=2, k=2, unique=0, distinct=2, entropy=1.8898815748423097)
    """
    if not columns or not len(columns[0]):
        return Measured(0, 0, 0, 0)
    classes = classes_of(columns)
    sizes = np.bincount(classes)
    distinct, entropy = 0, 0.0
    if sensitive is not None:
        ones = np.ones(len(classes))
        distinct = int(diversity_of(classes, sensitive, ones, "distinct").min())
        entropy = float(diversity_of(classes, sensitive, ones, "entropy").min())
    return Measured(len(classes), len(sizes), int(sizes.min()), int((sizes == 1).sum()), distinct, entropy)
