"""A relay between sites and hub, one TCP connection for one: delays, losses and rates in userspace, where the kernel has none.

    python -m huizhen.twin.lab.relay

It is told what to do in lines of JSON on its standard input: ``{"routes": [...]}`` once, ``{"shape": {...}}`` for each
configuration, ``{"count": true}``; every line is answered by one line. It ends with its input. What it carries it does not read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from huizhen.twin.lab.lane import Bucket, Lane

__all__ = ["Relay", "main"]

PIECE = 65_536
MOST_WAITING = 1_048_576  # bytes of one direction that are under way; then the sender has to wait


@dataclass
class Route:
    """A line; `up` and `down` are bytes so far. Several listening addresses may share it."""

    name: str
    up: int = 0
    down: int = 0


class Relay:
    """All routes of a lab, and the line that they share."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._shared = {"up": Bucket(0.0), "down": Bucket(0.0)}
        self._lanes: dict[str, dict[str, Lane]] = {}
        self._listening: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._joined: set[asyncio.Task[None]] = set()

    async def do(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follows one line."""
        for one in told.get("routes", ()):
            self._routes.setdefault(one["name"], Route(one["name"]))
            self._lanes.setdefault(one["name"], {"up": Lane(), "down": Lane()})
            await self._listen(one)
        if "shape" in told:
            self._reshape(told["shape"])
        return {"counts": {name: [route.up, route.down] for name, route in self._routes.items()}}

    async def close(self) -> None:
        """Ends all connections and listens no more."""
        for server in self._listening:
            server.close()
        for task in self._tasks:
            task.cancel()
        while self._joined:
            await asyncio.gather(*self._joined, return_exceptions=True)

    async def _listen(self, one: Mapping[str, Any]) -> None:
        async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = asyncio.current_task()
            assert own is not None
            self._joined.add(own)
            try:
                await self._join(one, reader, writer)
            finally:
                self._joined.discard(own)

        self._listening.append(await asyncio.start_server(met, one["listen"], one["port"], limit=PIECE))

    def _reshape(self, shape: Mapping[str, Any]) -> None:
        hub = shape.get("hub", {})
        self._shared = {way: Bucket(float(hub.get(way, 0.0))) for way in ("up", "down")}
        for place, name in enumerate(self._routes):
            own = shape.get("routes", {}).get(name, {})
            delay_s = (own.get("rtt_s", 0.0) + hub.get("rtt_s", 0.0)) / 2
            kept = (1 - own.get("loss", 0.0)) * (1 - hub.get("loss", 0.0))
            self._lanes[name] = {
                way: Lane(
                    rate=own.get(way, 0.0),
                    delay_s=delay_s,
                    loss=1 - kept,
                    shared=self._shared[way],
                    seed=int(shape.get("seed", 0)) + 2 * place + (way == "up"),
                )
                for way in ("up", "down")
            }

    async def _join(self, one: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward, back = await asyncio.open_connection(one["to"], one["to_port"], limit=PIECE)
        except OSError:
            writer.close()
            return
        ways = (self._pump(one["name"], "up", reader, back), self._pump(one["name"], "down", onward, writer))
        tasks = [asyncio.create_task(way) for way in ways]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.difference_update(tasks)
        for end in (writer, back):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()

    async def _pump(self, name: str, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads, asks the lane when it arrives, and hands it on then; ends with either side."""
        waiting: deque[tuple[float, bytes]] = deque()
        changed, state = asyncio.Condition(), {"bytes": 0, "over": False}
        loop = asyncio.get_running_loop()

        async def hand_on() -> None:
            while True:
                async with changed:
                    await changed.wait_for(lambda: waiting or state["over"])
                    if not waiting:
                        return
                    arrives, piece = waiting[0]
                late = arrives - loop.time()
                if late > 0:
                    await asyncio.sleep(late)
                writer.write(piece)
                await writer.drain()
                async with changed:
                    waiting.popleft()
                    state["bytes"] -= len(piece)
                    changed.notify_all()

        async def take_in() -> None:
            while piece := await reader.read(PIECE):
                route = self._routes[name]
                setattr(route, way, getattr(route, way) + len(piece))
                arrives = self._lanes[name][way].carry(len(piece), loop.time())
                async with changed:
                    waiting.append((arrives, piece))
                    state["bytes"] += len(piece)
                    changed.notify_all()
                    await changed.wait_for(lambda: state["bytes"] < MOST_WAITING)
            async with changed:
                state["over"] = True
                changed.notify_all()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(hand_on())
                group.create_task(take_in())
        except* ConnectionError:
            pass  # whoever still listens sees the end of the connection


async def _serve() -> None:
    relay, loop = Relay(), asyncio.get_running_loop()
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    while line := await told.readline():
        print(json.dumps(await relay.do(json.loads(line))), flush=True)


def main() -> None:
    """Follows its input to the end."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())


if __name__ == "__main__":
    main()
