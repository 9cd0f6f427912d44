"""How much of the machine a worker may take: memory, processor time, open files, file size, and how long an answer may last."""

from __future__ import annotations

import resource
from dataclasses import dataclass

__all__ = ["Limits", "allow_cpu", "apply"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one worker; a soft limit that is hit fails one answer.

    Attributes:
        memory: bytes that the process may hold as data of its own (RLIMIT_DATA, which counts private writable memory and not the
            libraries mapped from files, nor the address space that a graphics processor's driver reserves).
        answer_s: seconds that one answer may last by the wall clock.
        open_s: seconds that starting and reading the source may last.
        cpu_s: seconds of processor time for one answer, over all threads.
        files: open files.
        file_bytes: the largest file that it may write.
        frame: bytes of the largest question or answer.
        ranks: processes that compute a heavy answer together, each with these limits and all rows; 1: the worker alone.
        log: bytes of the site's log of this worker; as much again is kept of what was before.
    """

    memory: int = 8 * 2**30
    answer_s: float = 3600.0
    open_s: float = 600.0
    cpu_s: int = 24 * 3600
    files: int = 256
    file_bytes: int = 2**30
    frame: int = 4 * 2**30
    ranks: int = 1
    log: int = 2**20


def apply(limits: Limits) -> None:
    """Binds this process and what it starts; no later call can loosen it."""
    _hard(resource.RLIMIT_CORE, 0)  # a core file would hold rows
    _hard(resource.RLIMIT_DATA, limits.memory)
    _hard(resource.RLIMIT_NOFILE, limits.files)
    _hard(resource.RLIMIT_FSIZE, limits.file_bytes)


def allow_cpu(limits: Limits) -> None:
    """Allows this process so much processor time from now on: the kernel counts from its start, and ends it where that is over."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_s
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard))


def _hard(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (bound, bound))
