"""Where everything stands: addresses, ports, and the commands that make namespaces, lines between them and their shapes.

With namespaces every site has its own, joined by a line to the relay's, and that one by another line to the hub's; the rates are
the kernel's token buckets (`tbf`), the delays the relay's. Without, all are on loopback and the relay does both. Only words here;
`federation` runs the commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huizhen.twin.lab.plan import Line

__all__ = ["NETNS", "Layout", "inside", "making", "namespaced", "on_loopback", "removing", "shaping"]

NETNS = Path("/run/netns")
BURST, QUEUE_S = 65_536, 0.2  # a segment of 64 kB passes whole; what waits longer is dropped, as at a full modem
UNSHAPED = 10**10 // 8  # bytes a second of a line that the plan leaves as it is


@dataclass(frozen=True, slots=True)
class Layout:
    """Who is reached where.

    Attributes:
        namespaces: of the hub, the relay and each site, by name; empty on loopback.
        dials: the address that each actor dials, at the relay.
        hub_host: where the hub's server is, and its port.
        probes: where each site's bare transfers dial; hub_probe: the port that they are led to.
    """

    namespaces: dict[str, str]
    dials: dict[str, tuple[str, int]]
    hub_host: str
    hub_port: int
    probes: dict[str, tuple[str, int]]
    hub_probe: int

    @property
    def is_namespaced(self) -> bool:
        return bool(self.namespaces)


def namespaced(tag: str, sites: Sequence[str], *, port: int = 4222) -> Layout:
    """Namespaces named by the tag, at addresses of their own."""
    names = {"hub": f"{tag}-hub", "relay": f"{tag}-relay"} | {site: f"{tag}-s{place}" for place, site in enumerate(sites)}
    hosts = {site: f"10.77.{place}.1" for place, site in enumerate(sites)}
    dials, probes = ({site: (host, number) for site, host in hosts.items()} for number in (port, port + 1))
    return Layout(names, dials, "10.77.254.2", port, probes, port + 1)


def on_loopback(sites: Sequence[str], ports: Sequence[int]) -> Layout:
    """All on loopback; the first two ports are the hub's."""
    here, count = "127.0.0.1", len(sites)
    dials, probes = (
        {site: (here, port) for site, port in zip(sites, some)} for some in (ports[2 : 2 + count], ports[2 + count : 2 + 2 * count])
    )
    return Layout({}, dials, here, ports[0], probes, ports[1])


def making(layout: Layout, ip: str, tc: str) -> list[list[str]]:
    """The commands that make the namespaces and the lines between them."""
    names = layout.namespaces
    commands = [[ip, "netns", "add", name] for name in names.values()]
    commands += [[ip, "-n", name, "link", "set", "lo", "up"] for name in names.values()]
    commands += _joined(ip, tc, names["relay"], "hub0", "10.77.254.1", names["hub"], "line0", "10.77.254.2")
    for place, site in enumerate(layout.dials):
        net = f"10.77.{place}"
        commands += _joined(ip, tc, names["relay"], f"s{place}", f"{net}.1", names[site], "line0", f"{net}.2")
    return commands


def _joined(ip: str, tc: str, near: str, near_end: str, near_host: str, far: str, far_end: str, far_host: str) -> list[list[str]]:
    commands = [[ip, "link", "add", near_end, "netns", near, "type", "veth", "peer", "name", far_end, "netns", far]]
    for name, device, host in ((near, near_end, near_host), (far, far_end, far_host)):
        commands.append([ip, "-n", name, "addr", "add", f"{host}/30", "dev", device])
        commands.append([ip, "-n", name, "link", "set", device, "up"])
        commands.append([tc, "-n", name, "qdisc", "add", "dev", device, "root", *_bucket(0)])
    return commands


def shaping(layout: Layout, lines: Mapping[str, Line], hub: Line, tc: str) -> list[list[str]]:
    """The commands that give the lines their rates; a site that is not named has a free line."""
    relay = layout.namespaces["relay"]
    ends = [(layout.namespaces["hub"], "line0", hub.down), (relay, "hub0", hub.up)]
    for place, site in enumerate(layout.dials):
        line = lines.get(site, Line())
        ends += [(layout.namespaces[site], "line0", line.up), (relay, f"s{place}", line.down)]
    return [[tc, "-n", name, "qdisc", "change", "dev", device, "root", *_bucket(rate)] for name, device, rate in ends]


def _bucket(rate: float) -> list[str]:
    bits = round((rate or UNSHAPED) * 8)
    return ["tbf", "rate", f"{bits}bit", "burst", str(BURST), "latency", f"{QUEUE_S * 1000:g}ms"]


def inside(layout: Layout, name: str, ip: str) -> list[str]:
    """What stands before a command that runs in somebody's namespace; nothing on loopback."""
    return [ip, "netns", "exec", layout.namespaces[name]] if layout.is_namespaced else []


def removing(namespace: str, ip: str) -> list[str]:
    """The command that removes a namespace with its ends of lines."""
    return [ip, "netns", "del", namespace]
