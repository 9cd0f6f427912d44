"""Programs that the lab starts, by the paths of installed programs: each known to the warden before anything else happens to it.

No other file of this room starts anything, and nothing here goes through a shell.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huizhen.errors import MachineError, Problem

__all__ = ["Programs", "Talk", "ended", "found_program", "huizhen_program", "module", "output_of", "spent_s"]

SYSTEM = "/usr/sbin:/sbin:/usr/local/sbin"
LEAVES_S = 20.0


def found_program(name: str) -> str:
    """The path of an installed program.

    Raises:
        MachineError: there is none.
    """
    own = os.pathsep.join((sysconfig.get_path("scripts"), str(Path(sys.executable).parent)))
    path = shutil.which(name, path=os.pathsep.join((own, os.environ.get("PATH", ""), SYSTEM)))
    if path is None:
        problem = Problem(name, "no such program", "an installed program", "Install it, and run the lab again.")
        raise MachineError("The lab lacks a program.", [problem])
    return path


def huizhen_program() -> str:
    """The program of the participants."""
    return found_program("huizhen")


def module(name: str) -> list[str]:
    """A module of this package as a command line, by this Python."""
    return [sys.executable, "-m", name]


def output_of(command: Sequence[str], *, timeout_s: float = 120.0) -> str:
    """What a command says that ends by itself.

    Raises:
        MachineError: it fails, or takes too long.
    """
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment(), timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise _failed(command, f"no end within {timeout_s:g} s") from None
    if done.returncode:
        raise _failed(command, (done.stderr or done.stdout).strip()[-2000:])
    return done.stdout


def ended(command: Sequence[str]) -> bool:
    """Whether a command that may fail did not."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


class Programs:
    """What runs, and the warden that ends it all when this process does, however it does.

    Args:
        record: what was started and made is written here, for whoever comes after a warden that was killed.
    """

    def __init__(self, record: Path) -> None:
        command = [*module("huizhen.twin.lab.warden"), str(record)]
        self._warden = self._popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def keep(self, kind: str, name: str) -> None:
        """Tells the warden of what it has to remove: a ``namespace`` or a ``cgroup``."""
        self._tell({kind: name})

    def start(self, name: str, command: Sequence[str], log: Path) -> int:
        """Starts a program that stays; its process id."""
        with log.open("ab") as file:
            process = self._popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self._running[name] = process
        self._tell({"process": process.pid})
        return process.pid

    def talk(self, name: str, command: Sequence[str], log: Path) -> Talk:
        """Starts a program that answers lines."""
        with log.open("ab") as file:
            process = self._popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file)
        self._running[name] = process
        self._tell({"process": process.pid})
        return Talk(process)

    def check(self) -> None:
        """Whether all run.

        Raises:
            MachineError: one has ended.
        """
        gone = [name for name, process in self._running.items() if process.poll() is not None]
        if gone:
            raise MachineError(
                "A program of the lab has ended.",
                [Problem(name, "its end", "a program that runs", "See its log.") for name in gone],
            )

    def pids(self) -> Mapping[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def close(self) -> None:
        """The warden ends and removes everything; then it ends itself."""
        for process in self._running.values():
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._warden.stdin is not None:
            self._warden.stdin.close()
        for process in (*self._running.values(), self._warden):
            try:
                process.wait(LEAVES_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _tell(self, fact: Mapping[str, Any]) -> None:
        assert self._warden.stdin is not None
        self._warden.stdin.write(f"{json.dumps(fact)}\n".encode())
        self._warden.stdin.flush()

    def _popen(self, command: Sequence[str], **ends: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(list(command), env=_environment(), start_new_session=True, **ends)


class Talk:
    """A program that answers each line of JSON with one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def say(self, told: Mapping[str, Any]) -> Any:
        """Its answer.

        Raises:
            MachineError: it has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{json.dumps(told)}\n".encode())
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise MachineError("The lab's relay has ended.", [Problem("relay", "its end", "an answer", "See relay.log.")])
        return json.loads(line)


def spent_s(pid: int) -> float:
    """Processor seconds of a process and all that it started, ended ones that it waited for included."""
    ticks, family = 0, [pid]
    while family:
        one = family.pop()
        try:
            after_name = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, after_name[11:15]))
            for task in Path(f"/proc/{one}/task").iterdir():
                family += map(int, (task / "children").read_text().split())
        except (OSError, IndexError):
            continue  # it has ended meanwhile
    return ticks / os.sysconf("SC_CLK_TCK")


def _environment() -> dict[str, str]:
    """One thread for each program: quotas and times are told apart by it."""
    places = os.pathsep.join(place for place in sys.path if place)
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": places, "HUIZHEN_LANG": "en", "COLUMNS": "250"}


def _failed(command: Sequence[str], said: str) -> MachineError:
    problem = Problem(" ".join(command)[:300], said or "nothing said", "a command that does what it is asked")
    return MachineError("A command of the lab failed.", [problem])
