"""Ends what the lab started and removes what it made, as soon as the lab is gone: by its end, by Ctrl-C, or killed.

    python -m huizhen.twin.lab.warden RECORD

Lines of JSON on its standard input tell it what there is; when the input ends it acts. The record is for the next lab, should the
warden be killed, too (`sweep`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from huizhen.twin.lab.layout import NETNS, removing
from huizhen.twin.lab.processes import ended, found_program

__all__ = ["clear", "main", "stale", "started_at", "sweep"]

POLITE_S, LOOK_S = 8.0, 0.05


def main(record: Path) -> None:
    """Listens until its input ends, then clears."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    facts = []
    with record.open("a", encoding="utf-8") as file:
        for line in sys.stdin:
            fact = json.loads(line)
            if "process" in fact:
                fact["started"] = started_at(fact["process"])
            facts.append(fact)
            file.write(f"{json.dumps(fact)}\n")
            file.flush()
    clear(facts)
    record.unlink(missing_ok=True)


def sweep(record: Path) -> None:
    """Clears what an earlier lab left: by its record, and by the names of namespaces whose lab is gone."""
    if record.exists():
        with suppress(ValueError):
            clear([json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()])
        record.unlink(missing_ok=True)
    names = [path.name for path in NETNS.iterdir()] if NETNS.is_dir() else []
    groups = [str(path) for root in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup") for path in Path(root).glob("hzlab-*")]
    clear([*({"namespace": name} for name in stale(names, _lives)), *({"cgroup": path} for path in groups if _is_stale(path))])


def stale(names: Iterable[str], lives: Any) -> list[str]:
    """The namespaces, or groups, of labs that are gone; a name tells its lab's process."""
    found = []
    for name in names:
        mark, _, rest = name.partition("-")
        pid = rest.partition("-")[0]
        if mark == "hzlab" and pid.isdigit() and not lives(int(pid)):
            found.append(name)
    return found


def clear(facts: Iterable[Mapping[str, Any]]) -> None:
    """Ends the processes with all that they started, politely and then not, and removes namespaces and groups."""
    facts = list(facts)
    roots = [one["process"] for one in facts if "process" in one and started_at(one["process"]) == one.get("started")]
    family = {pid: started_at(pid) for root in roots for pid in _family(root)}
    for pid in roots:
        _signal(pid, signal.SIGTERM)
    _wait(family)
    for pid in _left(family):
        _signal(pid, signal.SIGKILL)
    _wait(family)
    for fact in facts:
        if "cgroup" in fact:
            _remove_group(Path(fact["cgroup"]))
        if "namespace" in fact:
            _end_within(fact["namespace"])
            ended(removing(fact["namespace"], found_program("ip")))


def started_at(pid: int) -> int:
    """When a process was started, in the kernel's ticks; 0 where there is none. A number that is given again has another."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(after_name[19]) if after_name[0] != "Z" else 0
    except (OSError, IndexError):
        return 0


def _family(root: int) -> list[int]:
    """A process and all that it started that still hangs on it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _left(family: Mapping[int, int]) -> list[int]:
    return [pid for pid, started in family.items() if started and started_at(pid) == started]


def _wait(family: Mapping[int, int]) -> None:
    """Until all are gone, or patience is."""
    pause, looks = threading.Event(), int(POLITE_S / LOOK_S)
    while looks and _left(family):
        pause.wait(LOOK_S)
        looks -= 1


def _remove_group(path: Path) -> None:
    with suppress(OSError, ValueError):
        for pid in map(int, (path / "cgroup.procs").read_text().split()):
            _signal(pid, signal.SIGKILL)
    for _ in range(int(POLITE_S / LOOK_S)):
        with suppress(OSError):
            path.rmdir()
        if not path.exists():
            return
        threading.Event().wait(LOOK_S)


def _end_within(namespace: str) -> None:
    """Kills what is in a namespace: its processes share the inode that its name is mounted on."""
    with suppress(OSError):
        inode = (NETNS / namespace).stat().st_ino
        for path in Path("/proc").glob("[0-9]*/ns/net"):
            with suppress(OSError):
                if path.stat().st_ino == inode:
                    _signal(int(path.parent.parent.name), signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _lives(pid: int) -> bool:
    return started_at(pid) != 0


def _is_stale(path: str) -> bool:
    return bool(stale([Path(path).name], _lives))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
