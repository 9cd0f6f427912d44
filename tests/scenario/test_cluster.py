"""Regional platforms: a hub on a cluster of three servers, a hospital at each of two leaf nodes, a server that dies."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest

from clusters import CLOUD, cluster_at, hub_folder, plan_of
from hubs import PATIENCE_S, Hub, site_of
from huizhen.clock import WallClock
from huizhen.embedded.across import findings_of
from huizhen.errors import FederationError
from huizhen.federation.found import Found
from huizhen.federation.life import FINAL
from huizhen.federation.study import Study
from huizhen.federation.wire.accounts import push_account
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.pulling import NoReply
from huizhen.federation.wire.ways import ActorWay
from huizhen.hub.actorsdb import ActorStore
from huizhen.hub.app import HubProgram
from huizhen.hub.folder import open_folder
from huizhen.hub.joining import Joining
from huizhen.hub.serverfiles import write_servers
from huizhen.site.app import SiteProgram
from huizhen.site.folder import open_identity
from huizhen.site.joining import join

RUN_S = 60.0  # how long a study may take before a test gives up
SITES = {"east-lake": "north", "west-lake": "south"}  # each hospital at a leaf node of its region
CONFIGURATION = """
[site]
name = "{name}"
[source.main]
path = "rows.csv"
[policy]
min_cell_count = 5
[accept]
fitting = "accept"
sums = ["plain"]
min_participants = 2
"""
STUDY = {
    "study": {"title": "Smoking by age"},
    "participants": {"sites": list(SITES)},
    "method": {"glm": {"formula": "smoker ~ age", "family": "binomial"}},
}


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "what should come at once did not come"
        time.sleep(0.02)


def rows(seed, count=200):
    draw = np.random.default_rng(seed)
    age = draw.normal(60, 10, count).round(1)
    smoker = (draw.random(count) < 1 / (1 + np.exp(-0.05 * (age - 60)))).astype(int)
    return "age,smoker\n" + "".join(f"{a},{s}\n" for a, s in zip(age, smoker))


def come_in(hub_root, root, name, role, address):
    """Joins over the wire through the server at an address; the hub's operator admits it."""
    clock = WallClock()
    with ActorStore(hub_root / "actors.sqlite") as store:
        joining = Joining(open_folder(hub_root), store, clock)
        code = joining.invite(name, role, addresses=(address,))
        states = []
        asking = threading.Thread(target=lambda: states.append(join(code, root, clock=clock, wait_s=PATIENCE_S)), daemon=True)
        asking.start()
        until(joining.pending)
        joining.admit(name)
        asking.join(PATIENCE_S)
    assert states == ["admitted"]
    return open_identity(root)


@contextmanager
def platforms(tmp_path, servers, hub_root, told):
    """Hub, sites and a researcher, all connected."""
    with ExitStack() as stack:
        hub = stack.enter_context(HubProgram(open_folder(hub_root), WallClock(), told.append))
        for number, (name, leaf) in enumerate(SITES.items()):
            folder = come_in(hub_root, tmp_path / name, name, "site", servers.address(leaf))
            (tmp_path / name / "rows.csv").write_text(rows(number), encoding="utf-8")
            (tmp_path / name / "site.toml").write_text(CONFIGURATION.format(name=name), encoding="utf-8")
            stack.enter_context(SiteProgram(folder, WallClock(), told.append))
        asks = come_in(hub_root, tmp_path / "li", "li", "researcher", servers.address("north"))
        yield hub, stack.enter_context(Bus(asks.access, ActorWay(asks.pair.public), {}))


@pytest.fixture
def cluster(tmp_path):
    plan = plan_of()
    hub_folder(tmp_path / "hub", plan)
    with cluster_at(tmp_path / "servers", open_folder(tmp_path / "hub"), plan) as servers:
        yield servers


def asked(bus):
    """A study, from submission to its end."""
    id = bus.ask("submit", {"study": Study.parse(STUDY).content, "priority": 5, "expires": "1 h", "providers": []})["id"]
    end, told = time.monotonic() + RUN_S, {}
    while told.get("state") not in FINAL:
        assert time.monotonic() < end, told
        told = bus.ask("status", {"id": id})
        time.sleep(0.05)
    assert told["state"] == "done", told
    found = bus.ask("result", {"id": id})
    return findings_of(Study.parse(found["study"]), Found.parse(found["result"]))


