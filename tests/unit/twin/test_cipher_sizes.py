"""Sizes of ciphertexts, signatures and our own protections, against the real things."""

from __future__ import annotations

import hashlib
import random
import secrets
import ssl
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric import padding as wrapping
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

import sm2
from huizhen.errors import CallerError
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.encrypted.bundles import bundles_of, values_of
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.rounds import Answered, Ask
from huizhen.federation.scheme import SiteSide
from huizhen.federation.wire.message import pack
from huizhen.ledger.keys import new_key
from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.making import compression
from huizhen.privacy.compression.packing import pack as pack_levels
from huizhen.privacy.compression.packing import pack_places
from huizhen.privacy.compression.spec import Compress
from huizhen.privacy.masking import short, words
from huizhen.privacy.masking.graph import threshold
from huizhen.privacy.paillier.cipher import encrypt
from huizhen.privacy.paillier.keys import make_key
from huizhen.privacy.paillier.obfuscators import Pool, Table
from huizhen.privacy.paillier.seals import Seal
from huizhen.privacy.release import Answer, Part, Question
from huizhen.twin.cipher.ckks import read_ckks
from huizhen.twin.cipher.compressed import packed
from huizhen.twin.cipher.layout import PUBLIC_KEY_BYTES, layout, sealed_size
from huizhen.twin.cipher.packets import EncryptedSums, MaskedSums, reply_bytes
from huizhen.twin.cipher.profiles import KNOWN, profile

LENGTHS = st.one_of(st.integers(0, 70), st.integers(0, 100_000))
KEYS = {f"site-{place:02d}": new_key() for place in range(24)}


def exact(algorithm, length):
    size = sealed_size(algorithm, length)
    assert size.low == size.value == size.high
    return size.value


@settings(deadline=None, max_examples=25)
@given(LENGTHS)
def test_sealed_bytes_are_as_long_as_foretold(length):
    plain, nonce = bytes(length), bytes(12)
    sealed = {
        "aes-128-gcm": AESGCM(bytes(16)).encrypt(nonce, plain, None),
        "aes-256-gcm": AESGCM(bytes(32)).encrypt(nonce, plain, None),
        "chacha20-poly1305": ChaCha20Poly1305(bytes(32)).encrypt(nonce, plain, None),
    }
    for name, content in sealed.items():
        assert exact(name, length) == len(nonce + content)
    gcm = Cipher(algorithms.SM4(bytes(16)), modes.GCM(nonce)).encryptor()
    assert exact("sm4-gcm", length) == len(nonce + gcm.update(plain) + gcm.finalize() + gcm.tag)
    counter = Cipher(algorithms.SM4(bytes(16)), modes.CTR(bytes(16))).encryptor()
    assert exact("sm4-ctr", length) == len(bytes(16) + counter.update(plain) + counter.finalize())
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    chained = Cipher(algorithms.SM4(bytes(16)), modes.CBC(bytes(16))).encryptor()
    assert exact("sm4-cbc", length) == len(bytes(16) + chained.update(padded) + chained.finalize())
    for name in ("des-cbc", "3des-cbc"):
        padder = padding.PKCS7(64).padder()
        assert exact(name, length) == 8 + len(padder.update(plain) + padder.finalize())


