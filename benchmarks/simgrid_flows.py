"""The same flows by SimGrid, in Debian's Python (python3-simgrid): {hub, sites, flows} on stdin, [ends, seconds] on stdout."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import simgrid  # type: ignore[import-not-found]


def main() -> None:
    asked = json.load(sys.stdin)
    engine = simgrid.Engine(["flows", "--log=root.thresh:critical", *asked.get("settings", [])])
    began = time.perf_counter()
    zone = simgrid.NetZone.create_full_zone("all")
    hub = zone.create_host("hub", 1e9)
    shared = {way: _link(zone, f"hub-{way}", asked["hub"][way], 0.0) for way in ("up", "down")}
    hosts = []
    for i, site in enumerate(asked["sites"]):
        host = zone.create_host(f"s{i}", 1e9)
        own = {way: _link(zone, f"s{i}-{way}", site[way], site["rtt"] / 2) for way in ("up", "down")}
        for source, target, way in ((host, hub, "up"), (hub, host, "down")):
            links = [simgrid.LinkInRoute(own[way]), simgrid.LinkInRoute(shared[way])]
            zone.add_route(source.netpoint, target.netpoint, None, None, links, False)
        hosts.append(host)
    zone.seal()
    ends = [0.0] * len(asked["flows"])
    for i, flow in enumerate(asked["flows"]):
        source, target = (hosts[flow["site"]], hub) if flow["way"] == "up" else (hub, hosts[flow["site"]])
        simgrid.Actor.create(f"f{i}", hub, _sends, i, flow, source, target, ends)
    engine.run()
    json.dump([ends, time.perf_counter() - began], sys.stdout)


def _link(zone: Any, name: str, rate: float, delay: float) -> Any:
    return zone.create_link(name, rate).set_latency(delay).seal()


def _sends(i: int, flow: dict[str, Any], source: Any, target: Any, ends: list[float]) -> None:
    if flow["start"]:
        simgrid.this_actor.sleep_for(flow["start"])
    simgrid.Comm.sendto_async(source, target, int(flow["size"])).wait()
    ends[i] = simgrid.Engine.clock


if __name__ == "__main__":
    main()