class Watched:
    """The hub's lines of events, of which each is shown to a test first."""

    def __init__(self, lines, shown):
        self.lines, self.shown = lines, shown

    def add(self, id, event):
        self.shown(event)
        self.lines.add(id, event)

    def since(self, id, first):
        return self.lines.since(id, first)


def dies_in_mid_run(hub, cluster, killed):
    """At the end of the first round, the server on which the hub's connection stands is killed."""

    def shown(event):
        if not killed and event.kind == "folded":
            used = hub._bus._client.connected_url.netloc
            killed.append(next(name for name in CLOUD if cluster.address(name).endswith(used)))
            cluster.kill(killed[0])

    return shown


def test_a_study_ends_although_the_server_of_the_hub_dies_in_mid_run(tmp_path, cluster):
    told, killed = [], []
    with platforms(tmp_path, cluster, tmp_path / "hub", told) as (hub, bus):
        calm = asked(bus)

        hub.lines = Watched(hub.lines, dies_in_mid_run(hub, cluster, killed))
        stormy = asked(bus)
    assert len(killed) == 1
    assert repr(stormy["glm"].result) == repr(calm["glm"].result)
    assert stormy["glm"].result.failure == ""
    assert sum(stormy.offered.values()) == 400


def test_who_is_revoked_is_cut_off_at_a_leaf_node_too(tmp_path, cluster):
    with platforms(tmp_path, cluster, tmp_path / "hub", []), ActorStore(tmp_path / "hub" / "actors.sqlite") as store:
        joining = Joining(open_folder(tmp_path / "hub"), store, WallClock())
        folder = open_identity(tmp_path / "east-lake")
        joining.revoke("east-lake")
        until(lambda: refused(folder))
        assert not refused(open_identity(tmp_path / "west-lake"))


def test_a_leaf_node_of_some_sites_passes_on_nothing_of_the_others(tmp_path):
    plan = plan_of()
    root = tmp_path / "hub"
    hub_folder(root, plan)
    clock = WallClock()
    with ActorStore(root / "actors.sqlite") as store:
        hub = Hub(open_folder(root), store, Joining(open_folder(root), store, clock), clock)
        east, west = site_of(hub, "east-lake", tmp_path / "east"), site_of(hub, "west-lake", tmp_path / "west")
    with cluster_at(tmp_path / "servers", open_folder(root), plan, {"north": (east.pair.public,)}) as servers:
        north = servers.address("north")
        with HubProgram(open_folder(root), clock):
            until(lambda: reaches(east, north) and reaches(west, servers.address("south")))
            assert not reaches(west, north)


def test_a_leaf_node_that_the_plan_names_no_more_is_shut_out(tmp_path, cluster):
    root = tmp_path / "hub"
    less = replace(cluster.plan, leaves={"south": cluster.plan.leaves["south"]})
    with ActorStore(root / "actors.sqlite") as store:
        folder = open_folder(root)
        joining = Joining(folder, store, WallClock())
        west = site_of(Hub(folder, store, joining, WallClock()), "west-lake", tmp_path / "west")
        with HubProgram(folder, WallClock()):
            until(lambda: reaches(west, cluster.address("north")))
            write_servers(folder, less, tmp_path / "less", joining.account_token, {}, WallClock().now())
            push_account(folder.keeper_access(WallClock().now()), joining.account_token())
            until(lambda: not reaches(west, cluster.address("north")))
            assert reaches(west, cluster.address("south"))


def reaches(site, address):
    """Whether the hub answers this site through the server at an address."""
    access = replace(site.access(), addresses=(address,))
    with Bus(lambda: access, ActorWay(site.pair.public), {}) as bus:
        try:
            return bus.ask("renew", {"key": site.pair.public}, timeout_s=1.0)["state"] == "admitted"
        except NoReply:
            return False


def refused(site):
    """Whether the server that this site dials refuses it."""
    try:
        with Bus(site.access, ActorWay(site.pair.public), {}):
            return False
    except FederationError:
        return True
