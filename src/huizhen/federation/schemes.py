"""How the sums of a study are formed: the hub's scheme and each site's, as the study asks for them; the same on every engine."""

from __future__ import annotations

import secrets
from dataclasses import replace

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
from huizhen.privacy.noiseplan import NoisePlan

__all__ = ["counted_at_site", "lane_of", "noisy_at_site", "sum_at_hub", "sum_at_site"]


def lane_of(study: Study, *, one_process: bool) -> Lane:
    """Who sees what: without masks the hub sees addends, unless one process holds all, and the policies judge the totals."""
    if study.protection.sum != "plain":
        return "masked"
    return "embedded" if one_process else "plain"


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
