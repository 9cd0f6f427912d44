"""A hub's side of the wire with sites that answer at once, in processes of their own; see `respondents`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nats.aio.client import Client

import respondents
from hubs import hub_at, need_nats_server, running, site_of
from huizhen.federation.rounds import Ask
from huizhen.federation.wire.access import connect
from huizhen.federation.wire.engine import WireEngine
from huizhen.federation.wire.loop import Loop
from huizhen.federation.wire.post import Post
from huizhen.federation.wire.pulling import PIECE
from huizhen.federation.wire.ways import HubWay
from huizhen.privacy.release import Question
from huizhen.site.folder import SiteFolder
from respondents import RAW, hub_access, raw_bytes

__all__ = ["Wired", "asks", "wired"]

IN_FLIGHT = 4  # plain requests of a large message at once, as many as a site pulls pieces


@dataclass(frozen=True, slots=True)
class Wired:
    """A hub's side, with sites that answer: the federation's engine, and plain requests over the same connection."""

    loop: Loop
    client: Client
    engine: WireEngine
    keys: dict[str, str]

    def request_all(self, size: int) -> None:
        """So many bytes to each site and as many back by plain requests, in the pieces of the federation."""
        self.loop.run(self._request_all(size))

    async def _request_all(self, size: int) -> None:
        await asyncio.gather(*(self._request(key, size) for key in self.keys.values()))

    async def _request(self, key: str, size: int) -> None:
        pieces = iter([PIECE] * (size // PIECE) + [size % PIECE] * (size % PIECE > 0))

        async def some() -> None:
            for piece in pieces:
                reply = await self.client.request(f"{RAW}.{key}", raw_bytes(piece), timeout=60)
                if len(reply.data) != piece:
                    raise RuntimeError(f"{len(reply.data)} bytes came back, {piece} were expected")

        await asyncio.gather(*(some() for _ in range(IN_FLIGHT if size > PIECE else 1)))


def asks(keys: dict[str, str], numbers: np.ndarray, number: int) -> dict[str, Ask]:
    """What each site is asked in a round."""
    question = Question("mean", "scale", {"numbers": numbers}, ("x",))
    roster = tuple(keys)
    ask = Ask("d" * 64, "run", "mean", number, "answer", question, roster, "plain", "s" * 64)
    return dict.fromkeys(roster, ask)


@contextmanager
def wired(root: Path, sites: int, *, dtype: str, numbers: int, processes: int) -> Iterator[Wired]:
    """A hub's server and so many sites in so many processes, each of which answers with so many numbers."""
    need_nats_server()
    names = [f"site-{place}" for place in range(sites)]
    with ExitStack() as stack:
        hub = stack.enter_context(running(stack.enter_context(hub_at(root / "hub"))))
        folders = [site_of(hub, name, root / name) for name in names]
        shares = [folders[place::processes] for place in range(processes)]
        for started in [_started(stack, root, dtype, numbers, share) for share in shares]:
            assert started.stdout is not None
            if started.stdout.readline() != b"ready\n":
                raise RuntimeError("the respondents did not start")
        loop = Loop("bench")
        stack.callback(loop.close)
        client = loop.run(connect(hub_access(hub.folder)))
        stack.callback(lambda: loop.run(client.close()))
        keys = {folder.name: folder.pair.public for folder in folders}
        post = Post(client, HubWay(), verbs={}, workers=stack.enter_context(ThreadPoolExecutor(2)))
        loop.run(post.open())
        yield Wired(loop, client, WireEngine(loop, post, keys), keys)


def _started(stack: ExitStack, root: Path, dtype: str, numbers: int, share: Sequence[SiteFolder]) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        respondents.__file__,
        str(root / "hub"),
        dtype,
        str(numbers),
        *(str(folder.root) for folder in share),
    ]
    started = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(started.kill)
    return started
