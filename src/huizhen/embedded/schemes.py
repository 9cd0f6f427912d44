"""How the sums of a study in one process are formed: the hub's scheme, and each site's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from huizhen.errors import FederationError
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.compressed import CompressedSum
from huizhen.federation.encrypted.ahead import Tally
from huizhen.federation.encrypted.scheme import EncryptedSum
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.noised import Noised
from huizhen.federation.rounds import Lane
from huizhen.federation.scheme import PlainSum, Scheme
from huizhen.federation.study import Study
from huizhen.ledger.keys import SigningKey
from huizhen.privacy.noiseplan import NoisePlan
from huizhen.privacy.paillier.arithmetic import fastest, slowness

__all__ = ["check_enough", "lane_of", "noisy_schemes", "notes_of", "schemes"]

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
    return "embedded" if study.protection.sum == "plain" else "masked"


def schemes(study: Study, keys: Mapping[str, SigningKey], tally: Tally | None = None) -> tuple[Scheme, Mapping[str, Scheme]]:
    """The hub's scheme and each site's; the keys speak for the sites, and the tally counts their obfuscators."""
    hub, sites = _sums(study, keys, tally or Tally())
    compress = study.protection.compression
    if compress.kind == "none":
        return hub, sites
    around = {site: CompressedSum(inner, compress, study.about.seed) for site, inner in sites.items()}
    return CompressedSum(hub, compress, study.about.seed), around


def _sums(study: Study, keys: Mapping[str, SigningKey], tally: Tally) -> tuple[Scheme, Mapping[str, Scheme]]:
    if study.protection.sum == "plain":
        plain = PlainSum(lane_of(study))
        return plain, dict.fromkeys(keys, plain)
    peers = {site: key.public for site, key in keys.items()}
    entropy = secrets.token_bytes
    if study.protection.sum == "paillier":
        hub = EncryptedSum(entropy, None, study.protection.key_holder, study.protection.key_bits, tally=tally)
        return hub, {site: replace(hub, identity=SiteIdentity(key, peers, entropy)) for site, key in keys.items()}
    sites = {site: MaskedSum(entropy, SiteIdentity(key, peers, entropy)) for site, key in keys.items()}
    return MaskedSum(entropy), sites


def noisy_schemes(
    study: Study, at_sites: Mapping[str, Scheme], plan: NoisePlan | None, kept: Checkpoints, data: str
) -> tuple[Mapping[str, Scheme], Mapping[str, Scheme]]:
    """Each site's scheme, and how it tells the number of its rows: with noise where the study asks for it.

    Args:
        kept: where noisy answers are kept; data: fingerprint of the rows.
    """
    counted: Scheme = PlainSum(lane_of(study))
    if plan is None:
        return at_sites, dict.fromkeys(at_sites, counted)
    entropy = secrets.token_bytes
    noisy = {site: Noised(scheme, plan, entropy, kept, data) for site, scheme in at_sites.items()}
    return noisy, dict.fromkeys(at_sites, Noised(counted, plan, entropy, kept, data))


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
