"""How the sums of a study in one process are formed, and what a reader is told of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from huizhen.errors import FederationError
from huizhen.federation import schemes
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.encrypted.ahead import Tally
from huizhen.federation.rounds import Lane
from huizhen.federation.scheme import Scheme
from huizhen.federation.study import Study
from huizhen.ledger.keys import SigningKey
from huizhen.privacy.noiseplan import NoisePlan
from huizhen.privacy.paillier.arithmetic import fastest, slowness

__all__ = ["check_enough", "each_sum", "lane_of", "notes_of"]

EMBEDDED = "One process held all sites: the policies judged the totals of their answers."
MASKED = (
    "One process held all sites; the sums were masked as between machines: the hub's part saw totals, and of each site its rows."
)
ENCRYPTED = (
    "One process held all sites; the sums were encrypted as between machines: the hub's part saw totals, and of each site its "
    "rows; the key holder's part opened the totals."
)


def lane_of(study: Study) -> Lane:
    """Who sees what: without masks one process holds all, and the policies judge the totals."""
    return schemes.lane_of(study, one_process=True)


def each_sum(
    study: Study, keys: Mapping[str, SigningKey], tally: Tally, plan: NoisePlan | None, kept: Checkpoints, data: str
) -> tuple[Scheme, Mapping[str, Scheme], Mapping[str, Scheme]]:
    """The hub's scheme, each site's, and how each tells the number of its rows; the keys speak for the sites.

    Args:
        tally: counts obfuscators.
        kept: where noisy answers are kept; data: fingerprint of the rows.
    """
    lane, peers = lane_of(study), {site: key.public for site, key in keys.items()}
    sites = {}
    for site, key in keys.items():
        own = schemes.sum_at_site(study, lane, SiteIdentity(key, peers, secrets.token_bytes), tally)
        sites[site] = schemes.noisy_at_site(own, plan, kept, data)
    counted = schemes.counted_at_site(lane, plan, kept, data)
    return schemes.sum_at_hub(study, lane, tally), sites, dict.fromkeys(keys, counted)


def check_enough(study: Study, sites: Sequence[str]) -> None:
    """Masks and encryption want company, and the key a holder.

    Raises:
        FederationError: there are too few sites for the sum that the study asks for, or the key holder is not among them.
    """
    if problems := study.protection.unmet_by(sites):
        paillier = study.protection.sum == "paillier"
        message = "An encrypted sum cannot be made." if paillier else "A masked sum cannot be made."
        raise FederationError(message, problems)


def notes_of(study: Study, tally: Tally) -> tuple[str, ...]:
    """What a reader of the findings is told of how the sums were formed."""
    if study.protection.sum == "plain":
        return (EMBEDDED,)
    if study.protection.sum == "masked":
        return (MASKED,)
    spent = f"Of {tally.used} obfuscators for encryption {tally.late} were made late: when they were needed, and not beforehand."
    slow = slowness(fastest())
    return (ENCRYPTED, spent, *(() if slow is None else (f"{slow.found}. {slow.remedy}",)))
