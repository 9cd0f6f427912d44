"""Quantities with units, as people write them in a study file and read them in a report.

>>> seconds("2 min"), seconds("500 ms"), show_bytes(1_234_567)
(120.0, 0.5, '1.2 MB')
"""

from __future__ import annotations

import re

__all__ = ["seconds", "show_bytes"]

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def seconds(text: str) -> float:
    """The seconds in a duration such as ``"60 s"``.

    Raises:
        ValueError: not a positive number followed by ms, s, min, h or d.
    """
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _SECONDS or float(match[1]) <= 0:
        raise ValueError(f"a duration is a positive number and one of {', '.join(_SECONDS)}, e.g. '60 s'; found {text!r}")
    return float(match[1]) * _SECONDS[match[2]]


def show_bytes(count: float) -> str:
    """A number of bytes for a reader, in decimal units (1 kB = 1000 B)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
