"""A hub with its own NATS server on this machine, for tests of what goes over the wire."""

import asyncio
import os
import shutil
import socket
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import pytest

from huizhen import canonical
from huizhen.clock import WallClock
from huizhen.federation.wire.access import connect, settled
from huizhen.federation.wire.invitations import join_body, read_code
from huizhen.federation.wire.subjects import answer_place, sender_of
from huizhen.hub.actorsdb import ActorStore
from huizhen.hub.folder import create_folder
from huizhen.hub.joining import Joining
from huizhen.hub.keeper import Keeper
from huizhen.hub.server import Server
from huizhen.hub.settings import HubSettings
from huizhen.site.joining import begin

PATIENCE_S = 10.0  # how long a test waits for what should come at once


def need_nats_server():
    """Skips the test aloud where no server is installed; in CI that is a failure."""
    if shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin"):
        return
    message = "nats-server is missing; install it: apt-get install nats-server"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message)
    pytest.skip(message)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass
class Hub:
    folder: object
    store: ActorStore
    joining: Joining
    clock: object
    said: list = field(default_factory=list)
    server: object = None


@contextmanager
def hub_at(root, *, clock=None, **settings):
    """A hub's folder and its actors, without a server."""
    clock = clock or WallClock()
    port = settings.pop("port", None) or free_port()
    addresses = settings.pop("addresses", (f"tls://localhost:{port}",))
    folder = create_folder(root, HubSettings(addresses=addresses, port=port, **settings), clock.now())
    with ActorStore(folder.actors) as store:
        yield Hub(folder, store, Joining(folder, store, clock), clock)


@contextmanager
def running(hub):
    """The hub's server and its keeper."""
    need_nats_server()
    with Server(hub.folder, hub.joining.account_token, hub.clock, hub.said.append) as server:
        hub.server = server
        with Keeper(hub.joining, hub.said.append):
            yield hub


def site_of(hub, name, root, role="site"):
    """An admitted actor's folder, joined without the network."""
    code = hub.joining.invite(name, role)
    folder = begin(code, root)
    invitation = read_code(code)
    body = join_body(invitation, folder.pair, folder.identity)
    assert hub.joining.join(invitation.id, body)["state"] == "pending"
    folder.keep_token(hub.joining.admit(name).token, hub.clock.now())
    return folder


@asynccontextmanager
async def connected(access, **options):
    client = await connect(access, timeout_s=PATIENCE_S, **options)
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def answering(hub):
    """The part of a hub's program that answers guests and renewals, in a thread."""
    ready, leave = threading.Event(), []

    async def serve():
        stop = asyncio.Event()
        leave.append((asyncio.get_running_loop(), stop))

        async def guest(message):
            if place := answer_place(message.subject, message.reply):
                await message._client.publish(place, hub.joining.answer_guest(message.subject, message.data))

        async def renew(message):
            sender = sender_of(message.subject)
            if place := answer_place(message.subject, message.reply):
                answer = hub.joining.renew(sender, canonical.decode(message.data))
                await message._client.publish(place, canonical.encode(answer))

        async with connected(hub.folder.hub_access(hub.clock.now())) as client:
            await client.subscribe("hz.join.*", cb=guest)
            await client.subscribe("hz.from.*.renew", cb=renew)
            await settled(client)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield
    finally:
        loop, stop = leave[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)


async def until(condition):
    """Wait until something is so; fails where it does not become so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
