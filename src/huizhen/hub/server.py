"""The hub's own NATS server: started, watched, started again when it dies, stopped with the hub.

    with Server(folder, joining.account_token, clock) as server:
        ...

It is started with a configuration made at that moment. A server that an earlier hub of the same folder left behind, because that
hub was killed, is stopped first. What is on the port under another name is left alone, and named.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from huizhen.clock import Clock
from huizhen.errors import CallerError, HuizhenError, MachineError, Problem
from huizhen.federation.wire.folders import write_file
from huizhen.hub.configuration import advisory, configuration, server_name
from huizhen.hub.folder import HubFolder

__all__ = ["Server", "server_version"]

START_S = 15.0
STOP_S = 5.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
SOUND_AFTER_S = 30.0  # a server that ran this long is started again at once, and not as one that cannot run
LOOK_S = 0.02
CERTIFICATE_LOOK_S = 3600.0
DIAL_S = 1.0
LONGEST_GREETING = 65_536


class Server:
    """The server as a context: it answers when the context is entered, and is gone when it is left.

    Args:
        folder: the hub's folder.
        account: gives the account's token with all revocations; called before each start.
        clock: the time.
        told: is told, in a sentence, that the server died, was started again, or has an open advisory.

    Raises:
        CallerError: a hub of this folder runs already.
        MachineError: the program is missing, the port is another's, or the server does not come up; with its own last words.
    """

    def __init__(
        self, folder: HubFolder, account: Callable[[], str], clock: Clock, told: Callable[[str], None] | None = None
    ) -> None:
        self._folder, self._account, self._clock = folder, account, clock
        self._told = told or (lambda _: None)
        self._claim: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._leaving = threading.Event()
        self._watch: threading.Thread | None = None
        self._lock = threading.Lock()
        self._next_look = clock.seconds() + CERTIFICATE_LOOK_S

    @property
    def pid(self) -> int:
        """The process that runs now; 0 where none does."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else 0

    def __enter__(self) -> Self:
        if (warning := advisory(server_version(self._folder.settings.program))) is not None:
            self._told(warning)
        self._claim = _claimed(self._folder.nats)
        try:
            self._begin()
        except BaseException:
            self._stop_child()
            self._let_go()
            raise
        self._watch = threading.Thread(target=self._keep, name="nats-server", daemon=True)
        self._watch.start()
        return self

    def _begin(self) -> None:
        self._stop_orphan()
        self._check_port()
        self._folder.renew_certificate(self._clock.now())
        shutil.rmtree(self._folder.nats / "accounts", ignore_errors=True)  # a copy of what the preload says
        self._start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leaving.set()
        if self._watch is not None:
            self._watch.join()
        self._stop_child()
        self._pid_file.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def reload(self) -> None:
        """Have the running server read its certificate and limits again; connections stay."""
        self._write_configuration()
        with self._lock:
            if self.pid:
                os.kill(self.pid, signal.SIGHUP)

    @property
    def _pid_file(self) -> Path:
        return self._folder.nats / "nats.pid"

    @property
    def _configuration_file(self) -> Path:
        return self._folder.nats / "nats.conf"

    def _write_configuration(self) -> None:
        text = configuration(self._folder, self._account(), self._clock.now())
        write_file(self._configuration_file, text.encode("utf-8"))

    def _start(self) -> None:
        """Start the program and wait until it answers under the hub's name."""
        self._write_configuration()
        program = _program(self._folder.settings.program)
        with self._lock:
            if self._leaving.is_set():
                return
            self._child = subprocess.Popen(
                [program, "-c", str(self._configuration_file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._folder.nats,
                env={"PATH": os.defpath},
                start_new_session=True,  # Ctrl-C at the hub's terminal is the hub's to act on: it stops its server last
            )
        write_file(self._pid_file, str(self._child.pid).encode("ascii"))
        until = self._clock.seconds() + START_S
        while self._child.poll() is None and not self._leaving.is_set() and self._clock.seconds() < until:
            if self._answers():
                return
            self._leaving.wait(LOOK_S)
        if not self._leaving.is_set():
            raise self._silent()

    def _keep(self) -> None:
        """Wait for the child's end, which should not come before the hub's, and start it again, slower each time it dies young."""
        wait_s, since = FIRST_WAIT_S, self._clock.seconds()
        while not self._leaving.is_set():
            child = self._child
            if child is not None and child.poll() is None:
                self._leaving.wait(LOOK_S)
                self._renew_certificate()
                continue
            if self._clock.seconds() - since > SOUND_AFTER_S:
                wait_s = FIRST_WAIT_S
            self._told("the NATS server died and is started again")
            if self._leaving.wait(wait_s):
                return
            wait_s, since = min(2 * wait_s, LONGEST_WAIT_S), self._clock.seconds()
            try:
                self._start()
            except (HuizhenError, OSError) as error:
                self._told(str(error))
                self._stop_child()

    def _renew_certificate(self) -> None:
        if self._clock.seconds() < self._next_look:
            return
        self._next_look = self._clock.seconds() + CERTIFICATE_LOOK_S
        try:
            if self._folder.renew_certificate(self._clock.now()):
                self.reload()
        except HuizhenError as error:  # a full disk, say: there are months left to mend it
            self._told(str(error))

    def _stop_child(self) -> None:
        with self._lock:
            child = self._child
            if child is None:
                return
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _stop_orphan(self) -> None:
        """Stop the server that a killed hub of this folder left behind, known by its name on the port and by its command line."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return
        if not _runs(pid, self._configuration_file):
            return
        self._told("a server that an earlier hub left behind is stopped")
        for sign in (signal.SIGTERM, signal.SIGKILL):
            os.kill(pid, sign)
            until = self._clock.seconds() + STOP_S
            while _runs(pid, self._configuration_file) and self._clock.seconds() < until:
                self._leaving.wait(LOOK_S)

    def _check_port(self) -> None:
        if (greeting := self._greeting()) is None:
            return
        settings = self._folder.settings
        found = "another hub's server" if greeting.startswith("huizhen-") else "another program"
        problem = Problem(f"{settings.listen}:{settings.port}", found, "a free port", "Stop it, or set another port in hub.toml.")
        raise MachineError("The port of the hub's server is in use.", [problem])

    def _answers(self) -> bool:
        return self._greeting() == server_name(self._folder)

    def _greeting(self) -> str | None:
        """The name that whatever listens on the port gives itself; None where nothing listens, "" where it is no NATS server."""
        settings = self._folder.settings
        host = settings.local_address.removeprefix("tls://").rpartition(":")[0].strip("[]")
        try:
            with socket.create_connection((host, settings.port), timeout=DIAL_S) as line, line.makefile("rb") as file:
                word, _, content = file.readline(LONGEST_GREETING).partition(b" ")
            return str(json.loads(content)["server_name"]) if word == b"INFO" else ""
        except ConnectionRefusedError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _silent(self) -> MachineError:
        try:
            lines = (self._folder.nats / "nats.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        word = next((line for line in reversed(lines) if "[FTL]" in line or "[ERR]" in line), "nothing")
        problem = Problem("nats-server", word, "that it answers", f"See {self._folder.nats / 'nats.log'}")
        return MachineError("The NATS server does not come up.", [problem])


def server_version(program: str) -> str:
    """What a NATS server's program says of its release, e.g. ``nats-server: v2.9.10``.

    Raises:
        MachineError: there is no such program.
    """
    done = subprocess.run([_program(program), "--version"], capture_output=True, timeout=START_S, check=False)
    return done.stdout.decode("utf-8", "replace").strip()


def _claimed(folder: Path) -> int:
    """A lock that the system lets go when the program dies: two hubs on one folder would stop each other's servers."""
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        problem = Problem(str(folder.parent), "a hub that runs", "a folder whose hub is stopped", "Stop that hub first.")
        raise CallerError("The hub of this folder runs already.", [problem]) from None
    return descriptor


def _program(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        remedy = "Install it: apt-get install nats-server, or from the NATS project; or set program in hub.toml."
        raise MachineError("The NATS server is missing.", [Problem(program, "no such program", "the program nats-server", remedy)])
    return found


def _runs(pid: int, configuration_file: Path) -> bool:
    """Whether a process is a server with this configuration; a number alone may be another process's by now."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(configuration_file) in command and ") Z " not in stat
