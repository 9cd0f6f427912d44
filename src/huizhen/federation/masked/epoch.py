"""What hub and sites agree on in an epoch of masked sums: who masks with whom, who holds whose shares, what is signed and
promised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from huizhen import canonical
from huizhen.federation.agreed import about_round
from huizhen.federation.rounds import Ask
from huizhen.privacy.masking.graph import FEWEST, neighbours, threshold
from huizhen.privacy.masking.keys import Advert, adverts_digest
from huizhen.privacy.masking.streams import SEED_BYTES
from huizhen.privacy.masking.words import Outline

__all__ = ["ROUNDS", "SELF", "Epoch", "bound", "context_of", "promise"]

ROUNDS = 32  # of one epoch
SELF = ""  # names a site's self mask among its secrets; pair masks are named by the other site
PROMISE_BYTES = 16


@dataclass(frozen=True)
class Epoch:
    """The public side of an epoch.

    Attributes:
        identifier: 16 random bytes of the hub.
        adverts: the keys of everyone who advertised, in roster order.
        roster: how many sites were asked to: a hub that shows fewer adverts does not lower what it takes to open a sum.
    """

    identifier: bytes
    adverts: Mapping[str, Advert]
    roster: int

    @cached_property
    def sites(self) -> tuple[str, ...]:
        return tuple(self.adverts)

    @cached_property
    def neighbours(self) -> Mapping[str, tuple[str, ...]]:
        """With whom each site masks, and who holds its shares, in this order from 1."""
        return neighbours(self.sites, self.identifier + adverts_digest(self.adverts))

    @cached_property
    def fewest(self) -> int:
        """How many must stay for a sum, and sign the list of those who did."""
        return threshold(self.roster)

    def shares(self, site: str) -> int:
        """How many shares open a site's secrets; 0 where there are too few holders, so that none are dealt."""
        holders = len(self.neighbours[site])
        needed = threshold(holders) if holders + 1 < len(self.sites) else self.fewest
        return needed if holders >= max(needed, FEWEST) else 0

    def dealer(self, one: str, other: str) -> str:
        """Which of a pair deals the shares of the pair's masks: the first in the roster."""
        return min(one, other, key=self.sites.index)

    def secrets(self, site: str) -> tuple[str, ...]:
        """What a site deals shares of, in order: its self masks, and the pair masks that it is the dealer of."""
        return (SELF, *(other for other in self.neighbours[site] if self.dealer(site, other) == site))

    def piece(self, site: str, secret: str, place: int) -> slice:
        """Where the seed of one round stands among the bytes of all secrets of a site (or of a share of them)."""
        start = (self.secrets(site).index(secret) * ROUNDS + place) * SEED_BYTES
        return slice(start, start + SEED_BYTES)

    def promised(self, site: str, secret: str, place: int) -> slice:
        """Where the promise of one seed stands among the promises of a site."""
        start = (self.secrets(site).index(secret) * ROUNDS + place) * PROMISE_BYTES
        return slice(start, start + PROMISE_BYTES)

    def size(self, site: str) -> int:
        """Bytes of all secrets of a site."""
        return len(self.secrets(site)) * ROUNDS * SEED_BYTES


def promise(epoch: bytes, site: str, secret: str, place: int, seed: bytes) -> bytes:
    """What a site publishes of a seed, so that a false one shows: a digest (of 16 random bytes, which it does not give away)."""
    return hashlib.sha256(canonical.encode(["huizhen-seed-1", epoch, site, secret, place, seed])).digest()[:PROMISE_BYTES]


def context_of(ask: Ask, epoch: bytes, place: int, outline: Outline) -> bytes:
    """What a round's masks hang on: all that the hub tells of it. The masks of sites that were told otherwise do not cancel."""
    about = about_round(ask, outline=outline)
    return hashlib.sha256(canonical.encode(["huizhen-mask-1", epoch, place, about])).digest()


def bound(plus: Sequence[bytes], minus: Sequence[bytes], context: bytes) -> tuple[list[bytes], list[bytes]]:
    """Seeds of a round, bound to its context: keyed BLAKE2s (RFC 7693), a pseudo-random function of the seed."""
    each = ([hashlib.blake2s(context, key=seed, digest_size=SEED_BYTES).digest() for seed in seeds] for seeds in (plus, minus))
    return next(each), next(each)
