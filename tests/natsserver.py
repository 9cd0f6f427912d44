"""A NATS server for the suites: without TLS and keys where only what is carried matters."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time

import nats
import pytest

from huizhen.federation.wire.loop import Loop

HOW = "install it with: apt-get install nats-server"


def server_or_skip() -> str:
    """The program; where there is none the story is skipped aloud, in CI it fails."""
    found = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/bin")
    if found is None and os.environ.get("CI"):
        pytest.fail(f"there is no nats-server: {HOW}")
    if found is None:
        pytest.skip(f"there is no nats-server: {HOW}")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class NatsServer:
    """One server on loopback, which can be killed and started again."""

    def __init__(self, folder, *arguments: str) -> None:
        self._program, self._folder, self._arguments = server_or_skip(), folder, arguments
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        log = str(self._folder / "nats.log")
        command = [self._program, "-a", "127.0.0.1", "-p", str(self.port), "-l", log, *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("nats-server does not listen")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Line:
    """A connection with the loop it lives in; closing it lets go of both."""

    def __init__(self, url: str, **options) -> None:
        self.loop = Loop("line")
        self.connection = self.loop.run(self._connected(url, options), 10)

    async def _connected(self, url, options):
        quiet = {"reconnect_time_wait": 0.05, "max_reconnect_attempts": -1, "error_cb": _ignore, **options}
        return await nats.connect(url, **quiet)

    def close(self) -> None:
        if self.loop.is_closed:
            return

        async def end():
            await asyncio.wait_for(self.connection.close(), 5)

        self.loop.run(end(), 10)
        self.loop.close()


async def _ignore(_: Exception) -> None:
    pass
