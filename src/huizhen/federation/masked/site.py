"""A site's side of masked sums: what it does in each stage, and what it refuses to do.

Rules, each with what it stops:

- adverts count only with their site's signature over this very epoch: the hub cannot put its own keys between two sites, and an old
  advert is of no use;
- an epoch is entered once, and a seed masks one round only: no two answers go out under one mask;
- masks hang on all that the hub tells of a round, question, outline and scales: if it tells one site other scales, so that the
  others' numbers vanish beside this one's, or asks it something else, the masks do not cancel;
- one list of survivors is signed a round, and shares leave only when enough have signed that very list: the hub cannot ask some for
  a site's self mask and others for its pair masks;
- of an exact method the list must be the roster: no sum of fewer sites is opened;
- the gate has the last word on the list, and records it, before the signature leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag

from huizhen import canonical
from huizhen.errors import Problem, SiteError
from huizhen.federation.agreed import SiteIdentity, entered, is_signed, names_in, survivors_message, verified_adverts
from huizhen.federation.masked.epoch import ROUNDS, SELF, Epoch, bound, context_of, promise
from huizhen.federation.rounds import Ask, Box
from huizhen.federation.scheme import SiteSide, SiteTurn
from huizhen.privacy.masking import words
from huizhen.privacy.masking.keys import CIPHERTEXT_BYTES, Advert, EpochKeys, derive, open_box, seal_box
from huizhen.privacy.masking.shamir import split
from huizhen.privacy.masking.streams import SEED_BYTES, apply_masks

__all__ = ["site_turn"]


@dataclass(slots=True)
class _Mine:
    """What a site keeps of an epoch, in memory only.

    Attributes:
        seeds: of each secret that it deals, the seeds of all rounds.
        pairs: the secret shared with each neighbour, by name; complete when the boxes have come.
        held: shares of other sites' secrets.
        masked: rounds that were masked; signed: the list that was signed, by round.
        contexts: what each place was masked for; rounds: at which place a round was masked: there is one.
        room: the masked numbers of the last round, which was sent long ago; written over in the next.
    """

    identifier: bytes
    keys: EpochKeys
    advert: Advert
    epoch: Epoch | None = None
    agreed: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    pairs: dict[str, bytes] = field(default_factory=dict)
    self_seeds: bytes = b""
    held: dict[str, bytes] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    masked: set[int] = field(default_factory=set)
    signed: dict[int, tuple[str, ...]] = field(default_factory=dict)
    contexts: dict[int, bytes] = field(default_factory=dict)
    rounds: dict[int, int] = field(default_factory=dict)
    room: words.Words | None = None


def site_turn(ask: Ask, side: SiteSide, identity: SiteIdentity) -> SiteTurn:
    """A site's turn in one stage.

    Raises:
        SiteError: what it is asked does not follow the rules above.
    """
    stages = {"advertise": _advertise, "share": _share, "mask": _mask, "confirm": _confirm, "unmask": _unmask}
    if ask.stage not in stages:
        raise _refusal(f"stage {ask.stage!r}", f"one of {', '.join(stages)}")
    return stages[ask.stage](ask, side, identity)


def _advertise(ask: Ask, side: SiteSide, identity: SiteIdentity) -> SiteTurn:
    mine = side.kept["mine"] = _Mine(*entered(ask, side, identity, _refusal))
    return SiteTurn(packet={"advert": mine.advert.facts()})


def _share(ask: Ask, side: SiteSide, identity: SiteIdentity) -> SiteTurn:
    mine = _mine(side)
    if mine.epoch is not None:
        raise _refusal("an epoch whose secrets were dealt already", "a new epoch")
    adverts = verified_adverts(ask, side.site, mine.advert, mine.identifier, identity, _refusal)
    epoch = mine.epoch = Epoch(mine.identifier, adverts, len(ask.roster))
    near = epoch.neighbours[side.site]
    mine.self_seeds = identity.entropy(ROUNDS * SEED_BYTES)
    carried = {}
    for other in near:
        try:
            mine.agreed[other] = mine.keys.agree(epoch.adverts[other])
            mine.sent[other], carried[other] = mine.keys.encapsulate(epoch.adverts[other])
        except ValueError:
            raise _refusal(f"unusable keys of site {other}", "keys as RFC 7748 and FIPS 203 want them") from None
        if epoch.dealer(side.site, other) == side.site:  # the dealer's secret makes the pair's masks
            mine.pairs[other] = _pair_secret(mine.identifier, mine.agreed[other], mine.sent[other])
    seeds = {SELF: mine.self_seeds} | {other: _all_seeds(mine, other) for other in epoch.secrets(side.site)[1:]}
    secret = b"".join(seeds[name] for name in epoch.secrets(side.site))
    needed = epoch.shares(side.site)
    shares = split(secret, holders=len(near), threshold=needed, entropy=identity.entropy) if needed else (b"",) * len(near)
    boxes = [_sealed(mine, side.site, other, carried[other], share) for other, share in zip(near, shares, strict=True)]
    promises = [
        promise(mine.identifier, side.site, name, place, seeds[name][place * SEED_BYTES : (place + 1) * SEED_BYTES])
        for name in epoch.secrets(side.site)
        for place in range(ROUNDS)
    ]
    return SiteTurn(packet={"promises": b"".join(promises)}, boxes=tuple(boxes))


def _mask(ask: Ask, side: SiteSide, identity: SiteIdentity) -> SiteTurn:
    mine = _mine(side)
    epoch = mine.epoch
    members, place = names_in(ask.notice.get("members")), ask.notice.get("place")
    taken = isinstance(place, int) and (place in mine.masked or mine.rounds.get(ask.round, place) != place)
    if epoch is None or not isinstance(place, int) or not 0 <= place < ROUNDS or taken:
        raise _refusal("a round outside the epoch, or one that was masked already", "the next round of an epoch")
    if not mine.members:
        mine.members = members
        _open_boxes(ask, side.site, mine, epoch)
    if members != mine.members or not _sound(members, epoch, side.site):
        raise _refusal(
            "a list of members that is unsound, or not that of the epoch", f"at least {epoch.fewest}, this one among them"
        )
    if side.exact and members != ask.roster:
        raise _refusal(
            "a list of members without some of the roster", "the whole roster: this method wants every participant's answer"
        )
    coding = _coding(ask, len(members))
    answer = side.answer()
    outline = words.outline_of(answer)
    hidden = mine.room = words.encode(answer, outline, coding, identity.entropy, mine.room)
    mine.masked.add(place)
    context = context_of(ask, mine.identifier, place, outline)
    mine.contexts[place] = context
    mine.rounds[ask.round] = place
    plus, minus = [_self_seed(mine, place)], list[bytes]()
    for other in epoch.neighbours[side.site]:
        if other in members:
            (plus if epoch.dealer(side.site, other) == side.site else minus).append(_seed(mine, other, place))
    apply_masks(hidden.arrays, *bound(plus, minus, context))
    individual = {name: part.values for name, part in answer.parts.items() if part.kind == "individual"}
    packet = {"outline": [list(each) for each in outline], "words": hidden.facts(), "individual": individual, "context": context}
    return SiteTurn(packet=packet)


def _confirm(ask: Ask, side: SiteSide, identity: SiteIdentity) -> SiteTurn:
    mine = _mine(side)
    survivors, place = names_in(ask.notice.get("survivors")), ask.notice.get("place")
    if mine.epoch is None or place not in mine.masked or mine.signed.get(place, survivors) != survivors:
        raise _refusal("a list of survivors of another round, or a second one", "one list for the round that was masked")
    if not set(survivors) <= set(mine.members) or not _sound(survivors, mine.epoch, side.site):
        raise _refusal(f"a list of {len(survivors)} survivors", f"at least {mine.epoch.fewest} of the members, this one among them")
    if side.exact and survivors != mine.members:
        raise _refusal("a sum without some of the participants", "all of them: no sum of fewer sites is opened for this method")
    if place not in mine.signed:
        side.reveal(survivors)
        mine.signed[place] = survivors
    return SiteTurn(
        packet={"signature": identity.key.sign(survivors_message(ask, mine.identifier, place, survivors, mine.contexts[place]))}
    )


def _unmask(ask: Ask, side: SiteSide, identity: SiteIdentity) -> SiteTurn:
    mine = _mine(side)
    epoch, place = mine.epoch, ask.notice.get("place")
    if epoch is None or place not in mine.signed:
        raise _refusal("a round whose list was not signed here", "the list first")
    survivors, signatures = mine.signed[place], ask.notice.get("signatures")
    message = survivors_message(ask, mine.identifier, place, survivors, mine.contexts[place])
    signed = 1  # its own
    for site in survivors:
        if signed >= epoch.fewest:
            break
        told = signatures.get(site) if isinstance(signatures, Mapping) and site != side.site else None
        signed += is_signed(identity, site, told, message)
    if signed < epoch.fewest:
        raise _refusal(f"{signed} sound signatures of the list of survivors", f"at least {epoch.fewest}")
    dropped = set(mine.members) - set(survivors)
    near = epoch.neighbours[side.site]
    shares: dict[str, dict[str, bytes]] = {}
    for dealer, share in mine.held.items():
        # Of a site that stayed the self mask; of pairs of which one stayed the pair mask: never both of one site.
        names = [
            name
            for name in epoch.secrets(dealer)
            if (name == SELF and dealer in survivors) or _halved(dealer, name, survivors, dropped)
        ]
        found = {name: share[epoch.piece(dealer, name, place)] for name in names} if share else {}
        if found:
            shares[dealer] = found
    pairs = {other: _seed(mine, other, place) for other in near if other in dropped}
    return SiteTurn(packet={"own": _self_seed(mine, place), "pairs": pairs, "shares": shares})


def _halved(dealer: str, other: str, survivors: tuple[str, ...], dropped: set[str]) -> bool:
    return other != SELF and ((dealer in survivors and other in dropped) or (dealer in dropped and other in survivors))


def _open_boxes(ask: Ask, site: str, mine: _Mine, epoch: Epoch) -> None:
    """What the neighbours have dealt. A neighbour among the members without a box that opens is a mistake, and named."""
    boxes = {box.sender: box.sealed for box in ask.boxes}
    broken = []
    for other in epoch.neighbours[site]:
        if other not in mine.members:
            continue
        try:
            carried, sealed = boxes[other][:CIPHERTEXT_BYTES], boxes[other][CIPHERTEXT_BYTES:]
            received = mine.keys.decapsulate(carried)
            share = open_box(_box_key(mine, other, site, received), sealed, _about_box(mine, other, site))
        except (KeyError, ValueError, InvalidTag):
            broken.append(other)
            continue
        if len(share) != (epoch.size(other) if epoch.shares(other) else 0):
            broken.append(other)
        mine.held[other] = share
        if epoch.dealer(site, other) == other:
            mine.pairs[other] = _pair_secret(mine.identifier, mine.agreed[other], received)
    if broken:
        raise _refusal(f"no box that opens, of {', '.join(broken)}", "a sealed box from each neighbour")


def _sealed(mine: _Mine, site: str, other: str, carried: bytes, share: bytes) -> Box:
    key = _box_key(mine, site, other, mine.sent[other])
    return Box(site, other, carried + seal_box(key, share, _about_box(mine, site, other)))


def _box_key(mine: _Mine, sender: str, receiver: str, encapsulated: bytes) -> bytes:
    other = receiver if receiver in mine.agreed else sender
    return derive(mine.agreed[other] + encapsulated, "huizhen-box-1", mine.identifier, sender, receiver)


def _about_box(mine: _Mine, sender: str, receiver: str) -> bytes:
    return canonical.encode(["huizhen-box-1", mine.identifier, sender, receiver])


def _pair_secret(epoch: bytes, agreed: bytes, encapsulated: bytes) -> bytes:
    """Both secrets are needed; the roster is in the adverts' signatures, and the epoch stands for it."""
    return derive(agreed + encapsulated, "huizhen-pair-1", epoch)


