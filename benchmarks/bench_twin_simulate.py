"""What a play costs: client-rounds a second as arrays and event by event, beside the same rounds in SimPy, in processor time.

Bars: 10,000 institutions for 1,000 rounds with 32 seeds within 30 minutes of processor time, which is 10^7 client-rounds of shared
lines in 56 seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from huizhen.twin.course import Course
from huizhen.twin.mirror import Mirror
from huizhen.twin.simulate.models import Models, OwnLines, own_lines, plain_models
from huizhen.twin.simulate.play import enact, play
from mirrors import mirror, training

SITES, ROUNDS, SEEDS = 10_000, 1_000, 32
BAR_S = 1800.0
FEW = 10  # rounds that are taken off, with all that is done once


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def shared() -> Models | None:
    """The lines of the twin's network, with the hub's shared by weighted fluid; None where they are not installed."""
    try:
        from huizhen.twin.network.star import Star, star
    except ImportError:
        return None

    @dataclass(frozen=True)
    class Fluid:
        own: OwnLines
        hub: float

        def together(self, way: str, begins: np.ndarray, sizes: np.ndarray) -> np.ndarray:
            rate, rtt = self.own.down if way == "down" else self.own.up, 2 * self.own.latency_s
            here = Star(rate, rtt, self.own.latency_s, self.hub)
            takes_part = np.isfinite(begins)
            ends = star(here, np.where(takes_part, sizes, 0.0), np.where(takes_part, begins, 0.0))
            return np.where(takes_part, ends, np.inf)

        def alone(self, way: str, sizes: np.ndarray) -> np.ndarray:
            return self.own.alone("down" if way == "down" else "up", sizes)

    def lines(here: Mirror, roster: tuple[str, ...]) -> Fluid:
        return Fluid(own_lines(here, roster), 1.25e9)

    return replace(plain_models(jitter=0.2), transfers=lines)


def course_of(sites: int, rounds: int) -> Course:
    return training(sites, 200_000, deadline_s=3600.0, times=rounds)


@pytest.mark.benchmark(group="twin")
@pytest.mark.parametrize("lines", ["own", "shared"])
def test_ten_thousand_institutions(lines: str) -> None:
    models = plain_models(jitter=0.2) if lines == "own" else shared()
    if models is None:
        pytest.skip("the twin's network is not installed")
    rounds, draws = (60, 4) if lines == "own" else (30, 2)
    course = course_of(SITES, rounds)
    here = mirror(course.roster, silent=0.0005)
    took, many = spent(lambda: play(course, here, models, seed=1, draws=draws))
    fewer, _ = spent(lambda: play(course_of(SITES, FEW), here, models, seed=1, draws=draws))
    each = (took - fewer) / (SITES * (rounds - FEW) * draws)
    whole = each * SITES * ROUNDS * SEEDS
    print(f"\n{SITES} institutions, {lines} lines, {rounds} rounds, {draws} seeds ({load()}):")
    print(f"  {each * 1e9:.0f} ns of processor time a client-round, {60 / each:.2g} a minute")
    print(f"  {ROUNDS} rounds with {SEEDS} seeds: {whole / 60:.1f} minutes   (bar: {BAR_S / 60:.0f})")
    assert many.ends == 1.0


@pytest.mark.benchmark(group="twin")
def test_beside_simpy() -> None:
    simpy = pytest.importorskip("simpy", reason="simpy is missing; install it: pip install simpy")
    sites, rounds = 300, 30
    course = course_of(sites, rounds)
    here = mirror(course.roster)
    models = plain_models()
    arrays = replace(models, jitter=1e-12)  # so that no round is taken for another
    as_arrays, many = spent(lambda: play(course, here, arrays, seed=0, draws=64))
    by_event, one = spent(lambda: enact(course, here, arrays, seed=0))
    by_simpy, seconds = spent(lambda: in_simpy(simpy, course, here, models))
    cost = {"arrays": as_arrays / 64, "events": by_event, "SimPy": by_simpy}
    print(f"\n{sites} sites, {rounds} rounds, processor time of one draw ({load()}):")
    for name, each in cost.items():
        print(f"  {name:8} {each * 1e3:8.1f} ms   {each / cost['SimPy']:.3f} of SimPy")
    assert one.seconds == pytest.approx(many.seconds[0])
    assert one.seconds == pytest.approx(seconds, rel=1e-6)


def in_simpy(simpy: Any, course: Course, here: Mirror, models: Models) -> float:
    """The same rounds as processes: each site downloads, works and uploads; the hub adds in roster order."""
    env, lines = simpy.Environment(), own_lines(here, course.roster)
    device, latency = here.devices["abacus"], lines.latency_s

    def site(place: int, name: str, stage: Any, came: Any) -> Iterator[Any]:
        yield env.timeout(latency[place] + stage.down[name] / lines.down[place])
        if name in stage.work:
            yield env.timeout(models.compute(stage.work[name], device).value)
        yield env.timeout(latency[place] + stage.up[name] / lines.up[place])
        came.succeed()

    def hub() -> Iterator[Any]:
        for one in course.rounds:
            for _ in range(round(one.times.value)):
                for stage in one.stages:
                    add = models.compute(stage.adding, device).value / len(course.roster) if stage.adding.operations else 0.0
                    here_ = [env.event() for _ in course.roster]
                    for place, name in enumerate(course.roster):
                        env.process(site(place, name, stage, here_[place]))
                    for came in here_:
                        yield came
                        yield env.timeout(add)

    env.process(hub())
    env.run()
    return float(env.now)
