"""The same logistic regression over five sites with Huizhen's programs and with Flower's stock deployment: seconds of a round.

    python -m venv /tmp/flower && /tmp/flower/bin/pip install flwr==1.41.0
    PYTHONPATH=src:tests python benchmarks/flower_rounds.py /tmp/flower/bin

Flower: one SuperLink and five SuperNodes with their default settings on loopback, without TLS, which spares it work; the app is in
`flower_app`. Huizhen: hub and five agents with TLS, keys, gate, signed ledgers and workers. Both fit by Newton's steps.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hospitals import cross_entropy_rows, hospitals
from hubs import free_port

SITES, ROUNDS = 5, 3  # rounds of Flower; one of them takes most of a minute
STUDY = {"method": {"glm": {"formula": "smoker ~ age + lab", "family": "binomial"}}}
APP = Path(__file__).with_name("flower_app")
SAID = re.compile(r"round \d+: (\d+\.\d+) s")
LONGEST_S = 900.0
SETTLES_S = 20.0  # nodes register meanwhile


def huizhen(root: Path) -> list[float]:
    """Seconds of each round after the count."""
    with hospitals(root, SITES) as here:
        here.settle()
        return list(here.run(STUDY).rounds[1:])


def flower(root: Path, programs: Path) -> list[float]:
    """Seconds of each round, as the app measures them."""
    port = free_port()
    home = root / "home"
    home.mkdir(parents=True)
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    environment = {**os.environ, "FLWR_HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "FLWR_TELEMETRY_ENABLED": "0"}
    environment.pop("PYTHONPATH", None)
    with ExitStack() as stack:
        link = ["--insecure", "--disable-runtime-dependency-installation", "--port", str(port)]
        _start(stack, root / "link.log", [str(programs / "flower-superlink"), *link], environment)
        for place in range(SITES):
            rows = root / f"rows-{place}.csv"
            cross_entropy_rows(rows, place)
            node = ["--insecure", "--superlink", f"127.0.0.1:{port}", "--port", str(free_port())]
            node += ["--node-config", f'rows="{rows}"']
            _start(stack, root / f"node-{place}.log", [str(programs / "flower-supernode"), *node], environment)
        time.sleep(SETTLES_S)
        run = [str(programs / "flwr"), "run", str(APP), "here", "--stream"]
        run += ["--run-config", f"sites={SITES} rounds={ROUNDS}"]
        with (root / "run.log").open("w") as log:
            started = subprocess.Popen(run, env=environment, stdout=log, stderr=log)
            stack.callback(_end, started)
            until = time.monotonic() + LONGEST_S
            while time.monotonic() < until:
                said = [float(each) for path in root.glob("*.log") for each in SAID.findall(path.read_text(errors="replace"))]
                if len(said) >= ROUNDS:
                    return said[:ROUNDS]
                time.sleep(1)
    raise RuntimeError("\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(root.glob("*.log"))))


def _start(stack: ExitStack, log: Path, command: Sequence[str], environment: dict[str, str]) -> None:
    file = stack.enter_context(log.open("w"))
    stack.callback(_end, subprocess.Popen(command, env=environment, stdout=file, stderr=file))


def _end(started: subprocess.Popen[bytes]) -> None:
    started.terminate()
    try:
        started.wait(20)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


def main(programs: Path) -> None:
    with tempfile.TemporaryDirectory() as root:
        ours = huizhen(Path(root) / "huizhen")
        theirs = flower(Path(root) / "flower", programs)
    here, there = statistics.median(ours), statistics.median(theirs)
    print(f"a round of a logistic regression over {SITES} sites, median (load {os.getloadavg()[0]:.1f}):")
    print(f"  Huizhen {here:.3f} s of {len(ours)} rounds, Flower {there:.1f} s of {', '.join(f'{each:.1f}' for each in theirs)}")
    print(f"  Flower / Huizhen {there / here:.0f}   (bar: 100)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
