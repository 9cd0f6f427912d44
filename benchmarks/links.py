"""Hospitals on slow lines: each in a network namespace, behind a veth pair whose both ends are shaped by tc's token bucket.

    with links(["site-0", "site-1"], "100mbit", "100mbit"):    # as root
        subprocess.run(in_namespace("site-0", ["ping", "-c", "1", HUB]))

The hub's namespace holds the other end of every line, and the address `HUB`, which all sites dial.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["HUB", "in_namespace", "links", "sent", "why_not"]

HUB = "10.77.255.1"
CENTRE = "hub"
PREFIX = os.environ.get("HZ_LINKS", f"hz{os.getpid()}")  # told to whoever is started in one of them
BURST, LATENCY = "128kb", "200ms"  # a segment of 64 kB passes whole; what waits longer is dropped, as at a full modem


def why_not() -> str:
    """Why there can be no namespaces here; "" where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not (shutil.which("ip") and shutil.which("tc")):
        return "ip or tc is missing; install them: apt-get install iproute2"
    return "" if _run(["unshare", "--net", "true"]) else "this machine allows no network namespaces"


@contextmanager
def links(sites: Sequence[str], up: str, down: str) -> Iterator[None]:
    """A namespace for the hub and one for each site, with a line of these rates, from the site and to it, between them."""
    try:
        for name in (CENTRE, *sites):
            _must(["ip", "netns", "add", f"{PREFIX}-{name}"])
            _must(_ip(name, "link", "set", "lo", "up"))
        _must(_ip(CENTRE, "addr", "add", f"{HUB}/32", "dev", "lo"))
        for place, site in enumerate(sites):
            _line(place, site, up, down)
        _until_up(len(sites))
        yield
    finally:
        for name in (CENTRE, *sites):
            _run(["ip", "netns", "del", f"{PREFIX}-{name}"])


def in_namespace(name: str, command: Sequence[str]) -> list[str]:
    """A command line that runs in the namespace of a site, or of the hub."""
    return ["ip", "netns", "exec", f"{PREFIX}-{name}", *command]


def sent(place: int) -> tuple[int, int]:
    """Bytes that went over a line so far: to the site, and from it; asked in the hub's namespace."""
    counted = Path(f"/sys/class/net/h{place}/statistics")
    return int((counted / "tx_bytes").read_text()), int((counted / "rx_bytes").read_text())


def _line(place: int, site: str, up: str, down: str) -> None:
    near, far, net = f"h{place}", f"s{place}", f"10.77.{place}"
    ends = ["ip", "link", "add", near, "netns", f"{PREFIX}-{CENTRE}", "type", "veth"]
    _must([*ends, "peer", "name", far, "netns", f"{PREFIX}-{site}"])
    for name, device, host, rate in ((CENTRE, near, 1, down), (site, far, 2, up)):
        _must(_ip(name, "addr", "add", f"{net}.{host}/30", "dev", device))
        _must(_ip(name, "link", "set", device, "up"))
        shaped = ["tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", rate, "burst", BURST, "latency", LATENCY]
        _must(in_namespace(name, shaped))
    _must(_ip(site, "route", "add", "default", "via", f"{net}.1"))


def _until_up(sites: int) -> None:
    """The kernel takes up to a second to see that both ends of a line are up."""
    for place in range(sites):
        state = in_namespace(CENTRE, ["cat", f"/sys/class/net/h{place}/operstate"])
        for _ in range(100):
            if subprocess.run(state, capture_output=True, text=True).stdout.strip() == "up":
                break
            time.sleep(0.05)
        else:
            raise RuntimeError(f"the line h{place} does not come up")


def _ip(name: str, *words: str) -> list[str]:
    return ["ip", "-n", f"{PREFIX}-{name}", *words]


def _must(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def _run(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
