"""Calibrates a device: every algorithm that is installed, in processor time, within ten seconds; no data are read or shown."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from itertools import chain
from statistics import median

import cryptography
import numpy as np
from cryptography.hazmat.backends.openssl import backend

from huizhen.clock import Clock, cpu_seconds
from huizhen.privacy.paillier.arithmetic import fastest
from huizhen.twin.cipher.ownworks import own_works
from huizhen.twin.cipher.pack import Law, Pack
from huizhen.twin.cipher.works import Call, Work, basic_works

__all__ = ["calibrated", "measured"]

LEAST_S = 4e-4  # of one measurement: a clock of a microsecond then tells two parts in a thousand
FEWEST_REPETITIONS, MOST_REPETITIONS = 3, 9
SLOW_S = 0.05  # what takes longer is run once


def calibrated(device: str, clock: Clock, *, budget_s: float = 8.0, works: Iterable[Work] | None = None) -> Pack:
    """The pack of this device.

    Args:
        device: its name in the mirror.
        budget_s: processor seconds of the measurements; what has to be run once to be known at all may add a second or two.
        works: what to measure; all that is installed.
    """
    laws: dict[tuple[str, str], Law] = {}
    each = list(works) if works is not None else list(chain(basic_works(), own_works()))
    began, points = cpu_seconds(), sum(len(work.lengths) for work in each)
    for work in each:
        left = max(budget_s - (cpu_seconds() - began), 0.0)
        share = left / max(points, 1)  # what quick ones leave over falls to those behind
        laws[work.algorithm, work.step] = _law(work, share)
        points -= len(work.lengths)
    return Pack(device, clock.now(), laws, _software())


def measured(call: Call, *, budget_s: float, seconds: Callable[[], float] = cpu_seconds) -> tuple[float, float]:
    """Seconds of one call, the least of some repetitions; and how far a repetition usually lies above it, as a share.

    Args:
        budget_s: after which no further repetition begins.
        seconds: reads the clock.
    """
    began = seconds()
    call()
    first = seconds() - began
    calls = max(int(LEAST_S / max(first, 1e-7)), 1)
    found = [first] if calls == 1 else []
    fewest = 1 if first > SLOW_S else FEWEST_REPETITIONS
    while len(found) < fewest or (len(found) < MOST_REPETITIONS and seconds() - began < budget_s):
        start = seconds()
        for _ in range(calls):
            call()
        found.append((seconds() - start) / calls)
    least = min(found)
    return least, (median(found) / least - 1 if least else 0.0)


def _law(work: Work, budget_s: float) -> Law:
    found = [measured(work.prepared(length), budget_s=budget_s) for length in work.lengths]
    rising = np.maximum.accumulate([seconds for seconds, _ in found])
    return Law(work.lengths, tuple(float(one) for one in rising), float(median(spread for _, spread in found)))


def _software() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
        "arithmetic": fastest().name,
    }
