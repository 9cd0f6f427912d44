"""Who asks the hub for something, and who is a member of the federation: facts that the wire or the console finds out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from huizhen.errors import PolicyError, Problem

__all__ = ["Actor", "Member", "Members", "MembersInMemory", "Role", "authorise"]

Role = Literal["site", "researcher", "provider", "operator"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks.

    Attributes:
        key: by which the hub has recognised them, e.g. the NKey ``U...`` in the subject; "" of whoever holds the hub's own folder.
    """

    name: str
    role: Role
    key: str


@dataclass(frozen=True, slots=True)
class Member:
    """Who was admitted; `identity`: the public identity key of a site or compute provider, 64 hexadecimal digits."""

    name: str
    role: Role
    key: str
    identity: str = ""


class Members(Protocol):
    """Who is admitted now; somebody revoked is no member any more."""

    def member(self, name: str) -> Member | None:
        """The member of that name, or None."""

    def all(self) -> Iterable[Member]:
        """All members, in the order of their admission."""


@dataclass(frozen=True, slots=True)
class MembersInMemory:
    """Members that are known beforehand; for tests and for a hub within one program."""

    by_name: Mapping[str, Member]

    def member(self, name: str) -> Member | None:
        return self.by_name.get(name)

    def all(self) -> Iterable[Member]:
        return tuple(self.by_name.values())


def authorise(actor: Actor, members: Members, *roles: Role) -> None:
    """Whoever asks is who they say, is still a member, and may ask this.

    The operator is whoever holds the hub's folder, and needs no entry among the members.

    Raises:
        PolicyError: one of the three is not so; which one is not told to a stranger.
    """
    known = members.member(actor.name)
    is_member = known is not None and (known.role, known.key) == (actor.role, actor.key)
    if not is_member and not (actor.role == "operator" and known is None and not actor.key):
        problem = Problem("actor", "a key that is not admitted under this name and role", "a member of this federation")
        raise PolicyError("This hub does not know you.", [problem])
    if actor.role not in roles:
        problem = Problem("actor", f"the role {actor.role}", " or ".join(roles), "Ask the hub's operator for the role")
        raise PolicyError("You may not do this here.", [problem])
