"""Takes the network from a process, for good: the kernel refuses it every new socket, whatever runs in it.

A filter of system calls (seccomp, Linux 3.17 and later; Documentation/userspace-api/seccomp_filter.rst) makes ``socket`` fail with
EPERM, and with it what would open sockets by another way (io_uring) or reach into another process of the same account, the agent
with its keys among them (ptrace, process_vm_readv, process_vm_writev, pidfd_getfd). A call of another architecture, under whose
numbers these would pass, ends the process. A pair of sockets that was handed in goes on working, and socketpair is allowed: neither
leads anywhere else. What a process of that name starts is bound as well, and nothing undoes it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from dataclasses import dataclass
from typing import Literal

__all__ = ["Confinement", "NotConfined", "confine", "filter_of", "is_confined"]

Confinement = Literal["none", "open"]

# linux/prctl.h, linux/seccomp.h, linux/audit.h, linux/filter.h, linux/bpf_common.h
PR_SET_NO_NEW_PRIVS, PR_GET_SECCOMP = 38, 21
SET_MODE_FILTER, FLAG_TSYNC, MODE_FILTER = 1, 1, 2
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
EPERM = 1


class NotConfined(OSError):
    """The kernel does not take the network away."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """An architecture: its name for the kernel, and its numbers of the calls that are refused."""

    architecture: int
    seccomp: int
    refused: tuple[int, ...]
    foreign_from: int = 0  # numbers from here on are another architecture's; 0: none


# arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h: socket, ptrace, process_vm_readv, process_vm_writev,
# io_uring_setup, pidfd_getfd.
MACHINES = {
    "x86_64": _Machine(0xC000003E, 317, (41, 101, 310, 311, 425, 438), foreign_from=0x40000000),
    "aarch64": _Machine(0xC00000B7, 277, (198, 117, 270, 271, 425, 438)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def filter_of(machine: str) -> bytes:
    """The filter for a machine (`platform.machine`), as instructions of the classic Berkeley packet filter, 8 bytes each.

    Raises:
        NotConfined: the numbers of its system calls are not known here.
    """
    known = MACHINES.get(machine)
    if known is None:
        raise NotConfined(f"no filter for a machine {machine!r}")
    lines = [(LOAD, 0, 0, ARCHITECTURE_AT), (EQUAL, 1, 0, known.architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER_AT)]
    if known.foreign_from:
        lines += [(AT_LEAST, 0, 1, known.foreign_from), (RETURN, 0, 0, KILL)]
    for number in known.refused:
        lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, FAIL | EPERM)]
    lines.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def confine() -> None:
    """Binds every thread of this process, and all that it will start.

    Raises:
        NotConfined: the kernel, or the machine, does not offer it; nothing is bound then.
    """
    content = filter_of(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise NotConfined(f"privileges cannot be given up ({os.strerror(ctypes.get_errno())})")
    program = _Program(len(content) // 8, content)
    call = MACHINES[platform.machine()].seccomp
    if libc.syscall(call, SET_MODE_FILTER, FLAG_TSYNC, ctypes.byref(program)):
        raise NotConfined(f"the kernel takes no filter of system calls ({os.strerror(ctypes.get_errno())})")


def is_confined() -> bool:
    """Whether a filter binds this thread."""
    return bool(ctypes.CDLL(None, use_errno=True).prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == MODE_FILTER)
