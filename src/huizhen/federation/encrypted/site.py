"""A site's side of encrypted sums: what it does in each stage, and what it refuses to do.

Rules, each with what it stops:

- the key and the adverts count only with their sites' signatures over this very epoch: the hub cannot put a key of its own in the
  place of the key holder's, nor an old one;
- an epoch is entered once, and a place in it is encrypted for once: no two answers go out under one seal;
- a seal is for one question, coding and outline: the hub cannot ask one site something that drowns the others;
- one list is signed for a place; of an exact method it must be the roster;
- the gate has the last word on the list, and records it, before the signature leaves.

What the key holder does besides stands in `holder`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from huizhen.federation.agreed import (
    PEERS,
    SiteIdentity,
    entered,
    is_signed,
    names_in,
    survivors_message,
    verified_adverts,
)
from huizhen.federation.encrypted.ahead import Ahead, Tally
from huizhen.federation.encrypted.boxes import open_posted, post
from huizhen.federation.encrypted.bundles import bundles_of, values_of
from huizhen.federation.encrypted.epoch import (
    ROUNDS,
    Epoch,
    context_of,
    holder_of,
    key_message,
    refusal,
)
from huizhen.federation.encrypted.holder import SECRET_BYTES, entrusted, handed_out, opened_total
from huizhen.federation.encrypted.keeping import Encrypted, Mine, held_key, mine_of, need_of, pool_of
from huizhen.federation.rounds import Ask, Box
from huizhen.federation.scheme import SiteSide, SiteTurn
from huizhen.privacy.masking import words
from huizhen.privacy.masking.graph import FEWEST, threshold
from huizhen.privacy.paillier.cipher import encrypt
from huizhen.privacy.paillier.keys import PublicKey, read_public_key

__all__ = ["Manner", "site_turn"]


@dataclass(frozen=True, slots=True)
class Manner:
    """What the study says of its encrypted sums, and who does it.

    Attributes:
        key_holder: a site's name, or "" for the first of the roster.
        key_bits: 2048 or 3072.
    """

    identity: SiteIdentity
    key_holder: str
    key_bits: int
    tally: Tally = field(default_factory=Tally)


def site_turn(ask: Ask, side: SiteSide, manner: Manner) -> SiteTurn:
    """A site's turn in one stage.

    Raises:
        SiteError, FederationError: what it is asked does not follow the rules above, or cannot be done.
    """
    stages = {"advertise": _advertise, "entrust": _entrust, "encrypt": _encrypt, "confirm": _confirm, "open": _open}
    if ask.stage not in stages:
        raise refusal(f"stage {ask.stage!r}", f"one of {', '.join(stages)}")
    return stages[ask.stage](ask, side, manner)


def _advertise(ask: Ask, side: SiteSide, manner: Manner) -> SiteTurn:
    holder, identity = holder_of(ask.roster, manner.key_holder), manner.identity
    if ask.roster and holder not in ask.roster:
        raise refusal(f"a roster without the key holder {holder}", "the site that the study names as key_holder")
    epoch, keys, advert = entered(ask, side, identity, refusal)
    mine = side.kept["mine"] = Mine(epoch, holder, keys, advert)
    packet: dict[str, Any] = {"advert": mine.advert.facts()}
    if side.site == holder:
        key = held_key(side, manner.key_bits, identity.entropy).public
        packet |= {"key": key.canonical(), "key_signature": identity.key.sign(key_message(ask, epoch, holder, key))}
    return SiteTurn(packet=packet)


def _entrust(ask: Ask, side: SiteSide, manner: Manner) -> SiteTurn:
    mine = mine_of(side)
    if mine.epoch is not None:
        raise refusal("an epoch whose secrets were entrusted already", "a new epoch")
    epoch = mine.epoch = _verified(ask, side, mine, manner)
    pool_of(side, epoch.key, manner.identity.entropy)
    if side.site == mine.holder:
        return SiteTurn(boxes=handed_out(mine, epoch, manner.identity.entropy))
    mine.own = manner.identity.entropy(SECRET_BYTES)
    try:
        sealed = post(mine.keys, epoch.adverts[mine.holder], mine.own, purpose=(mine.identifier, side.site, mine.holder))
    except ValueError:
        raise refusal(f"unusable keys of site {mine.holder}", "keys as RFC 7748 and FIPS 203 want them") from None
    return SiteTurn(boxes=(Box(side.site, mine.holder, sealed),))


def _encrypt(ask: Ask, side: SiteSide, manner: Manner) -> SiteTurn:
    mine = mine_of(side)
    epoch, place = mine.epoch, ask.notice.get("place")
    if epoch is None or not isinstance(place, int) or not 0 <= place < ROUNDS or place in mine.encrypted:
        raise refusal("a round outside the epoch, or one that was encrypted for already", "the next round of an epoch")
    _join(ask, side, mine, epoch)
    coding = words.Coding.told(ask.notice, len(mine.members))
    if coding is None:
        raise refusal("an unknown coding", "16 or 32 bits, and the scales of the round before")
    pool, need = pool_of(side, epoch.key, manner.identity.entropy), need_of(side, ask.question.step)
    with Ahead(pool, need.numbers):
        answer = side.answer()
    outline = words.outline_of(answer)
    coded = words.encode(answer, outline, coding, manner.identity.entropy)
    context = context_of(ask, epoch, place, outline)
    mine.encrypted[place] = Encrypted(outline, coding, context)
    bundles, late = bundles_of(outline, coding, epoch.key.bits), pool.late
    sums = {
        name: encrypt(values, epoch.key, bundles[name].layout, pool=pool, seal=mine.seal(side.site, place, name))
        for name, values in values_of(coded).items()
    }
    need.numbers, need.rounds = sum(bundle.numbers for bundle in bundles.values()), need.rounds + 1
    manner.tally.add(need.numbers, pool.late - late)
    individual = {name: part.values for name, part in answer.parts.items() if part.kind == "individual"}
    return SiteTurn(packet={"outline": [list(each) for each in outline], "sums": sums, "individual": individual})


def _confirm(ask: Ask, side: SiteSide, manner: Manner) -> SiteTurn:
    mine = mine_of(side)
    survivors, place = names_in(ask.notice.get("survivors")), ask.notice.get("place")
    if place not in mine.encrypted or mine.signed.get(place, survivors) != survivors:
        raise refusal("a list of survivors of another round, or a second one", "one list for the round that was encrypted for")
    if survivors != tuple(site for site in mine.members if site in set(survivors)) or len(survivors) < threshold(len(ask.roster)):
        raise refusal(f"a list of {len(survivors)} survivors", f"at least {threshold(len(ask.roster))} of the members, each once")
    if not {side.site, mine.holder} <= set(survivors):
        raise refusal("a list of survivors without this site or the key holder", "both")
    if side.exact and survivors != ask.roster:
        raise refusal("a sum without some of the participants", "all of them: no sum of fewer sites is opened for this method")
    if place not in mine.signed:
        side.reveal(survivors)
        mine.signed[place] = survivors
    return SiteTurn(
        packet={
            "signature": manner.identity.key.sign(
                survivors_message(ask, mine.identifier, place, survivors, mine.encrypted[place].context)
            )
        }
    )


def _open(ask: Ask, side: SiteSide, manner: Manner) -> SiteTurn:
    mine = mine_of(side)
    if side.site != mine.holder:
        # Opening takes five times as long as making obfuscators: the next ones are made meanwhile, if another round is likely.
        need = need_of(side, ask.question.step)
        if mine.epoch is not None and need.rounds > 1:
            pool_of(side, mine.epoch.key, manner.identity.entropy).fill(need.numbers)
        return SiteTurn()
    return SiteTurn(packet={"opened": opened_total(ask, side, mine, manner.identity).facts()})


def _join(ask: Ask, side: SiteSide, mine: Mine, epoch: Epoch) -> None:
    """Who is in the epoch, told once, with the boxes that were sent before.

    Raises:
        SiteError: another list than before, an unsound one, or boxes that do not open.
    """
    members = names_in(ask.notice.get("members"))
    sound = members == tuple(site for site in epoch.sites if site in set(members)) and len(members) >= threshold(len(ask.roster))
    if not sound or not {side.site, mine.holder} <= set(members) or (mine.members and members != mine.members):
        raise refusal(
            "a list of members that is unsound, or not that of the epoch",
            f"at least {threshold(len(ask.roster))}, this site and the key holder among them",
        )
    if side.exact and members != ask.roster:
        raise refusal(
            "a list of members without some of the roster", "the whole roster: this method wants every participant's answer"
        )
    if mine.members:
        return
    if side.site == mine.holder:
        mine.owns |= entrusted(mine, epoch, members, ask.boxes)
    else:
        box = next((box.sealed for box in ask.boxes if box.sender == mine.holder), b"")
        common = open_posted(mine.keys, epoch.adverts[mine.holder], box, purpose=(mine.identifier, mine.holder, side.site))
        if common is None or len(common) != SECRET_BYTES:
            raise refusal(f"no box that opens, of {mine.holder}", "a sealed box from the key holder")
        mine.common = common
    mine.members = members


def _verified(ask: Ask, side: SiteSide, mine: Mine, manner: Manner) -> Epoch:
    """The epoch, once each advert is signed by its site for it, and the key by its holder.

    Raises:
        SiteError: adverts or a key that do not verify, too few adverts, or not this site's own.
        FederationError: the key is unsound.
    """
    adverts = verified_adverts(ask, side.site, mine.advert, mine.identifier, manner.identity, refusal)
    if mine.holder not in adverts:
        raise refusal(f"adverts of {len(adverts)} sites", f"at least {FEWEST}, the key holder among them")
    key = read_public_key(ask.notice.get("key", {}))
    if not _is_held(ask, mine, key, manner) or key.bits != manner.key_bits:
        raise refusal(
            f"a key that does not verify, of {mine.holder}",
            f"a key of {manner.key_bits} bits that its holder signed for this epoch",
            PEERS,
        )
    return Epoch(mine.identifier, mine.holder, adverts, key)


def _is_held(ask: Ask, mine: Mine, key: PublicKey, manner: Manner) -> bool:
    message = key_message(ask, mine.identifier, mine.holder, key)
    return is_signed(manner.identity, mine.holder, ask.notice.get("key_signature"), message)
