"""What sites publish of their data and what others find of it, one function each: the first line authorises, the last one records.

The hub sees of a site's data what stands in its card, and believes none of it without the site's signature. Whoever asks gets
cards as they were signed, and checks them again. A site that is revoked is found no more from that moment on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field

from huizhen import canonical
from huizhen.errors import CallerError, PolicyError, Problem
from huizhen.federation.bodies import Body, read_body
from huizhen.federation.cards import SignedCard
from huizhen.federation.cardsearch import Searchable, Wish, found_in
from huizhen.hub.actor import Actor, Role, authorise
from huizhen.hub.db import KeptCard
from huizhen.hub.running import Hub

__all__ = ["card", "publish", "search"]

KIND = "card"  # of the ledger's entries about cards
SEEKERS: tuple[Role, ...] = ("site", "researcher", "operator")
AT_A_TIME, BYTES_AT_A_TIME = 100, 16_000_000  # cards in one answer
READ_AT_ONCE = 512  # cards that are kept read


class _Asked(Body):
    wish: dict[str, Any]


class _Named(Body):
    site: str = Field(max_length=64)


def publish(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """Keep a site's card in the place of the one before it; the same one sent again is answered again, and changes nothing.

    Args:
        body: `SignedCard.content`; without a card it takes back what was published.

    Returns:
        ``number`` of the card.

    Raises:
        CallerError: it cannot be read, or is older than the one that is kept. PolicyError: it is not this site's.
    """
    authorise(actor, hub.members, "site")
    said = SignedCard.parse(body)
    identity = _signed_by(hub, actor, said)
    with hub.lives.lock:
        kept = hub.lives.store.card(said.site, identity)
        if kept is not None and kept.number >= said.number:
            if (kept.number, kept.digest) == (said.number, said.digest):
                return {"number": said.number}
            remedy = "Publish again; if that does not help, restore the site's store from its newest backup"
            problem = Problem("card.number", f"{said.number}, an older card or another one", f"more than {kept.number}", remedy)
            raise CallerError("This card is not newer than the one that is kept.", [problem])
        fact = {"site": said.site, "number": said.number, "digest": said.digest, "is_withdrawn": said.card is None}
        hub.lives.ledger.append(KIND, fact, hub.clock.now())
        hub.lives.ledger.settle()
        hub.lives.store.keep_card(said.site, identity, said.number, said.digest, said.content)
    return {"number": said.number}


def search(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """The cards that fit a wish.

    Args:
        body: ``wish``: `Wish` as plain values.

    Returns:
        ``cards``: signed cards, the best first; ``more``: how many others fit, for which one answer has no room; ``cards_read``:
        how many sites have published one.
    """
    authorise(actor, hub.members, *SEEKERS)
    wish = Wish.parse(read_body(_Asked, body, what="search").wish)
    present = list(_present(hub))
    fitting = [(match, kept) for kept in present if (match := found_in(_read(kept.encoded), wish)) is not None]
    fitting.sort(key=lambda pair: (pair[0].rank, pair[1].site))
    told, size = list[Any](), 0
    for _, kept in fitting[:AT_A_TIME]:
        size += len(kept.encoded)
        if size > BYTES_AT_A_TIME and told:
            break
        told.append(canonical.decode(kept.encoded))
    return {"cards": told, "more": len(fitting) - len(told), "cards_read": len(present)}


def card(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """The card of one site.

    Returns:
        ``card``: signed.

    Raises:
        CallerError: no member of that name has published one.
    """
    authorise(actor, hub.members, *SEEKERS)
    site = read_body(_Named, body, what="card").site
    kept = next((one for one in _present(hub) if one.site == site), None)
    if kept is None:
        problem = Problem("site", site, "a site that has published a card", "See who has: huizhen data search")
        raise CallerError("There is no such card.", [problem])
    return {"card": canonical.decode(kept.encoded)}


def _signed_by(hub: Hub, actor: Actor, said: SignedCard) -> str:
    """The identity key of the site, once the card is found to be its own.

    Raises:
        PolicyError: it names another site or another key, or was not signed by it.
    """
    member = hub.members.member(actor.name)
    if member is None or not member.identity or (said.site, said.key) != (actor.name, member.identity) or not said.is_sound:
        problem = Problem("card.signature", "a card that is not this site's", "one that is signed by the site's own key")
        raise PolicyError("This card is not the site's own.", [problem])
    return member.identity


def _present(hub: Hub) -> Iterator[KeptCard]:
    """What the members of now have published and not taken back, under the keys that they have now."""
    identities = {one.name: one.identity for one in hub.members.all() if one.role == "site"}
    for kept in hub.lives.store.cards():
        if identities.get(kept.site) == kept.identity and _read(kept.encoded).signed.card is not None:
            yield kept


@lru_cache(READ_AT_ONCE)
def _read(encoded: bytes) -> Searchable:
    return Searchable(SignedCard.parse(canonical.decode(encoded)))
