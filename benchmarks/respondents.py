"""Some of a hub's sites in one process, which answer at once: real keys, tokens and TLS, and in place of rows a reply that stands.

    python respondents.py HUB-FOLDER DTYPE NUMBERS SITE-FOLDER...

says `ready` when all are connected. Each site answers asks of the federation, and beside them plain NATS requests, by as many bytes
as came.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from huizhen.clock import WallClock
from huizhen.federation.rounds import Answered, Ask
from huizhen.federation.wire.access import Access, connect, settled
from huizhen.federation.wire.post import Post
from huizhen.federation.wire.serving import Serving
from huizhen.federation.wire.subjects import Permissions, hub_permissions, permissions
from huizhen.federation.wire.tokens import user_token
from huizhen.federation.wire.ways import ActorWay
from huizhen.hub.folder import HubFolder, open_folder
from huizhen.privacy.release import Answer, Part
from huizhen.site.folder import SiteFolder, open_identity

__all__ = ["RAW", "hub_access", "raw_bytes"]

RAW = "hz.raw"  # where plain requests go; the tokens of these benchmarks allow it besides
ROWS = 100

_RAW: dict[int, bytes] = {}


def raw_bytes(size: int) -> bytes:
    """So many bytes, made once."""
    if size not in _RAW:
        _RAW[size] = bytes(size)
    return _RAW[size]


def hub_access(hub: HubFolder) -> Access:
    """The hub's own, with leave to make plain requests."""
    return _with(hub, hub.hub_access(WallClock().now()), hub_permissions(), Permissions((f"{RAW}.>",), ()))


def site_access(hub: HubFolder, site: SiteFolder) -> Access:
    """A site's own, with leave to answer plain requests."""
    key = site.pair.public
    return _with(hub, site.access(), permissions("site", key), Permissions(("hz.hub.>",), (f"{RAW}.{key}",)))


def _with(hub: HubFolder, access: Access, own: Permissions, besides: Permissions) -> Access:
    allowed = Permissions(own.publish + besides.publish, own.subscribe + besides.subscribe)
    now = WallClock().now()
    return access.with_token(
        user_token(hub.pair("account"), access.pair.public, name=access.name, now=now, expires=None, allowed=allowed)
    )


async def _serve(hub: HubFolder, site: SiteFolder, answer: Answered, workers: ThreadPoolExecutor) -> Post:
    client = await connect(site_access(hub, site))

    def respond(_: Ask) -> Answered:
        return answer

    async def plain(message: Any) -> None:
        await client.publish(message.reply, raw_bytes(len(message.data)))

    post = Post(client, ActorWay(site.pair.public), verbs={"ask": Serving(respond)}, workers=workers)
    await post.open()
    await client.subscribe(f"{RAW}.{site.pair.public}", cb=plain)
    await settled(client)
    return post


async def _serve_all(hub: HubFolder, sites: Sequence[SiteFolder], answer: Answered) -> None:
    with ThreadPoolExecutor(4) as workers:
        posts = await asyncio.gather(*map(partial(_serve, hub, answer=answer, workers=workers), sites))
        print("ready", flush=True)
        await asyncio.Event().wait()
        del posts


def main(hub: str, dtype: str, numbers: str, *sites: str) -> None:
    values = np.arange(int(numbers), dtype=dtype)
    answer = Answered(Answer({"numbers": Part(values, ROWS)}, ROWS))
    asyncio.run(_serve_all(open_folder(Path(hub)), [open_identity(Path(site)) for site in sites], answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
