"""The hub's side of masked sums: it relays keys and boxes, adds what is masked, and removes what did not cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.federation.agreed import EPOCH_BYTES
from huizhen.federation.hidden import Scales, alike, signature_in, told, too_few
from huizhen.federation.masked.epoch import ROUNDS, SELF, Epoch, bound, promise
from huizhen.federation.replies import each_fits, most_say
from huizhen.federation.rounds import Answered
from huizhen.federation.scheme import Summed
from huizhen.privacy.masking import words
from huizhen.privacy.masking.graph import FEWEST, threshold
from huizhen.privacy.masking.keys import Advert
from huizhen.privacy.masking.shamir import join
from huizhen.privacy.masking.streams import SEED_BYTES

__all__ = ["MaskedHub"]

KEYS, ROUND = ("advertise", "share"), ("mask", "confirm", "unmask")
CONTEXT_BYTES = 32
UNFIT = "what it sent does not fit the protocol of masked sums"


@dataclass(slots=True)
class _Epoch:
    """An epoch, as the hub sees it."""

    identifier: bytes
    adverts: dict[str, Advert] = field(default_factory=dict)
    public: Epoch | None = None
    promises: dict[str, bytes] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    next_place: int = 0


@dataclass(slots=True)
class _Round:
    """One round."""

    place: int
    step: str = ""
    outline: words.Outline | None = None
    context: bytes = b""
    coding: words.Coding = field(default_factory=lambda: words.Coding(FEWEST))
    masked: dict[str, words.Words] = field(default_factory=dict)
    individual: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    survivors: tuple[str, ...] = ()
    signatures: dict[str, bytes] = field(default_factory=dict)
    opened: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class MaskedHub:
    """The hub's side of one course.

    Args:
        sites: of the roster.
        bits: 16 or 32, of changes of weights.
        heights: the scales to begin with, by step and part, from a course that is gone on with.
        entropy: that many bytes from a secure source.
    """

    answers_in = "mask"

    def __init__(self, *, sites: int, bits: int, heights: Mapping[str, Any], entropy: Callable[[int], bytes]) -> None:
        self._sites, self._scales, self._entropy = sites, Scales(bits, dict(heights)), entropy
        self._epoch: _Epoch | None = None
        self._round = _Round(0)
        self._room: tuple[Any, words.Words] | None = None  # where sums are written: fresh memory costs time

    def stages(self, step: str) -> tuple[str, ...]:
        if self._epoch is not None and self._epoch.members and self._epoch.next_place < ROUNDS and self._is_whole:
            self._round = _Round(self._epoch.next_place, step)
            self._epoch.next_place += 1
            return ROUND
        self._epoch, self._round = _Epoch(self._entropy(EPOCH_BYTES), next_place=1), _Round(0, step)
        return KEYS + ROUND

    @property
    def _is_whole(self) -> bool:
        """Whether the whole roster was there to the end of the last round; who was lost may come back in a new epoch only."""
        return len(self._round.opened) == self._sites

    def notice(self, stage: str) -> Mapping[str, Any]:
        epoch, now = self._mine, self._round
        if stage == "advertise":
            return {"epoch": epoch.identifier}
        if stage == "share":
            return {"adverts": {site: advert.facts() for site, advert in epoch.adverts.items()}}
        if stage == "mask":
            now.coding = self._scales.coding(now.step, len(epoch.members))
            return told(now.coding, epoch.members, now.place)
        if stage == "confirm":
            return {"place": now.place, "survivors": list(now.survivors)}
        return {"place": now.place, "signatures": dict(now.signatures)}

    def take(self, stage: str, replies: Iterable[tuple[str, Answered]]) -> Mapping[str, str]:
        came_in = dict(replies)
        handle = {
            "advertise": self._take_advert,
            "share": self._take_promises,
            "mask": self._take_words,
            "confirm": self._take_signature,
            "unmask": self._take_opened,
        }[stage]
        if stage == "mask":
            self._round.outline, self._round.context = self._said(came_in)
        unfit = each_fits(handle, came_in, UNFIT)
        came, epoch, now = tuple(site for site in came_in if site not in unfit), self._mine, self._round
        if stage == "share":
            assert epoch.public is not None
            epoch.members = came
        elif stage == "mask":
            now.survivors = came
        elif stage == "advertise":
            epoch.public = Epoch(epoch.identifier, dict(epoch.adverts), self._sites)
        if problems := too_few(stage, came, threshold(self._sites)):
            raise FederationError("The masked sum cannot be made.", problems)
        return unfit

    def summed(self) -> Summed:
        now = self._round
        assert now.outline is not None
        shape = (now.outline, now.coding.bits, {name: len(each) for name, each in now.coding.heights.items()})
        if self._room is None or self._room[0] != shape:
            self._room = (shape, words.empty(now.outline, now.coding))
        seeds = bound(*self._left_over(), now.context)
        total = words.add_words([now.masked[site] for site in now.survivors], *seeds, self._room[1])
        return self._scales.read(total, now.step, now.outline, now.coding, now.individual, now.survivors)

    def facts(self) -> Mapping[str, Any]:
        return self._scales.facts()

    @property
    def _mine(self) -> _Epoch:
        assert self._epoch is not None
        return self._epoch

    # --- what comes in -------------------------------------------------------------------------------------------------

    def _take_advert(self, site: str, packet: Mapping[str, Any]) -> bool:
        advert = Advert.from_facts(packet.get("advert"))
        if advert is not None:
            self._mine.adverts[site] = advert
        return advert is not None

    def _take_promises(self, site: str, packet: Mapping[str, Any]) -> bool:
        epoch, promises = self._mine, packet.get("promises")
        assert epoch.public is not None
        if not isinstance(promises, bytes) or len(promises) != epoch.public.size(site):
            return False
        epoch.promises[site] = promises
        return True

    def _said(self, replies: Mapping[str, Answered]) -> tuple[words.Outline | None, bytes]:
        """What most sites say that the round is about."""
        said = most_say(
            (outline, context)
            for reply in replies.values()
            if (outline := words.outline_from(reply.packet.get("outline"))) is not None
            and isinstance(context := reply.packet.get("context"), bytes)
        )
        return said or (None, b"")

    def _take_words(self, site: str, packet: Mapping[str, Any]) -> bool:
        now, outline = self._round, words.outline_from(packet.get("outline"))
        if outline is None or (outline, packet.get("context")) != (now.outline, now.context) or len(now.context) != CONTEXT_BYTES:
            return False
        masked = words.Words.from_facts(packet.get("words"), outline, now.coding)
        individual = packet.get("individual")
        if masked is None or not isinstance(individual, Mapping) or not alike(individual, now.individual):
            return False
        now.masked[site], now.individual[site] = masked, individual
        return True

    def _take_signature(self, site: str, packet: Mapping[str, Any]) -> bool:
        return signature_in(packet, site, self._round.signatures)

    def _take_opened(self, site: str, packet: Mapping[str, Any]) -> bool:
        own, pairs, shares = packet.get("own"), packet.get("pairs"), packet.get("shares")
        if not isinstance(own, bytes) or not isinstance(pairs, Mapping) or not isinstance(shares, Mapping):
            return False
        if not all(isinstance(one, Mapping) for one in shares.values()):
            return False
        self._round.opened[site] = packet
        return True

    # --- what did not cancel -------------------------------------------------------------------------------------------

    def _left_over(self) -> tuple[list[bytes], list[bytes]]:
        """Seeds of the masks to add and to subtract: self masks of those who stayed, pair masks of pairs of which one did."""
        epoch, now = self._mine.public, self._round
        assert epoch is not None
        plus, minus = list[bytes](), [self._seed(site, SELF, (site,)) for site in now.survivors]
        for site in now.survivors:
            for other in epoch.neighbours[site]:
                if other in self._mine.members and other not in now.survivors:
                    dealer = epoch.dealer(site, other)
                    seed = self._seed(dealer, other if dealer == site else site, (site,))
                    (minus if dealer == site else plus).append(seed)
        return plus, minus

    def _seed(self, dealer: str, secret: str, direct: tuple[str, ...]) -> bytes:
        """A seed of this round: from a site that knows it, or from shares; it is the promised one, or the round fails.

        Raises:
            FederationError: none that was promised can be found; those who sent false ones are named where it can be told.
        """
        now, false = self._round, []
        for site in direct:
            if site in now.opened:
                packet = now.opened[site]
                other = secret if dealer == site else dealer
                found = packet["own"] if secret == SELF else packet["pairs"].get(other)
                if self._is_promised(dealer, secret, found):
                    return bytes(found)
                false.append(site)
        if (joined := self._joined(dealer, secret)) is not None:
            return joined
        who = f"a false mask from {', '.join(false)}" if false else "too few sound shares of a mask"
        raise FederationError(
            "The masked sum cannot be opened.", [Problem(f"a mask of site {dealer}", who, "the mask that was promised")]
        )

    def _joined(self, dealer: str, secret: str) -> bytes | None:
        """The seed from as many shares as open it; where some are false, from those that are not."""
        epoch, now = self._mine.public, self._round
        assert epoch is not None
        shares = {}
        for place, holder in enumerate(epoch.neighbours[dealer], 1):
            share = now.opened.get(holder, {}).get("shares", {}).get(dealer, {}).get(secret)
            if isinstance(share, bytes) and len(share) == SEED_BYTES:
                shares[place] = share
        needed = epoch.shares(dealer)
        if not needed:
            return None
        for tried, chosen in enumerate(combinations(shares, needed)):
            seed = join({place: shares[place] for place in chosen})
            if self._is_promised(dealer, secret, seed):
                return seed
            if tried >= MOST_TRIES:
                break
        return None

    def _is_promised(self, dealer: str, secret: str, seed: Any) -> bool:
        epoch, place = self._mine.public, self._round.place
        assert epoch is not None
        if not isinstance(seed, bytes) or len(seed) != SEED_BYTES:
            return False
        told = self._mine.promises[dealer][epoch.promised(dealer, secret, place)]
        return promise(epoch.identifier, dealer, secret, place, seed) == told


MOST_TRIES = 1000  # choices of shares; with one false share among n it takes at most n
