"""Who is admitted, as the use cases see it: the file of actors, which commands in other terminals write, too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from huizhen.hub.actor import Actor, Member
from huizhen.hub.actorsdb import ActorStore

__all__ = ["AdmittedActors"]


@dataclass(frozen=True, slots=True)
class AdmittedActors:
    """The members of the federation: those that were admitted and not revoked."""

    store: ActorStore

    def member(self, name: str) -> Member | None:
        """The member of that name, or None."""
        return next((member for member in self.all() if member.name == name), None)

    def all(self) -> Iterable[Member]:
        """All members, in the order of their admission."""
        admitted = (actor for actor in self.store.actors() if actor.state == "admitted")
        return tuple(Member(actor.name, actor.role, actor.nkey, actor.identity) for actor in admitted)

    def holder(self, key: str) -> Actor | None:
        """Who speaks with a key, or None."""
        actor = self.store.holder(key)
        return None if actor is None or actor.state != "admitted" else Actor(actor.name, actor.role, actor.nkey)
