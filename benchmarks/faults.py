"""What a study across hospitals survives: real programs are killed, held, cut off and starved, and the joint result is compared.

    python benchmarks/faults.py [NAME ...]

Starts a hub and four sites as processes, does every experiment (or those named), and writes `docs/explanation/faults.md`. As root
it also cuts a site's network (a network namespace) and fills disks (tmpfs); elsewhere these are left out aloud.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hubs import free_port
from programs import CLI, Programs, parents, programs, until
from smokers import off, patients, study

from huizhen import canonical
from huizhen.ledger.keys import load_key
from huizhen.ledger.store import read_file, verify_file

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "faults.md"
SITES, ROWS = ("west", "east", "south", "north"), 3000
MANY = 40_000  # rows of the site whose worker runs out of memory: what it computes must not fit into what it has
CLOSE = 1e-8
DISK = 48 << 20  # bytes of the disks that are filled
SHORT = {"round_deadline": "2 s"}
PLACE, NETWORK = f"hz{os.getpid()}", "10.213.77"  # a network namespace, and the network between it and the hub


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
        steps = [one.payload["event"]["kind"] for one in read_file(root / "hub" / "ledger.sqlite") if one.payload.get("study") == id]
        if self.programs.status(id)["state"] != {"closing": "running", "cancelled": "cancelled"}.get(steps[-1], steps[-1]):
            found.append("the hub's ledger and its store differ")
        return "; ".join(found)

    def back(self) -> None:
        """Every program runs and answers, before the next experiment."""
        for one in (self.programs.hub, *self.programs.sites.values()):
            if not one.runs:
                one.start()
        id = self.programs.submit({**study(SITES), "method": {"summary": {"variables": ["age"]}}})
        self.programs.outcomes(id)


def bytes_of(outcomes: Sequence[Mapping[str, Any]]) -> bytes:
    """Results as they are kept, byte for byte."""
    return canonical.encode([one["result"] for one in outcomes])


EXPERIMENTS: dict[str, Callable[[Lab], Iterator[Told]]] = {}


def experiment(act: Callable[[Lab], Iterator[Told]]) -> Callable[[Lab], Iterator[Told]]:
    EXPERIMENTS[act.__name__] = act
    return act


def place(at: tuple[str, int]) -> str:
    return f"round {at[1]} of `{at[0]}`"


def resumed_after(lab: Lab, id: str) -> str:
    """Where the hub says that it went on."""
    found = [f"`{one['analysis']}` {one['detail']}" for one in lab.programs.events(id) if one["event"] == "resumed"]
    return f"resumed: {found[-1]}" if found else "not resumed"


def count(lab: Lab, id: str, kind: str) -> int:
    return sum(one["event"] == kind for one in lab.programs.events(id))


# --- programs that die -----------------------------------------------------------------------------------------------------------


@experiment
def hub_killed(lab: Lab) -> Iterator[Told]:
    for analysis, number in (("m0", 4), ("m1", 5), ("m3", 9)):
        id = lab.submit()
        with lab.programs.amid(id, analysis, number, site="east") as at:
            lab.programs.hub.kill()
            lab.programs.hub.start()
        lab.programs.ended(id)
        yield lab.judged(id, f"hub killed (SIGKILL) in {place(at)}, started again", resumed_after(lab, id), resumed=True)


@experiment
def nats_killed(lab: Lab) -> Iterator[Told]:
    id = lab.submit()
    with lab.programs.amid(id, "m1", 3, site="east") as at:
        before = lab.programs.server_pid()
        os.kill(before, signal.SIGKILL)
        until(lambda: lab.programs.server_pid() != before, "another NATS server")
    lab.programs.ended(id)
    yield lab.judged(id, f"NATS server killed in {place(at)}", "the hub started it again; the round was answered")


@experiment
def site_killed(lab: Lab) -> Iterator[Told]:
    id, site = lab.submit(), lab.programs.sites["south"]
    with lab.programs.amid(id, "m1", 4, site="south") as at:
        workers = site.workers()
        site.kill()
        site.start()
    lab.programs.ended(id)
    left = [pid for pid in workers if pid in parents()]
    happened = "the agent went on with what it had been prepared for; " + ("its old worker was left" if left else "its old worker had ended")
    yield lab.judged(id, f"site killed (SIGKILL) in {place(at)} and started again", happened)


@experiment
def all_killed(lab: Lab) -> Iterator[Told]:
    id, every = lab.submit(), (lab.programs.hub, *lab.programs.sites.values())
    with lab.programs.amid(id, "m2", 4, site="west") as at:
        os.kill(lab.programs.server_pid(), signal.SIGKILL)
        for one in every:
            one.kill()
        for one in every:
            one.start()
    lab.programs.ended(id)
    yield lab.judged(id, f"hub, NATS server and all sites killed in {place(at)}", resumed_after(lab, id), resumed=True)


@experiment
def worker_killed(lab: Lab) -> Iterator[Told]:
    id, site = lab.submit(), lab.programs.sites["east"]
    lab.programs.asked(id, "m1", 3)
    workers = site.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    at = lab.programs.open_round(id)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    lab.programs.ended(id)
    yield lab.judged(id, f"worker killed in {place(at)}", f"{count(lab, id, 'failed')} answer failed; the round was asked again")


@experiment
def worker_out_of_memory(lab: Lab) -> Iterator[Told]:
    id, site = lab.submit(), lab.programs.sites["east"]
    with lab.programs.amid(id, "m0", 2, site="east") as at:  # before it has room for what it will compute
        for pid in site.workers():
            resource.prlimit(pid, resource.RLIMIT_DATA, (1, 1))
    lab.programs.ended(id)
    said = next((one["detail"] for one in lab.programs.events(id) if one["event"] == "failed"), "nothing failed")
    yield lab.judged(id, f"worker out of memory in {place(at)} (RLIMIT_DATA)", f'"{said}"; the round was asked again of a fresh worker')


# --- silence and the network -----------------------------------------------------------------------------------------------------


@experiment
def silent_site(lab: Lab) -> Iterator[Told]:
    id = lab.submit(participants=SHORT)
    with lab.programs.amid(id, "m1", 3, site="south") as at:
        lab.programs.ended(id)
    yield lab.judged(id, f"site held (SIGSTOP) past the deadline in {place(at)}", "asked twice, then begun anew without it")


@experiment
def link_cut(lab: Lab) -> Iterator[Told]:
    for sections, how in ((({}), "healed before the deadline"), ({"participants": SHORT}, "longer than the deadline")):
        if not lab.link:
            return
        id = lab.submit(**sections)
        lab.programs.asked(id, "m1", 3)
        subprocess.run([*lab.link, "down"], check=True)
        try:
            at = lab.programs.open_round(id)
            if sections:
                lab.programs.ended(id)
        finally:
            subprocess.run([*lab.link, "up"], check=True)
        lab.programs.ended(id)
        happened = "begun anew without it" if sections else "the round was answered"
        yield lab.judged(id, f"network of a site cut in {place(at)}, {how}", happened)


@experiment
def unruly_messages(lab: Lab) -> Iterator[Told]:
    every = {"hub": lab.programs.hub, **lab.programs.sites}
    for one in every.values():
        one.stop()
    try:
        for seed, (name, one) in enumerate(every.items()):
            one.unruly(lab.programs.root / name, seed=seed)
        did = "every message at a time of its own within 30 ms, half of them twice, one in fifty 0.9 s late"
        for sections in ({}, {"protection": {"sum": "masked"}}):
            id = lab.submit(**sections)
            lab.programs.ended(id)
            kind = " (masked sums)" if sections else ""
            yield lab.judged(id, did + kind, "every round was answered once") if not sections else masked(lab, id, did + kind)
    finally:
        for one in every.values():
            one.stop()


def masked(lab: Lab, id: str, did: str) -> Told:
    """A masked sum is rounded to a grid: near the pooled answer, but not the bytes of a plain one."""
    outcomes = lab.programs.outcomes(id)
    return Told(did, "every round was answered once", lab.lost(id), tuple(outcomes[0]["roster"]), off(outcomes, lab.programs.tables))


# --- disks and clocks ------------------------------------------------------------------------------------------------------------


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


@experiment
def hub_disk_full(lab: Lab) -> Iterator[Told]:
    id, hub = lab.submit(), lab.programs.hub
    with ExitStack() as stack:
        with lab.programs.amid(id, "m1", 3, site="east") as at:
            stack.enter_context(full(lab.programs.root / "hub"))
            said = len(hub.said)
        until(lambda: "cannot be written" in hub.said[said:], "the hub's complaint", pause_s=0.05)
        assert lab.programs.status(id)["state"] == "running"
    lab.programs.ended(id)
    happened = f"the hub said so and stood still; when there was room it went on by itself, {resumed_after(lab, id)}"
    yield lab.judged(id, f"disk of the hub full in {place(at)}, later freed", happened, resumed=True)


@experiment
def site_disk_full(lab: Lab) -> Iterator[Told]:
    id = lab.submit()
    with ExitStack() as stack:
        with lab.programs.amid(id, "m1", 3, site="south") as at:
            stack.enter_context(full(lab.programs.root / "south"))
        lab.programs.ended(id)
    outcomes = lab.programs.outcomes(id)
    lost = [loss for one in outcomes for loss in one["losses"]]
    happened = f'"{lost[0][2]}"' if lost else "its ledger has room of its own: every round was answered"
    yield lab.judged(id, f"disk of a site full in {place(at)}", happened)


@experiment
def clocks_off(lab: Lab) -> Iterator[Told]:
    off_s = {"west": 86_400, "south": -86_400}
    try:
        for name, seconds in off_s.items():
            lab.programs.sites[name].stop()
            lab.programs.sites[name].unruly(lab.programs.root / name, ahead_s=seconds)
        id = lab.submit()
        lab.programs.ended(id)
        told = "clock is" in lab.programs.sites["west"].said
        happened = "the sites' operators were told; nothing else" if told else "nothing"
        yield lab.judged(id, "clock of one site a day ahead, of another a day behind", happened)
    finally:
        for name in off_s:
            lab.programs.sites[name].stop()


# --- people ------------------------------------------------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the command line, as a person types it."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HUIZHEN_LANG": "en"}
    typed = [sys.executable, "-c", CLI, *arguments]
    return subprocess.run(typed, env=env, capture_output=True, text=True, timeout=60, check=False)


@experiment
def cancelled(lab: Lab) -> Iterator[Told]:
    id, root = lab.submit(), lab.programs.root
    with lab.programs.amid(id, "m1", 3, site="east") as at:
        done = command("study", "cancel", id, "--dir", str(root / "li"), "--why", "a mistake in the question")
        assert done.returncode == 0, done.stderr
        rounds = count(lab, id, "asked")
    lab.back()
    asked = count(lab, id, "asked") - rounds
    happened = f"{lab.programs.ended(id)['state']}; after it {asked} rounds were asked; the next study ran"
    yield Told(f"study cancelled in {place(at)}", happened, lab.lost(id) or ("" if not asked else "a round was asked"))


@experiment
def withdrawn(lab: Lab) -> Iterator[Told]:
    id, root = lab.submit(), lab.programs.root
    with lab.programs.amid(id, "m1", 3, site="east") as at:
        done = command("site", "withdraw", id, "--dir", str(root / "west"), "--why", "another look first")
        assert done.returncode == 0, done.stderr
        until(lambda: lab.programs.status(id)["stances"]["west"] == "withdrawn", "the withdrawal at the hub", pause_s=0.05)
    yield lab.judged(id, f"a site withdraws in {place(at)}", "begun anew without it; it answers nothing more in this study")


@experiment
def two_hubs(lab: Lab) -> Iterator[Told]:
    id, root = lab.submit(), lab.programs.root
    with lab.programs.amid(id, "m1", 3, site="east") as at:
        second = command("hub", "run", str(root / "hub"))
        assert second.returncode != 0
    found = second.stderr.strip().splitlines()[0]
    yield lab.judged(id, f"a second hub started on the same folder in {place(at)}", f'refused: "{found}"; the first went on')


@experiment
def revoked(lab: Lab) -> Iterator[Told]:
    id, root = lab.submit(), lab.programs.root
    with lab.programs.amid(id, "m1", 3, site="north") as at:
        done = command("hub", "revoke", "north", "--dir", str(root / "hub"))
        assert done.returncode == 0, done.stderr
        lab.programs.ended(id)
    yield lab.judged(id, f"a site revoked in {place(at)}, while it was asked", "begun anew without it, without waiting for the deadline")


# --- the lab and the page ----------------------------------------------------------------------------------------------------------


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


def main(names: Sequence[str]) -> int:
    wanted = names or list(EXPERIMENTS)
    tables = {name: patients(seed, MANY if name == "east" else ROWS + 200 * seed) for seed, name in enumerate(SITES)}
    told: list[Told] = []
    with TemporaryDirectory(prefix="faults-") as folder, network() as (within, link, reached):
        disks = dict.fromkeys(("hub", "south"), DISK) if link else {}
        with programs(Path(folder) / "lab", tables, within=within, disks=disks, **reached) as running:
            lab = Lab(running, link=link)
            lab.calm = running.outcomes(lab.submit())
            assert off(lab.calm, tables) <= CLOSE
            print(f"calm: {len(lab.calm)} analyses, {sum(one['rounds'] for one in lab.calm)} rounds, off {off(lab.calm, tables):.1e}")
            for name in wanted:
                try:
                    for one in EXPERIMENTS[name](lab):
                        print(f"{name}: {one}", flush=True)
                        told.append(one)
                except Exception as error:
                    told.append(Told(name, f"{type(error).__name__}: {error}", "the experiment broke"))
                    print(f"{name}: {told[-1]}", flush=True)
                if name != wanted[-1]:
                    lab.back()
    if not names:
        PAGE.write_text(page(told), encoding="utf-8")
    return 0 if all(one.is_sound for one in told) else 1


def page(told: Sequence[Told]) -> str:
    return "\n".join(f"| {one.did} | {one.happened} | {one.lost or 'nothing'} | {one.off} | {one.same} |" for one in told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
