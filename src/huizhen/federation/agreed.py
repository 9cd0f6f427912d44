"""What sites agree on without trusting the hub, however sums are protected: whose keys, who is in a sum, what a round asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huizhen import canonical
from huizhen.errors import SiteError
from huizhen.federation.rounds import Ask, QuestionIdentity
from huizhen.federation.scheme import SiteSide
from huizhen.ledger.keys import SigningKey
from huizhen.privacy.masking.graph import FEWEST
from huizhen.privacy.masking.keys import Advert, EpochKeys, make_keys, verify
from huizhen.privacy.masking.words import Outline

__all__ = [
    "EPOCH_BYTES",
    "PEERS",
    "SiteIdentity",
    "about_round",
    "advert_purpose",
    "entered",
    "is_signed",
    "names_in",
    "survivors_message",
    "verified_adverts",
]

EPOCH_BYTES = 16
PEERS = "Compare the fingerprints of the sites' keys, and ask who runs the hub"
Refusal = Callable[[str, str, str], SiteError]  # what was found, what was expected, what to do


@dataclass(frozen=True, slots=True)
class SiteIdentity:
    """Who a site is, and who the others are.

    Attributes:
        key: signs in the site's name.
        peers: the public key of every site of the federation, itself among them.
        entropy: that many bytes from a secure source.
    """

    key: SigningKey
    peers: Mapping[str, Ed25519PublicKey]
    entropy: Callable[[int], bytes] = field(repr=False)


def entered(ask: Ask, side: SiteSide, identity: SiteIdentity, refusal: Refusal) -> tuple[bytes, EpochKeys, Advert]:
    """The epoch that the hub names, with fresh keys and the signed advert of them. An epoch is entered once.

    Raises:
        SiteError: no epoch, one that was entered before, or too few sites for a sum.
    """
    known: set[bytes] = side.kept.setdefault("epochs", set())
    epoch = ask.notice.get("epoch")
    if not isinstance(epoch, bytes) or len(epoch) != EPOCH_BYTES or epoch in known:
        raise refusal("an epoch that is none, or was entered before", "16 fresh bytes", "")
    if side.site not in ask.roster or len(ask.roster) < FEWEST:
        raise refusal(f"a roster of {len(ask.roster)} sites", f"at least {FEWEST}, this one among them", "")
    known.add(epoch)
    keys = make_keys()
    bare = keys.advert()
    signature = identity.key.sign(bare.message(advert_purpose(ask, epoch, side.site)))
    return epoch, keys, replace(bare, signature=signature)


def advert_purpose(ask: Ask, epoch: bytes, site: str) -> dict[str, Any]:
    """What an advert is for."""
    return {
        "study": ask.study,
        "run": ask.run,
        "analysis": ask.analysis,
        "lineage": ask.lineage,
        "roster": list(ask.roster),
        "epoch": epoch,
        "site": site,
    }


def verified_adverts(ask: Ask, site: str, own: Advert, epoch: bytes, identity: SiteIdentity, refusal: Refusal) -> dict[str, Advert]:
    """The adverts that the hub tells, each signed by its site for this epoch; in roster order.

    Raises:
        SiteError: too few, one that is not signed by its site for this epoch, or not this site's own; all are named.
    """
    told = ask.notice.get("adverts")
    if not isinstance(told, Mapping) or not set(told) <= set(ask.roster):
        raise refusal("adverts of other sites than the roster's", "adverts of the roster's sites", "")
    adverts = {name: advert for name in ask.roster if name in told and (advert := Advert.from_facts(told[name])) is not None}
    false = [
        name
        for name in told
        if name not in adverts
        or name not in identity.peers
        or not verify(adverts[name], advert_purpose(ask, epoch, name), identity.peers[name])
    ]
    if false or adverts.get(site) != own:
        names = ", ".join(false) or site
        raise refusal(f"adverts that do not verify, of {names}", "adverts that each site signed for this epoch", PEERS)
    if len(adverts) < FEWEST:
        raise refusal(f"adverts of {len(adverts)} sites", f"at least {FEWEST}", "")
    return adverts


def survivors_message(ask: Ask, epoch: bytes, place: int, survivors: tuple[str, ...], context: bytes) -> bytes:
    """What each site signs: whose answers are in the sum of this round, of which try at it, and what the round is about."""
    about = [ask.study, ask.run, ask.analysis, ask.lineage, epoch, ask.round, place, list(survivors), context]
    return canonical.encode(["huizhen-survivors-1", *about])


def is_signed(identity: SiteIdentity, site: str, signature: Any, message: bytes) -> bool:
    """Whether a site has signed a message."""
    if not isinstance(signature, bytes) or site not in identity.peers:
        return False
    try:
        identity.peers[site].verify(signature, message)
    except InvalidSignature:
        return False
    return True


def about_round(ask: Ask, *, outline: Outline) -> list[Any]:
    """All that the hub tells of a round, as canonical values: sites that were told different things must not come to a sum.

    Else a hub could ask one site something else than the others, or tell it scales or ranges beside which the others' numbers
    vanish, and would read that site's answer in the sum. The whole notice is in it, whoever reads which part.
    """
    asked = ask.identity or QuestionIdentity.of(ask.question, ask.scope)
    about = [ask.study, ask.run, ask.analysis, ask.lineage, list(ask.roster), ask.round, asked.digest]
    return [about, dict(ask.notice), [[*each[:3], list(each[3]), each[4]] for each in outline]]


def names_in(told: Any) -> tuple[str, ...]:
    """Names of sites, as a notice tells them; none where it tells something else."""
    return tuple(told) if isinstance(told, list | tuple) and all(isinstance(name, str) for name in told) else ()
