"""Calibrates a device: every algorithm that is installed, in processor time, within ten seconds; no data are read or shown."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
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
PASS = 0.6  # of the budget is the first pass; a second one, some seconds later, meets another neighbour on the machine
SLOW_S = 0.05  # what takes longer is run once


def calibrated(device: str, clock: Clock, *, budget_s: float = 7.0, works: Iterable[Work] | None = None) -> Pack:
    """The pack of this device.

    Args:
        device: its name in the mirror.
        budget_s: processor seconds of the measurements; what has to be run once to be known at all may add some two seconds.
        works: what to measure; all that is installed.
    """
    each = list(works) if works is not None else list(chain(basic_works(), own_works()))
    began = cpu_seconds()
    once = _laws(each, PASS * budget_s)
    quick = [work for work in each if once[work.algorithm, work.step].seconds_at[-1] < SLOW_S]
    again = _laws(quick, budget_s - (cpu_seconds() - began))
    laws = {key: _lesser(law, again[key]) if key in again else law for key, law in once.items()}
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


def _laws(works: Sequence[Work], budget_s: float) -> dict[tuple[str, str], Law]:
    laws: dict[tuple[str, str], Law] = {}
    began, points = cpu_seconds(), sum(len(work.lengths) for work in works)
    for work in works:
        left = max(budget_s - (cpu_seconds() - began), 0.0)
        share = left / max(points, 1)  # what quick ones leave over falls to those behind
        laws[work.algorithm, work.step] = _law(work, share)
        points -= len(work.lengths)
    return laws


def _law(work: Work, budget_s: float) -> Law:
    found = [measured(work.prepared(length), budget_s=budget_s) for length in work.lengths]
    return Law(work.lengths, _rising([seconds for seconds, _ in found]), float(median(spread for _, spread in found)))


def _lesser(one: Law, other: Law) -> Law:
    """The least of both at each length: what was measured while others were busy is not the device's."""
    return replace(one, seconds_at=_rising(list(map(min, one.seconds_at, other.seconds_at))), spread=max(one.spread, other.spread))


def _rising(seconds: Sequence[float]) -> tuple[float, ...]:
    """More never takes less: where it seems to, the shorter one was disturbed."""
    return tuple(float(one) for one in np.minimum.accumulate(np.array(seconds)[::-1])[::-1])


def _software() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
        "arithmetic": fastest().name,
    }
