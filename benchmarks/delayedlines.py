"""Lines with a rate, a queue and a delay between network namespaces, for real TCP: a hub, a router in front of it, and sites.

    with delayed_lines(HubLine("40mbit", "40mbit"), [SiteLine("20mbit", "20mbit", 0.02), ...]) as net:   # as root
        seconds = net.carry([Carried(0, "up", 2_000_000), Carried(1, "up", 500_000)])

    hub == veth == gate == veth, tbf at both ends == router == tun, tbf == relay, which keeps packets == tun, tbf == site

Rates and queues are the kernel's token buckets. Only the delay is ours (netem is not everywhere): a process reads packets from tun
devices and writes them to the other end when their time has come. TCP runs end to end, from hub to site.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import selectors
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Carried", "DelayedLines", "HubLine", "SiteLine", "delayed_lines", "why_not"]

HUB = "10.78.255.1"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
SITE_ENDS, HUB_ENDS = "s", "w"
PREFIX = f"hzd{os.getpid()}"


@dataclass(frozen=True)
class HubLine:
    """The line that all flows share; down is what the hub sends. The queue, in bytes, stands before either direction."""

    down: str
    up: str
    queue: int = 100_000
    burst: int = 8_000
    at_hub: bool = False  # whether the hub's own machine shapes what it sends, so that its connections wait and lose nothing


@dataclass(frozen=True)
class SiteLine:
    """A site's own line, with the seconds of a round trip over all."""

    down: str
    up: str
    rtt: float
    queue: int = 100_000
    burst: int = 8_000


@dataclass(frozen=True)
class Carried:
    """A transfer to be timed: `up` is from site to hub."""

    site: int
    way: str
    size: int
    start: float = 0.0


def why_not() -> str:
    """Why there can be no such lines here; "" where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not (shutil.which("ip") and shutil.which("tc")):
        return "ip or tc is missing; install them: apt-get install iproute2"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    return "" if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0 else "no network namespaces"


@contextmanager
def delayed_lines(hub: HubLine, sites: Sequence[SiteLine]) -> Iterator[DelayedLines]:
    """The lines, up; everything is gone afterwards."""
    names = ["hub", "gate", "router", *(f"site{i}" for i in range(len(sites)))]
    with ExitStack() as stack:
        for name in names:
            _must("ip", "netns", "add", f"{PREFIX}-{name}")
            stack.callback(subprocess.run, ["ip", "netns", "del", f"{PREFIX}-{name}"], capture_output=True)
            _ip(name, "link", "set", "lo", "up")
        _front(hub)
        pairs = [_site(i, line) for i, line in enumerate(sites)]
        for descriptor in (end for near, far, _ in pairs for end in (near, far)):
            stack.callback(os.close, descriptor)
        stack.callback(_gone, _relay_process(pairs))
        yield DelayedLines(len(sites))


@dataclass
class DelayedLines:
    """Lines that are up."""

    sites: int
    congestion: str = "cubic"
    port: int = field(default=7000)

    def carry(self, transfers: Sequence[Carried], *, limit_s: float = 120.0) -> list[float]:
        """Seconds from the sender's first byte (of the first transfer that starts) to the receiver's last, of each transfer."""
        with ExitStack() as stack:
            pairs = [self._connected(one, stack) for one in transfers]
            time.sleep(0.3)  # until acknowledgements of the handshakes are through
            return _timed(transfers, pairs, limit_s)

    def rtts(self, *, times: int = 20) -> list[float]:
        """Seconds of a round trip of one byte over each site's empty line, the median of some."""
        found = []
        for site in range(self.sites):
            with ExitStack() as stack:
                near, far = self._connected(Carried(site, "up", 1), stack)
                for some in (near, far):
                    some.setblocking(True)
                    some.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                seconds = []
                for _ in range(times):
                    began = time.perf_counter()
                    near.sendall(b"?")
                    far.sendall(far.recv(1))
                    near.recv(1)
                    seconds.append(time.perf_counter() - began)
            found.append(statistics.median(seconds))
        return found

    def _connected(self, one: Carried, stack: ExitStack) -> tuple[socket.socket, socket.socket]:
        """Sender and receiver of a transfer, over a fresh connection that the site has dialled."""
        self.port += 1
        listener = stack.enter_context(_socket_in("hub"))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HUB, self.port))
        listener.listen(1)
        dialler = stack.enter_context(_socket_in(f"site{one.site}"))
        for some in (listener, dialler):
            some.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self.congestion.encode())
        dialler.settimeout(10)
        dialler.connect((HUB, self.port))
        accepted = stack.enter_context(listener.accept()[0])
        for some in (accepted, dialler):
            some.setblocking(False)
        return (dialler, accepted) if one.way == "up" else (accepted, dialler)


def _timed(transfers: Sequence[Carried], pairs: Sequence[tuple[socket.socket, socket.socket]], limit_s: float) -> list[float]:
    chunk, ended = bytes(1 << 16), [0.0] * len(transfers)
    unsent, missing = [one.size for one in transfers], [one.size for one in transfers]
    waiting = deque(sorted(range(len(transfers)), key=lambda i: transfers[i].start))
    with selectors.DefaultSelector() as selector:
        for i, (_, receiver) in enumerate(pairs):
            selector.register(receiver, selectors.EVENT_READ, i)
        began = time.perf_counter()
        while any(missing):
            now = time.perf_counter() - began
            if now > limit_s:
                raise RuntimeError(f"transfers did not end within {limit_s} s, {missing} bytes are missing")
            while waiting and transfers[waiting[0]].start <= now:
                i = waiting.popleft()
                selector.register(pairs[i][0], selectors.EVENT_WRITE, i)
            pause = transfers[waiting[0]].start - now if waiting else 1.0
            for key, events in selector.select(min(pause, 1.0)):
                i = key.data
                if events & selectors.EVENT_WRITE:
                    unsent[i] -= pairs[i][0].send(chunk[: min(unsent[i], len(chunk))])
                    if not unsent[i]:
                        selector.unregister(pairs[i][0])
                else:
                    missing[i] -= len(pairs[i][1].recv(1 << 18))
                    ended[i] = time.perf_counter() - began
    return ended


