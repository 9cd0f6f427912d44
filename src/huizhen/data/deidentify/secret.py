"""What a site's secret gives: pseudonyms, days to shift a patient's dates by, UIDs; the same for the same input, and only there.

Each is HMAC-SHA256 (RFC 2104, FIPS 198-1) of a purpose and a value under the site's key, so that one cannot be computed from
another and
none without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b32encode, b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_BYTES", "Secret"]

KEY_BYTES = 32
DIGITS = 20  # of a pseudonym in base 32: 100 bits; among 10^9 patients two meet with a chance of 4e-13
STANDARD_UIDS = "1.2.840.10008."  # registered by DICOM (PS3.6): classes and syntaxes, which name nobody


@dataclass(frozen=True, slots=True)
class Secret:
    """A site's key for de-identification, usable and not shown.

    >>> Secret(bytes(32)).pseudonym("patient", "A1") == Secret(bytes(32)).pseudonym("patient", "A1")
    True
    >>> Secret(bytes(32))
    Secret()
    """

    _key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self._key) == KEY_BYTES, "a key has 32 bytes"

    def pseudonym(self, purpose: str, value: str) -> str:
        """20 characters (a-z, 2-7) that stand for a value; columns that are to be joined share a purpose."""
        return b32encode(self._digest("pseudonym " + purpose, value)).decode("ascii")[:DIGITS].lower()

    def days(self, patient: str, *, most: int) -> int:
        """By how many days the dates of a patient move: -most to most, never 0, all equally likely."""
        drawn = int.from_bytes(self._digest("days", patient)[:16], "big") % (2 * most)
        return drawn - most if drawn < most else drawn - most + 1

    def uid(self, uid: str) -> str:
        """A DICOM UID in place of another (``2.25.`` and 128 bits, PS3.5 B.2); UIDs of the standard itself stay."""
        if uid.startswith(STANDARD_UIDS) or not uid:
            return uid
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"

    @property
    def mark(self) -> str:
        """Tells one key from another, and nothing of either."""
        return self.pseudonym("mark of the key", "")

    def sealed(self, value: Any) -> str:
        """A JSON value that only the key opens: AES-256-GCM (NIST SP 800-38D).

        The nonce comes from the value itself, so that the same value gives the same text and no nonce serves two values.
        """
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        nonce = hmac.digest(self._digest("nonce", ""), plain, hashlib.sha256)[:12]
        return b64encode(nonce + AESGCM(self._digest("seal", "")).encrypt(nonce, plain, None)).decode("ascii")

    def opened(self, sealed: Any) -> Any:
        """What was sealed; None where this key did not seal it."""
        try:
            whole = b64decode(sealed, validate=True)
            plain = AESGCM(self._digest("seal", "")).decrypt(whole[:12], whole[12:], None)
        except (InvalidTag, ValueError, TypeError):
            return None
        return json.loads(plain.decode("utf-8", "surrogatepass"))

    def _digest(self, purpose: str, value: str) -> bytes:
        message = purpose.encode() + b"\x00" + value.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, b"huizhen deidentify 1\x00" + message, hashlib.sha256)
