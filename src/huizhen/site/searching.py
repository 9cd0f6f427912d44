"""Cards of other sites, as they come from the hub or stand in a folder: none is believed that its site has not signed.

The hub tells which key is a site's when a card of it is first seen. From then on that key is *known* here, and so is the highest
number that was seen: a card under another key, an older card, and another card under the same number are left out, and that is
said. What is known stands in `identity/cards.json` of the folder of whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huizhen.errors import CallerError, FederationError, HuizhenError, MachineError, Problem
from huizhen.federation.cards import LARGEST, SignedCard
from huizhen.federation.cardsearch import Match, Searchable, Wish, found_in
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.folders import write_file
from huizhen.federation.wire.ways import ActorWay
from huizhen.ledger.keys import key_id, read_public_hex
from huizhen.site.folder import open_identity
from huizhen.site.settings import read_settings

__all__ = [
    "Found",
    "KnownSites",
    "card_at_hub",
    "card_in_file",
    "cards_in",
    "known_of",
    "read_card_file",
    "search_hub",
    "sifted",
    "write_card",
]

ASK_S = 30.0
LEFT_OUT = "A card is left out."
FILE = "cards.json"  # beside an actor's keys


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        cards: with why each fits, the best first.
        left_out: cards that are not believed, with the reason.
        more: others that fit, for which the hub's answer had no room.
        looked_at: how many cards were looked through.
    """

    cards: tuple[tuple[SignedCard, Match], ...]
    left_out: tuple[Problem, ...] = ()
    more: int = 0
    looked_at: int = 0


