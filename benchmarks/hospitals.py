"""A hub and its hospitals as programs of their own, with TLS and keys, for benchmarks: made in a folder, started, ended.

with hospitals(folder, 5) as here:
    rounds = here.run(study)
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubs import free_port, hub_at, need_nats_server, site_of
from huizhen.federation.study import Study
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.ways import ActorWay
from huizhen.site.folder import open_identity

__all__ = ["Hospitals", "Took", "cross_entropy_rows", "hospitals"]

PROGRAM = (sys.executable, "-c", "from huizhen.cli import main; main()")
PATIENCE_S = 60.0
RESTS_S = 0.03  # of processor time in a quarter of a second: what programs take that only wait
LOOK_S = 0.01  # how often the researcher asks how the study stands
CONFIGURATION = """[site]
name = "{name}"
[source.main]
path = "{rows}"
[policy]
min_cell_count = 1
[accept]
fitting = "accept"
sums = ["plain", "masked"]
"""
Within = Callable[[str], Sequence[str]]  # what stands before a program's command line, e.g. to run it in a namespace


@dataclass(frozen=True, slots=True)
class Took:
    """How long a study took, in seconds.

    Attributes:
        whole: from submitting it to holding the result.
        rounds: from the question of each round to its fold, the count first.
        outcome: of its one analysis.
    """

    whole: float
    rounds: tuple[float, ...]
    outcome: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hospitals:
    """Programs that run, by their process ids; `bus` is a researcher's line."""

    bus: Bus
    names: tuple[str, ...]
    programs: tuple[int, ...]

    def settle(self) -> None:
        """Until all programs rest: each site has a worker again that has loaded everything and waits."""
        before, rests, until = _spent_s(self.programs), 0, time.monotonic() + PATIENCE_S
        while rests < 4 and time.monotonic() < until:
            time.sleep(0.25)
            now = _spent_s(self.programs)
            before, rests = now, rests + 1 if now - before < RESTS_S else 0

    def run(self, content: Mapping[str, Any]) -> Took:
        """Submits a study, waits for its end, and fetches its result."""
        study = Study.parse({**content, "participants": {"sites": list(self.names), **content.get("participants", {})}})
        start = time.perf_counter()
        body = {"study": study.content, "priority": 5, "expires": "72 h", "providers": []}
        id = self.bus.ask("submit", body)["id"]
        lines, state = [], ""
        while state not in ("done", "failed", "cancelled"):
            told = self.bus.ask("events", {"id": id, "since": len(lines)})
            lines += [line for _, line in told["events"]]
            state = told["state"]
            time.sleep(LOOK_S)
        found = self.bus.ask("result", {"id": id})
        whole = time.perf_counter() - start
        failed = found["result"]["outcomes"][0]["result"].get("failure")
        if state != "done" or failed:
            raise RuntimeError(f"the study {state}: {failed}")
        return Took(whole, _rounds(lines), found["result"]["outcomes"][0])


def _rounds(lines: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    asked = [line["at_s"] for line in lines if line["kind"] == "asked"]
    ended = [line["at_s"] for line in lines if line["kind"] in ("mustered", "folded")]
    return tuple(end - begin for begin, end in zip(asked, ended, strict=True))


def cross_entropy_rows(path: Path, seed: int, rows: int = 150) -> None:
    """A table on which a logistic regression can be fitted."""
    draw = random.Random(seed)
    with path.open("w") as file:
        file.write("age,sex,lab,smoker\n")
        for _ in range(rows):
            age, lab = draw.gauss(60, 10), draw.gauss(5, 1)
            smokes = draw.random() < 1 / (1 + 2.718 ** -(0.05 * (age - 60) + 0.4 * (lab - 5)))
            file.write(f"{age:.1f},{draw.choice('FM')},{lab:.2f},{int(smokes)}\n")


@contextmanager
def hospitals(
    root: Path, count: int, *, address: str = "127.0.0.1", listen: str = "127.0.0.1", within: Within = lambda _: ()
) -> Iterator[Hospitals]:
    """A hub, so many sites and a researcher, each a program; all are ended with the context."""
    need_nats_server()
    names, port = tuple(f"site-{place}" for place in range(count)), free_port()
    with hub_at(root / "hub", port=port, addresses=(f"tls://{address}:{port}",), listen=listen) as hub:
        for place, name in enumerate(names):
            folder = site_of(hub, name, root / name).root
            cross_entropy_rows(folder / "rows.csv", place)
            (folder / "site.toml").write_text(CONFIGURATION.format(name=name, rows=folder / "rows.csv"))
        researcher = site_of(hub, "li", root / "li", "researcher").root
    with ExitStack() as stack:
        commands = {"hub": ["hub", "run", str(root / "hub")]}
        commands |= {name: ["site", "run", "--dir", str(root / name)] for name in names}
        programs = []
        for name, command in commands.items():
            programs.append(stack.enter_context(_program(root / f"{name}.log", [*within(name), *PROGRAM, *command])).pid)
        for name in ("hub", *names):
            _wait_for(root / f"{name}.log")
        identity = open_identity(researcher)
        bus = stack.enter_context(Bus(identity.access, ActorWay(identity.pair.public), {}))
        yield Hospitals(bus, names, tuple(programs))


@contextmanager
def _program(log: Path, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait_for(log: Path) -> None:
    """Until a program has said that it runs."""
    until = time.monotonic() + PATIENCE_S
    while " runs" not in log.read_text():
        if time.monotonic() > until:
            raise RuntimeError(log.read_text())
        time.sleep(0.05)


def _spent_s(programs: Sequence[int]) -> float:
    """Processor time of programs and all that they started."""
    return sum(_ticks(each) for program in programs for each in _family(program)) / os.sysconf("SC_CLK_TCK")


def _family(program: int) -> Iterator[int]:
    yield program
    for children in Path(f"/proc/{program}/task").glob("*/children"):
        for child in _read(children).split():
            yield from _family(int(child))


def _ticks(process: int) -> int:
    fields = _read(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""
