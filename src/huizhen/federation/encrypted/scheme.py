"""The scheme of encrypted sums: who holds the key, how long it is, and a site's identity and the others'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.encrypted.ahead import Tally
from huizhen.federation.encrypted.epoch import holder_of
from huizhen.federation.encrypted.hub import EncryptedHub
from huizhen.federation.encrypted.site import Manner, site_turn
from huizhen.federation.rounds import Ask, Lane
from huizhen.federation.scheme import HubSide, SiteSide, SiteTurn
from huizhen.privacy.release import EMPTY

__all__ = ["EncryptedSum"]


@dataclass(frozen=True, slots=True)
class EncryptedSum:
    """Addends are encrypted, the hub adds them unread, and the key holder opens the sum (see `federation.encrypted`).

    Attributes:
        entropy: that many bytes from a secure source.
        identity: a site's; None at the hub.
        key_holder: a site's name; "" for the first of the roster.
        key_bits: length of the key.
        bits: 16 or 32, of changes of a network's weights.
        tally: how many obfuscators this site has used, and how many were late.
    """

    entropy: Callable[[int], bytes] = field(repr=False)
    identity: SiteIdentity | None = None
    key_holder: str = ""
    key_bits: Literal[2048, 3072] = 2048
    bits: Literal[16, 32] = 16
    tally: Tally = field(default_factory=Tally)
    name: str = "paillier"
    lane: Lane = "masked"

    def at_site(self, ask: Ask, side: SiteSide) -> SiteTurn:
        assert self.identity is not None
        return site_turn(ask, side, Manner(self.identity, self.key_holder, self.key_bits, self.tally))

    def at_hub(self, roster: tuple[str, ...], facts: Mapping[str, Any] = EMPTY) -> HubSide:
        holder, heights = holder_of(roster, self.key_holder), facts.get("heights", EMPTY)
        return EncryptedHub(sites=len(roster), holder=holder, bits=self.bits, heights=heights, entropy=self.entropy)
