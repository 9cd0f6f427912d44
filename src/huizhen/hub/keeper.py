"""Revocation at once: whatever changes in the file of actors reaches the servers, while the hub runs.

The file is looked at five times a second, because a command in another terminal may have written it. A server that came back is
told again: it may have kept less than it was told. Once a minute all are, for a leaf node may have been away, which is not seen
here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from huizhen.errors import HuizhenError
from huizhen.federation.wire.access import connect
from huizhen.federation.wire.accounts import push
from huizhen.hub.joining import Joining

__all__ = ["Keeper"]

LOOK_S = 0.2
AGAIN_S = 60.0
LEAVE_S = 5.0


class Keeper:
    """Tells the servers of every change, in a thread of its own, from entering the context to leaving it.

    Args:
        joining: the hub's actors.
        told: is told, in a sentence, when the servers cannot be told.
    """

    def __init__(self, joining: Joining, told: Callable[[str], None] | None = None) -> None:
        self._joining, self._told = joining, told or (lambda _: None)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._keep()), name="keeper", daemon=True)
        self._stop: Callable[[], object] = lambda: None
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()
        self._thread.join(LEAVE_S)

    async def _keep(self) -> None:
        loop, work = asyncio.get_running_loop(), asyncio.ensure_future(self._for_ever())
        self._stop = lambda: loop.call_soon_threadsafe(work.cancel)
        self._started.set()
        await asyncio.wait([work])

    async def _for_ever(self) -> None:
        while True:
            try:
                await self._while_connected()
            except HuizhenError as error:
                self._told(str(error))
            except Exception as error:  # revocations must go on reaching the servers, whatever a library throws
                self._told(type(error).__name__)
            await asyncio.sleep(LOOK_S)

    async def _while_connected(self) -> None:
        known, told_s, seconds = -1, 0.0, self._joining.clock.seconds
        came_back = asyncio.Event()
        access = self._joining.folder.keeper_access(self._joining.clock.now())
        client = await connect(access, back=came_back.set)
        try:
            while True:
                changes = self._joining.store.changes()
                if changes != known or came_back.is_set() or seconds() - told_s >= AGAIN_S:
                    came_back.clear()
                    await push(client, self._joining.account_token())
                    known, told_s = changes, seconds()
                await asyncio.sleep(LOOK_S)
        finally:
            await client.close()
