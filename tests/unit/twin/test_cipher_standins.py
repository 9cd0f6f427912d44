"""Stand-ins: as long and as built as ciphertexts, opened by a simulation, and refused by every real program."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import CallerError, FederationError
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.wire import message
from huizhen.federation.wire.carried import reply_to
from huizhen.privacy.masking import words
from huizhen.privacy.masking.keys import open_box
from huizhen.privacy.paillier.arithmetic import fastest
from huizhen.privacy.paillier.ciphertexts import read_ciphertexts
from huizhen.privacy.paillier.keys import make_key
from huizhen.privacy.paillier.slots import Slots
from huizhen.twin.cipher.layout import BOX_BYTES, sealed_size
from huizhen.twin.cipher.packets import EncryptedSums, MaskedSums
from huizhen.twin.cipher.profiles import KNOWN
from huizhen.twin.cipher.standin import StandIn, is_standin, message_read, message_standin, opened, paillier_standin, standin

ROSTER = tuple(f"site-{place}" for place in range(5))
OUTLINE = (("change", "addend", "float32", (60, 100), False), ("counts", "addend", "int64", (7,), True))


def with_a_size():
    for name in KNOWN:
        try:
            sealed_size(name, 40)
        except CallerError:
            continue
        yield name


SIZED = (*with_a_size(), "ckks-8192-60.40.60")


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SIZED), st.integers(1, 150), st.integers(0, 9))
def test_a_standin_has_the_size_that_is_foretold_and_bears_its_mark(name, length, seed):
    one, size = standin(name, length, seed=seed), sealed_size(name, length)
    assert size.low - 2 <= len(one.content) <= size.high, "an integer of DER is a byte shorter once in 256 times"
    assert one == standin(name, length, seed=seed)
    assert is_standin(one.content) or len(one.content) < 8
    assert opened(one)["plain"].shape == (length,)


def test_there_are_standins_of_all_that_has_a_size():
    assert len(SIZED) == 35


def test_what_was_meant_comes_back_as_arrays_of_its_shape():
    plain = (("weights", "float32", (3, 4)), ("rows", "int64", ()))
    one = standin("sm4-gcm", 56, seed=1, key_id="east", stands_for="an update", plain=plain)
    back = opened(one, key_id="east")
    assert [(name, array.dtype.name, array.shape) for name, array in back.items()] == list(plain)
    assert one.slip.stands_for == "an update"
    with pytest.raises(CallerError, match="another key"):
        opened(one, key_id="west")
    with pytest.raises(CallerError, match="as many as the length, 57"):
        standin("sm4-gcm", 57, seed=1, plain=plain)
    with pytest.raises(CallerError, match="without the mark"):
        opened(StandIn(bytes(len(one.content)), one.slip))


def test_no_cipher_opens_a_standin_and_no_key_verifies_one():
    for name, cipher in (
        ("aes-128-gcm", AESGCM(bytes(16))),
        ("aes-256-gcm", AESGCM(bytes(32))),
        ("chacha20-poly1305", ChaCha20Poly1305(bytes(32))),
    ):
        content = standin(name, 100, seed=3).content
        with pytest.raises(InvalidTag):
            cipher.decrypt(content[:12], content[12:], None)
    hybrid = standin("rsa-2048-hybrid", 100, seed=3).content
    with pytest.raises(ValueError):
        rsa.generate_private_key(65537, 2048).decrypt(hybrid[:256], _oaep())
    with pytest.raises(InvalidSignature):
        Ed25519PrivateKey.generate().public_key().verify(standin("ed25519", 3, seed=3).content, b"abc")
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(InvalidSignature):
        public.verify(standin("ecdsa-p256", 3, seed=3).content, b"abc", ec.ECDSA(SHA256()))


def _oaep():
    from cryptography.hazmat.primitives.asymmetric import padding

    return padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)


def test_der_of_a_standin_can_be_read():
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    for seed in range(20):
        first, second = decode_dss_signature(standin("sm2-sign-der", 3, seed=seed).content)
        assert first.bit_length() <= 256 >= second.bit_length()
    point = standin("sm2", 40, seed=1).content
    assert point[0] == 4
    assert standin("sm2-der", 400, seed=1).content[:2] == b"\x30\x82"


def test_records_of_a_standin_tell_their_own_lengths():
    content, place, lengths = standin("tls-1.3", 40_000, seed=1).content, 0, []
    while place < len(content):
        assert content[place : place + 3] == b"\x17\x03\x03"
        lengths.append(int.from_bytes(content[place + 3 : place + 5], "big"))
        place += 5 + lengths[-1]
    assert lengths == [16_384 + 17, 16_384 + 17, 40_000 - 2 * 16_384 + 17]
    assert place == len(content)


def test_no_message_reader_takes_the_standin_of_a_message():
    for sums, stages in ((MaskedSums(ROSTER, OUTLINE), MASKED), (EncryptedSums(ROSTER, OUTLINE), ENCRYPTED)):
        for stage in stages:
            one = message_standin(sums, stage, ROSTER[0], seed=4)
            assert len(one.content) == sums.reply_bytes(stage, ROSTER[0])
            assert is_standin(one.content)
            with pytest.raises(FederationError, match="something else"):
                message.unpack(one.content)


MASKED, ENCRYPTED = ("advertise", "share", "mask", "confirm", "unmask"), ("advertise", "entrust", "encrypt", "confirm", "open")


def test_the_hub_of_a_simulation_reads_numbers_of_the_right_rings():
    sums = MaskedSums(ROSTER, OUTLINE, scales="known")
    one = message_standin(sums, "mask", ROSTER[1], seed=4)
    told = message_read(one).packet
    read = words.Words.from_facts(told["words"], words.outline_from(told["outline"]), sums.coding)
    assert read is not None
    assert read.short["change"].dtype == np.uint16
    assert len(np.unique(read.short["change"])) > 1000
    assert [(name, array.shape, array.dtype.name) for name, array in opened(one).items()] == [
        ("change", (60, 100), "float32"),
        ("counts", (7,), "int64"),
    ]
    real = message.pack(reply_to(message_read(one))).whole()
    with pytest.raises(CallerError, match="the stand-in of one"):
        message_read(StandIn(real, one.slip))


def test_no_site_opens_the_box_of_a_standin():
    box = MaskedSums(ROSTER, OUTLINE).reply("share", ROSTER[0]).boxes[0].sealed
    share = len(box) - BOX_BYTES
    sealed = standin("aes-256-gcm", share, seed=4).content[12:]
    with pytest.raises(InvalidTag):
        open_box(bytes(32), sealed, b"about")


def test_the_hub_of_encrypted_sums_names_a_standin_as_another_kind():
    import random

    key, slots = make_key(2048, random.Random(370).randbytes).public, Slots(16, 5, 2048)
    numbers = slots.numbers(200)
    one = paillier_standin(200, numbers=numbers, key_bits=2048, bits=16, most=5, key_id=key.key_id, seed=5)
    assert len(one.content) == 36 + numbers * 512
    assert is_standin(one.content)
    with pytest.raises(FederationError, match="another kind of message"):
        read_ciphertexts(one.content, key, slots, fastest(), sender="site east")
    with pytest.raises(CallerError) as refused:
        paillier_standin(0, numbers=0, key_bits=1024, bits=16, most=5, key_id=b"", seed=5)
    assert len(refused.value.problems) == 3


def test_real_bytes_are_no_standins():
    rng = np.random.default_rng(6)
    assert not any(is_standin(rng.bytes(100)) for _ in range(2000))
    assert not is_standin(message.pack({"words": np.zeros(900)}).whole())
    assert MaskedSum(rng.bytes).at_hub(ROSTER).notice is not None
