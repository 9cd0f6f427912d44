"""Which subjects an actor speaks and listens on: its key stands in each, and the server holds it to them.

    hz.to.<key>.>      what the hub tells the actor with this key; only the hub may publish, only the actor may listen
    hz.from.<key>.>    what the actor tells the hub; only the actor may publish, only the hub may listen

Behind the key stand what it is and which request it belongs to:

    ask.<nonce>                  a request
    working.<nonce>              it has come, and takes a while
    still.<nonce>                is it still worked on?
    unknown.<nonce>              it is not known here: say all of it again
    reply.<nonce>                its reply
    want.<ask|reply>.<nonce>.<first>     give me the piece of it that begins at this byte
    piece.<ask|reply>.<nonce>.<first>    here it is
    done.<ask|reply>.<nonce>     all of it has come

>>> hub, site = HubWay("hz"), ActorWay("UABC", "hz")
>>> hub.out("UABC"), hub.heard, site.heard
('hz.to.UABC', 'hz.from.*.>', 'hz.to.UABC.>')
>>> hub.peer_and_tail("hz.from.UABC.reply.0f")
('UABC', ('reply', '0f'))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["HUB", "ROOT", "ActorWay", "HubWay", "Way"]

ROOT = "hz"
HUB = "hub"  # whom an actor speaks with


class Way(Protocol):
    """Where one program stands."""

    @property
    def heard(self) -> str:
        """The subject that is listened on."""

    def out(self, peer: str) -> str:
        """How subjects begin on which a peer is told something."""

    def peer_and_tail(self, subject: str) -> tuple[str, tuple[str, ...]]:
        """Who speaks on a subject, and what stands behind the key."""


@dataclass(frozen=True, slots=True)
class HubWay:
    """The hub's: its peers are named by their keys."""

    root: str = ROOT

    @property
    def heard(self) -> str:
        return f"{self.root}.from.*.>"

    def out(self, peer: str) -> str:
        return f"{self.root}.to.{peer}"

    def peer_and_tail(self, subject: str) -> tuple[str, tuple[str, ...]]:
        _, peer, *tail = subject.removeprefix(f"{self.root}.").split(".")
        return peer, tuple(tail)


@dataclass(frozen=True, slots=True)
class ActorWay:
    """Anybody else's: the one peer is the hub."""

    key: str
    root: str = ROOT

    @property
    def heard(self) -> str:
        return f"{self.root}.to.{self.key}.>"

    def out(self, peer: str) -> str:
        return f"{self.root}.from.{self.key}"

    def peer_and_tail(self, subject: str) -> tuple[str, tuple[str, ...]]:
        return HUB, tuple(subject.removeprefix(f"{self.root}.to.{self.key}.").split("."))