def _seed(mine: _Mine, other: str, place: int) -> bytes:
    assert mine.epoch is not None
    return derive(mine.pairs[other], "huizhen-round-1", mine.identifier, list(mine.epoch.sites), place, size=SEED_BYTES)


def _all_seeds(mine: _Mine, other: str) -> bytes:
    return b"".join(_seed(mine, other, place) for place in range(ROUNDS))


def _self_seed(mine: _Mine, place: int) -> bytes:
    return mine.self_seeds[place * SEED_BYTES : (place + 1) * SEED_BYTES]


def _coding(ask: Ask, sites: int) -> words.Coding:
    coding = words.Coding.told(ask.notice, sites)
    if coding is None:
        raise _refusal("an unknown coding", "16 or 32 bits, and the scales of the round before")
    return coding


def _sound(sites: tuple[str, ...], epoch: Epoch, site: str) -> bool:
    """Some of the epoch's sites in their order, enough, and this one among them."""
    return sites == tuple(name for name in epoch.sites if name in set(sites)) and len(sites) >= epoch.fewest and site in sites


def _mine(side: SiteSide) -> _Mine:
    mine = side.kept.get("mine")
    if not isinstance(mine, _Mine):
        raise _refusal("a stage of an epoch that is not known here", "the stage that advertises keys first; a restart forgets them")
    return mine


def _refusal(found: str, expected: str, remedy: str = "") -> SiteError:
    return SiteError("This stage of a masked sum is not followed.", [Problem("masked sum", found, expected, remedy)])
