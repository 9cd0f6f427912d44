"""What the key holder does besides its own part as a site: it shares seal secrets with each site, and opens totals.

Rules, each with what it stops:

- a total is opened for a list that its own gate has agreed to, and that more than two thirds of the sites in it have signed (all of
  them, for an exact method): the hub cannot choose whose sum is seen;
- one total for each place, even if opening fails (`KeyHolder`): no two sums that differ by one site;
- with the seals of exactly those sites: the hub cannot have one site's answer opened as if it were a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from huizhen.federation.agreed import SiteIdentity, is_signed, survivors_message
from huizhen.federation.encrypted.boxes import open_posted, post
from huizhen.federation.encrypted.bundles import bundles_of, words_of
from huizhen.federation.encrypted.epoch import Epoch, refusal
from huizhen.federation.encrypted.keeping import Held, Mine
from huizhen.federation.rounds import Ask, Box
from huizhen.federation.scheme import SiteSide
from huizhen.privacy.masking.graph import threshold
from huizhen.privacy.masking.words import Words

__all__ = ["SECRET_BYTES", "entrusted", "handed_out", "opened_total"]

SECRET_BYTES = 32


def handed_out(mine: Mine, epoch: Epoch, entropy: Callable[[int], bytes]) -> tuple[Box, ...]:
    """The common seal secret, for each other site; and the key holder's own for itself."""
    mine.common, mine.owns = entropy(SECRET_BYTES), {epoch.holder: entropy(SECRET_BYTES)}
    boxes = []
    for site in epoch.sites:
        if site != epoch.holder:
            try:
                sealed = post(mine.keys, epoch.adverts[site], mine.common, purpose=(mine.identifier, epoch.holder, site))
            except ValueError:
                raise refusal(f"unusable keys of site {site}", "keys as RFC 7748 and FIPS 203 want them") from None
            boxes.append(Box(epoch.holder, site, sealed))
    return tuple(boxes)


def entrusted(mine: Mine, epoch: Epoch, members: tuple[str, ...], boxes: tuple[Box, ...]) -> dict[str, bytes]:
    """Each site's own seal secret, from its box.

    Raises:
        SiteError: boxes that are missing or do not open; all are named.
    """
    sealed = {box.sender: box.sealed for box in boxes}
    owns: dict[str, bytes] = {}
    for site in members:
        if site != epoch.holder:
            own = open_posted(mine.keys, epoch.adverts[site], sealed.get(site, b""), purpose=(mine.identifier, site, epoch.holder))
            if own is not None and len(own) == SECRET_BYTES:
                owns[site] = own
    if broken := [site for site in members if site not in owns and site != epoch.holder]:
        raise refusal(f"no box that opens, of {', '.join(broken)}", "a sealed box from each site")
    return owns


def opened_total(ask: Ask, side: SiteSide, mine: Mine, identity: SiteIdentity) -> Words:
    """The total of the sites whose list was signed.

    Raises:
        SiteError: no list, too few signatures, or a second total.
        FederationError: it is not the total of those sites, unaltered.
    """
    place, held = ask.notice.get("place"), side.kept.get("key")
    if not isinstance(place, int) or place not in mine.signed or not isinstance(held, Held):
        raise refusal("a round whose list was not signed here", "the list first")
    if place in mine.opened:
        raise refusal("a second total of a round", "one total of each round")
    survivors, totals = mine.signed[place], ask.notice.get("totals")
    _check_signed(ask, side, mine, identity, place)
    mine.opened.add(place)
    was = mine.encrypted[place]
    bundles = bundles_of(was.outline, was.coding, held.public.bits)
    if not isinstance(totals, Mapping) or set(totals) != set(bundles) or not all(isinstance(one, bytes) for one in totals.values()):
        raise refusal("totals of other parts", "a total of each part of the round's answer")
    opened: dict[str, Any] = {}
    for name, bundle in bundles.items():
        seals = {site: mine.seal(site, place, name) for site in survivors}
        opened[name] = held.holder.open_total(totals[name], bundle.layout, seals=seals)
        if len(opened[name]) != bundle.values:
            raise refusal("totals of other parts", "a total of each part of the round's answer")
    return words_of(opened, was.outline, was.coding)


def _check_signed(ask: Ask, side: SiteSide, mine: Mine, identity: SiteIdentity, place: int) -> None:
    """Raises where too few sites have signed the list that was signed here."""
    survivors, signatures = mine.signed[place], ask.notice.get("signatures")
    message = survivors_message(ask, mine.identifier, place, survivors, mine.encrypted[place].context)
    told = signatures if isinstance(signatures, Mapping) else {}
    signed = sum(site == side.site or is_signed(identity, site, told.get(site), message) for site in survivors)
    needed = len(survivors) if side.exact else threshold(len(ask.roster))
    if signed < needed:
        raise refusal(f"{signed} sound signatures of the list of survivors", f"at least {needed}")
