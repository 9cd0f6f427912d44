"""Compute in the units that people quote: operations, bytes, and petaflop/s-days by either count.

A petaflop/s-day is 10^15 operations a second for one day, about 10^20 operations; a multiply and an add count as two.
Source: Amodei & Hernandez 2018 (AI and Compute, OpenAI, appendix "Methods"): by counting operations of forward and backward passes,
or by hardware time: devices times peak operations a second times days times utilisation, where one third for GPUs and 17 % for
CPUs are assumed unless more is known.
"""

from __future__ import annotations

from huizhen.errors import CallerError, Problem
from huizhen.twin.course import Work
from huizhen.twin.quantity import Quantity, exactly

__all__ = ["ASSUMED_USE", "PETAFLOP_DAY", "by_hardware_time", "by_operations", "naive_by_peak", "naive_by_roofline"]

PETAFLOP_DAY = 1e15 * 86_400  # operations
ASSUMED_USE = {"gpu": 0.33, "cpu": 0.17}


def by_operations(work: Work) -> Quantity:
    """Petaflop/s-days of the operations that the work does.

    >>> from huizhen.twin.course import Operation
    >>> by_operations(Work("one", (Operation("aten.mm", (), 8.64e19, 0.0),))).value
    1.0
    """
    return exactly(work.flop / PETAFLOP_DAY, "petaflop/s-day", "operations counted")


def by_hardware_time(seconds: Quantity, peak: Quantity, *, devices: int = 1, use: float = 1.0) -> Quantity:
    """Petaflop/s-days of so many devices that were held for so long.

    Args:
        seconds: of each device; peak: flop/s of each.
        use: share of the peak that counts, above 0 and at most 1; 1: all that the devices could have done.

    Raises:
        CallerError: contradictory units or a share out of range.
    """
    problems = [
        Problem(name, one.unit, unit)
        for name, one, unit in (("seconds", seconds, "s"), ("peak", peak, "flop/s"))
        if one.unit != unit
    ]
    if not 0 < use <= 1:
        problems.append(Problem("use", f"{use:g}", "above 0 and at most 1"))
    if devices < 1:
        problems.append(Problem("devices", str(devices), "1 or more"))
    if problems:
        raise CallerError("Hardware time cannot be counted.", problems)
    times = devices * use / PETAFLOP_DAY
    value, low, high = (getattr(seconds, end) * getattr(peak, end) * times for end in ("value", "low", "high"))
    return Quantity(value, "petaflop/s-day", low, high, seconds.provenance, "hardware time x peak")


def naive_by_peak(work: Work, peak: float) -> float:
    """The usual formula: operations over the data sheet's operations a second."""
    return work.flop / peak


def naive_by_roofline(work: Work, peak: float, memory_rate: float) -> float:
    """Each operator at the roof that is lower: arithmetic or memory (Williams, Waterman & Patterson 2009, CACM 52:4)."""
    return sum(one.calls * max(one.flop / peak, one.moved / memory_rate) for one in work.operations)
