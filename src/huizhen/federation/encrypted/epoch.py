"""What hub and sites agree on in an epoch of encrypted sums: whose key it is, what is signed, and what a seal is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from huizhen import canonical
from huizhen.errors import Problem, SiteError
from huizhen.federation.agreed import about_round, advert_purpose
from huizhen.federation.rounds import Ask
from huizhen.privacy.masking.keys import Advert
from huizhen.privacy.masking.words import Outline
from huizhen.privacy.paillier.keys import PublicKey

__all__ = [
    "KEYS",
    "ROUND",
    "ROUNDS",
    "Epoch",
    "context_of",
    "holder_of",
    "key_message",
    "refusal",
]

KEYS, ROUND = ("advertise", "entrust"), ("encrypt", "confirm", "open")
ROUNDS = 32  # of one epoch


@dataclass(frozen=True, slots=True)
class Epoch:
    """The public side of an epoch.

    Attributes:
        identifier: 16 random bytes of the hub.
        holder: the key holder.
        adverts: the keys of everyone who advertised, in roster order.
        key: what is encrypted with.
    """

    identifier: bytes
    holder: str
    adverts: Mapping[str, Advert]
    key: PublicKey

    @property
    def sites(self) -> tuple[str, ...]:
        """Who advertised, in roster order."""
        return tuple(self.adverts)


def holder_of(roster: tuple[str, ...], named: str) -> str:
    """Who holds the key: whom the study names, else the first of the roster. All sites come to the same."""
    return named or (roster[0] if roster else "")


def key_message(ask: Ask, epoch: bytes, holder: str, key: PublicKey) -> bytes:
    """What the key holder signs: whose key this is and what it is for, so that no other key and no old one takes its place."""
    return canonical.encode(["huizhen-paillier-key-1", advert_purpose(ask, epoch, holder), key.canonical()])


def context_of(ask: Ask, epoch: Epoch, place: int, outline: Outline) -> bytes:
    """What the seals of a round are for; never twice the same, since a place in an epoch is encrypted for once."""
    about = about_round(ask, outline=outline)
    sealed_for = ["huizhen-paillier-seal-1", epoch.identifier, epoch.key.key_id, place, about]
    return hashlib.sha256(canonical.encode(sealed_for)).digest()


def refusal(found: str, expected: str, remedy: str = "") -> SiteError:
    """What a site says to a stage that breaks a rule."""
    return SiteError("This stage of an encrypted sum is not followed.", [Problem("encrypted sum", found, expected, remedy)])
