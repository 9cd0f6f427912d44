"""Takes the network from a process, for good: the kernel refuses it every new socket, whatever runs in it.

A filter of system calls (seccomp, Linux 3.17 and later; Documentation/userspace-api/seccomp_filter.rst) makes ``socket`` fail with
EPERM, and with it what would open sockets by another way (io_uring), reach into another process of the same account, the agent with
its keys among them (ptrace, process_vm_readv, process_vm_writev, pidfd_getfd), or into another network (setns). A call of another
architecture, under whose numbers these would pass, ends the process. A pair of sockets that was handed in goes on working, and
socketpair is allowed: neither leads anywhere else. What such a process starts is bound as well, and nothing undoes it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Confinement", "NotConfined", "confine", "confine_to_loop", "filter_of"]

Confinement = Literal["none", "open"]

# linux/prctl.h, linux/seccomp.h, linux/audit.h, linux/filter.h, linux/bpf_common.h
PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER, FLAG_TSYNC = 1, 1
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, FAMILY_AT = 0, 4, 16  # in struct seccomp_data; of socket, the first argument
# linux/sched.h, linux/sockios.h, linux/if.h
CLONE_NEWUSER, CLONE_NEWNET, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x10000000, 0x40000000, 0x8913, 0x8914, 1
OF_THE_LOOP = (2, 10, 16)  # AF_INET, AF_INET6, AF_NETLINK, which belong to a network; AF_UNIX leads to other programs
EPERM = 1


class NotConfined(OSError):
    """The kernel does not take the network away."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """An architecture: its name for the kernel, and its numbers of the calls that are refused."""

    architecture: int
    seccomp: int
    socket: int
    refused: tuple[int, ...]
    foreign_from: int = 0  # numbers from here on are another architecture's; 0: none


# arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h: socket, ptrace, process_vm_readv, process_vm_writev,
# io_uring_setup, pidfd_getfd, setns.
MACHINES = {
    "x86_64": _Machine(0xC000003E, 317, 41, (101, 310, 311, 425, 438, 308), foreign_from=0x40000000),
    "aarch64": _Machine(0xC00000B7, 277, 198, (117, 270, 271, 425, 438, 268)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def filter_of(machine: str, families: tuple[int, ...] = ()) -> bytes:
    """The filter for a machine (`platform.machine`), as instructions of the classic Berkeley packet filter, 8 bytes each.

    Args:
        families: of sockets that may be made all the same.

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
    allowed = [line for family in families for line in ((EQUAL, 0, 1, family), (RETURN, 0, 0, ALLOW))]
    lines += [(EQUAL, 0, 2 + len(allowed), known.socket), (LOAD, 0, 0, FAMILY_AT), *allowed, (RETURN, 0, 0, FAIL | EPERM)]
    lines.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def confine() -> None:
    """Binds every thread of this process, and all that it will start.

    Raises:
        NotConfined: the kernel, or the machine, does not offer it; nothing is bound then.
    """
    _bind(filter_of(platform.machine()))


def confine_to_loop() -> None:
    """As `confine`, but this process and what it starts may speak with each other, in a network of their own without a way out.

    To be called while the process has one thread: the kernel gives no other a network of its own without privileges.

    Raises:
        NotConfined: the kernel, or the machine, does not offer it.
    """
    content = filter_of(platform.machine(), OF_THE_LOOP)
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNET):
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
            raise NotConfined(f"the kernel gives no network of its own ({os.strerror(ctypes.get_errno())})")
        for name, content_of in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path(f"/proc/self/{name}").write_text(content_of, encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        asked = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(line, SIOCGIFFLAGS, asked))
        fcntl.ioctl(line, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    _bind(content)


def _bind(content: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise NotConfined(f"privileges cannot be given up ({os.strerror(ctypes.get_errno())})")
    program = _Program(len(content) // 8, content)
    call = MACHINES[platform.machine()].seccomp
    if libc.syscall(call, SET_MODE_FILTER, FLAG_TSYNC, ctypes.byref(program)):
        raise NotConfined(f"the kernel takes no filter of system calls ({os.strerror(ctypes.get_errno())})")
