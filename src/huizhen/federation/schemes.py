"""How the sums of a study are formed: the hub's scheme and each site's, as the study asks for them; the same on every engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace

from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.compressed import CompressedSum
from huizhen.federation.encrypted.ahead import Tally
from huizhen.federation.encrypted.scheme import EncryptedSum
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.noised.scheme import Noised
from huizhen.federation.rounds import Lane
from huizhen.federation.scheme import PlainSum, Scheme
from huizhen.federation.study import Study
from huizhen.policy.disclosure import DisclosurePolicy, strictest
from huizhen.privacy.noiseplan import NoisePlan
from huizhen.privacy.release import Terms, Variable

__all__ = ["counted_at_site", "lane_of", "noisy_at_site", "sum_at_hub", "sum_at_site", "terms_of"]


def lane_of(study: Study, *, one_process: bool) -> Lane:
    """Who sees what: without masks the hub sees addends, unless one process holds all, and the policies judge the totals."""
    if study.protection.sum != "plain":
        return "masked"
    return "embedded" if one_process else "plain"


def terms_of(
    study: Study, policies: Iterable[DisclosurePolicy], *, lane: Lane, variables: Mapping[str, Variable], roster: tuple[str, ...]
) -> Terms:
    """What participants with these policies can agree to in this study.

    Raises:
        PolicyError: a policy does not allow the lane.
    """
    noise = study.protection.noise
    terms = strictest(policies, lane=lane, variables=variables, roster=roster)
    return replace(terms, seed=study.about.seed, noise="" if noise is None else noise.level)


def sum_at_hub(study: Study, lane: Lane, tally: Tally | None = None) -> Scheme:
    """The hub's scheme."""
    return _compressed(study, _inner(study, lane, tally or Tally()))


def sum_at_site(study: Study, lane: Lane, identity: SiteIdentity, tally: Tally | None = None) -> Scheme:
    """A site's scheme; its key speaks for it, and the tally counts its obfuscators."""
    inner = _inner(study, lane, tally or Tally())
    if isinstance(inner, MaskedSum | EncryptedSum):
        inner = replace(inner, identity=identity)
    return _compressed(study, inner)


def noisy_at_site(scheme: Scheme, plan: NoisePlan | None, kept: Checkpoints, data: str) -> Scheme:
    """A site's scheme with noise where the study asks for it.

    Args:
        kept: where noisy answers are kept; data: fingerprint of the rows.
    """
    return scheme if plan is None else Noised(scheme, plan, secrets.token_bytes, kept, data)


def counted_at_site(lane: Lane, plan: NoisePlan | None, kept: Checkpoints, data: str) -> Scheme:
    """How a site tells the number of its rows: in the clear, with noise where the study asks for it."""
    return noisy_at_site(PlainSum(lane), plan, kept, data)


def _inner(study: Study, lane: Lane, tally: Tally) -> Scheme:
    protection = study.protection
    if protection.sum == "plain":
        return PlainSum(lane)
    if protection.sum == "paillier":
        return EncryptedSum(secrets.token_bytes, None, protection.key_holder, protection.key_bits, tally=tally)
    return MaskedSum(secrets.token_bytes)


def _compressed(study: Study, inner: Scheme) -> Scheme:
    compress = study.protection.compression
    return inner if compress.kind == "none" else CompressedSum(inner, compress, study.about.seed)
