"""The tree of subjects, and what each role may publish and subscribe to.

    hz.from.<key>.<verb>...     an actor speaks to the hub; only the holder of the key may publish there
    hz.to.<key>.<verb>...       the hub speaks to an actor; only the hub may publish there, only the holder may listen
    hz.join.<id>                a guest asks to join by an invitation
    hz.joined.<id>.<nonce>      the hub answers a guest

Whoever receives on `hz.from.<key>.>` knows the sender by the subject, for the server lets nobody else publish there. A server
checks where an actor publishes, not what it names as the place of a reply: an answer goes only where `answer_place` allows it, or
an actor could have the hub speak to another in its name.

    >>> from huizhen.federation.wire.nkeys import new_pair
    >>> key = new_pair("user").public
    >>> sender_of(subject_from(key, "renew")) == key, permissions("site", key).subscribe == (f"hz.to.{key}.>",)
    (True, True)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from huizhen.federation.wire.nkeys import is_public

__all__ = [
    "HUB_INBOX",
    "ROLES",
    "Permissions",
    "Role",
    "answer_place",
    "guest_permissions",
    "hub_permissions",
    "inbox",
    "is_token",
    "join_subject",
    "joined_inbox",
    "leaf_permissions",
    "leaf_system_permissions",
    "permissions",
    "sender_of",
    "subject_from",
    "subject_to",
    "system_permissions",
]

Role = Literal["site", "researcher", "provider"]
ROLES: tuple[Role, ...] = get_args(Role)
HUB_INBOX = "hz.hub.inbox"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")  # no dot, no wildcard, no blank: one token of a subject, and nothing more


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a connection may do; everything else is refused by the server.

    Attributes:
        publish: subjects, with wildcards.
        subscribe: subjects, with wildcards.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def is_token(text: str) -> bool:
    """Whether a text is one token of a subject: letters, digits, ``-`` and ``_``, at most 64."""
    return _TOKEN.fullmatch(text) is not None


def subject_to(key: str, *tokens: str) -> str:
    """Where the hub speaks to the actor of a key.

    Raises:
        ValueError: the key is no public NKey of a user, or a token is none.
    """
    return _subject("hz.to", key, tokens)


def subject_from(key: str, *tokens: str) -> str:
    """Where the actor of a key speaks to the hub; raises as `subject_to`."""
    return _subject("hz.from", key, tokens)


def inbox(key: str) -> str:
    """Prefix of the places where an actor waits for replies: below what the hub says to it."""
    return subject_to(key, "inbox")


def sender_of(subject: str) -> str | None:
    """The key of the actor that published on a subject of `hz.from`; None for any other subject."""
    head = subject.split(".", 3)
    return head[2] if len(head) == 4 and head[:2] == ["hz", "from"] and is_public(head[2], "user") else None


def answer_place(subject: str, reply: str) -> str | None:
    """Where a message may be answered: the place it names, if that is its sender's own; else None, and it is not answered.

    Args:
        subject: where the message was published.
        reply: the place that it names for its answer.
    """
    own = None
    if (sender := sender_of(subject)) is not None:
        own = subject_to(sender) + "."
    elif subject.startswith("hz.join.") and is_token(subject.removeprefix("hz.join.")):
        own = joined_inbox(subject.removeprefix("hz.join.")) + "."
    tokens = reply.removeprefix(own).split(".") if own and reply.startswith(own) else []
    return reply if tokens and all(map(is_token, tokens)) else None


def join_subject(invitation: str) -> str:
    """Where a guest asks to join by the invitation of an identifier."""
    return f"hz.join.{_token(invitation)}"


def joined_inbox(invitation: str) -> str:
    """Prefix of the places where that guest waits for the hub's answer."""
    return f"hz.joined.{_token(invitation)}"


def permissions(role: Role, key: str) -> Permissions:
    """An actor may speak in its own name and hear what is said to it; what a role may ask for, the hub's use cases decide.

    Raises:
        ValueError: an unknown role, or `key` is no public NKey of a user.
    """
    if role not in ROLES:
        raise ValueError(f"found the role {role!r}, expected one of {', '.join(ROLES)}")
    return Permissions((subject_from(key, ">"),), (subject_to(key, ">"),))


def guest_permissions(invitation: str) -> Permissions:
    """A guest may use its own invitation, and see nothing else."""
    return Permissions((join_subject(invitation),), (f"{joined_inbox(invitation)}.>",))


def hub_permissions() -> Permissions:
    """The hub alone speaks to actors and hears them."""
    return Permissions(("hz.to.>", "hz.joined.>", "hz.hub.>"), ("hz.from.>", "hz.join.*", "hz.hub.>"))


def system_permissions() -> Permissions:
    """In the system account: tell the servers of a changed account and ask them how they are."""
    asked = ("$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.>")
    return Permissions(asked, ("hz.system.inbox.>",))


def leaf_permissions(keys: Sequence[str] = ()) -> Permissions:
    """A leaf node may pass on what these actors and guests say, and what is said to them.

    Args:
        keys: public NKeys of actors; none for all.

    Raises:
        ValueError: one is none.
    """
    said, heard = [subject_from(key, ">") for key in keys], [subject_to(key, ">") for key in keys]
    return Permissions((*(said or ["hz.from.>"]), "hz.join.*"), (*(heard or ["hz.to.>"]), "hz.joined.>"))


def leaf_system_permissions() -> Permissions:
    """In the system account: hear of changed accounts, and say nothing."""
    return Permissions((), ("$SYS.REQ.CLAIMS.UPDATE",))


def _subject(root: str, key: str, tokens: tuple[str, ...]) -> str:
    if not is_public(key, "user"):
        raise ValueError("found a key that is no public NKey of a user")
    *before, last = tokens or ("",)
    if any(not is_token(token) for token in before) or (tokens and last not in ("*", ">") and not is_token(last)):
        raise ValueError("found a token with other characters than letters, digits, '-' and '_'")
    return ".".join((root, key, *tokens))


def _token(text: str) -> str:
    if not is_token(text):
        raise ValueError("found an identifier with other characters than letters, digits, '-' and '_'")
    return text
