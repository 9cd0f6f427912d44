"""The federation that faults are tried on: what is submitted, how its end is judged, and what can be taken away from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hubs import free_port
from huizhen import canonical
from huizhen.ledger.keys import load_key
from huizhen.ledger.store import read_file, verify_file
from programs import CLI, Programs, programs
from smokers import off, patients, study

SITES, ROWS = ("west", "east", "south", "north"), 3000
MANY = 40_000  # rows of the site whose worker runs out of memory: what it computes must not fit into what it has
CLOSE = 1e-8
DISK = 48 << 20  # bytes of the disks that are filled
PLACE, NETWORK = f"hz{os.getpid()}", f"10.213.{os.getpid() % 256}"  # a network namespace, and the network between it and the hub


@dataclass(frozen=True)
class Told:
    """What came of an experiment.

    Attributes:
        did, happened: for the page.
        lost: what was lost; "" for nothing.
        roster: whose rows the result reports.
        off: from the pooled answer over that roster; None where there is no result, as it should be.
        same: whether it has the bytes of a run that nothing disturbed; None where the roster is another.
    """

    did: str
    happened: str
    lost: str = ""
    roster: tuple[str, ...] = ()
    off: float | None = None
    same: bool | None = None

    @property
    def is_sound(self) -> bool:
        return not self.lost and (self.off is None or self.off <= CLOSE) and self.same is not False


@dataclass
class Lab:
    """The federation, and what it finds when nobody disturbs it."""

    programs: Programs
    calm: list[Any] = field(default_factory=list)
    link: tuple[str, ...] = ()  # the command, but for up or down, of north's network

    def submit(self, **sections: Any) -> str:
        return self.programs.submit(study(SITES, **sections))

    def judged(self, id: str, did: str, happened: str, *, resumed: bool = False) -> Told:
        """How a study ended, against the pooled rows and against the calm run."""
        outcomes = self.programs.outcomes(id)
        rosters = {tuple(one["roster"]) for one in outcomes}
        roster = tuple(name for name in SITES if all(name in one for one in rosters))
        same = None if rosters != {SITES} and not resumed else bytes_of(outcomes) == bytes_of(self.calm)
        return Told(did, happened, self.lost(id), roster, off(outcomes, self.programs.tables), same)

    def lost(self, id: str) -> str:
        """What is missing from the ledgers and stores; "" for nothing."""
        root, found = self.programs.root, []
        for name in ("hub", *SITES):
            path = root / name / "ledger.sqlite"
            key = load_key(root / name / ("keys" if name == "hub" else "identity") / "identity.pem").public
            if not verify_file(path, [key]).sound:
                found.append(f"the ledger of {name} does not verify")
        steps = [
            one.payload["event"]["kind"] for one in read_file(root / "hub" / "ledger.sqlite") if one.payload.get("study") == id
        ]
        if self.programs.status(id)["state"] != {"closing": "running", "cancelled": "cancelled"}.get(steps[-1], steps[-1]):
            found.append("the hub's ledger and its store differ")
        return "; ".join(found)

    def back(self) -> None:
        """Every program runs again, before the next experiment."""
        for one in (self.programs.hub, *self.programs.sites.values()):
            if not one.runs:
                one.start()


def bytes_of(outcomes: Sequence[Mapping[str, Any]]) -> bytes:
    """Results as they are kept, byte for byte."""
    return canonical.encode([one["result"] for one in outcomes])


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the command line, as a person types it."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HUIZHEN_LANG": "en"}
    typed = [sys.executable, "-c", CLI, *arguments]
    return subprocess.run(typed, env=env, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """The folder's disk has no byte left."""
    filler = folder.resolve() / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65536) or file.write(b"\0")
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def laboratory() -> Iterator[Lab]:
    """The programs, and what they find when nobody disturbs them."""
    tables = {name: patients(seed, MANY if name == "east" else ROWS + 200 * seed) for seed, name in enumerate(SITES)}
    with TemporaryDirectory(prefix="faults-") as folder, network() as (within, link, reached):
        disks = dict.fromkeys(("hub", "south"), DISK) if link else {}
        with programs(Path(folder) / "lab", tables, within=within, disks=disks, **reached) as running:
            lab = Lab(running, link=link)
            lab.calm = running.outcomes(lab.submit())
            assert off(lab.calm, tables) <= CLOSE
            yield lab


@contextmanager
def network() -> Iterator[tuple[dict[str, list[str]], tuple[str, ...], dict[str, Any]]]:
    """A network of its own for the site north: what stands before its command, what cuts it, and how the hub is reached."""
    if os.geteuid() != 0:
        print("not root: no network is cut and no disk is filled", flush=True)
        yield {}, (), {}
        return
    inside = ["ip", "netns", "exec", PLACE]
    commands = (
        ["ip", "netns", "add", PLACE],
        ["ip", "link", "add", PLACE, "type", "veth", "peer", "name", "eth0", "netns", PLACE],
        ["ip", "addr", "add", f"{NETWORK}.1/24", "dev", PLACE],
        ["ip", "link", "set", PLACE, "up"],
        [*inside, "ip", "addr", "add", f"{NETWORK}.2/24", "dev", "eth0"],
        [*inside, "ip", "link", "set", "lo", "up"],
        [*inside, "ip", "link", "set", "eth0", "up"],
    )
    port = free_port()
    try:
        for each in commands:
            subprocess.run(each, check=True)
        reached = {"addresses": (f"tls://{NETWORK}.1:{port}",), "listen": "0.0.0.0", "port": port}
        yield {"north": inside}, (*inside, "ip", "link", "set", "eth0"), reached
    finally:
        subprocess.run(["ip", "netns", "del", PLACE], check=False)
