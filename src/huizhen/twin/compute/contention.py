"""How much longer work takes beside others: apart from demand, for what is asked of a device and who shares it change apart.

Runnable threads share cores fairly (the scheduler gives each the same; CFS and EEVDF of Linux), a quota cuts what a group may have
of each period, and what neighbours do to caches and memory slows even a thread that has a core to itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from huizhen.errors import CallerError, Problem
from huizhen.twin.quantity import Quantity

__all__ = ["Contention", "slowdown"]

BUSIEST = 1e4
CACHE = 0.12  # of the logarithm for a device whose other cores are all busy: shared caches and memory
DOUBT_EMPTY, DOUBT_BUSY = 0.01, 0.25  # of the logarithm, on an idle device and on one with more threads than cores


@dataclass(frozen=True, slots=True)
class Contention:
    """Who shares a device.

    Attributes:
        cores: of the device.
        threads: of the work itself.
        load: mean number of runnable threads of others (Linux's load average, the work's own left out).
        quota: cores' worth of time that the work's group may use (cgroup ``cpu.max``: quota / period); infinite: no limit.
    """

    cores: int
    threads: int = 1
    load: float = 0.0
    quota: float = math.inf


def slowdown(shared: Contention) -> Quantity:
    """How many times as long work takes as on an idle device with as many threads, with a 90 % interval.

    >>> slowdown(Contention(cores=2)).value
    1.0
    >>> round(slowdown(Contention(cores=2, load=3.0)).value, 2)  # four threads on two cores, and shared caches
    2.25

    Raises:
        CallerError: numbers that no device has.
    """
    _check(shared)
    running = shared.load + shared.threads
    alone = min(shared.threads, shared.cores)
    fair = shared.threads * min(1.0, shared.cores / running)  # cores' worth of time that fairness leaves
    given = min(fair, shared.quota, alone)
    crowd = min(shared.load / max(shared.cores - 1, 1), 1.0)  # of the other cores
    value = alone / given * math.exp(CACHE * crowd)
    doubt = DOUBT_EMPTY + (DOUBT_BUSY - DOUBT_EMPTY) * min(shared.load / shared.cores, 1.0)
    low, high = max(value * math.exp(-doubt), 1.0 if value >= 1.0 else value), value * math.exp(doubt)
    return Quantity(value, "1", min(low, value), high, "assumed", "fair sharing of cores, quota, shared caches")


def _check(shared: Contention) -> None:
    problems = [
        Problem(name, str(value), "1 or more")
        for name, value in (("cores", shared.cores), ("threads", shared.threads))
        if value < 1
    ]
    if not 0 <= shared.load <= BUSIEST:
        problems.append(Problem("load", f"{shared.load:g}", f"from 0 to {BUSIEST:g}"))
    if not shared.quota > 0:
        problems.append(Problem("quota", f"{shared.quota:g}", "above 0, in cores"))
    if problems:
        raise CallerError("Contention cannot be told.", problems)
