"""The federation of a lab: hub, sites and a researcher as the installed programs, between shaped lines, asked by command line."""

from __future__ import annotations

import os
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huizhen.errors import MachineError, Problem
from huizhen.twin.lab.layout import Layout, inside, making, namespaced, on_loopback, shaping
from huizhen.twin.lab.plan import Configuration, LabPlan, Line
from huizhen.twin.lab.processes import Programs, Talk, ended, found_program, huizhen_program, module, output_of, spent_s
from huizhen.twin.lab.quotas import Quotas
from huizhen.twin.lab.readings import read_events
from huizhen.twin.lab.tables import site_file, study_file, table
from huizhen.twin.lab.warden import sweep

__all__ = ["Federation", "federation"]

RESEARCHER = "researcher"
PATIENCE_S, LOOK_S, PROBE_S = 120.0, 0.1, 600.0
RECORD = "started.jsonl"


@dataclass
class Federation:
    """What runs. `notes` are what could not be had here, in plain words."""

    root: Path
    plan: LabPlan
    layout: Layout
    programs: Programs
    relay: Talk
    quotas: Quotas
    groups: Mapping[str, Path | None]
    notes: list[str]

    def shape(self, one: Configuration, seed: int) -> None:
        """Gives lines and sites what a configuration says."""
        lines = {site: self.plan.lines[name] for site, name in one.lines.items()}
        hub = self.plan.lines[one.hub] if one.hub else Line()
        if self.layout.is_namespaced:
            for command in shaping(self.layout, lines, hub, found_program("tc")):
                output_of(command)
        keep = not self.layout.is_namespaced  # the kernel keeps rates in namespaces
        routes = {site: _told(line, rates=keep) for site, line in lines.items()}
        self.relay.say({"shape": {"routes": routes, "hub": _told(hub, rates=keep), "seed": seed}})
        for site, group in self.groups.items():
            self.quotas.limit(group, one.cores if site in one.sites else 0.0)

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Bytes that went up and down each line so far, as TCP carried them: between the ends of the relay."""
        return {site: (up, down) for site, (up, down) in self.relay.say({"count": True})["counts"].items()}

    def spent(self) -> Mapping[str, float]:
        """Processor seconds so far, by program."""
        return {name: spent_s(pid) for name, pid in self.programs.pids().items()}

    def run(self, one: Configuration, title: str) -> list[Mapping[str, object]]:
        """Submits a study, waits for its end; the hub's events of it.

        Raises:
            MachineError: it did not end well, or not in time.
        """
        study = self.root / "study.toml"
        study.write_text(study_file(title, self.plan.studies[one.study].content, one.sites), encoding="utf-8")
        before = self._studies()
        out = str(self.root / "out")
        submitted = ["study", "submit", str(study), "--dir", str(self.root / RESEARCHER)]
        output_of([*inside(self.layout, "hub", _ip()), huizhen_program(), *submitted, "--out", out])
        self.programs.check()
        return self._events(before)

    def transfer(self, one: Configuration) -> float:
        """Runs a bare transfer; its seconds."""
        sent, site = self.plan.transfers[one.study], one.sites[0]
        host, port = self.layout.probes[site]
        probe = [*module("huizhen.twin.lab.probe"), sent.way, host, str(port), str(sent.bytes)]
        return float(output_of([*inside(self.layout, site, _ip()), *probe], timeout_s=PROBE_S))

    def _studies(self) -> set[str]:
        return {path.parent.name for path in (self.root / "hub" / "studies").glob("*/events.jsonl")}

    def _events(self, before: set[str]) -> list[Mapping[str, object]]:
        found: list[Mapping[str, object]] = []

        def moved() -> int:
            return len(found)

        def done() -> bool:
            new = self._studies() - before
            if new:
                path = self.root / "hub" / "studies" / min(new) / "events.jsonl"
                found[:] = read_events(path.read_text(encoding="utf-8"))
            analyses = self._analyses()
            return bool(new) and len([1 for line in found if line["event"] == "finished"]) >= analyses

        _until(done, "an end of the study", self.programs, moved)
        return found

    def _analyses(self) -> int:
        text = (self.root / "study.toml").read_text(encoding="utf-8")
        return sum(len(one) if isinstance(one, list) else 1 for one in tomllib.loads(text)["method"].values())


@contextmanager
def federation(plan: LabPlan, root: Path, progress: Callable[[str], None]) -> Iterator[Federation]:
    """A federation as a plan needs it, in a new folder; all of it is gone afterwards, however the lab ends.

    Raises:
        MachineError: a program is missing, or does not start.
    """
    root.mkdir(parents=True, exist_ok=True)
    sweep(root / RECORD)
    found_program("nats-server")
    notes: list[str] = []
    tag = f"hzlab-{os.getpid()}"
    programs = Programs(root / RECORD)
    try:
        layout = _laid_out(plan, tag, programs, notes)
        quotas = Quotas(tag)
        groups = {site: quotas.made(site) for site in plan.sites}
        for group in groups.values():
            if group is not None:
                programs.keep("cgroup", str(group))
        if quotas.why_not and any(one.cores for one in plan.configurations):
            notes.append(quotas.why_not)
        relay = programs.talk("relay", [*inside(layout, "relay", _ip()), *module("huizhen.twin.lab.relay")], root / "relay.log")
        routes = [{"name": site, "listen": host, "port": port} for site, (host, port) in layout.dials.items()]
        relay.say({"routes": [{**one, "to": layout.hub_host, "to_port": layout.hub_port} for one in routes]})
        probes = [{"name": site, "listen": host, "port": port} for site, (host, port) in layout.probes.items()]
        relay.say({"routes": [{**one, "to": layout.hub_host, "to_port": layout.hub_probe} for one in probes]})
        found = Federation(root, plan, layout, programs, relay, quotas, groups, notes)
        progress("hub and sites are made")
        _join(found)
        _start(found)
        progress("hub and sites run")
        yield found
    finally:
        programs.close()


def _laid_out(plan: LabPlan, tag: str, programs: Programs, notes: list[str]) -> Layout:
    why_not = _why_no_namespaces()
    if plan.shaping == "namespaces" and why_not:
        raise MachineError("The lab cannot be laid out.", [Problem("lab.shaping", why_not, "root, and network namespaces")])
    if plan.shaping == "userspace" or why_not:
        if why_not and plan.shaping == "auto":
            notes.append(f"{why_not}: lines are shaped in userspace alone")
        return on_loopback(tuple(plan.sites), _free_ports(2 + 2 * len(plan.sites)))
    layout = namespaced(tag, tuple(plan.sites))
    for name in layout.namespaces.values():
        programs.keep("namespace", name)
    for command in making(layout, found_program("ip"), found_program("tc")):
        output_of(command)
    return layout


def _why_no_namespaces() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        found_program("tc")
        probe = [found_program("unshare"), "--net", found_program("true")]
    except MachineError as error:
        return error.message
    return "" if ended(probe) else "this machine allows no network namespaces"


def _join(here: Federation) -> None:
    """Makes the hub's folder and admits everybody."""
    layout, root = here.layout, here.root
    own = f"tls://{layout.hub_host}:{layout.hub_port}"
    addresses = [own, *(f"tls://{host}:{port}" for host, port in layout.dials.values())]
    options = [word for address in addresses for word in ("--address", address)]
    _huizhen("hub", "init", str(root / "hub"), "--listen", layout.hub_host, "--port", str(layout.hub_port), *options)
    hub_inside = inside(layout, "hub", _ip())
    here.programs.start("hub", [*hub_inside, huizhen_program(), "hub", "run", str(root / "hub")], root / "hub.log")
    _said(root / "hub.log", "hub runs", here.programs)
    for name, address in ((RESEARCHER, own), *((site, f"tls://{h}:{p}") for site, (h, p) in layout.dials.items())):
        role = "researcher" if name == RESEARCHER else "site"
        within = hub_inside if name == RESEARCHER else inside(layout, name, _ip())
        invited = _huizhen("hub", "invite", name, "--role", role, "--dir", str(root / "hub"), "--address", address)
        group = "study" if name == RESEARCHER else "site"
        join = [*within, huizhen_program(), group, "join", invited.strip(), "--dir", str(root / name)]
        output_of([*join, "--wait", "0"])
        _huizhen("hub", "admit", name, "--dir", str(root / "hub"), within=hub_inside)
        output_of([*join, "--wait", "30"])


