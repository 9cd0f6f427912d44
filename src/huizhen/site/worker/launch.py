"""Starts a program of this package in a process of its own: nothing else of the site starts one, and nothing that came over a wire
is ever started."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired
from typing import Any

__all__ = ["HANDED_ON", "Child", "environment", "launch", "launch_beside"]

# What of the agent's environment a worker sees: where programs, scratch files and graphics processors are, and how many threads to
# take. No proxy, no token, no home.
HANDED_ON = (
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_CACHE_DIR",
)


class Child:
    """A process of ours, with all that it starts."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process
        assert process.stdout is not None
        self.words = process.stdout.fileno()  # what it says, its errors among it
        self.pid = process.pid

    def ended(self, within_s: float = 0.0) -> int | None:
        """Its exit status, the negative number of the signal that ended it, or None while it runs."""
        try:
            return self._process.wait(within_s)
        except TimeoutExpired:
            return None

    def kill(self) -> int:
        """Ends it and all that it started, at once; its exit status."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # it leads a group of its own
        return self._process.wait()

    def close(self) -> None:
        """Lets go of what it says, once nobody reads it any more."""
        assert self._process.stdout is not None
        self._process.stdout.close()


def environment() -> dict[str, str]:
    """The short list, with the places from which this process imports: the worker runs the same installed programs."""
    handed_on = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    places = os.pathsep.join(str(Path(place).resolve()) for place in sys.path if place)
    return {
        **handed_on,
        "PYTHONPATH": places,
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",  # what a worker said before it was killed is in the log
    }


def launch(module: str, arguments: Sequence[str], *, hand_over: Sequence[int]) -> Child:
    """Starts a module of this package.

    Args:
        hand_over: descriptors that it may use; it has no others but its output.

    Raises:
        OSError: it cannot be started.
    """
    settings: dict[str, Any] = {"stdout": PIPE, "stderr": STDOUT, "start_new_session": True}
    return Child(_started(module, arguments, hand_over, settings))


def launch_beside(module: str, arguments: Sequence[str], *, hand_over: Sequence[int]) -> Popen[bytes]:
    """Starts a module of this package in this process's own group, which is ended as one; it speaks where this process does.

    Args:
        hand_over: as of `launch`.

    Raises:
        OSError: it cannot be started.
    """
    return _started(module, arguments, hand_over, {})


def _started(module: str, arguments: Sequence[str], hand_over: Sequence[int], settings: Mapping[str, Any]) -> Popen[bytes]:
    command = [sys.executable, "-m", module, *arguments]
    return Popen(command, stdin=DEVNULL, env=environment(), pass_fds=tuple(hand_over), cwd="/", **settings)
