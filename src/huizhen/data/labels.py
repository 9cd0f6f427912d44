"""How a cell becomes a number, a category's label, or nothing, so that ``3``, ``3.0`` and `` 3 `` are one level at every site."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Categories, show_number

__all__ = ["MISSING", "NO_TEXT", "as_categories", "is_missing", "is_unicode", "normal_label", "text_as_number"]

# What stands for "no value" in a cell, in any case and between blanks.
MISSING = ("", "na", "nan", "n/a", "null", ".", "?")

# A leading zero (007) marks a code, not a number; so does an exponent (1E5 is a code in more than one system).
NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?")
EXACT_DIGITS = 15  # a float64 keeps as many decimal digits; a longer text is an identifier

# What is said of it: found, expected, what to do.
NO_TEXT = ("text that is no Unicode", "characters of Unicode", "Export it again")


def is_unicode(text: str) -> bool:
    """Whether a text can be written down: Python's own may hold half a character, a surrogate alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_missing(text: str) -> bool:
    """Whether a cell's text stands for no value."""
    return text.strip().lower() in MISSING


def normal_label(value: str | float) -> str:
    """The label of a value: a number as `show_number` writes it, a text without surrounding blanks.

    >>> [normal_label(value) for value in (3.0, " 3.0 ", "3.50", "007", "IIIa ")]
    ['3', '3', '3.5', '007', 'IIIa']
    """
    if not isinstance(value, str):
        return show_number(value)
    text = value.strip()
    return show_number(float(text)) if len(text) <= EXACT_DIGITS and NUMBER.fullmatch(text) else text


def text_as_number(text: str) -> float | None:
    """The number that a cell's text writes; NaN where it stands for no value, None where it is no number.

    A decimal comma, a digit of another script and a thousands mark make no number.
    """
    if is_missing(text):
        return math.nan
    if not text.isascii() or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def as_categories(codes: NDArray[np.int32], raw: Sequence[str], declared: Sequence[str]) -> tuple[Categories, int]:
    """A category from codes into cells' texts, and how many rows have a value outside the declared levels.

    Args:
        codes: int32 (row,) into `raw`, -1 where there is no cell.
        raw: texts as they stand in the cells, each once.
        declared: the levels in their order; empty for those that are found (numbers by size, before texts in order).
    """
    labels = [None if is_missing(text) else normal_label(text) for text in raw]
    levels = tuple(declared) or tuple(sorted({label for label in labels if label is not None}, key=_by_size))
    place = {normal_label(level): code for code, level in enumerate(levels)}
    outside = len(levels)
    recode = [-1 if label is None else place.get(label, outside) for label in labels]
    new = np.array([*recode, -1], np.int32)[codes]
    strangers = new == outside
    return Categories(np.where(strangers, np.int32(-1), new), levels), int(strangers.sum())


def _by_size(label: str) -> tuple[float, str]:
    return (float(label) if NUMBER.fullmatch(label) else math.inf, label)
