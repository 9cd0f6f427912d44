"""What a site keeps of an encrypted sum, in memory only: its part in an epoch, and for longer
obfuscators and, at its holder, the key."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from huizhen.federation.encrypted.epoch import Epoch, refusal
from huizhen.federation.scheme import SiteSide
from huizhen.privacy.masking.keys import Advert, EpochKeys
from huizhen.privacy.masking.words import Coding, Outline
from huizhen.privacy.paillier.arithmetic import fastest
from huizhen.privacy.paillier.holder import KeyHolder
from huizhen.privacy.paillier.keys import PublicKey, make_key
from huizhen.privacy.paillier.obfuscators import Pool, Table
from huizhen.privacy.paillier.seals import Seal

__all__ = ["Encrypted", "Held", "Mine", "Need", "held_key", "mine_of", "need_of", "pool_of"]


@dataclass(frozen=True, slots=True)
class Encrypted:
    """What was encrypted for one place of an epoch.

    Attributes:
        context: of its seals.
    """

    outline: Outline
    coding: Coding
    context: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A key, at its holder."""

    public: PublicKey
    holder: KeyHolder = field(repr=False)


@dataclass(slots=True)
class Need:
    """How many obfuscators a step of the method takes.

    Attributes:
        numbers: in the last round that asked it.
        rounds: that asked it.
    """

    numbers: int = 0
    rounds: int = 0


@dataclass(slots=True)
class Mine:
    """A site's part in an epoch.

    Attributes:
        common, own: seal secrets: of all sites, and of this one and the key holder.
        owns: at the key holder, each site's own.
        encrypted, signed: by place: what was encrypted, and the list that was signed.
        opened: places of which the key holder was asked for the total.
    """

    identifier: bytes
    holder: str
    keys: EpochKeys
    advert: Advert
    epoch: Epoch | None = None
    common: bytes = b""
    own: bytes = b""
    owns: dict[str, bytes] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    encrypted: dict[int, Encrypted] = field(default_factory=dict)
    signed: dict[int, tuple[str, ...]] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)

    def seal(self, site: str, place: int, bundle: str) -> Seal:
        """A site's seal for one bundle of a place."""
        own = self.owns[site] if self.owns else self.own
        return Seal(self.common, own, self.encrypted[place].context + bundle.encode())


def mine_of(side: SiteSide) -> Mine:
    """The site's part in the epoch that it is in.

    Raises:
        SiteError: it is in none.
    """
    mine = side.kept.get("mine")
    if not isinstance(mine, Mine):
        raise refusal("a stage of an epoch that is not known here", "the stage that advertises keys first; a restart forgets them")
    return mine


def held_key(side: SiteSide, bits: int, entropy: Callable[[int], bytes]) -> Held:
    """The key of the analysis, made when it is first asked for."""
    held = side.kept.get("key")
    if not isinstance(held, Held) or held.public.bits != bits:
        private = make_key(bits, entropy)
        held = side.kept["key"] = Held(private.public, KeyHolder(private, arithmetic=fastest(os.cpu_count() or 1)))
    return held


def need_of(side: SiteSide, step: str) -> Need:
    """What a step needs, as far as it has been seen; to be changed."""
    needs: dict[str, Need] = side.kept.setdefault("needs", {})
    return needs.setdefault(step, Need())


def pool_of(side: SiteSide, key: PublicKey, entropy: Callable[[int], bytes]) -> Pool:
    """Obfuscators of the key; those left over from an earlier epoch with the same key are still unused."""
    pool = side.kept.get("pool")
    if not isinstance(pool, Pool) or pool.table.key != key:
        pool = side.kept["pool"] = Pool(Table.of(key), entropy, process=os.getpid)
    return pool
