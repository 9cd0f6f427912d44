"""A hub, its sites and a researcher as the programs that hospitals run: processes with TLS, keys and workers, in one folder.

They can be killed, held, started again and watched. Nothing waits by the clock where something can be watched instead.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubs import hub_at, need_nats_server, site_of
from huizhen.errors import FederationError
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.ways import ActorWay
from huizhen.site.folder import open_identity

PATIENCE_S = 180.0  # what does not happen within it is a failure, on a busy machine too
LOOK_S = 0.001
CLI = "from huizhen.cli import main; main()"
UNRULY = Path(__file__).with_name("unruly.py")
OVER = ("done", "failed", "cancelled")


class Program:
    """One process, which can be started again after its end.

    Args:
        command: of a fresh start.
        log: what it says is appended here.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self.command, self.log = command, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, command: list[str] | None = None) -> None:
        places = os.pathsep.join(place for place in sys.path if place)
        env = {**os.environ, "PYTHONPATH": places, "HUIZHEN_LANG": "en", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command or self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )

    def kill(self) -> None:
        """The end that nobody can prepare for."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """A polite end; after some time the other one."""
        if self.runs:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        self.kill()

    def hold(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def let_go(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def unruly(self, folder: Path, **wish: Any) -> None:
        """Starts it as one of `unruly.py`."""
        kind = self.command[self.command.index("-c") + 2]
        before = self.command[: self.command.index(sys.executable)]
        self.start([*before, sys.executable, str(UNRULY), json.dumps({kind: str(folder), **wish})])

    def workers(self) -> list[int]:
        """Processes that it has started to hold rows."""
        return [pid for pid, parent in parents().items() if parent == self.pid and "huizhen.site.worker" in command_of(pid)]

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@dataclass
class Programs:
    """The federation, running.

    Attributes:
        tables: each site's columns.
    """

    root: Path
    tables: Mapping[str, Mapping[str, list]]
    hub: Program
    sites: dict[str, Program]
    bus: Bus
    keys: Mapping[str, str] = field(default_factory=dict)

    def submit(self, study: Mapping[str, Any], **more: Any) -> str:
        return str(self.bus.ask("submit", {"study": study, **more})["id"])

    def status(self, id: str) -> Mapping[str, Any]:
        return self.bus.ask("status", {"id": id}, timeout_s=PATIENCE_S)

    def ended(self, id: str) -> Mapping[str, Any]:
        """How a study stands once it is over."""
        return until(lambda: told if (told := self.status(id))["state"] in OVER else None, f"an end of {id}", pause_s=0.1)

    def outcomes(self, id: str) -> list[dict[str, Any]]:
        """What a study found; fails where it found nothing."""
        stands = self.ended(id)
        assert stands["state"] == "done", (stands["state"], stands["reason"], self.hub.said[-2000:])
        return self.bus.ask("result", {"id": id})["result"]["outcomes"]

    def events(self, id: str) -> list[dict[str, Any]]:
        """The hub's event log of a study; a line that is being written is left for later."""
        path = self.root / "hub" / "studies" / id / "events.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1] if line]

    def asked(self, id: str, analysis: str, round: int) -> dict[str, Any]:
        """Waits until a round of an analysis is asked, or a later one."""

        def seen() -> dict[str, Any] | None:
            found = [one for one in self.events(id) if one["event"] == "asked" and one["analysis"] == analysis]
            return found[-1] if found and found[-1]["round"] >= round else None

        return until(seen, f"round {round} of {analysis}")

    @contextmanager
    def amid(self, id: str, analysis: str, round: int, *, site: str) -> Iterator[tuple[str, int]]:
        """In the middle of a round: one site is held before it answers, and let go of at the end. Yields which round it became."""
        self.asked(id, analysis, round)
        self.sites[site].hold()
        try:
            yield self.open_round(id)
        finally:
            if self.sites[site].runs:
                self.sites[site].let_go()

    def open_round(self, id: str) -> tuple[str, int]:
        """The round that is open now, and stays so because somebody is held."""
        seen: list[Any] = [None, 0.0]

        def still() -> tuple[str, int] | None:
            events = self.events(id)
            if len(events) != seen[0]:
                seen[:] = [len(events), time.monotonic()]
            is_open = events and events[-1]["event"] == "asked" and time.monotonic() - seen[1] > 0.3
            return (events[-1]["analysis"], events[-1]["round"]) if is_open else None

        return until(still, "a round that stays open")

    def server_pid(self) -> int:
        """The hub's NATS server."""
        return int((self.root / "hub" / "nats" / "nats.pid").read_text())


