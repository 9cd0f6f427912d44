"""A site's decision on a proposal: accept, decline or withdraw; signed with its identity key, so that nobody decides for it.

What is signed names the proposal by its digest and the study's life by its id: a consent says nothing about any other proposal,
and one that is sent again says nothing new.

    >>> from huizhen.ledger.keys import new_key
    >>> key = new_key()
    >>> said = Consent("ab" * 32, "study-1", "east", "decline", "no time", "2026-01-01T00:00:00+00:00").signed(key)
    >>> said.is_signed_by(key.public), said.is_signed_by(new_key().public)
    (True, False)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, field_validator

from huizhen import canonical
from huizhen.clock import moment
from huizhen.federation.bodies import Body, read_body
from huizhen.ids import NAME_RULE, is_name
from huizhen.ledger.chain import Signer
from huizhen.privacy.release import EMPTY

__all__ = ["Choice", "Consent", "told_rows"]

PURPOSE = "huizhen-consent-1"
LARGEST = 262_144  # bytes of a consent
Choice = Literal["accept", "decline", "withdraw"]


class _Written(Body):
    proposal: str = Field(pattern=r"^[0-9a-f]{64}$")
    study: str
    site: str
    choice: Choice
    reason: str = Field(max_length=2000)
    at: str
    rows: int = Field(ge=0, le=10**12)
    policy: dict[str, Any]
    reads: dict[str, dict[str, Any]]
    signature: bytes = Field(min_length=64, max_length=64)

    @field_validator("study", "site")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not is_name(name):
            raise ValueError(f"a name: {NAME_RULE}")
        return name

    @field_validator("at")
    @classmethod
    def _time(cls, text: str) -> str:
        moment(text)
        return text


@dataclass(frozen=True, slots=True)
class Consent:
    """One decision of one site.

    Attributes:
        proposal: digest of what is decided on; study: the id of its life.
        reason: in the words of who decided; may be "".
        at: by the site's clock, which need not be right: nothing is decided by it.
        rows: rows of the cohort, rounded down (`told_rows`); 0 where the study does not ask for them.
        policy: of an acceptance, the disclosure policy that will be held to, clause by clause.
        reads: of an acceptance, how the source holds each variable.
        signature: Ed25519 over all of the above, 64 bytes.
    """

    proposal: str
    study: str
    site: str
    choice: Choice
    reason: str
    at: str
    rows: int = 0
    policy: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    reads: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    signature: bytes = b""

    @classmethod
    def parse(cls, body: Any) -> Consent:
        """The consent in a body; its signature is still to be checked.

        Raises:
            CallerError: with every mistake.
        """
        return cls(**read_body(_Written, body, what="consent", largest=LARGEST).model_dump())

    @property
    def content(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**self._said, "signature": self.signature}

    def signed(self, key: Signer) -> Consent:
        """The same decision with a signature."""
        return replace(self, signature=key.sign(self._message))

    def is_signed_by(self, public: Ed25519PublicKey) -> bool:
        """Whether the key's holder decided exactly this."""
        try:
            public.verify(self.signature, self._message)
        except InvalidSignature:
            return False
        return True

    @property
    def _said(self) -> dict[str, Any]:
        return {
            "proposal": self.proposal,
            "study": self.study,
            "site": self.site,
            "choice": self.choice,
            "reason": self.reason,
            "at": self.at,
            "rows": self.rows,
            "policy": dict(self.policy),
            "reads": dict(self.reads),
        }

    @property
    def _message(self) -> bytes:
        return canonical.encode([PURPOSE, self._said])


def told_rows(rows: int) -> int:
    """A number of rows as it is told with an acceptance: rounded down to two digits, so that it tells of no single patient.

    >>> told_rows(1287), told_rows(99), told_rows(7)
    (1200, 90, 0)
    """
    step: int = max(10 ** (len(str(rows)) - 2), 10)
    return rows // step * step
