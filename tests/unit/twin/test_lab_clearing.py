"""Whatever the lab started and made is gone after its end, however it ended."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from huizhen.twin.lab.layout import making, namespaced, shaping
from huizhen.twin.lab.plan import Line
from huizhen.twin.lab.processes import Programs
from huizhen.twin.lab.quotas import Quotas, quota_of
from huizhen.twin.lab.relay import Relay
from huizhen.twin.lab.warden import clear, stale, started_at, sweep

SLEEPS = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
KILLED_LAB = """
import sys, os, signal
from pathlib import Path
from huizhen.twin.lab.processes import Programs
folder = Path(sys.argv[1])
programs = Programs(folder / "started.jsonl")
programs.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], folder / "log")
print(programs.pids()["sleeper"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def gone(pid, within_s=30.0):
    """Whether a process ends, waited for by looking."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.02)):
        if started_at(pid) == 0:
            return True
        pause.wait(0.02)
    return False


def test_what_was_started_ends_with_the_lab(tmp_path):
    programs = Programs(tmp_path / "started.jsonl")
    pid = programs.start("sleeper", SLEEPS, tmp_path / "log")
    assert started_at(pid)
    programs.close()
    assert not started_at(pid)
    assert not (tmp_path / "started.jsonl").exists()


def test_what_a_killed_lab_started_ends_too(tmp_path):
    async def lab():
        lab = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            KILLED_LAB,
            str(tmp_path),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        pid = int(await lab.stdout.readline())
        await lab.wait()
        return pid, lab.returncode

    pid, code = asyncio.run(lab())
    assert code == -signal.SIGKILL
    assert gone(pid)


def test_a_number_that_now_belongs_to_another_process_is_left_alone(tmp_path):
    programs = Programs(tmp_path / "started.jsonl")
    try:
        pid = programs.start("sleeper", SLEEPS, tmp_path / "log")
        clear([{"process": pid, "started": started_at(pid) + 1}])
        assert started_at(pid)
    finally:
        programs.close()


def test_a_record_that_a_killed_warden_left_is_cleared_by_the_next_lab(tmp_path):
    programs, record = Programs(tmp_path / "one.jsonl"), tmp_path / "other.jsonl"
    try:
        pid = programs.start("sleeper", SLEEPS, tmp_path / "log")
        record.write_text(json.dumps({"process": pid, "started": started_at(pid)}) + "\n")
        sweep(record)
        assert programs.pids() == {"sleeper": pid}
        assert not started_at(pid)
        assert not record.exists()
    finally:
        programs.close()


def test_only_namespaces_of_labs_that_are_gone_are_stale():
    names = ["hzlab-10-hub", "hzlab-11-s0", "hzlab-x", "other-11-hub", "hz11-hub"]
    assert stale(names, lambda pid: pid == 10) == ["hzlab-11-s0"]


def test_every_line_is_shaped_at_the_end_where_its_bytes_set_out():
    layout = namespaced("hzlab-1", ["east", "west"])
    words = [" ".join(each) for each in shaping(layout, {"west": Line(up=1000, down=2000)}, Line(up=3000, down=4000), "tc")]
    shaped = {(each.split()[2], each.split()[6]): each.split()[each.split().index("rate") + 1] for each in words}
    assert shaped["hzlab-1-s1", "line0"] == "8000bit"
    assert shaped["hzlab-1-relay", "s1"] == "16000bit"
    assert shaped["hzlab-1-relay", "hub0"] == "24000bit"
    assert shaped["hzlab-1-hub", "line0"] == "32000bit"
    assert sum("netns add" in " ".join(each) for each in making(layout, "ip", "tc")) == 4


def test_half_a_core_is_half_a_period_and_none_is_no_limit():
    assert (quota_of(0.5), quota_of(2), quota_of(0)) == (50_000, 200_000, -1)


def test_where_no_group_can_be_made_it_is_said_and_nothing_is_limited(tmp_path):
    quotas = Quotas("hzlab-1", roots=(tmp_path / "none", tmp_path / "neither"))
    assert "no control group" in quotas.why_not
    group = quotas.made("east")
    assert group is None
    quotas.enter(group, os.getpid())
    quotas.limit(group, 0.5)


@pytest.mark.parametrize("second", [True, False])
def test_a_quota_is_written_as_either_version_reads_it(tmp_path, second):
    roots = tmp_path / "second", tmp_path / "first"
    for root in roots:
        root.mkdir()
    (roots[0] / "cgroup.subtree_control").write_text("cpu memory" if second else "")
    (roots[1] / "cpu.cfs_quota_us").write_text("-1")
    quotas = Quotas("hzlab-1", roots=roots)
    group = quotas.made("east")
    (group / ("cpu.max" if second else "cpu.cfs_quota_us")).write_text("")
    quotas.limit(group, 0.25)
    assert (group / "cpu.max").read_text() == "25000 100000" if second else (group / "cpu.cfs_quota_us").read_text() == "25000"


def test_the_relay_carries_every_byte_both_ways_and_counts_them():
    async def story():
        echoed = asyncio.Event()

        async def echo(reader, writer):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            echoed.set()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            own = probe.getsockname()[1]
        relay = Relay()
        await relay.do({"routes": [{"name": "east", "listen": "127.0.0.1", "port": own, "to": "127.0.0.1", "to_port": port}]})
        await relay.do({"shape": {"routes": {"east": {"up": 1e9, "down": 1e9, "rtt_s": 0.001}}}})
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        sent = bytes(range(256)) * 2000

        async def say():
            writer.write(sent)
            await writer.drain()

        _, heard = await asyncio.gather(say(), reader.readexactly(len(sent)))
        counts = (await relay.do({"count": True}))["counts"]["east"]
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        await relay.close()
        await echoed.wait()
        server.close()
        return heard == sent, counts, len(sent)

    same, counts, size = asyncio.run(story())
    assert same
    assert counts == [size, size]


def test_nothing_in_the_room_but_processes_starts_programs():
    room = Path(__import__("huizhen.twin.lab", fromlist=["lab"]).__file__).parent
    assert [path.name for path in sorted(room.glob("*.py")) if "subprocess" in path.read_text()] == ["processes.py"]
