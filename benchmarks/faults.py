"""What a study across hospitals survives: real programs are killed, held, cut off and starved, and the joint result is compared.

    python benchmarks/faults.py [NAME ...]

Starts a hub and four sites as processes, does every experiment (or those named), and writes `docs/explanation/faults.md` when all
were done. As root it also cuts a site's network (a network namespace) and fills disks (tmpfs); elsewhere these are left out aloud.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from faultlab import Lab, Told, command, full, laboratory
from faultpage import page
from huizhen.errors import HuizhenError
from programs import parents, until
from smokers import off

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "faults.md"
SHORT = {"round_deadline": "2 s"}
SHUT_OUT = "this site is shut out of the federation"


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


# --- programs that die ------------------------------------------------------------------------------------------------


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
def hub_killed_masked(lab: Lab) -> Iterator[Told]:
    id = lab.submit(protection={"sum": "masked"})
    with lab.programs.amid(id, "m1", 4, site="east") as at:
        lab.programs.hub.kill()
        lab.programs.hub.start()
    lab.programs.ended(id)
    yield masked(lab, id, f"hub killed in {place(at)} of a study with masked sums", resumed_after(lab, id))


def masked(lab: Lab, id: str, did: str, happened: str) -> Told:
    """A masked sum is rounded to a grid: near the pooled answer, and not the bytes of a plain one."""
    outcomes = lab.programs.outcomes(id)
    return Told(did, happened, lab.lost(id), tuple(outcomes[0]["roster"]), off(outcomes, lab.programs.tables))


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
    happened = "the agent went on with what it had been prepared for; " + (
        "its old worker was left" if left else "its old worker had ended"
    )
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
            now = 1024 * int(re.search(r"VmData:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
            resource.prlimit(pid, resource.RLIMIT_DATA, (now, now))
    lab.programs.ended(id)
    said = next((one["detail"] for one in lab.programs.events(id) if one["event"] == "failed"), "nothing failed")
    yield lab.judged(
        id, f"worker out of memory in {place(at)} (RLIMIT_DATA)", f'"{said}"; the round was asked again of a fresh worker'
    )


# --- silence and the network ------------------------------------------------------------------------------------------


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
        id, how = lab.submit(), "every round was answered once"
        lab.programs.ended(id)
        yield lab.judged(id, did, how)
        id = lab.submit(protection={"sum": "masked"})
        lab.programs.ended(id)
        yield masked(lab, id, f"{did}; masked sums", how)
    finally:
        for one in every.values():
            one.stop()


# --- disks and clocks -------------------------------------------------------------------------------------------------


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
    lost = [loss for one in lab.programs.outcomes(id) for loss in one["losses"]]
    happened = f'"{lost[0][2]}"' if lost else "its ledger had room of its own: every round was answered"
    yield lab.judged(id, f"disk of a site full in {place(at)}", happened)
    site = lab.programs.sites["south"]
    with full(lab.programs.root / "south"):
        said, id = len(site.said), lab.submit()
        until(lambda: "cannot be used" in site.said[said:], "the site's complaint", pause_s=0.05)
        assert lab.programs.status(id)["stances"]["south"] == "asked"
    lab.programs.ended(id)
    yield lab.judged(
        id, "disk of a site full when a study is suggested, later freed", "its agent said so, and accepted when there was room"
    )


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


# --- people -----------------------------------------------------------------------------------------------------------


@experiment
def cancelled(lab: Lab) -> Iterator[Told]:
    id, root = lab.submit(), lab.programs.root
    with lab.programs.amid(id, "m1", 3, site="east") as at:
        done = command("study", "cancel", id, "--dir", str(root / "li"), "--why", "a mistake in the question")
        assert done.returncode == 0, done.stderr
        rounds = count(lab, id, "asked")
    lab.programs.outcomes(lab.submit(title="The next one"))
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
    lost = {loss[2] for one in lab.programs.outcomes(id) for loss in one["losses"]}
    assert lost == {SHUT_OUT}, lost
    yield lab.judged(
        id, f"a site revoked in {place(at)}, while it was asked", "begun anew without it at once, long before the deadline"
    )


# --- all of them, and the page ----------------------------------------------------------------------------------------


def main(names: Sequence[str]) -> int:
    wanted, told = names or list(EXPERIMENTS), list[Told]()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whatever was started and set up is let go of
    with laboratory() as lab:
        for name in wanted:
            found = list(tried(lab, name))
            told += found
            print(*(f"{name}: {one}" for one in found), sep="\n", flush=True)
            if name != wanted[-1]:
                lab.back()
        is_whole = not names and bool(lab.link)
    if is_whole:
        PAGE.write_text(page(told), encoding="utf-8")
    return 0 if all(one.is_sound for one in told) else 1


def tried(lab: Lab, name: str) -> Iterator[Told]:
    """What an experiment tells; one that breaks is a finding, too."""
    try:
        yield from EXPERIMENTS[name](lab)
    except (AssertionError, OSError, subprocess.SubprocessError, HuizhenError) as error:
        yield Told(name, f"{type(error).__name__}: {error}", "the experiment broke")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
