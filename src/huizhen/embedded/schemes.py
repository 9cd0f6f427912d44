"""How the sums of a study in one process are formed: the hub's scheme, and each site's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from huizhen.errors import FederationError, Problem
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.compressed import CompressedSum
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.masked.site import SiteIdentity
from huizhen.federation.noised import Noised
from huizhen.federation.rounds import Lane
from huizhen.federation.scheme import PlainSum, Scheme
from huizhen.federation.study import Study
from huizhen.ledger.keys import SigningKey
from huizhen.privacy.masking.graph import FEWEST
from huizhen.privacy.noiseplan import NoisePlan

__all__ = ["check_enough", "lane_of", "noisy_schemes", "schemes"]


def lane_of(study: Study) -> Lane:
    """Who sees what: without masks one process holds all, and the policies judge the totals."""
    return "masked" if study.protection.sum == "masked" else "embedded"


def schemes(study: Study, keys: Mapping[str, SigningKey]) -> tuple[Scheme, Mapping[str, Scheme]]:
    """The hub's scheme and each site's; the keys speak for the sites."""
    hub, sites = _sums(study, keys)
    compress = study.protection.compression
    if compress.kind == "none":
        return hub, sites
    around = {site: CompressedSum(inner, compress, study.about.seed) for site, inner in sites.items()}
    return CompressedSum(hub, compress, study.about.seed), around


def _sums(study: Study, keys: Mapping[str, SigningKey]) -> tuple[Scheme, Mapping[str, Scheme]]:
    if study.protection.sum == "plain":
        plain = PlainSum(lane_of(study))
        return plain, dict.fromkeys(keys, plain)
    peers = {site: key.public for site, key in keys.items()}
    entropy = secrets.token_bytes
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


def check_enough(study: Study, sites: int) -> None:
    """Masks want company.

    Raises:
        FederationError: there are too few sites for the sum that the study asks for.
    """
    if study.protection.sum == "masked" and sites < FEWEST:
        remedy = "Add sites, or use sum = 'plain'"
        expected = f"at least {FEWEST}: of a sum of two each site knows the other's answer"
        raise FederationError("A masked sum cannot be made.", [Problem("protection.sum", f"{sites} sites", expected, remedy)])
