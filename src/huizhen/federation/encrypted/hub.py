"""The hub's side of encrypted sums: it relays keys and boxes, multiplies ciphertexts, and asks the key holder for the total."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.agreed import EPOCH_BYTES
from huizhen.federation.encrypted.bundles import Bundle, bundles_of
from huizhen.federation.encrypted.epoch import KEYS, ROUND, ROUNDS
from huizhen.federation.hidden import Scales, alike, signature_in, told, too_few
from huizhen.federation.replies import each_fits, most_say
from huizhen.federation.rounds import Answered
from huizhen.federation.scheme import ONLY, Summed
from huizhen.privacy.masking import words
from huizhen.privacy.masking.graph import FEWEST, threshold
from huizhen.privacy.masking.keys import Advert
from huizhen.privacy.paillier.arithmetic import fastest
from huizhen.privacy.paillier.cipher import combine
from huizhen.privacy.paillier.ciphertexts import Ciphertexts, read_ciphertexts
from huizhen.privacy.paillier.keys import PublicKey, read_public_key

__all__ = ["EncryptedHub"]

UNFIT = "what it sent does not fit the protocol of encrypted sums"


@dataclass(slots=True)
class _Epoch:
    """An epoch, as the hub sees it."""

    identifier: bytes
    adverts: dict[str, Advert] = field(default_factory=dict)
    key: PublicKey | None = None
    key_signature: bytes = b""
    members: tuple[str, ...] = ()
    next_place: int = 0


@dataclass(slots=True)
class _Round:
    """One round."""

    place: int
    step: str = ""
    coding: words.Coding = field(default_factory=lambda: words.Coding(FEWEST))
    outline: words.Outline | None = None
    bundles: dict[str, Bundle] = field(default_factory=dict)
    read: dict[str, dict[str, Ciphertexts]] = field(default_factory=dict)  # by site, then by bundle
    individual: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    survivors: tuple[str, ...] = ()
    signatures: dict[str, bytes] = field(default_factory=dict)
    total: words.Words | None = None
    stayed: int = 0


class EncryptedHub:
    """The hub's side of one course.

    Args:
        sites: of the roster.
        holder: the key holder's name.
        bits: 16 or 32, of changes of weights.
        heights: the scales to begin with, by step and part, from a course that is gone on with.
        entropy: that many bytes from a secure source.
    """

    answers_in = "encrypt"

    def __init__(self, *, sites: int, holder: str, bits: int, heights: Mapping[str, Any], entropy: Callable[[int], bytes]) -> None:
        self._sites, self._holder = sites, holder
        self._scales, self._entropy = Scales(bits, dict(heights)), entropy
        self._epoch = _Epoch(b"")
        self._round = _Round(0)

    def stages(self, step: str) -> tuple[str, ...]:
        if self._epoch.members and self._epoch.next_place < ROUNDS and self._round.stayed == self._sites:
            self._round = _Round(self._epoch.next_place, step)
            self._epoch.next_place += 1
            return ROUND
        self._epoch, self._round = _Epoch(self._entropy(EPOCH_BYTES), next_place=1), _Round(0, step)
        return KEYS + ROUND

    def notice(self, stage: str) -> Mapping[str, Any]:
        epoch, now = self._epoch, self._round
        if stage == "advertise":
            return {"epoch": epoch.identifier}
        if stage == "entrust":
            adverts = {site: advert.facts() for site, advert in epoch.adverts.items()}
            return {"adverts": adverts, "key": self._key.canonical(), "key_signature": epoch.key_signature}
        if stage == "encrypt":
            now.coding = self._scales.coding(now.step, len(epoch.members))
            return told(now.coding, epoch.members, now.place)
        if stage == "confirm":
            return {"place": now.place, "survivors": list(now.survivors)}
        return {"place": now.place, ONLY: {self._holder: {"signatures": dict(now.signatures), "totals": self._totals()}}}

    def take(self, stage: str, replies: Iterable[tuple[str, Answered]]) -> Mapping[str, str]:
        came_in = dict(replies)
        handle = {
            "advertise": self._take_advert,
            "entrust": self._take_nothing,
            "encrypt": self._take_sums,
            "confirm": self._take_signature,
            "open": self._take_opened,
        }[stage]
        if stage == "encrypt":
            outlines = (words.outline_from(reply.packet.get("outline")) for reply in came_in.values())
            self._round.outline = most_say(outline for outline in outlines if outline is not None)
        unfit = each_fits(handle, came_in, UNFIT)
        came, now = tuple(site for site in came_in if site not in unfit), self._round
        if stage == "entrust":
            self._epoch.members = came
        elif stage == "encrypt":
            now.survivors = came
        elif stage == "open":
            now.stayed = len(came)
        self._check_enough(stage, came, UNFIT if self._holder in unfit else "no reply")
        return unfit

    def summed(self) -> Summed:
        now = self._round
        assert now.outline is not None
        assert now.total is not None
        return self._scales.read(now.total, now.step, now.outline, now.coding, now.individual, now.survivors)

    def facts(self) -> Mapping[str, Any]:
        return self._scales.facts()

    @property
    def _key(self) -> PublicKey:
        assert self._epoch.key is not None
        return self._epoch.key

    def _totals(self) -> dict[str, bytes]:
        now = self._round
        return {
            name: combine({site: now.read[site][name] for site in now.survivors}, self._key, bundle.layout)
            for name, bundle in now.bundles.items()
        }

    def _check_enough(self, stage: str, came: tuple[str, ...], why: str) -> None:
        """Raises where no total can come of who is left."""
        problems = []
        if self._holder not in came:
            remedy = "Name another key_holder in the study, or ask that site's operator"
            problems.append(
                Problem(f"stage {stage}", f"key holder {self._holder}: {why}", "the key holder, who opens the total", remedy)
            )
        problems += too_few(stage, came, 1 if stage == "open" else threshold(self._sites))
        if problems:
            raise FederationError("The encrypted sum cannot be made.", problems)

    # --- what comes in -------------------------------------------------------------------------------------------------

    def _take_advert(self, site: str, packet: Mapping[str, Any]) -> bool:
        epoch, advert = self._epoch, Advert.from_facts(packet.get("advert"))
        if advert is None:
            return False
        if site == self._holder:
            signature = packet.get("key_signature")
            try:
                epoch.key = read_public_key(packet.get("key", {}))
            except HuizhenError:
                return False
            if not isinstance(signature, bytes):
                return False
            epoch.key_signature = signature
        epoch.adverts[site] = advert
        return True

    def _take_nothing(self, site: str, packet: Mapping[str, Any]) -> bool:
        return not packet and bool(site)

    def _take_sums(self, site: str, packet: Mapping[str, Any]) -> bool:
        now, outline = self._round, words.outline_from(packet.get("outline"))
        sums, individual = packet.get("sums"), packet.get("individual")
        if outline is None or outline != now.outline or not isinstance(individual, Mapping):
            return False
        bundles = now.bundles or bundles_of(outline, now.coding, self._key.bits)
        if not isinstance(sums, Mapping) or set(sums) != set(bundles) or not alike(individual, now.individual):
            return False
        try:
            read = {name: self._read(site, sums[name], bundle) for name, bundle in bundles.items()}
        except FederationError:
            return False
        now.bundles, now.read[site], now.individual[site] = bundles, read, individual
        return True

    def _read(self, site: str, encoded: Any, bundle: Bundle) -> Ciphertexts:
        if not isinstance(encoded, bytes):
            raise FederationError("Ciphertexts are refused.")
        read = read_ciphertexts(encoded, self._key, bundle.layout, fastest(), sender=f"site {site}")
        if (read.values, read.addends) != (bundle.values, 1):
            raise FederationError("Ciphertexts are refused.")
        return read

    def _take_signature(self, site: str, packet: Mapping[str, Any]) -> bool:
        return signature_in(packet, site, self._round.signatures)

    def _take_opened(self, site: str, packet: Mapping[str, Any]) -> bool:
        now = self._round
        if site != self._holder:
            return True
        assert now.outline is not None
        now.total = words.Words.from_facts(packet.get("opened"), now.outline, now.coding)
        return now.total is not None
