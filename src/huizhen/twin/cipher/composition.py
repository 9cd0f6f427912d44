"""What an algorithm's step is made of, where it was not measured by itself: records of their cipher, hybrids of both halves.

SM2 has no implementation in the libraries used here, so its time is that of the same operations on the NIST curve of the same size:
two products with points to seal, one to open (GB/T 32918.4, sections 6 and 7), and SM3 over the key stream (64 and 4 bytes for
every 32, so 128 bytes of blocks) and over the message.

>>> [(part.algorithm, part.length, part.times) for part in composed(Use("tls-1.3", "seal", 40_000))]
[('aes-256-gcm', 16385, 2.0), ('aes-256-gcm', 7233, 1.0)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from huizhen.twin.cipher.ckks import read_ckks
from huizhen.twin.cipher.layout import RECORD, RECORD_KIND
from huizhen.twin.course import Use

__all__ = ["composed"]

CKKS_UNIT = "ckks-8192-60.40.60"  # which the reference device was measured with
SM2_STREAM = 4  # bytes of SM3's blocks for a byte of key stream
NEEDED = 7  # shares of the secret that was measured
Parts = tuple[Use, ...]


def composed(use: Use) -> Parts:
    """The uses that it is made of, its `times` among theirs; () where it is not made of others."""
    if use.algorithm.startswith("ckks-"):
        return _ckks(use)
    if use.algorithm.startswith("shamir-"):
        more = int(use.algorithm[7:]) / NEEDED
        return (Use("shamir", use.step, max(round(use.length * more), 1), use.times),)
    return _COMPOSED[use.algorithm](use) if use.algorithm in _COMPOSED else ()


def _records(use: Use) -> Parts:
    whole, rest = divmod(use.length, RECORD)
    full = (Use("aes-256-gcm", use.step, RECORD + RECORD_KIND, use.times * whole),) if whole else ()
    return (*full, Use("aes-256-gcm", use.step, rest + RECORD_KIND, use.times)) if rest else full


def _hybrid(use: Use) -> Parts:
    wrap = use.algorithm.replace("-hybrid", "-oaep")
    if use.step == "keys":
        return (Use(wrap, "keys", use.length, use.times),)
    return (Use(wrap, use.step, 32, use.times), Use("aes-256-gcm", use.step, use.length, use.times))


def _sm2(use: Use) -> Parts:
    if use.step == "keys":
        return (Use("ecdsa-p256", "keys", 32, use.times),)
    products = 2 if use.step == "seal" else 1
    stream = Use("sm3", "hash", (SM2_STREAM + 1) * use.length + 64, use.times)
    return (Use("ecdh-p256", "open", 32, use.times * products), stream)


def _sm2_sign(use: Use) -> Parts:
    if use.step == "keys":
        return (Use("ecdsa-p256", "keys", 32, use.times),)
    # The signer's identity and key are hashed first, then the message behind that digest: GB/T 32918.2, section 5.5.
    hashed = (Use("sm3", "hash", 210, use.times), Use("sm3", "hash", use.length + 32, use.times))
    return (Use("ecdsa-p256", use.step, 32, use.times), *hashed)


def _ckks(use: Use) -> Parts:
    """As many transforms as another ring has, of their length times its logarithm."""
    scheme, unit = read_ckks(use.algorithm), read_ckks(CKKS_UNIT)
    if use.algorithm == CKKS_UNIT:
        return ()
    size = scheme.degree * scheme.degree.bit_length() * (len(scheme.chain) - 1)
    more = size / (unit.degree * unit.degree.bit_length() * (len(unit.chain) - 1))
    count = max(scheme.ciphertexts(use.length), 1) if use.step != "keys" else 1
    return (Use(CKKS_UNIT, use.step, unit.slots, use.times * more * count),)


def _as(other: str, share: float = 1.0) -> Callable[[Use], Parts]:
    return lambda use: (Use(other, use.step, use.length, use.times * share),)


_COMPOSED: Mapping[str, Callable[[Use], Parts]] = MappingProxyType(
    {
        "tls-1.3": _records,
        "masking": _as("masking-64"),
        "des-cbc": _as("3des-cbc", 1 / 3),
        **{f"rsa-{bits}-hybrid": _hybrid for bits in (2048, 3072, 4096)},
        **dict.fromkeys(("sm2", "sm2-der"), _sm2),
        **dict.fromkeys(("sm2-sign", "sm2-sign-der"), _sm2_sign),
    }
)
