"""A cluster of three NATS servers with two leaf nodes on this machine, for the stories of regional platforms."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from hubs import PATIENCE_S, free_port, need_nats_server
from huizhen.clock import WallClock
from huizhen.hub.actorsdb import ActorStore
from huizhen.hub.folder import create_folder
from huizhen.hub.joining import Joining
from huizhen.hub.plan import parse_plan
from huizhen.hub.serverfiles import write_servers
from huizhen.hub.settings import HubSettings

LOOP = "127.0.0.1"
CLOUD, LEAVES = ("cloud-1", "cloud-2", "cloud-3"), ("north", "south")


@dataclass
class Servers:
    """The processes, by name; what they log stands in `logs`."""

    plan: object
    folder: object
    logs: object
    running: dict = field(default_factory=dict)

    def address(self, name):
        one = (self.plan.servers | self.plan.leaves)[name]
        return f"tls://{LOOP}:{one.port}"

    def start(self, name):
        program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/bin")
        command = [program, "-c", str(self.folder / name / "nats.conf"), "-l", str(self.logs / f"{name}.log")]
        self.running[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, name):
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def wait(self):
        """Until all listen."""
        ports = [one.port for one in (*self.plan.servers.values(), *self.plan.leaves.values())]
        until = time.monotonic() + PATIENCE_S
        for port in ports:
            while not _listens(port):
                assert time.monotonic() < until, "a server does not come up"
                time.sleep(0.02)


def plan_of(**more):
    """On loopback, each server with ports of its own."""
    servers = {
        name: {"host": LOOP, "listen": LOOP, "port": free_port(), "cluster_port": free_port(), "leaf_port": free_port()}
        for name in CLOUD
    }
    leaves = {name: {"host": LOOP, "listen": LOOP, "port": free_port()} | more.get(name, {}) for name in LEAVES}
    return parse_plan({"server": servers, "leaf": leaves})


def hub_folder(root, plan):
    """A hub that starts no server of its own."""
    return create_folder(root, HubSettings(addresses=plan.addresses, program=""), WallClock().now())


@contextmanager
def cluster_at(root, folder, plan, keys=None):
    """The servers run, with files as the hub's command writes them."""
    need_nats_server()
    clock = WallClock()
    with ActorStore(folder.actors) as store:
        write_servers(folder, plan, root, Joining(folder, store, clock).account_token, keys or {}, clock.now())
    servers = Servers(plan, root, root)
    try:
        for name in (*CLOUD, *LEAVES):
            servers.start(name)
        servers.wait()
        yield servers
    finally:
        for name in list(servers.running):
            servers.kill(name)


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((LOOP, port)) == 0
