"""How a value becomes a category's label, so that ``3``, ``3.0`` and `` 3 `` are one level at every site."""

from __future__ import annotations

import re

from huizhen.data.examples import show_number

__all__ = ["normal_label"]

# A leading zero (007) marks a code, not a number; so does an exponent (1E5 is a code in more than one system).
NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?")
EXACT_DIGITS = 15  # a float64 keeps as many decimal digits; a longer text is an identifier


def normal_label(value: str | float) -> str:
    """The label of a value: a number as `show_number` writes it, a text without surrounding blanks.

    >>> [normal_label(value) for value in (3.0, " 3.0 ", "3.50", "007", "IIIa ")]
    ['3', '3', '3.5', '007', 'IIIa']
    """
    if not isinstance(value, str):
        return show_number(value)
    text = value.strip()
    return show_number(float(text)) if len(text) <= EXACT_DIGITS and NUMBER.fullmatch(text) else text
