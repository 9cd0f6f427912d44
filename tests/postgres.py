"""A PostgreSQL server for the suites, in a temporary folder, on a free port of this machine."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

HOW = "install it with: apt-get install postgresql, and pip install 'psycopg[binary]'"


def _program(name: str) -> str:
    found = shutil.which(name) or next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"there is no {name}: {HOW}")
    if found is None:
        pytest.skip(f"there is no {name}: {HOW}")
    return found


class Postgres:
    """One server; as it refuses to run as root, it then runs as the account ``postgres`` or ``nobody``."""

    def __init__(self) -> None:
        pytest.importorskip("psycopg", reason=HOW)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._account = _account() if os.geteuid() == 0 else None
        # Not below pytest's own folder: that is root's alone, and this server runs as somebody else.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if self._account:
            shutil.chown(self._folder, self._account)
        self._do("initdb", "-D", str(self._folder / "db"), "-U", "reader", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://reader@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._do("pg_ctl", "-D", str(self._folder / "db"), "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._do("pg_ctl", "-D", str(self._folder / "db"), "-m", "immediate", "-w", "stop", check=False)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _do(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [_program(program), *arguments]
        done = subprocess.run(
            command, user=self._account, cwd=self._folder, capture_output=True, timeout=120, env={**os.environ, "LC_ALL": "C"}
        )
        assert not check or done.returncode == 0, done.stderr


def _account() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
