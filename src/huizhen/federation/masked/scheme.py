"""The scheme of masked sums: a site's identity and the others', and the rings that numbers are masked in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.masked.hub import MaskedHub
from huizhen.federation.masked.site import site_turn
from huizhen.federation.rounds import Ask, Lane
from huizhen.federation.scheme import HubSide, SiteSide, SiteTurn
from huizhen.privacy.release import EMPTY

__all__ = ["MaskedSum"]


@dataclass(frozen=True, slots=True)
class MaskedSum:
    """Addends are masked, and the hub sees their sum (see `federation.masked`).

    Attributes:
        entropy: that many bytes from a secure source.
        identity: a site's; None at the hub.
        bits: 16 or 32, of the ring for changes of a network's weights.
    """

    entropy: Callable[[int], bytes] = field(repr=False)
    identity: SiteIdentity | None = None
    bits: Literal[16, 32] = 16
    name: str = "masked"
    lane: Lane = "masked"

    def at_site(self, ask: Ask, side: SiteSide) -> SiteTurn:
        assert self.identity is not None
        return site_turn(ask, side, self.identity)

    def at_hub(self, roster: tuple[str, ...], facts: Mapping[str, Any] = EMPTY) -> HubSide:
        return MaskedHub(sites=len(roster), bits=self.bits, heights=facts.get("heights", EMPTY), entropy=self.entropy)
