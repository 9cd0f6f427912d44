"""How many bytes a request and its reply are on the line between hub and site: messages, announcements, pieces, and the bus's own
lines around them; TLS and what lies below are not counted.

A message larger than a piece is announced, wanted piece by piece and said to be there (`federation.wire.post`), so both directions
carry something of it.

>>> there_and_back(1000, 300)
Bytes(down=1114, up=416)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from huizhen.federation.wire.message import pack
from huizhen.federation.wire.pulling import PIECE
from huizhen.federation.wire.ways import ActorWay, HubWay

__all__ = ["Bytes", "asked_again", "there_and_back"]

KEY, NONCE = "U" * 56, "0" * 32  # as long as every key of an actor and every nonce are
DOWN, UP = HubWay().out(KEY), ActorWay(KEY).out("hub")
ENDS = 2  # bytes behind a line, and behind what follows it


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes from the hub to a site, and from the site to the hub."""

    down: int
    up: int

    def __add__(self, other: Bytes) -> Bytes:
        return Bytes(self.down + other.down, self.up + other.up)


def there_and_back(ask: int, reply: int) -> Bytes:
    """A request of so many bytes and its reply of so many.

    Args:
        ask, reply: bytes of the packed messages.
    """
    return _carried(ask, "ask") + _carried(reply, "reply")


def asked_again(ask: int) -> Bytes:
    """What it costs that a request is repeated, since it was not answered at once: the site says that it is at work."""
    sent = min(ask, _announcement(ask)) if ask > PIECE else ask
    return Bytes(_told(f"ask.{NONCE}", sent), _said(f"working.{NONCE}", 0))


@lru_cache(maxsize=4096)
def _carried(size: int, which: Literal["ask", "reply"]) -> Bytes:
    forth, back = (_told, _said) if which == "ask" else (_said, _told)
    if size <= PIECE:
        sent, answered = forth(f"{which}.{NONCE}", size), 0
    else:
        sent, answered = forth(f"{which}.{NONCE}", _announcement(size)), back(f"done.{which}.{NONCE}", 0)
        for first in range(0, size, PIECE):
            sent += forth(f"piece.{which}.{NONCE}.{first}", min(PIECE, size - first))
            answered += back(f"want.{which}.{NONCE}.{first}", 0)
    return Bytes(sent, answered) if which == "ask" else Bytes(answered, sent)


def _announcement(size: int) -> int:
    return pack({"announced": size}).size


def _told(tail: str, size: int) -> int:
    """What the server hands to a site: subject, subscription and size, then the message."""
    return len(" ".join(("MSG", f"{DOWN}.{tail}", "1", str(size)))) + ENDS + size + ENDS


def _said(tail: str, size: int) -> int:
    """What a site hands to the server; the place for a subject of the reply stays empty."""
    return len(" ".join(("PUB", f"{UP}.{tail}", "", str(size)))) + ENDS + size + ENDS
