"""A hub or a site that behaves badly where it may: its clock is wrong, or its messages come twice, late and out of order.

    python unruly.py '{"site": FOLDER, "ahead_s": 86400, "seed": 7}'

The program is the real one. The clock is handed in; messages are disturbed where the NATS library publishes them.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

from nats.aio.client import Client

from huizhen.clock import WallClock
from huizhen.hub.app import HubProgram
from huizhen.hub.folder import open_folder
from huizhen.site.app import SiteProgram
from huizhen.site.folder import open_identity

LONGEST_S = 0.03  # within which messages overtake each other
LATE_S = 0.9  # longer than the time after which a request is repeated
TWICE, LATE = 0.5, 0.02  # shares of all messages


class Ahead:
    """The machine's clock, so many seconds off."""

    def __init__(self, seconds: float) -> None:
        self._off, self._clock = timedelta(seconds=seconds), WallClock()

    def now(self) -> datetime:
        return self._clock.now() + self._off

    def seconds(self) -> float:
        return self._clock.seconds()


def disturb(seed: int) -> None:
    """From now on this process publishes every message at a time of its own, half of them twice, and some late."""
    draws, publish, waiting = random.Random(seed), Client.publish, set()

    async def disturbed(self, subject, payload=b"", reply="", headers=None):
        async def later(wait_s):
            await asyncio.sleep(wait_s)
            if self.is_connected:
                await publish(self, subject, payload, reply, headers)

        for _ in range(1 + (draws.random() < TWICE)):
            wait_s = LATE_S if draws.random() < LATE else draws.random() * LONGEST_S
            task = asyncio.create_task(later(wait_s))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

    Client.publish = disturbed


def main() -> None:
    wish = json.loads(sys.argv[1])
    clock = Ahead(wish.get("ahead_s", 0.0))
    if "seed" in wish:
        disturb(wish["seed"])

    def told(text):
        print(text, file=sys.stderr, flush=True)

    if "site" in wish:
        with SiteProgram(open_identity(Path(wish["site"])), clock, told) as site:
            site.wait()
    else:
        with HubProgram(open_folder(Path(wish["hub"])), clock, told) as hub:
            hub.wait()


if __name__ == "__main__":
    main()
