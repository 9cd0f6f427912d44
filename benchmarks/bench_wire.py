"""What the wire costs: programs across hospitals with TLS and keys, beside the same bytes by plain NATS requests.

All that is measured waits for other processes, so the wall clock is read, and every figure but the first and the last is a ratio
within one run. Run it on a machine that is otherwise idle; how busy it was stands beside every figure.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hospitals import hospitals
from huizhen.federation.rounds import Adding, Answered
from links import why_not
from wire_links import RATE, measure, show
from wired import Wired, asks, wired

STUDY = {"method": {"glm": {"formula": "smoker ~ age + lab + sex", "family": "binomial"}}}
SMALL, LARGE, UPDATE = 500, 25_000_000, 100_000_000  # numbers of a small question; of a large one, float32; its bytes


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def one_round(here: Wired, numbers: np.ndarray, number: int) -> Adding:
    """Asks all sites and adds up what comes, as the hub's side of a plain sum does."""
    adding = Adding()
    for site, reply in here.engine.exchange(asks(here.keys, numbers, number), deadline_s=120):
        assert isinstance(reply, Answered), reply
        assert reply.answer is not None
        adding.add(site, reply.answer)
        del reply
    return adding


@pytest.mark.benchmark(group="wire")
def test_from_submit_to_result(tmp_path: Path) -> None:
    found = []
    with hospitals(tmp_path, 5) as here:
        for seed in range(5):
            here.settle()
            found.append(here.run({"study": {"seed": seed}, **STUDY}))
    rounds = statistics.median(each for took in found for each in took.rounds)
    print(f"\na logistic regression in {len(found[0].rounds)} rounds over 5 sites, from submit to result ({load()}):")
    print(f"  {', '.join(f'{took.whole:.2f}' for took in found)} s   (bar: 2), a round {rounds * 1e3:.0f} ms")


@pytest.mark.benchmark(group="wire")
def test_a_small_round(tmp_path: Path) -> None:
    numbers = np.arange(float(SMALL))
    with wired(tmp_path, 5, dtype="<f8", numbers=SMALL, processes=5) as here:
        plain, whole = [], []
        for number in range(400):
            plain.append(seconds(lambda: here.request_all(numbers.nbytes)))
            whole.append(seconds(lambda number=number: one_round(here, numbers, number)))
    raw, engine = statistics.median(plain), statistics.median(whole)
    print(f"\n{SMALL} numbers to 5 sites and back, ms ({load()}):")
    print(f"  plain requests {raw * 1e3:.2f}, a round {engine * 1e3:.2f}: {engine / raw:.2f} times   (bar: 3)")


@pytest.mark.benchmark(group="wire")
def test_a_large_network(tmp_path: Path) -> None:
    numbers = np.arange(LARGE, dtype=np.float32)
    with wired(tmp_path, 5, dtype="<f4", numbers=LARGE, processes=5) as here:
        one_round(here, numbers[:1000], 0)
        grown, whole, plain = [], [], []
        for number in range(3):
            before = peak_from_now()
            whole.append(seconds(lambda number=number: one_round(here, numbers, number)))
            grown.append((memory("VmHWM") - before) / numbers.nbytes)
            plain.append(seconds(lambda: here.request_all(numbers.nbytes)))
    throughput = [10 * numbers.nbytes / each / 1e6 for each in plain]
    print(f"\n100 MB to 5 sites and back ({load()}):")
    for raw, engine, more, rate in zip(plain, whole, grown, throughput, strict=True):
        print(
            f"  plain requests {raw:.2f} s ({rate:.0f} MB/s), a round {engine:.2f} s: "
            f"{raw / engine:.2f} of plain (bar: 0.6); the hub grew by {more:.2f} updates (bar: 3)"
        )


@pytest.mark.benchmark(group="wire")
def test_many_light_sites(tmp_path: Path) -> None:
    numbers = np.arange(float(SMALL))
    with wired(tmp_path, 200, dtype="<f8", numbers=SMALL, processes=4) as here:
        took = [seconds(lambda number=number: one_round(here, numbers, number)) for number in range(20)]
        stayed = len(one_round(here, numbers, 20).rows)
    print(f"\n200 sites, {SMALL} numbers, a round ({load()}):")
    print(f"  {statistics.median(took):.3f} s, the longest {max(took):.3f} s   (bar: 2); connected at the end: {stayed}")


@pytest.mark.benchmark(group="wire")
def test_a_network_over_slow_lines() -> None:
    if problem := why_not():
        pytest.skip(f"{problem}; run it by itself: sudo python benchmarks/wire_links.py")
    show(measure(RATE), RATE)


def peak_from_now() -> int:
    """Bytes in memory; the peak is counted from here on."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(field: str) -> int:
    """A figure of this process, bytes."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) * 1024
