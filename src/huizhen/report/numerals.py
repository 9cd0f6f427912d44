"""How a report writes numbers: as journals do for the eye, with every digit behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from huizhen.report.words import Phrase, as_is, say

__all__ = ["column_decimals", "difference", "duration", "exact", "is_number", "is_p_value", "p_value", "short", "size"]

MINUS = "−"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FIXED_FROM, FIXED_TO = 1e-4, 1e7  # beyond these a reader counts zeros: powers of ten are clearer
MOST_DECIMALS = 5
SPREAD = 1e4  # a column that spans more than this keeps each number's own digits


def is_number(value: object) -> bool:
    """Whether a value is an int or a float (numpy's included) and not a truth value."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.bool_)


def is_p_value(name: str) -> bool:
    """Whether a column or fact holds p-values, by its name."""
    return name in ("p", "p_value") or name.startswith("p_value") or name.endswith(("_p", "_p_value")) or "_p_value_" in name


def exact(value: Any) -> str:
    """All digits, to be read back without loss."""
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)


def short(value: Any, decimals: int | None = None) -> str:
    """A number for the eye: integers whole, others with `decimals` or with four significant digits."""
    if isinstance(value, int | np.integer) or (float(value).is_integer() and abs(value) >= 1e3 and abs(value) < FIXED_TO):
        return f"{int(value):,}".replace("-", MINUS)
    number = float(value)
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else f"{MINUS}∞"
    if number == 0:
        return f"{0:.{decimals or 0}f}"
    if not FIXED_FROM <= abs(number) < FIXED_TO:
        return power_of_ten(number, digits=3)
    places = own_decimals(number) if decimals is None else decimals
    return f"{number:,.{places}f}".replace("-", MINUS)


def own_decimals(number: float) -> int:
    """Decimals for four significant digits, one for thousands; fewer where the number itself has fewer."""
    wanted = min(max(3 - math.floor(math.log10(abs(number))), 1 if abs(number) < 1e5 else 0), 7)
    written = repr(number)
    return wanted if "e" in written else min(wanted, len(written.partition(".")[2].rstrip("0")))


def power_of_ten(number: float, *, digits: int) -> str:
    """E.g. ``1.2 × 10⁻¹²``, which does not break at the end of a line."""
    mantissa, power = f"{number:.{digits - 1}e}".split("e")
    return f"{mantissa}\u00a0×\u00a010{str(int(power)).translate(SUPERSCRIPT)}".replace("-", MINUS)


def column_decimals(values: Sequence[Any]) -> int | None:
    """Decimals that suit a whole column: three digits of its smallest number, no more than five; None when it spans too much."""
    sizes = [abs(float(v)) for v in values if is_number(v) and math.isfinite(v) and v != 0]
    if not sizes or max(sizes) / min(sizes) > SPREAD or min(sizes) < FIXED_FROM or max(sizes) >= FIXED_TO:
        return None
    wanted = 2 - math.floor(math.log10(min(sizes)))
    typical = 3 - math.floor(math.log10(sorted(sizes)[len(sizes) // 2]))
    return max(0, min(wanted, typical + 1, MOST_DECIMALS))


def p_value(value: Any) -> str:
    """As journals print it: three decimals, ``<0.001`` below."""
    if math.isnan(float(value)):
        return "–"
    return "<0.001" if value < 0.001 else ">0.999" if value > 0.999 else f"{value:.3f}"


def difference(value: float | None) -> str:
    """A relative difference with two digits; ``0`` when there is none."""
    return "–" if value is None or math.isnan(value) else "0" if value == 0 else power_of_ten(value, digits=2)


def size(count: int) -> str:
    """Bytes for the eye, in steps of 1000."""
    if count < 1000:
        return f"{count} B"
    for unit, step in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < step * 999.5:
            return f"{count / step:.3g} {unit}"
    return f"{count / 1e12:.3g} TB"


def duration(seconds: float) -> Phrase:
    """Seconds for the eye."""
    if seconds < 90:
        return say("seconds", count=f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    return say("minutes", minutes=minutes, seconds=rest) if minutes < 600 else as_is(f"{minutes / 60:.1f} h")