def test_a_hybrid_is_a_wrapped_key_and_what_it_seals():
    oaep = wrapping.OAEP(wrapping.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    wrapped = rsa.generate_private_key(65537, 2048).public_key().encrypt(bytes(32), oaep)
    assert exact("rsa-2048-hybrid", 5000) == len(wrapped) + 12 + len(AESGCM(bytes(32)).encrypt(bytes(12), bytes(5000), None))
    assert exact("rsa-2048-oaep", 256 - 66) == len(wrapped)
    with pytest.raises(CallerError, match="0 to 190"):
        sealed_size("rsa-2048-oaep", 191)


def test_digests_and_signatures_have_their_standards_sizes():
    for name in ("sha-256", "sha-384", "sha-512", "sha3-256", "sha3-384", "sha3-512", "sha-1", "md5"):
        real = hashlib.new(name.replace("sha-", "sha").replace("sha3-", "sha3_"), usedforsecurity=False)
        assert exact(name, 10**9) == real.digest_size
    assert exact("sm3", 3) == hashes.SM3.digest_size
    assert exact("ed25519", 3) == len(Ed25519PrivateKey.generate().sign(b"abc"))
    _, carried = MLKEM768PrivateKey.generate().public_key().encapsulate()
    assert exact("ml-kem-768", 32) == len(carried)
    assert PUBLIC_KEY_BYTES["ml-kem-768"] == len(MLKEM768PrivateKey.generate().public_key().public_bytes_raw())


@pytest.mark.parametrize(("name", "curve"), [("ecdsa-p256", ec.SECP256R1()), ("ecdsa-p384", ec.SECP384R1())])
def test_der_signatures_lie_between_the_ends(name, curve):
    key, size = ec.generate_private_key(curve), sealed_size(name, 3)
    found = [len(key.sign(bytes([n]), ec.ECDSA(hashes.SHA256()))) for n in range(100)]
    assert np.mean([size.low <= one <= size.high for one in found]) >= 0.9
    assert np.median(found) == size.value


def test_sm2_ciphertexts_are_a_point_a_digest_and_the_text():
    rng = random.Random(3)
    key = sm2.public_key(7)
    ends = []
    for length in (1, 19, 300):
        raw, der = sm2.encrypt(bytes(length), key, rng)
        assert exact("sm2", length) == len(raw)
        size = sealed_size("sm2-der", length)
        ends.append(size.low <= len(der) <= size.high)
    assert all(ends)
    with pytest.raises(CallerError, match="1 or more"):
        sealed_size("sm2", 0)


def test_records_of_tls_are_as_many_bytes_as_the_library_writes(tmp_path):
    """The two ends speak TLS 1.3 through memory; what the one writes for 0, few and many bytes is counted."""
    client, server, out = tls_pair(tmp_path)
    for length in (1, 100, 16_384, 16_385, 100_000):
        client.write(bytes(length))
        assert exact("tls-1.3", length) == len(out.read())
    assert server.version() == "TLSv1.3"


def tls_pair(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(1), now + timedelta(1)).sign(
        key, hashes.SHA256()
    )
    pem = folder / "hub.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    at_hub = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at_hub.load_cert_chain(pem)
    at_site = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    at_site.check_hostname, at_site.verify_mode = False, ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = at_site.wrap_bio(down, up), at_hub.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    up.read()
    return client, server, up


# --- our own protections -------------------------------------------------------------------------------------------------


def answer_of(place, weights, reals=5):
    rng = np.random.default_rng(place)
    parts = {
        "sums": Part(rng.normal(size=reals), 20 + place),
        "counts": Part(rng.integers(5, 90, (2, 4)), 20 + place, cells=True),
        "change": Part(rng.normal(size=weights).astype(np.float32), 20 + place),
        "levels": Part(rng.integers(-9, 9, 300).astype(np.int16), 20 + place),
    }
    return Answer(parts, 20 + place)


def played(sites, weights, bits, rounds):
    """Every reply of some rounds of the real protocol: of each round, by stage and site."""
    roster = tuple(KEYS)[:sites]
    peers = {site: KEYS[site].public for site in roster}
    schemes = {site: MaskedSum(secrets.token_bytes, SiteIdentity(KEYS[site], peers, secrets.token_bytes), bits) for site in roster}
    hub, kept, boxes, found = MaskedSum(secrets.token_bytes, bits=bits).at_hub(roster), {site: {} for site in roster}, (), []
    for number in range(1, rounds + 1):
        told = {}
        for stage in hub.stages("sums"):
            notice, replies = hub.notice(stage), {}
            for site in roster:
                mine = tuple(box for box in boxes if box.receiver == site)
                ask = Ask("study", "run", "mean", number, stage, Question("mean", "sums"), roster, "masked", "scope", mine, notice)
                side = SiteSide(
                    site=site,
                    exact=False,
                    answer=lambda site=site: answer_of(roster.index(site), weights),
                    reveal=lambda _: None,
                    kept=kept[site],
                    lasting={},
                )
                turn = schemes[site].at_site(ask, side)
                replies[site] = Answered(turn.answer, turn.boxes, turn.packet, 0.1)
            boxes = tuple(box for reply in replies.values() for box in reply.boxes)
            assert not hub.take(stage, replies.items())
            told[stage] = (notice, replies)
        hub.summed()
        found.append((roster, told))
    return found


@pytest.mark.parametrize(("sites", "bits"), [(3, 16), (6, 32), (8, 16)])
def test_every_stage_of_a_masked_sum_is_as_many_bytes_as_the_protocol_sends(sites, bits):
    weights = 4200
    first, second = played(sites, weights, bits, rounds=2)
    outline = words.outline_of(answer_of(0, weights))
    for scales, (roster, told) in (("first", first), ("known", second)):
        sums = MaskedSums(roster, outline, bits, scales)
        for stage, (notice, replies) in told.items():
            place = notice.get("place", 0)
            assert pack({"notice": dict(sums.notice(stage, place=place))}).size == pack({"notice": dict(notice)}).size
            for site, reply in replies.items():
                assert sums.reply_bytes(stage, site) == reply_bytes(reply), (stage, site)


def test_of_many_sites_each_deals_to_its_neighbours_alone():
    sites = 24
    ((roster, told),) = played(sites, 10, 16, rounds=1)
    sums = MaskedSums(roster, words.outline_of(answer_of(0, 10)))
    for stage in ("advertise", "mask", "confirm"):
        for site, reply in told[stage][1].items():
            assert sums.reply_bytes(stage, site) == reply_bytes(reply)
    # Who is whose neighbour is drawn from the adverts, so sites differ; all of them together send the same.
    real = sum(len(box.sealed) for reply in told["share"][1].values() for box in reply.boxes)
    assert sum(len(box.sealed) for site in roster for box in sums.reply("share", site).boxes) == pytest.approx(real, rel=0.01)


def test_masks_of_the_lost_are_told():
    roster = tuple(KEYS)[:6]
    sums = MaskedSums(roster, words.outline_of(answer_of(0, 10)))
    whole, lost = (sums.reply("unmask", roster[0], lost=gone).packet for gone in ((), (roster[5],)))
    assert not whole["pairs"]
    assert set(lost["pairs"]) == {roster[5]}
    assert "" not in lost["shares"][roster[5]] if roster[5] in lost["shares"] else True
    assert threshold(6) == 5


PRIVATE = make_key(2048, random.Random(370).randbytes)  # a seed that meets primes early
TABLE = Table.of(PRIVATE.public)


@pytest.mark.parametrize("weights", [0, 130, 5000])
def test_encrypted_answers_are_as_many_bytes_as_are_sent(weights):
    answer = answer_of(1, weights)
    outline, roster = words.outline_of(answer), tuple(KEYS)[:5]
    for scales in ("first", "known"):
        if weights == 5000 and scales == "first":
            continue  # as the others, and many times as long
        sums = EncryptedSums(roster, outline, 2048, scales=scales)
        heights = {"change": np.full(short.runs(weights), 3, np.int8)} if scales == "known" else {}
        coding = words.Coding(5, 16, heights)
        bundles = bundles_of(outline, coding, 2048)
        coded = words.encode(answer, outline, coding, secrets.token_bytes)
        pool = Pool(TABLE, secrets.token_bytes, process=lambda: 1)
        sent = {
            name: len(encrypt(values, PRIVATE.public, bundles[name].layout, pool=pool, seal=Seal(bytes(32), bytes(32), b"x")))
            for name, values in values_of(coded).items()
        }
        assert sent == dict(sums.ciphertext_bytes)
        packet = {"outline": [list(each) for each in outline], "sums": {n: bytes(s) for n, s in sent.items()}, "individual": {}}
        assert sums.reply_bytes("encrypt", roster[1]) == reply_bytes(Answered(None, (), packet, 0.1))
    assert sums.reply_bytes("advertise", roster[0]) > sums.reply_bytes("advertise", roster[1]) + 512
    assert len(sums.reply("entrust", roster[0]).boxes) == 4


SHAPES = st.lists(
    st.one_of(st.tuples(st.integers(1, 900)), st.tuples(st.integers(1, 60), st.integers(1, 60))), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=40)
@given(
    SHAPES,
    st.sampled_from(["quantised", "shared", "top_k", "low_rank"]),
    st.sampled_from([8, 10, 12, 16]),
    st.booleans(),
)
def test_compressed_changes_are_as_many_bytes_as_are_packed(shapes, kind, bits, odd):
    spec = Compress(kind, bits, share=0.25, rank=2)
    blocks = Blocks(tuple(map(str, range(len(shapes)))), tuple(shapes))
    shrinking = compression(spec, blocks)
    public = shrinking.begin(3, np.ones(len(shapes)))
    values = np.random.default_rng(1).normal(size=blocks.size).astype(np.float32)
    entropy = np.random.default_rng(2).bytes
    if odd:
        public = shrinking.next_public(public, shrinking.total([shrinking.shrink(values, public, entropy)], public), 1)
    shrunk = shrinking.shrink(values, public, entropy)
    sent = packed(spec, shapes, odd=odd)
    assert sent.levels == len(shrunk.values)
    assert sent.level_bytes == len(pack_levels(shrunk.values, bits))
    assert sent.place_bytes == (0 if shrunk.places is None else len(pack_places(shrunk.places, blocks.size)))


def test_ckks_is_two_polynomials_of_residues():
    scheme = read_ckks("ckks-16384-60.40.40.40.60")
    assert scheme.ciphertext_bytes() == 2 * 16384 * 4 * 8
    assert scheme.ciphertext_bytes(spent=3) == 2 * 16384 * 1 * 8
    assert scheme.ciphertexts(8193) == 2
    # Stored by SEAL 4.1 without compression, 4 residues: 1,048,689 bytes; 2 of N = 8192: 262,257; measured.
    assert scheme.stored_bytes() == 1_048_689
    assert exact("ckks-8192-60.40.60", 4096) == 262_257
    with pytest.raises(CallerError, match="at most 218 bits"):
        read_ckks("ckks-8192-60.60.60.60")
    with pytest.raises(CallerError, match="0 to 1"):
        read_ckks("ckks-8192-60.40.60").ciphertext_bytes(spent=2)


def test_ckks_of_a_library_lies_between_the_ends():
    tenseal = pytest.importorskip("tenseal", reason="TenSEAL is not installed: the size of CKKS is checked by its formula alone")
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 60])
    context.global_scale = 2.0**40
    scheme = read_ckks("ckks-8192-60.40.60")
    assert scheme.least_bytes() < len(tenseal.ckks_vector(context, [1.5] * 4096).serialize()) < scheme.stored_bytes()