def _start(here: Federation) -> None:
    """Writes the sites' tables and starts them, and the other end of probes."""
    serve = [*module("huizhen.twin.lab.probe"), "serve", here.layout.hub_host, str(here.layout.hub_probe)]
    here.programs.start("probe", [*inside(here.layout, "hub", _ip()), *serve], here.root / "probe.log")
    for place, (name, site) in enumerate(here.plan.sites.items()):
        folder = here.root / name
        (folder / "rows.csv").write_text(table(site.rows, here.plan.seed + place), encoding="utf-8")
        (folder / "site.toml").write_text(site_file(name), encoding="utf-8")
        command = [*inside(here.layout, name, _ip()), huizhen_program(), "site", "run", "--dir", str(folder)]
        pid = here.programs.start(name, command, here.root / f"{name}.log")
        here.quotas.enter(here.groups[name], pid)
    for name in here.plan.sites:
        _said(here.root / f"{name}.log", " runs", here.programs)


def _huizhen(*words: str, within: Sequence[str] = ()) -> str:
    return output_of([*within, huizhen_program(), *words])


def _ip() -> str:
    return found_program("ip")


def _said(log: Path, words: str, programs: Programs) -> None:
    _until(lambda: log.exists() and words in log.read_text(encoding="utf-8", errors="replace"), f"{log.name}: {words}", programs)


def _until(condition: Callable[[], bool], what: str, programs: Programs, moved: Callable[[], int] = lambda: 0) -> None:
    """Waits for a condition; patience begins anew whenever something has moved."""
    pause, left, before = threading.Event(), PATIENCE_S, 0
    while left > 0:
        if condition():
            return
        programs.check()
        pause.wait(LOOK_S)
        left, before = (left - LOOK_S if moved() == before else PATIENCE_S), moved()
    raise MachineError(
        "The lab waits in vain.", [Problem(what, f"nothing within {PATIENCE_S:g} s", "that it comes", "See the logs.")]
    )


def _told(line: Line, *, rates: bool) -> Mapping[str, float]:
    return {"up": line.up if rates else 0.0, "down": line.down if rates else 0.0, "rtt_s": line.rtt_s, "loss": line.loss}


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
