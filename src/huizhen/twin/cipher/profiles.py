"""All algorithms that the twin knows, by name; what stands here is a fact with its source, and what does not is refused.

>>> profile("sm4-gcm").commercial
'named'
>>> profile("md5").is_broken
True
>>> profile("ckks-8192-60.40.60").security_bits
128
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from huizhen.errors import CallerError, Problem, closest
from huizhen.privacy.compression.quantising import BITS
from huizhen.privacy.masking.shamir import MOST_HOLDERS
from huizhen.twin.cipher.ckks import CKKS, read_ckks
from huizhen.twin.cipher.profile import CommercialStanding, Counts, Profile, Quantum
from huizhen.twin.course import Use

__all__ = ["KNOWN", "checked", "profile"]

SEALED, SIGNED, SUMMED = ("keys", "seal", "open"), ("keys", "sign", "verify"), ("seal", "mask", "add", "unmask", "open")
SHARE = "bytes of the secret; one holder's share; shamir-5: five open it, without a number seven"
HOMOMORPHIC = ("keys", "seal", "add", "open")
STRENGTHS = "NIST SP 800-57 part 1 revision 5, table 2"
COLLISIONS = "collisions: half the digest's bits, NIST SP 800-107 revision 1, table 1"
MECHANISMS = ("discrete_gaussian", "gaussian", "discrete_laplace", "laplace")  # as a study file names them
COMPRESSED = ("quantised", "shared", "top_k", "low_rank")
RINGS: Mapping[str, str] = MappingProxyType(
    {
        "masking": "words of 64 bits, where nothing more is said",
        "masking-16": "words of 16 bits: changes of weights, levels, thermometers",
        "masking-32": "words of 32 bits: changes of weights",
        "masking-64": "words of 64 bits: counts",
        "masking-512": "real numbers, of 512 bits each",
    }
)


def profile(name: str) -> Profile:
    """The profile of an algorithm.

    Raises:
        CallerError: it is not known here.
    """
    if name in KNOWN:
        return KNOWN[name]
    if name.startswith("ckks-"):
        return _ckks(read_ckks(name))
    if re.fullmatch(r"shamir-[1-9][0-9]{0,2}", name) and int(name[7:]) <= MOST_HOLDERS:
        return replace(KNOWN["shamir"], name=name)
    near = closest(name, tuple(KNOWN))
    remedy = f"Did you mean {near}?" if near else "Describe it in the twin's profiles before a study is forecast with it"
    raise CallerError("This protection is not known to the twin.", [Problem("algorithm", name, "one of its profiles", remedy)])


def checked(use: Use) -> Profile:
    """The profile of a use, once algorithm, step, length and times can be.

    Raises:
        CallerError: one of them cannot; all that is wrong is said.
    """
    known = profile(use.algorithm)
    problems = []
    if use.step not in known.steps:
        problems.append(Problem(f"step of {use.algorithm}", use.step, f"one of {', '.join(known.steps)}"))
    if use.length < 0:
        problems.append(Problem(f"length of {use.algorithm}", str(use.length), "0 or more"))
    if not 0 <= use.times < float("inf"):
        problems.append(Problem(f"times of {use.algorithm}", str(use.times), "0 or more and finite"))
    if problems:
        raise CallerError("This use of a protection cannot be.", problems)
    return known


def _ckks(scheme: CKKS) -> Profile:
    return Profile(
        scheme.name,
        HOMOMORPHIC,
        "numbers",
        "Cheon, Kim, Kim and Song, ASIACRYPT 2017",
        128,
        "lattice",
        "not named",
        note="128 bits by the table of the Homomorphic Encryption Standard (2018), which bounds the moduli by N",
    )


def _all() -> Iterator[Profile]:
    yield from _sealing()
    yield from _commercial()
    yield from _public()
    yield from _hashes()
    yield from _broken()
    yield from _own()


def _one(
    name: str,
    steps: tuple[str, ...],
    standard: str,
    bits: int,
    quantum: Quantum,
    *,
    commercial: CommercialStanding = "not named",
    counts: Counts = "bytes",
    broken: str = "",
    note: str = "",
) -> Profile:
    return Profile(name, steps, counts, standard, bits, quantum, commercial, broken, note)


def _sealing() -> Iterator[Profile]:
    gcm = "FIPS 197; NIST SP 800-38D"
    yield _one("aes-128-gcm", SEALED, gcm, 128, "grover")
    yield _one("aes-256-gcm", SEALED, gcm, 256, "grover")
    yield _one("chacha20-poly1305", SEALED, "RFC 8439", 256, "grover")
    record = "as TLS_AES_256_GCM_SHA384; the handshake's keys are another matter"
    yield _one("tls-1.3", ("seal", "open"), "RFC 8446, section 5.2", 256, "grover", note=record)


def _commercial() -> Iterator[Profile]:
    sm2, sm4 = "GB/T 32918.4-2016; GB/T 35276-2017", "GB/T 32907-2016; GB/T 17964-2021"
    named: CommercialStanding = "named"
    raw = "C1 C3 C2, raw: a point, a digest, then as many bytes as the plain text"
    yield _one("sm2", SEALED, sm2, 128, "shor", commercial=named, note=raw)
    yield _one("sm2-der", SEALED, sm2, 128, "shor", commercial=named, note="C1 C3 C2 as DER")
    yield _one("sm2-sign", SIGNED, "GB/T 32918.2-2016", 128, "shor", commercial=named)
    yield _one("sm2-sign-der", SIGNED, "GB/T 32918.2-2016; GB/T 35276-2017", 128, "shor", commercial=named)
    for mode in ("ctr", "cbc", "gcm"):
        yield _one(f"sm4-{mode}", SEALED, sm4, 128, "grover", commercial=named, note="RFC 8998" if mode == "gcm" else "")
    yield _one("sm3", ("hash",), "GB/T 32905-2016", 128, "grover", commercial=named, note=COLLISIONS)


def _public() -> Iterator[Profile]:
    # Of 4096 bits the table has no row: the one below it holds.
    for bits, strength in ((2048, 112), (3072, 128), (4096, 128)):
        yield _one(f"rsa-{bits}-oaep", SEALED, f"RFC 8017, section 7.1; {STRENGTHS}", strength, "shor")
        hybrid = "a fresh AES-256 key under RSA-OAEP with SHA-256, then AES-256-GCM under it"
        yield _one(f"rsa-{bits}-hybrid", SEALED, f"RFC 8017; {STRENGTHS}", strength, "shor", note=hybrid)
    yield _one("x25519", ("keys", "open"), "RFC 7748", 128, "shor", note="open: the secret shared with a peer")
    yield _one("ecdh-p256", ("open",), "NIST SP 800-56A revision 3", 128, "shor", note="open: the secret shared with a peer")
    yield _one("ml-kem-768", SEALED, "FIPS 203, table 2", 192, "lattice", note="category 3: as hard as a key search of AES-192")
    yield _one("ed25519", SIGNED, "RFC 8032", 128, "shor")
    yield _one("ecdsa-p256", SIGNED, "FIPS 186-5, section 6; RFC 3279, section 2.2.3", 128, "shor")
    yield _one("ecdsa-p384", SIGNED, "FIPS 186-5, section 6; RFC 3279, section 2.2.3", 192, "shor")


def _hashes() -> Iterator[Profile]:
    for size in (256, 384, 512):
        yield _one(f"sha-{size}", ("hash",), "FIPS 180-4", size // 2, "grover", note=COLLISIONS)
        yield _one(f"sha3-{size}", ("hash",), "FIPS 202", size // 2, "grover", note=COLLISIONS)


def _broken() -> Iterator[Profile]:
    sha_1 = "a collision was shown: Stevens et al., CRYPTO 2017; chosen prefixes: Leurent and Peyrin, USENIX Security 2020"
    md5 = "collisions in seconds: Wang and Yu, EUROCRYPT 2005; RFC 6151"
    des = "a key of 56 bits is searched in days: EFF 1998; FIPS 46-3 was withdrawn in 2005"
    tdes = "blocks of 64 bits collide: Bhargavan and Leurent, CCS 2016; NIST SP 800-67 was withdrawn in 2024"
    yield _one("sha-1", ("hash",), "FIPS 180-4", 61, "grover", broken=sha_1)
    yield _one("md5", ("hash",), "RFC 1321", 18, "grover", broken=md5)
    yield _one("des-cbc", SEALED, "FIPS 46-3", 56, "grover", broken=des)
    yield _one("3des-cbc", SEALED, "NIST SP 800-67 revision 2", 112, "grover", broken=tdes)
    biased = "its stream is biased: AlFardan et al., USENIX Security 2013; forbidden in TLS by RFC 7465"
    yield _one("rc4", SEALED, "RFC 7465", 0, "grover", broken=biased)


def _own() -> Iterator[Profile]:
    masks = "Bonawitz et al., CCS 2017; Bell et al., CCS 2020; streams of AES-128 under X25519 and ML-KEM-768 together"
    for name, ring in RINGS.items():
        yield _one(name, SUMMED, masks, 128, "lattice", counts="numbers", note=f"{ring}; seal: into the ring, mask: one stream")
    shares = "Shamir, CACM 1979: over GF(256)"
    yield _one("shamir", ("seal", "open"), shares, 0, "shares", commercial="no cipher", note=SHARE)
    for bits, strength in ((2048, 112), (3072, 128)):
        lengths = "bytes of ciphertext; of a key its bits"
        yield _one(f"paillier-{bits}", HOMOMORPHIC, f"Paillier, EUROCRYPT 1999; {STRENGTHS}", strength, "shor", note=lengths)
    noise = "Canonne, Kamath and Steinke, NeurIPS 2020"
    for name in MECHANISMS:
        yield _one(f"dp.{name}", ("mask",), noise, 0, "none", commercial="no cipher", counts="numbers", note="hides by chance")
    for kind in COMPRESSED:
        for bits in BITS:
            name = f"compress.{kind}{bits}"
            smaller = "makes smaller, hides nothing"
            steps = ("seal", "open")
            yield _one(
                name, steps, smaller, 0, "none", commercial="no cipher", counts="numbers", note="entries of the whole vector"
            )


KNOWN: Mapping[str, Profile] = MappingProxyType({one.name: one for one in _all()})