# --- what is refused, and what is said ----------------------------------------------------------------------------------


def test_a_size_that_cannot_be_told_is_refused():
    for name, length in (("aes-256-gcm", -1), ("masking", 3), ("aes-512-gcm", 3), ("ckks-8192", 3)):
        with pytest.raises(CallerError):
            sealed_size(name, length)
    with pytest.raises(CallerError, match="Did you mean sm4-gcm"):
        profile("sm4gcm")
    with pytest.raises(CallerError, match="fixed sizes"):
        layout("sm2-der", 3)
    sums = MaskedSums(("a", "b", "c"), ())
    with pytest.raises(CallerError) as refused:
        sums.reply("unseal", "d")
    assert len(refused.value.problems) == 2
    with pytest.raises(CallerError):
        replace(sums, roster=("a", "b"))


def test_what_is_broken_is_flagged_with_who_broke_it():
    broken = {name for name, one in KNOWN.items() if one.is_broken}
    assert broken == {"sha-1", "md5", "des-cbc", "3des-cbc", "rc4"}
    assert not any(KNOWN[name].may_protect for name in broken)
    assert all(one.standard for one in KNOWN.values())


def test_a_profile_says_what_lasts_and_what_chinese_rules_count():
    assert {name for name, one in KNOWN.items() if one.commercial == "named"} == {
        *("sm2", "sm2-der", "sm2-sign", "sm2-sign-der", "sm3", "sm4-cbc", "sm4-ctr", "sm4-gcm")
    }
    assert profile("ml-kem-768").outlasts_quantum
    assert not profile("sm2").outlasts_quantum
    assert not profile("rsa-4096-hybrid").outlasts_quantum
    assert profile("masking").outlasts_quantum
