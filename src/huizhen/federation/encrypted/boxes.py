"""A sealed box between a site and the key holder, under keys that both have signed for the epoch."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from huizhen import canonical
from huizhen.privacy.masking.keys import CIPHERTEXT_BYTES, Advert, EpochKeys, derive, open_box, seal_box

__all__ = ["open_posted", "post"]


def post(keys: EpochKeys, receiver: Advert, content: bytes, *, purpose: tuple[bytes, str, str]) -> bytes:
    """The content, sealed for one site: X25519 between both, and a fresh ML-KEM secret for the receiver.

    Args:
        purpose: the epoch, who sends and who receives.

    Raises:
        ValueError: the receiver's keys are unusable.
    """
    secret, carried = keys.encapsulate(receiver)
    return carried + seal_box(_key(keys.agree(receiver), secret, purpose), content, canonical.encode(list(purpose)))


def open_posted(keys: EpochKeys, sender: Advert, sealed: bytes, *, purpose: tuple[bytes, str, str]) -> bytes | None:
    """The content of a box; None where it was changed, is for someone else, or from someone else."""
    try:
        secret = keys.decapsulate(sealed[:CIPHERTEXT_BYTES])
        return open_box(_key(keys.agree(sender), secret, purpose), sealed[CIPHERTEXT_BYTES:], canonical.encode(list(purpose)))
    except (ValueError, InvalidTag):
        return None


def _key(agreed: bytes, secret: bytes, purpose: tuple[bytes, str, str]) -> bytes:
    return derive(agreed + secret, "huizhen-paillier-box-1", *purpose)