def _front(hub: HubLine) -> None:
    """The hub, a gate that its line begins at, the router at the other end, and the lines between them."""
    for near, one, far, other, net in (("h0", "hub", "g0", "gate", "253"), ("g1", "gate", "r0", "router", "254")):
        ends = ["ip", "link", "add", near, "netns", f"{PREFIX}-{one}", "type", "veth"]
        _must(*ends, "peer", "name", far, "netns", f"{PREFIX}-{other}")
        _ip(one, "addr", "add", f"10.78.{net}.1/30", "dev", near)
        _ip(other, "addr", "add", f"10.78.{net}.2/30", "dev", far)
    _ip("hub", "addr", "add", f"{HUB}/32", "dev", "lo")
    _up("hub", "h0", hub.down if hub.at_hub else "10gbit", 10 * hub.queue, hub.burst if hub.at_hub else 100_000)
    _up("gate", "g0", "10gbit", 10_000_000, 100_000)
    _up("gate", "g1", "10gbit" if hub.at_hub else hub.down, hub.queue, 100_000 if hub.at_hub else hub.burst)
    _up("router", "r0", hub.up, hub.queue, hub.burst)
    _ip("hub", "route", "add", "default", "via", "10.78.253.2")
    _ip("gate", "route", "add", "default", "via", "10.78.254.2")
    _ip("gate", "route", "add", f"{HUB}/32", "via", "10.78.253.1")
    _ip("router", "route", "add", f"{HUB}/32", "via", "10.78.254.1")
    for name in ("gate", "router"):
        _must("ip", "netns", "exec", f"{PREFIX}-{name}", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    _forgetful("hub")


def _site(i: int, line: SiteLine) -> tuple[int, int, float]:
    """The tun devices of a line; their descriptors, and the seconds that a packet is kept."""
    near, far = _tun(f"{HUB_ENDS}{i}", "router"), _tun(f"{SITE_ENDS}{i}", f"site{i}")
    _ip(f"site{i}", "addr", "add", f"10.78.{i}.2/32", "dev", f"{SITE_ENDS}{i}")
    _up("router", f"{HUB_ENDS}{i}", line.down, line.queue, line.burst)
    _up(f"site{i}", f"{SITE_ENDS}{i}", line.up, line.queue, line.burst)
    _ip("router", "route", "add", f"10.78.{i}.2/32", "dev", f"{HUB_ENDS}{i}")
    _ip(f"site{i}", "route", "add", "default", "dev", f"{SITE_ENDS}{i}")
    _forgetful(f"site{i}")
    return near, far, line.rtt / 2


def _up(name: str, device: str, rate: str, queue: int, burst: int) -> None:
    _ip(name, "link", "set", device, "gso_max_segs", "1")  # packets as they are on a line, not what a network card would cut up
    _ip(name, "link", "set", device, "txqueuelen", "10000", "up")
    shaped = ["tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", rate, "burst", str(burst), "limit", str(queue)]
    _must("ip", "netns", "exec", f"{PREFIX}-{name}", *shaped)


def _forgetful(name: str) -> None:
    """What one connection has learnt of a path is not told to the next."""
    _must("ip", "netns", "exec", f"{PREFIX}-{name}", "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1")


def _tun(device: str, name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    mine = f"{device}{os.getpid() % 10000}"
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", mine.encode(), IFF_TUN | IFF_NO_PI))
    _must("ip", "link", "set", mine, "netns", f"{PREFIX}-{name}", "name", device)
    return descriptor


def _relay_process(pairs: Sequence[tuple[int, int, float]]) -> int:
    child = os.fork()
    if child == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # a packet that is due does not wait for who else computes
            _relay(pairs)
        finally:
            os._exit(1)
    return child


def _relay(pairs: Sequence[tuple[int, int, float]]) -> None:
    """For ever: every packet is handed to the other end when it has been kept for its time."""
    other = {near: (far, kept) for near, far, kept in pairs} | {far: (near, kept) for near, far, kept in pairs}
    held: dict[int, deque[tuple[float, bytes]]] = {end: deque() for end in other}
    while True:
        due = min((line[0][0] for line in held.values() if line), default=None)
        wait = None if due is None else max(due - time.perf_counter(), 0.0)
        ready, _, _ = select.select(list(other), [], [], wait)
        now = time.perf_counter()
        for end in ready:
            to, kept = other[end]
            for _ in range(16):
                try:
                    held[to].append((now + kept, os.read(end, 2048)))
                except BlockingIOError:
                    break
        for to, line in held.items():
            while line and line[0][0] <= now:
                with suppress(OSError):  # the device is going down
                    os.write(to, line.popleft()[1])


def _gone(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _socket_in(name: str) -> socket.socket:
    """A socket of a namespace: made by a thread that has entered it and ends."""
    made: list[socket.socket] = []
    problem: list[OSError] = []

    def enter() -> None:
        with open(f"/run/netns/{PREFIX}-{name}") as space:
            if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                problem.append(OSError(ctypes.get_errno(), f"the namespace of {name} cannot be entered"))
                return
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return made[0]


def _ip(name: str, *words: str) -> None:
    _must("ip", "-n", f"{PREFIX}-{name}", *words)


def _must(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
