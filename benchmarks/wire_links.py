"""A round of a network of 4 MB over lines of 100 Mbit/s: plain float32, masked in 16 bits, and plain in the same 16 bits.

    sudo PYTHONPATH=src:tests:benchmarks python benchmarks/wire_links.py             both directions at 100 Mbit/s
    sudo PYTHONPATH=src:tests:benchmarks python benchmarks/wire_links.py 1gbit       down to the sites at 1 Gbit/s

Hub, five sites and a researcher are programs of their own, with TLS and keys; every site has a namespace and a line that
is shaped. Beside the seconds stand the bytes that went over a line in a round, which do not depend on how busy the machine is.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hospitals import Took, hospitals
from links import HUB, PREFIX, in_namespace, links, sent, why_not

SITES = 5
RATE = "100mbit"  # from a site
ROUNDS = 7  # of training; the first ones agree on keys and scales, and are left out
SKIPPED = 3
AVERAGING = {
    "covariates": ["age"],
    "outcome": "lab",
    "network": "mlp",
    "settings": {"widths": [1000, 996]},  # 999,993 weights
    "task": "regression",
    "rounds": ROUNDS,
    "steps": 1,
}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "plain float32": {},
    "masked, 16 bits": {"sum": "masked"},
    "plain, 16 bits": {"compress": {"kind": "quantised", "bits": 16}},
}


def inside(root: Path, names: list[str]) -> None:
    """What is done in the hub's namespace: all programs are started, and each way is run."""
    within = {name: in_namespace(name, []) for name in names}
    found = {}
    with hospitals(root, SITES, address=HUB, listen="0.0.0.0", within=lambda name: within.get(name, ())) as here:
        for way, protection in WAYS.items():
            here.settle()
            before = sent(0)
            took = here.run({"protection": dict(protection), "method": {"averaging": AVERAGING}})
            found[way] = _figures(took, before, sent(0))
    print(json.dumps(found))


def _figures(took: Took, before: tuple[int, int], after: tuple[int, int]) -> dict[str, float]:
    rounds = took.rounds[-ROUNDS + SKIPPED :]
    down, up = ((then - now) / 1e6 for now, then in zip(before, after, strict=True))
    return {"median": statistics.median(rounds), "least": min(rounds), "whole": took.whole, "down": down, "up": up}


def measure(down: str) -> Mapping[str, Mapping[str, float]]:
    """Seconds of a round, and megabytes of the whole study down and up a line, by way."""
    names = [f"site-{place}" for place in range(SITES)]
    told = {**os.environ, "HZ_LINKS": PREFIX, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as root, links(names, RATE, down):
        again = in_namespace("hub", [sys.executable, __file__, root, *names])
        done = subprocess.run(again, stdout=subprocess.PIPE, env=told, check=True)
    found: Mapping[str, Mapping[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(found: Mapping[str, Mapping[str, float]], down: str) -> None:
    print(f"\na round of 4 MB of weights, {SITES} sites on lines of {RATE} up, {down} down (load {os.getloadavg()[0]:.1f}):")
    for way, figures in found.items():
        print(
            f"  {way:16} {figures['median']:.2f} s (least {figures['least']:.2f}); the study {figures['whole']:.1f} s, "
            f"{figures['down']:.1f} MB down and {figures['up']:.1f} MB up each line"
        )
    plain, masked, quantised = (figures["median"] for figures in found.values())
    print(f"  masked / float32 {masked / plain:.2f} (bar: 0.65), masked / plain 16 bits {masked / quantised:.2f} (bar: 1.10)")


if __name__ == "__main__":
    if sys.argv[2:]:
        inside(Path(sys.argv[1]), sys.argv[2:])
    elif problem := why_not():
        sys.exit(problem)
    else:
        rate = sys.argv[1] if sys.argv[1:] else RATE
        show(measure(rate), rate)