@contextmanager
def programs(
    root: Path,
    tables: Mapping[str, Mapping[str, list]],
    *,
    within: Mapping[str, list[str]] | None = None,
    configuration: Mapping[str, str] | None = None,
    disks: Mapping[str, int] | None = None,
    **settings: Any,
) -> Iterator[Programs]:
    """A hub and its sites, started and connected, with the researcher li.

    Args:
        tables: each site's columns.
        within: what stands before a program's command, by name, e.g. to run it in a network namespace.
        configuration: more lines of a site's configuration.
        disks: bytes of a disk of its own, by name; takes root.
        settings: of the hub.
    """
    need_nats_server()
    root.mkdir(parents=True, exist_ok=True)
    within, configuration = within or {}, configuration or {}
    with hub_at(root / "hub", **settings) as hub:
        li = site_of(hub, "li", root / "li", role="researcher")
        keys = {name: site_of(hub, name, root / name).pair.public for name in tables}
    for name, columns in tables.items():
        write_csv(root / name / "rows.csv", columns)
        (root / name / "site.toml").write_text(CONFIGURATION.format(name=name) + configuration.get(name, ""), encoding="utf-8")

    def program(name: str, kind: str) -> Program:
        ordinary = [sys.executable, "-c", CLI, kind, "run", *(["--dir"] if kind == "site" else []), str(root / name)]
        return Program([*within.get(name, []), *ordinary], root / f"{name}.log")

    with ExitStack() as stack:
        for name, size in (disks or {}).items():
            stack.enter_context(disk(root / name, size))
        stack.callback(_sweep, root)
        hub_program, sites = program("hub", "hub"), {name: program(name, "site") for name in tables}
        for one in (hub_program, *sites.values()):
            stack.callback(one.kill)
            one.start()
        bus = _line(li, hub_program)
        stack.callback(bus.close)
        yield Programs(root, tables, hub_program, sites, bus, keys)


CONFIGURATION = """[site]
name = "{name}"
[source.main]
path = "rows.csv"
[policy]
min_cell_count = 5
[accept]
fitting = "accept"
sums = ["plain", "masked"]
"""


def _line(li: Any, hub: Program) -> Bus:
    """The researcher's line, once the hub's server is there."""

    def made() -> Bus | None:
        assert hub.runs, hub.said
        bus = Bus(lambda: open_identity(li.root).access(), ActorWay(li.pair.public), {})
        try:
            return bus.__enter__()
        except FederationError:
            return None

    return until(made, "the hub", pause_s=0.1)


def until(seen: Callable[[], Any], what: str, *, pause_s: float = LOOK_S, within_s: float = PATIENCE_S) -> Any:
    """What is seen, once it is; fails where it is not."""
    over = time.monotonic() + within_s
    while time.monotonic() < over:
        if found := seen():
            return found
        time.sleep(pause_s)
    raise AssertionError(f"waited {within_s:g} s in vain for {what}")


def write_csv(path: Path, columns: Mapping[str, list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))


def parents() -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            found[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    return ""


@contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """Moves a folder to a disk of its own, which a file can fill."""
    place = folder.with_name(f"{folder.name}-disk")
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        shutil.move(folder, place / folder.name)
        folder.symlink_to(place / folder.name)
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def _sweep(root: Path) -> None:
    """Ends the server that a killed hub left behind."""
    with suppress(OSError, ValueError):
        pid = int((root / "hub" / "nats" / "nats.pid").read_text())
        if str((root / "hub").resolve()) in command_of(pid):
            os.kill(pid, signal.SIGKILL)
