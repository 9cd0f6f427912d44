"""Values as people and tools write them, ``"100 Mbit/s"`` or ``"30 ms"``, in the twin's units.

>>> value_of("100 Mbit/s"), value_of("16 GiB"), value_of("5 %"), value_of(1.5)
((12500000.0, 'byte/s'), (17179869184.0, 'byte'), (0.05, '1'), (1.5, ''))
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CONVERTED", "converted", "value_of", "written_value"]

_DECIMAL = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def _table() -> dict[str, tuple[float, str]]:
    found = {one: (1.0, one) for one in ("1", "s", "byte", "byte/s", "flop", "flop/s", "petaflop/s-day", "W", "J", "CNY", "count")}
    found |= {"ms": (1e-3, "s"), "us": (1e-6, "s"), "µs": (1e-6, "s"), "ns": (1e-9, "s"), "min": (60.0, "s"), "h": (3600.0, "s")}
    found |= {
        "%": (0.01, "1"),
        "percent": (0.01, "1"),
        "ratio": (1.0, "1"),
        "d": (86400.0, "s"),
        "kW": (1e3, "W"),
        "mW": (1e-3, "W"),
    }
    found |= {"seconds": (1.0, "s"), "bytes": (1.0, "byte"), "rows": (1.0, "count"), "cores": (1.0, "count"), "mJ": (1e-3, "J")}
    for sign, factor in (_DECIMAL | _BINARY).items():
        for unit, size in (("B", 1.0), ("byte", 1.0), ("bit", 0.125)):
            found[f"{sign}{unit}"] = (factor * size, "byte")
            found[f"{sign}{unit}/s"] = (factor * size, "byte/s")
        found[f"{sign}bps"] = (factor * 0.125, "byte/s")
    for sign, factor in _DECIMAL.items():
        found |= {f"{sign}flop": (factor, "flop"), f"{sign}flop/s": (factor, "flop/s"), f"{sign}FLOPS": (factor, "flop/s")}
    return found


CONVERTED: Mapping[str, tuple[float, str]] = MappingProxyType(_table())  # written unit: factor, the twin's unit
_WRITTEN = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


def value_of(written: str | float) -> tuple[float, str]:
    """The value and its unit; "" for a bare number.

    Raises:
        ValueError: no number, or a unit that is not known.
    """
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        raise ValueError("a number with its unit")
    if isinstance(written, int | float):
        if not math.isfinite(written):
            raise ValueError("a finite number")
        return float(written), ""
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError("a number with its unit")
    number = float(match[1])
    return (number, "") if not match[2] else (converted(number, match[2])[0], CONVERTED[match[2]][1])


def converted(number: float, unit: str) -> tuple[float, str]:
    """A number in the twin's unit.

    Raises:
        ValueError: a unit that is not known.
    """
    if unit not in CONVERTED:
        raise ValueError("a known unit")
    factor, ours = CONVERTED[unit]
    return number * factor, ours


def written_value(value: float, unit: str) -> str:
    """A value with its unit, to be read again exactly.

    >>> written_value(0.03, "s")
    '0.03 s'
    """
    return f"{value!r} {unit}" if unit != "1" else f"{value!r} 1"
