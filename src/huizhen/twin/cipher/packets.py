"""Messages of masked and encrypted sums, stage by stage, at any roster: the structures of the protocols filled with stand-in bytes.

Who masks with whom, who deals whose shares and how numbers stand in rings and slots is asked of the protocols' own rules; the bytes
are counted by the wire's own encoder. So they are exact, whatever a later release changes.

>>> outline = (("weights", "addend", "float32", (5000,), False),)
>>> sums = MaskedSums(("east", "north", "west"), outline)
>>> sums.reply_bytes("mask", "east"), sums.reply_bytes("confirm", "east")
(40528, 144)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError, Problem
from huizhen.federation.agreed import EPOCH_BYTES
from huizhen.federation.encrypted.bundles import bundles_of
from huizhen.federation.hidden import told
from huizhen.federation.masked.epoch import PROMISE_BYTES, SELF, Epoch
from huizhen.federation.rounds import Answered, Box
from huizhen.federation.wire.carried import reply_to
from huizhen.federation.wire.message import pack
from huizhen.privacy.masking import short, words
from huizhen.privacy.masking.graph import FEWEST
from huizhen.privacy.masking.keys import KEM_BYTES, SIGNATURE_BYTES, X_BYTES, Advert
from huizhen.privacy.masking.streams import SEED_BYTES
from huizhen.privacy.masking.words import Coding, Outline
from huizhen.privacy.paillier.ciphertexts import HEADER
from huizhen.twin.cipher.layout import BOX_BYTES

__all__ = ["EncryptedSums", "Fill", "MaskedSums", "reply_bytes", "zeros"]

Fill = Callable[[int], bytes]  # so many bytes, of whatever
NOTHING: Mapping[str, NDArray[Any]] = MappingProxyType({})
SECRET_BYTES = 32  # of a seal, under Paillier
CONTEXT_BYTES = 32
SECONDS = 0.1  # as the time a site took; like nearly all such numbers 9 bytes


def zeros(count: int) -> bytes:
    """Bytes for those who only count them."""
    return bytes(count)


def reply_bytes(reply: Answered) -> int:
    """Bytes of the message that carries a reply."""
    return pack(reply_to(reply)).size


@dataclass(frozen=True)
class MaskedSums:
    """Masked sums of one roster, in one epoch.

    Attributes:
        roster: the sites; their names are in the messages.
        outline: of an answer's addends (`words.outline_of`).
        bits: 16 or 32, the ring of changes of weights once their scales are known.
        scales: ``first``: the round in which nothing is known; ``known``: every later one.
        individual: shape and dtype of what is released singly, by name, as arrays whose content does not matter.
        fill: where stand-in bytes come from; it also draws who neighbours whom, of 20 sites and more.

    Raises:
        CallerError: fewer than three sites, or no ring of so many bits.
    """

    roster: tuple[str, ...]
    outline: Outline
    bits: Literal[16, 32] = 16
    scales: Literal["first", "known"] = "first"
    individual: Mapping[str, NDArray[Any]] = field(default_factory=lambda: NOTHING)
    fill: Fill = zeros

    def __post_init__(self) -> None:
        _check(self.roster, self.bits)

    def reply(self, stage: str, site: str, *, lost: Iterable[str] = ()) -> Answered:
        """What a site sends in a stage.

        Args:
            lost: sites that fell silent after they had dealt their shares; in ``unmask`` their masks are told.
        """
        makers: dict[str, Callable[[], Answered]] = {
            "advertise": lambda: _answered({"advert": _advert(self.fill).facts()}),
            "share": lambda: self._share(site),
            "mask": self._mask,
            "confirm": lambda: _answered({"signature": self.fill(SIGNATURE_BYTES)}),
            "unmask": lambda: self._unmask(site, frozenset(lost)),
        }
        return _made(makers, stage, site, self.roster)

    def reply_bytes(self, stage: str, site: str, *, lost: Iterable[str] = ()) -> int:
        """How many bytes the message of that reply has."""
        return reply_bytes(self.reply(stage, site, lost=lost))

    def notice(self, stage: str, *, place: int = 0) -> Mapping[str, Any]:
        """What the hub tells all sites in a stage, beside the question."""
        if stage == "advertise":
            return {"epoch": self.epoch.identifier}
        if stage == "share":
            return {"adverts": {site: advert.facts() for site, advert in self.epoch.adverts.items()}}
        if stage == "mask":
            return told(self.coding, self.roster, place)
        if stage == "confirm":
            return {"place": place, "survivors": list(self.roster)}
        return {"place": place, "signatures": {site: self.fill(SIGNATURE_BYTES) for site in self.roster}}

    @cached_property
    def coding(self) -> Coding:
        """How numbers are coded."""
        return _coding(self.roster, self.outline, self.bits, self.scales)

    @cached_property
    def epoch(self) -> Epoch:
        """The epoch's public side, with stand-in keys."""
        return Epoch(self.fill(EPOCH_BYTES), {site: _advert(self.fill) for site in self.roster}, len(self.roster))

    def _share(self, site: str) -> Answered:
        size = self.epoch.size(site)
        share = size if self.epoch.shares(site) else 0
        boxes = tuple(Box(site, other, self.fill(BOX_BYTES + share)) for other in self.epoch.neighbours[site])
        return _answered({"promises": self.fill(size // SEED_BYTES * PROMISE_BYTES)}, boxes)

    def _mask(self) -> Answered:
        packet = {
            "outline": [list(each) for each in self.outline],
            "words": filled(words.empty(self.outline, self.coding), self.fill).facts(),
            "individual": dict(self.individual),
            "context": self.fill(CONTEXT_BYTES),
        }
        return _answered(packet)

    def _unmask(self, site: str, lost: frozenset[str]) -> Answered:
        epoch, shares = self.epoch, dict[str, dict[str, bytes]]()
        for dealer in epoch.neighbours[site]:
            names = [name for name in epoch.secrets(dealer) if _is_told(dealer, name, lost)]
            if names and epoch.shares(dealer):
                shares[dealer] = {name: self.fill(SEED_BYTES) for name in names}
        pairs = {other: self.fill(SEED_BYTES) for other in epoch.neighbours[site] if other in lost}
        return _answered({"own": self.fill(SEED_BYTES), "pairs": pairs, "shares": shares})


@dataclass(frozen=True)
class EncryptedSums:
    """Sums under packed Paillier encryption, as `MaskedSums`.

    Attributes:
        holder: the key holder; "" is the first of the roster.
        key_bits: 2048 or 3072.
    """

    roster: tuple[str, ...]
    outline: Outline
    key_bits: Literal[2048, 3072] = 3072
    holder: str = ""
    bits: Literal[16, 32] = 16
    scales: Literal["first", "known"] = "first"
    individual: Mapping[str, NDArray[Any]] = field(default_factory=lambda: NOTHING)
    fill: Fill = zeros

    def __post_init__(self) -> None:
        _check(self.roster, self.bits)

    @property
    def key_holder(self) -> str:
        return self.holder or self.roster[0]

    def reply(self, stage: str, site: str) -> Answered:
        """What a site sends in a stage."""
        holds = site == self.key_holder
        makers: dict[str, Callable[[], Answered]] = {
            "advertise": lambda: _answered({"advert": _advert(self.fill).facts()} | (self._key() if holds else {})),
            "entrust": lambda: _answered({}, tuple(self._boxes(site))),
            "encrypt": self._encrypt,
            "confirm": lambda: _answered({"signature": self.fill(SIGNATURE_BYTES)}),
            "open": lambda: _answered(
                {"opened": filled(words.empty(self.outline, self._coding), self.fill).facts()} if holds else {}
            ),
        }
        return _made(makers, stage, site, self.roster)

    def reply_bytes(self, stage: str, site: str) -> int:
        """How many bytes the message of that reply has."""
        return reply_bytes(self.reply(stage, site))

    @cached_property
    def ciphertext_bytes(self) -> Mapping[str, int]:
        """Bytes of each bundle of an answer."""
        bundles = bundles_of(self.outline, self._coding, self.key_bits)
        return {name: HEADER.size + bundle.numbers * self.key_bits // 4 for name, bundle in bundles.items()}

    @cached_property
    def _coding(self) -> Coding:
        return _coding(self.roster, self.outline, self.bits, self.scales)

    def _key(self) -> dict[str, Any]:
        numbers = {name: self.fill(self.key_bits // 8) for name in ("n", "h")}
        return {"key": numbers, "key_signature": self.fill(SIGNATURE_BYTES)}

    def _boxes(self, site: str) -> Iterable[Box]:
        others = [other for other in self.roster if other != site] if site == self.key_holder else [self.key_holder]
        return (Box(site, other, self.fill(BOX_BYTES + SECRET_BYTES)) for other in others)

    def _encrypt(self) -> Answered:
        sums = {name: self.fill(size) for name, size in self.ciphertext_bytes.items()}
        return _answered({"outline": [list(each) for each in self.outline], "sums": sums, "individual": dict(self.individual)})


def filled(blank: words.Words, fill: Fill) -> words.Words:
    """Words with stand-in numbers in them."""
    if fill is not zeros:
        for array in blank.arrays:
            array.reshape(-1).view(np.uint8)[:] = np.frombuffer(fill(array.nbytes), np.uint8)
    return blank


def _advert(fill: Fill) -> Advert:
    return Advert(fill(X_BYTES), fill(KEM_BYTES), fill(SIGNATURE_BYTES))


def _coding(roster: tuple[str, ...], outline: Outline, bits: int, scales: str) -> Coding:
    blank = words.empty(outline, Coding(len(roster), bits))
    heights = {name: np.zeros(short.runs(array.size), np.int8) for name, array in blank.short.items()}
    return Coding(len(roster), bits, heights if scales == "known" else {})


def _is_told(dealer: str, name: str, lost: frozenset[str]) -> bool:
    """Of a site that stayed the self mask; of pairs of which one stayed the pair mask."""
    return dealer not in lost if name == SELF else (dealer in lost) != (name in lost)


def _answered(packet: Mapping[str, Any], boxes: tuple[Box, ...] = ()) -> Answered:
    return Answered(None, boxes, packet, SECONDS)


def _made(makers: Mapping[str, Callable[[], Answered]], stage: str, site: str, roster: tuple[str, ...]) -> Answered:
    problems = []
    if stage not in makers:
        problems.append(Problem("stage", stage, f"one of {', '.join(makers)}"))
    if site not in roster:
        problems.append(Problem("site", site, "one of the roster"))
    if problems:
        raise CallerError("There is no such message.", problems)
    return makers[stage]()


def _check(roster: tuple[str, ...], bits: int) -> None:
    problems = []
    if len(roster) < FEWEST or len(set(roster)) != len(roster):
        problems.append(Problem("roster", f"{len(set(roster))} sites", f"at least {FEWEST}, each once"))
    if bits not in (16, 32):
        problems.append(Problem("bits", str(bits), "16 or 32"))
    if problems:
        raise CallerError("There is no such message.", problems)
