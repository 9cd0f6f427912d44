"""Transfers forecast, beside real TCP over lines with a rate, a queue and a delay; how fast rounds of 10,000 sites are.

    sudo PYTHONPATH=src:tests:benchmarks python -m pytest -s benchmarks/bench_twin_network.py

Real transfers need root (network namespaces); SimGrid is run by Debian's own Python, SimPy where it is installed; what is missing
is said. The lines here are others than those that the constants of the fluid were chosen on.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from delayedlines import Carried, HubLine, SiteLine, delayed_lines, why_not
from huizhen.twin.mirror import Device, Link, Mirror, MirrorSite, Node, mirrored
from huizhen.twin.network.analytic import Moving, rounds_alone
from huizhen.twin.network.fluid import fluid
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.lines import Line, Route
from huizhen.twin.network.star import Star, star
from huizhen.twin.network.topology import hub_paths
from huizhen.twin.network.transfer import LEVELS, Flow, naive_seconds, transfer
from huizhen.twin.quantity import declared, exactly

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN = Framing(tls=False)
DRAWS, TIMES, M = 8, 3, 1_000_000
SITES = 10_000


@dataclass(frozen=True)
class Layout:
    """Lines, and what travels over them at once."""

    hub: HubLine
    sites: tuple[SiteLine, ...]
    carried: tuple[Carried, ...]

    @property
    def alone(self) -> bool:
        return len(self.carried) == 1


def alone(rate: str, rtt: float, size: int, way: str, queue: int = 120_000) -> Layout:
    return Layout(HubLine("200mbit", "200mbit", 400_000), (SiteLine(rate, rate, rtt, queue),), (Carried(0, way, size),))


def together(hub: HubLine, rtts: Sequence[float], sizes: Sequence[float], way: str, rates: Sequence[str] = ()) -> Layout:
    sites = tuple(SiteLine(rate, rate, rtt) for rate, rtt in zip(rates or ["40mbit"] * len(rtts), rtts))
    return Layout(hub, sites, tuple(Carried(i, way, int(size * M)) for i, size in enumerate(sizes)))


LAYOUTS = (
    alone("15mbit", 0.03, 40_000, "up"),
    alone("15mbit", 0.03, 400_000, "down"),
    alone("15mbit", 0.03, 3 * M, "up"),
    alone("30mbit", 0.015, 5 * M, "down"),
    alone("6mbit", 0.08, 800_000, "up"),
    alone("25mbit", 0.05, 150_000, "down"),
    alone("25mbit", 0.05, 4 * M, "up", 200_000),
    together(HubLine("24mbit", "24mbit", 120_000), [0.025] * 4, [1.5] * 4, "up"),
    together(HubLine("24mbit", "24mbit", 120_000), [0.025] * 3, [0.5, 1.5, 3], "down"),
    together(HubLine("18mbit", "18mbit", 120_000), [0.015, 0.03, 0.05], [1.5] * 3, "up"),
    together(HubLine("35mbit", "35mbit", 200_000), [0.01, 0.02, 0.03, 0.04, 0.05], [2, 1, 2, 1, 2], "down"),
    together(HubLine("28mbit", "28mbit", 150_000), [0.02] * 8, [1] * 8, "up"),
    together(HubLine("28mbit", "28mbit", 150_000), [0.01, 0.02, 0.03] * 2, [1, 1.5, 1, 1.5, 1, 1.5], "up"),
    together(
        HubLine("22mbit", "22mbit", 120_000), [0.02, 0.03, 0.04, 0.05], [2, 2, 2, 2], "up", ["3mbit", "6mbit", "40mbit", "40mbit"]
    ),
    together(HubLine("28mbit", "28mbit", 150_000, at_hub=True), [0.01, 0.03, 0.05, 0.02], [2] * 4, "down"),
    together(HubLine("28mbit", "28mbit", 150_000, at_hub=True), [0.02] * 6, [1, 2, 1, 2, 1, 2], "down", ["4mbit", *["40mbit"] * 5]),
    Layout(
        HubLine("22mbit", "22mbit", 150_000),
        tuple(SiteLine("40mbit", "40mbit", rtt) for rtt in (0.02, 0.03)),
        (Carried(0, "up", 2 * M), Carried(1, "down", 2 * M)),
    ),
    Layout(
        HubLine("28mbit", "28mbit", 150_000, at_hub=True),
        tuple(SiteLine("40mbit", "40mbit", rtt) for rtt in (0.02, 0.03, 0.04)),
        (*(Carried(i, "up", M) for i in range(3)), *(Carried(i, "down", 2 * M) for i in range(3))),
    ),
)


def byte_rate(rate: str) -> float:
    return float(rate.removesuffix("mbit")) * 1e6 / 8


def mirror_of(layout: Layout, rtts: Sequence[float]) -> Mirror:
    """The lines as declared, their round trips as measured."""
    none, hub = exactly(0, "1"), layout.hub
    some = [
        Link(
            f"own {i}", "router", f"s{i}", exactly(byte_rate(site.down), "byte/s"), exactly(byte_rate(site.up), "byte/s"),
            exactly(rtt, "s"), none, exactly(0, "byte"), burst=exactly(site.burst, "byte"), queue=exactly(site.queue, "byte"),
        )
        for i, (site, rtt) in enumerate(zip(layout.sites, rtts, strict=True))
    ]  # fmt: skip
    front = Link(
        "hub line", "hub", "router", exactly(byte_rate(hub.down), "byte/s"), exactly(byte_rate(hub.up), "byte/s"),
        exactly(0, "s"), none, exactly(14, "byte"), burst=exactly(hub.burst, "byte"), queue=exactly(hub.queue, "byte"),
        drops=not hub.at_hub,
    )  # fmt: skip
    rate, much, one = declared(1e11, "flop/s"), declared(1e10, "byte/s"), exactly(1, "1")
    device = Device("d", "cpu", 2, rate, much, declared(8e9, "byte"), one, none)
    names = [f"s{i}" for i in range(len(some))]
    nodes = [Node("hub", "hub"), Node("router", "router"), *(Node(name, "site") for name in names)]
    sites = [MirrorSite(name, name, "d", declared(100, "count"), none) for name in names]
    return mirrored("hub", "d", nodes, [front, *some], [device], sites, NOW)


def flows_of(layout: Layout, mirror: Mirror) -> list[Flow]:
    paths = hub_paths(mirror)
    down = [paths[f"s{one.site}"] for one in layout.carried]
    return [
        Flow(f"f{i}", path if one.way == "down" else path.reverse, one.size, one.start)
        for i, (one, path) in enumerate(zip(layout.carried, down, strict=True))
    ]


@cache
def seen() -> list[tuple[Layout, list[float], list[list[float]]]]:
    """Each layout with its round trips and the ends of its transfers, several times."""
    if why := why_not():
        pytest.skip(why)
    os.nice(-10)
    found = []
    for layout in LAYOUTS:
        with delayed_lines(layout.hub, layout.sites) as net:
            found.append((layout, net.rtts(), [net.carry(layout.carried) for _ in range(TIMES)]))
    return found


def load() -> str:
    return Path("/proc/loadavg").read_text().split()[0]


def off(predicted: float, came: float) -> float:
    return abs(predicted - came) / came


def test_transfers_over_real_lines() -> None:
    errors: dict[str, dict[str, list[float]]] = {
        level: {"alone": [], "shared": [], "makespan": []} for level in (*LEVELS, "size/rate")
    }
    spread: dict[str, list[float]] = {"alone": [], "shared": [], "makespan": []}
    covered: list[bool] = []
    for layout, rtts, times in seen():
        mirror = mirror_of(layout, rtts)
        flows, middle, last = flows_of(layout, mirror), np.median(times, axis=0), statistics.median(map(max, times))
        kind = "alone" if layout.alone else "shared"
        spread[kind] += [off(one, came) for ends in times for one, came in zip(ends, middle, strict=True)]
        spread["makespan"] += [] if layout.alone else [off(max(ends), last) for ends in times]
        forecasts = {level: transfer(flows, mirror, level=level, draws=DRAWS, framing=PLAIN) for level in LEVELS}
        covered += [bool(one.end.low <= came <= one.end.high) for one, came in zip(forecasts["fluid"].flows, middle, strict=True)]
        ends = {level: [one.end.value for one in forecast.flows] for level, forecast in forecasts.items()}
        ends["size/rate"] = [naive_seconds(flow, mirror) for flow in flows]
        spans = {level: forecast.makespan.total.value for level, forecast in forecasts.items()}
        for level, predicted in ends.items():
            errors[level][kind] += [off(one, came) for one, came in zip(predicted, middle, strict=True)]
            if not layout.alone:
                errors[level]["makespan"].append(off(spans.get(level, max(predicted)), last))
        print(kind, np.round(middle, 3), {level: np.round(one, 3).tolist() for level, one in ends.items()})
    print(f"{'mean |error|':14s} alone  shared  makespan, of {len(LAYOUTS)} layouts; load {load()}")
    for level, kinds in errors.items():
        print(f"{level:14s}", "  ".join(f"{statistics.mean(one):6.2%}" for one in kinds.values()))
    print(f"{'repetitions':14s}", "  ".join(f"{statistics.mean(one):6.2%}" for one in spread.values()))
    print(f"fluid, 90 % intervals cover {statistics.mean(covered):.0%} of {len(covered)} transfers")
    assert statistics.mean(errors["analytic"]["alone"]) < 0.01
    assert statistics.mean(errors["fluid"]["makespan"]) < statistics.mean(errors["size/rate"]["makespan"]) / 3


def by_simgrid(layout: Layout, rtts: Sequence[float], settings: Sequence[str] = ()) -> tuple[list[float], float]:
    python = "/usr/bin/python3"
    if not shutil.which(python) or subprocess.run([python, "-c", "import simgrid"], capture_output=True).returncode:
        pytest.skip("SimGrid is missing; install it: apt-get install python3-simgrid")
    asked = {
        "hub": {way: byte_rate(getattr(layout.hub, way)) for way in ("up", "down")},
        "sites": [
            {"up": byte_rate(site.up), "down": byte_rate(site.down), "rtt": rtt}
            for site, rtt in zip(layout.sites, rtts, strict=True)
        ],
        "flows": [vars(one) for one in layout.carried],
        "settings": list(settings),
    }
    command = [python, str(Path(__file__).with_name("simgrid_flows.py"))]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True, env={})
    ends, seconds = json.loads(done.stdout)
    return ends, seconds


def by_simpy(layout: Layout, rtts: Sequence[float]) -> tuple[list[float], float]:
    """Lines as resources that pieces of 16 kB pass one after another, the usual model."""
    simpy = pytest.importorskip("simpy", reason="SimPy is missing; install it: pip install simpy")
    began = time.perf_counter()
    env = simpy.Environment()
    rates = {("hub", way): byte_rate(getattr(layout.hub, way)) for way in ("up", "down")}
    rates |= {(i, way): byte_rate(getattr(site, way)) for i, site in enumerate(layout.sites) for way in ("up", "down")}
    lines, ends = {name: simpy.Resource(env, 1) for name in rates}, [0.0] * len(layout.carried)

    def piece(names, size, done):
        for name in names:
            with lines[name].request() as turn:
                yield turn
                yield env.timeout(size / rates[name])
        done.succeed()

    def sends(i, one):
        yield env.timeout(one.start + rtts[one.site] / 2)
        own, hub = (one.site, one.way), ("hub", one.way)
        under_way, left = [], one.size
        while left > 0:
            done = env.event()
            env.process(piece((own, hub) if one.way == "up" else (hub, own), min(left, 16_384), done))
            left -= 16_384
            under_way.append(done)
            if len(under_way) >= 4:
                yield under_way.pop(0)
        for done in under_way:
            yield done
        ends[i] = env.now

    for i, one in enumerate(layout.carried):
        env.process(sends(i, one))
    env.run()
    return ends, time.perf_counter() - began


def test_beside_simgrid_and_simpy_on_the_same_flows() -> None:
    rivals: Mapping[str, Callable[[Layout, Sequence[float]], tuple[list[float], float]]] = {
        "SimGrid": by_simgrid,
        "SimGrid, raw": lambda layout, rtts: by_simgrid(layout, rtts, ["--cfg=network/model:CM02"]),
        "SimPy": by_simpy,
    }
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for layout, rtts, times in seen():
        mirror = mirror_of(layout, rtts)
        flows, middle, last = flows_of(layout, mirror), np.median(times, axis=0), statistics.median(map(max, times))
        answers = {name: rival(layout, rtts) for name, rival in rivals.items()}
        for level in LEVELS:
            began = time.perf_counter()
            found = transfer(flows, mirror, level=level, draws=0, framing=PLAIN)
            answers[level] = [one.end.value for one in found.flows], time.perf_counter() - began
        for name, (ends, seconds) in answers.items():
            each = statistics.mean(off(one, came) for one, came in zip(ends, middle, strict=True))
            figures.setdefault(name, []).append((each, off(max(ends), last), seconds))
    print("mean |error| of transfers, of the makespan; median milliseconds a layout")
    for name, some in figures.items():
        each, span, seconds = zip(*some)
        print(f"{name:14s} {statistics.mean(each):6.2%} {statistics.mean(span):6.2%} {statistics.median(seconds) * 1e3:8.2f}")
    assert statistics.mean(each for each, _, _ in figures["fluid"]) < statistics.mean(each for each, _, _ in figures["SimGrid"])


def round_of(sites: int, seed: int, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.lognormal(np.log(2e6), 0.7, sites), rng.uniform(0.005, 0.12, sites), rng.lognormal(np.log(3e6), 0.3, (rounds, sites))


def exact(rate: np.ndarray, rtt: np.ndarray, hub: float, size: np.ndarray, start: np.ndarray) -> np.ndarray:
    per_byte = PLAIN.per_byte()
    far = [Line("hub", False, 1e15, 0.0, 1e9, 1500, 0, 0), Line("own", False, 1e15, 0.0, 1e9, 1500, 0, 0, shared=False)]
    shared = Line("hub", True, hub * per_byte, 0.0, 1.0, 1500, 0, 0)
    some = [
        Moving(
            f"{i:05}",
            size[i],
            start[i],
            0.0,
            Route((Line(f"s{i}", True, rate[i] * per_byte, rtt[i], 1e9, 0, 0, 0), shared), tuple(far)),
        )
        for i in range(len(rate))
    ]
    return fluid(some, PLAIN, growth_s=None)


def test_rounds_of_ten_thousand_sites() -> None:
    print(f"processor time; load {load()}")
    for spread_s in (0.0, 5.0, 30.0):
        rate, rtt, size = round_of(2000, 1, 1)
        start = np.random.default_rng(2).exponential(spread_s, 2000) if spread_s else np.zeros(2000)
        hub = rate.sum() * 0.1
        truth = exact(rate, rtt, hub, size[0], start)
        found = star(Star(rate, rtt, rtt, hub), size, start, framing=PLAIN)[0]
        error = float(np.mean(np.abs(found - truth) / (truth - start)))
        rate, rtt, size = round_of(SITES, 3, 52)
        starts = np.random.default_rng(4).exponential(spread_s, size.shape) if spread_s else 0.0
        began = time.process_time()
        star(Star(rate, rtt, rtt / 2, rate.sum() * 0.1), size, starts, framing=PLAIN)
        a_minute = size.size / (time.process_time() - began) * 60
        print(f"fluid, starts after {spread_s:g} s: {a_minute:.2g} a minute, {error:.2%} from the exact fluid of 2,000 sites")
        assert error < 0.01
        assert a_minute > 1e7
    rate, rtt, size = round_of(SITES, 5, 4)
    for name, hub_rate in (("alone", np.inf), ("held to a share", 1e9)):
        began = time.process_time()
        for _ in range(50):
            rounds_alone(size, rate, rtt, hub_rate=hub_rate)
        a_minute = 50 * size.size / (time.process_time() - began) * 60
        print(f"by formula, {name}: {a_minute:.2g} a minute")
        assert a_minute > 1e9


if __name__ == "__main__":
    sys.exit(pytest.main(["-s", __file__]))