@dataclass(slots=True)
class KnownSites:
    """Keys and numbers that were seen before.

    Attributes:
        path: where they are kept; None: nowhere.
    """

    path: Path | None
    seen: dict[str, tuple[str, int, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> KnownSites:
        """What is kept in a file; nothing where there is none.

        Raises:
            MachineError: it is damaged; without it no card is believed.
        """
        if not path.exists():
            return cls(path)
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {str(site): (str(key), int(number), str(of)) for site, (key, number, of) in content.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            remedy = "Restore it; without it nobody can tell an old card from a new one"
            raise MachineError(
                "What is known of sites cannot be read.", [Problem(str(path), "a damaged file", "keys of sites", remedy)]
            ) from None

    def doubt(self, signed: SignedCard, *, anew: bool = False) -> Problem | None:
        """Why a card is not believed; None where it is, and from now on it is known.

        Args:
            anew: take the key that the card names, whatever was known.
        """
        where = f"card of {signed.site}"
        if not signed.is_sound:
            return Problem(where, "a signature that does not fit", "a card as its site has signed it")
        key, number, digest = self.seen.get(signed.site, (signed.key, 0, ""))
        if key != signed.key and not anew:
            remedy = f"Ask the site whether it has a new key; if so: huizhen data show {signed.site} --new-key"
            found = f"the key {key_id(read_public_hex(signed.key))}"
            return Problem(where, found, f"the key {key_id(read_public_hex(key))}, which was seen before", remedy)
        if key == signed.key and signed.number < number:
            return Problem(where, f"number {signed.number}, an older card", f"number {number} or a later one")
        if key == signed.key and signed.number == number and digest != signed.digest:
            return Problem(where, f"another card under the number {number}", "one card under each number", "Ask the site")
        self.seen[signed.site] = (signed.key, signed.number, signed.digest)
        return None

    def keep(self) -> None:
        """Writes what is known.

        Raises:
            MachineError: the file cannot be written.
        """
        if self.path is not None:
            write_file(self.path, json.dumps(self.seen, ensure_ascii=False, indent=1).encode("utf-8"))


def search_hub(root: Path, wish: Wish) -> Found:
    """Cards at the hub that fit a wish.

    Args:
        root: folder of an identity.

    Raises:
        FederationError: the hub refuses, or cannot be reached. SiteError, MachineError: the folder cannot be used.
    """
    known = known_of(root)
    told = _asked(root, "search", {"wish": wish.model_dump()})
    try:
        cards, more, looked_at = list(told["cards"]), int(told["more"]), int(told["cards_read"])
    except (KeyError, TypeError, ValueError):
        raise _unreadable() from None
    found = sifted(cards, wish, known)
    known.keep()
    return Found(found.cards, found.left_out, more, looked_at)


def card_at_hub(root: Path, site: str, *, anew: bool = False) -> SignedCard:
    """The card of one site.

    Args:
        anew: take the key that it names, whatever was known.

    Raises:
        FederationError: the hub has none, or it is not believed.
    """
    known = known_of(root)
    told = _asked(root, "card", {"site": site})
    signed = SignedCard.parse(told.get("card"))
    if signed.site != site or signed.card is None:
        problem = Problem("card", "the card of another site, or none", f"the card of {site}", "Ask who runs the hub")
        raise FederationError("The hub tells something else than was asked for.", [problem])
    if (doubt := known.doubt(signed, anew=anew)) is not None:
        raise FederationError(LEFT_OUT, [doubt])
    known.keep()
    return signed


def sifted(contents: Iterable[Any], wish: Wish, known: KnownSites) -> Found:
    """Of cards as they came: those that are believed and fit, and why; whatever else came is left out, and told."""
    read: list[SignedCard] = []
    left_out: list[Problem] = []
    for number, content in enumerate(contents, 1):
        try:
            read.append(content if isinstance(content, SignedCard) else SignedCard.parse(content))
        except HuizhenError as error:
            left_out += error.problems or [Problem(f"card {number}", error.message, "a card")]
    found: list[tuple[SignedCard, Match]] = []
    for signed in read:
        doubt = _ambiguous(signed, read, known) or known.doubt(signed)
        if doubt is not None:
            left_out.append(doubt)
        elif (match := found_in(Searchable(signed), wish)) is not None:
            found.append((signed, match))
    found.sort(key=lambda pair: (pair[1].rank, pair[0].site))
    return Found(tuple(found), tuple(left_out), 0, len(read))


def _ambiguous(signed: SignedCard, others: Iterable[SignedCard], known: KnownSites) -> Problem | None:
    """Whether several keys claim one site of which none is known: then none of them is believed."""
    if signed.site in known.seen or all(one.key == signed.key for one in others if one.site == signed.site):
        return None
    remedy = "Ask the site for the key that huizhen site publish shows, and take the other card away"
    return Problem(f"card of {signed.site}", "cards under several keys", "cards under one key", remedy)


# --- files ------------------------------------------------------------------------------------------------------------------------


def write_card(signed: SignedCard, path: Path) -> None:
    """A signed card as JSON, in one step.

    Raises:
        MachineError: it cannot be written.
    """
    content = {**signed.content, "signature": signed.signature.hex()}
    write_file(path, json.dumps(content, ensure_ascii=False, indent=2).encode("utf-8"), 0o644)


def cards_in(folder: Path, wish: Wish, known: KnownSites) -> Found:
    """Cards that fit a wish, of the files ``*.json`` in a folder; of several cards of a site the newest.

    Raises:
        CallerError: there is no such folder.
    """
    if not folder.is_dir():
        raise CallerError("There are no cards here.", [Problem(str(folder), "no such folder", "a folder of cards (JSON)")])
    read: list[SignedCard] = []
    left_out: list[Problem] = []
    for path in sorted(folder.glob("*.json")):
        try:
            read.append(read_card_file(path))
        except HuizhenError as error:
            left_out += [Problem(f"{path.name}: {one.where}", one.found, one.expected, one.remedy) for one in error.problems]
    newest = {}
    for signed in sorted(read, key=lambda one: one.number):
        newest[signed.site, signed.key] = signed
    found = sifted(newest.values(), wish, known)
    return Found(found.cards, (*left_out, *found.left_out), 0, found.looked_at)


def card_in_file(folder: Path, site: str, known: KnownSites) -> SignedCard:
    """The newest card of a site in a folder.

    Raises:
        CallerError: there is none that can be believed.
    """
    found = cards_in(folder, Wish(), known)
    for signed, _ in found.cards:
        if signed.site == site:
            return signed
    problem = Problem("site", site[:80], "a site whose card stands in the folder")
    raise CallerError("There is no such card.", [problem, *found.left_out])


def read_card_file(path: Path) -> SignedCard:
    """A signed card in a file, as `write_card` wrote it.

    Raises:
        CallerError: it is none. MachineError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = file.read(4 * LARGEST + 1)
    except OSError as error:
        raise MachineError(
            "A card cannot be read.", [Problem(path.name, error.strerror or "an error", "a readable file")]
        ) from None
    try:
        if len(text) > 4 * LARGEST:
            raise ValueError
        content: Any = json.loads(text)
        content["signature"] = bytes.fromhex(content["signature"])
    except (ValueError, KeyError, TypeError, RecursionError):
        remedy = "Write one: huizhen site publish --out CARD"
        raise CallerError(
            "This is no published card.", [Problem(path.name, "another form", "a signed card as JSON", remedy)]
        ) from None
    return SignedCard.parse(content)


# --- the hub ----------------------------------------------------------------------------------------------------------------------


def known_of(root: Path) -> KnownSites:
    """What is known beside the keys of an identity."""
    return KnownSites.read(open_identity(root).root / "identity" / FILE)


def _asked(root: Path, verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the hub answers; the line only asks, so that an agent of the same folder goes on beside it."""
    folder, configuration = open_identity(root), root / "site.toml"
    proxy = read_settings(configuration).site.proxy if configuration.is_file() else ""
    with Bus(lambda: folder.access(proxy), ActorWay(folder.pair.public), None) as bus:
        return bus.ask(verb, body, timeout_s=ASK_S)


def _unreadable() -> FederationError:
    problem = Problem("search", "another form", "cards, and how many more there are", "Ask who runs the hub")
    return FederationError("The hub tells something else than was asked for.", [problem])
