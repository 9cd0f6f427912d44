"""Calibrating a device: operators inside drawn networks, whole steps of them, and the numerical kernels of methods, timed.

Takes the seconds that it is given, may be interrupted, and goes on where it was: what is drawn follows from a seed and a number.
It reads no row and shows nothing to anyone. On a GPU operators are timed with CUDA events.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from huizhen.clock import Clock, WallClock, cpu_seconds, written
from huizhen.twin.compute.counting import VIEW
from huizhen.twin.compute.operators import Sample
from huizhen.twin.compute.pack import DeviceFacts, Pack, Step

__all__ = ["calibrate", "quarter"]

NETWORKS_SHARE = 0.8  # of the budget, where torch is installed
FEWEST, MOST = 2, 30  # repetitions of a step
PATIENCE_S = 0.06  # of repeating one step
KEEP_S = 5.0  # how often what there is so far is handed on
LEAST_S = 2e-7  # what an operator takes at least, once the watching is taken off
Progress = Callable[[float, Pack], None]


def calibrate(
    budget_s: float = 60.0,
    progress: Progress | None = None,
    *,
    name: str = "this device",
    seed: int = 20,
    begun: Pack | None = None,
    clock: Clock | None = None,
    seconds: Callable[[], float] | None = None,
) -> Pack:
    """A pack for this machine.

    Args:
        budget_s: seconds to take, at most; a few more where a step that was begun is ended.
        progress: is told the share done and what there is so far, now and then; what it raises ends the calibration.
        name: of the device, as mirrors call it.
        seed: behind all that is drawn.
        begun: what an earlier, interrupted calibration of this machine handed on; it is gone on with.
        seconds: what the budget is counted in; the clock's by default.
    """
    wall = clock or WallClock()
    now = seconds or wall.seconds
    start = now()
    pack = begun or Pack(name, written(wall.now()), seed, _facts(), 0, 0.0, _load(), 0.0, float("nan"), (), ())
    before, told = pack.elapsed_s, start

    def aside() -> bool:
        """Whether there is time left; tells how far it is."""
        nonlocal told, pack
        pack = replace(pack, elapsed_s=before + now() - start)
        if progress is not None and now() - told > KEEP_S:
            told = now()
            progress(min(pack.elapsed_s / budget_s, 1.0), pack)
        return pack.elapsed_s < budget_s

    if not any(one.kind.startswith("np.") for one in pack.samples):
        from huizhen.twin.compute.numeric import timed_kernels

        numeric = timed_kernels(np.random.default_rng(seed), (1 - NETWORKS_SHARE) * budget_s, now, cpu_seconds)
        pack = replace(pack, samples=(*pack.samples, *numeric))
    if not _has_torch():
        aside()
        return pack
    pack = replace(pack, watching=pack.watching or _watching())
    while aside():
        pack = _another(pack)
    return replace(pack, load=(pack.load + _load()) / 2)


def quarter(values: Sequence[float]) -> float:
    """The lower quartile: on a machine that others use too, a steadier number than the mean, and less hopeful than the least."""
    return float(np.quantile(np.asarray(values), 0.25))


def spread_of(values: Sequence[float]) -> float:
    """Median relative distance of repetitions from their lower quartile."""
    low = quarter(values)
    return float(np.median(np.abs(np.asarray(values) / low - 1.0)))


def _another(pack: Pack) -> Pack:
    """The pack with the next drawn network."""
    import torch

    from huizhen.twin.compute.blocks import FAMILIES, drawn
    from huizhen.twin.compute.stepping import Training, mean_square, stepping
    from huizhen.twin.compute.tracing import recorded

    family = list(FAMILIES)[pack.drawn % len(FAMILIES)]
    rng = np.random.default_rng([pack.seed, pack.drawn])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(pack.seed + pack.drawn)
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            module, inputs = drawn(family, rng)
            module, inputs = module.to(device), inputs.to(device)
            with torch.no_grad():
                targets = torch.zeros_like(module(inputs))
            step = stepping(module, inputs, targets, mean_square, Training(("sgd", "adam")[pack.drawn % 2]))
            watch = _event_seconds if device.type == "cuda" else cpu_seconds
            whole = [_timed(step, watch)]
            whole = [_timed(step, watch)]  # the first one made ready what the others find
            times = int(np.clip(PATIENCE_S / max(whole[0], 1e-6), FEWEST, MOST))
            whole += [_timed(step, watch) for _ in range(times - 1)]
            runs = [recorded(step, stopwatch=watch) for _ in range(times)]
    finally:
        torch.set_num_threads(before)
    samples = []
    for place, (one, _) in enumerate(runs[0]):
        took = [run[place][1] for run in runs]
        least = max(quarter(took) - pack.watching, LEAST_S)
        samples.append(Sample(one.kind, one.shape, one.flop, one.moved, one.dtype, least, round(spread_of(took), 4), len(runs)))
    views = sum(one.kind == VIEW for one in samples)
    traced, moved = sum(one.seconds for one in samples), sum(one.moved for one in samples)
    found = Step(family, len(samples) - views, views, moved, traced, quarter(whole), round(spread_of(whole), 4))
    merged = (*pack.samples, *_merged(samples))
    return replace(pack, samples=merged, steps=(*pack.steps, found), drawn=pack.drawn + 1)


def _merged(samples: Sequence[Sample]) -> list[Sample]:
    """Equal operators of one network as one: the median of their seconds."""
    found: dict[tuple[object, ...], list[Sample]] = {}
    for one in samples:
        found.setdefault((one.kind, one.shape, one.flop, one.moved, one.dtype), []).append(one)
    return [sorted(some, key=lambda one: one.seconds)[len(some) // 2] for some in found.values()]


def _timed(step: Callable[[], None], watch: Callable[[], float]) -> float:
    before = watch()
    step()
    return watch() - before


def _event_seconds() -> float:
    """Seconds on a GPU's own clock, once all that was asked of it is done."""
    import torch

    global _EPOCH
    now = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    now.record()
    now.synchronize()
    if _EPOCH is None:
        _EPOCH = now
    return float(_EPOCH.elapsed_time(now)) * 1e-3


_EPOCH: Any = None


def _watching() -> float:
    """What it costs to watch an operator: the same trivial one in a loop, watched and not."""
    import torch

    from huizhen.twin.compute.tracing import recorded

    one = torch.zeros(4)

    def often() -> None:
        for _ in range(200):
            one.add_(1.0)

    often()
    plain = min(_timed(often, cpu_seconds) for _ in range(9)) / 200
    watched = [took for _, took in recorded(often, stopwatch=cpu_seconds)]
    return max(quarter(watched) - plain, 0.0)


def _facts() -> DeviceFacts:
    """What this machine says of itself."""
    versions = {"python": platform.python_version()}
    for package in ("numpy", "scipy", "torch", "numba"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    blas = next((int(os.environ[key]) for key in BLAS if os.environ.get(key, "").isdigit()), 0)
    processor = platform.processor() or platform.machine()
    return DeviceFacts("gpu" if _has_gpu() else "cpu", processor, cores, memory, 1, blas, versions)


BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def _has_gpu() -> bool:
    if not _has_torch():
        return False
    import torch

    return bool(torch.cuda.is_available())


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
