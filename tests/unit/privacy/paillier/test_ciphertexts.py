"""Malformed ciphertexts are refused, with the site's name and without computing."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.privacy.paillier.arithmetic import fastest
from huizhen.privacy.paillier.cipher import encrypt
from huizhen.privacy.paillier.ciphertexts import HEADER, encoded_bytes, read_ciphertexts
from huizhen.privacy.paillier.slots import Slots


@pytest.fixture
def encoded(private, slots, pool, seal):
    return encrypt(np.arange(200), private.public, slots, pool=pool, seal=seal("east"))


@pytest.fixture
def read(private, slots):
    return lambda encoded, of=slots: read_ciphertexts(encoded, private.public, of, fastest(), sender="site east")


def test_what_is_read_is_written_again(private, slots, encoded, read):
    assert read(encoded).encoded(private.public, slots, fastest()) == encoded
    assert len(encoded) == encoded_bytes(200, private.public, slots) == HEADER.size + 2 * 512


@pytest.mark.parametrize("which", [0, 1])
def test_a_number_that_is_no_ciphertext_is_refused(private, encoded, read, which):
    n = private.public.n
    for number, reason in (
        (0, "no unit"),
        (n, "no unit"),
        (private.p, "no unit"),
        (5 * private.q, "no unit"),
        (n * (n - 1), "no unit"),
        (n * n, "n\\^2 or above"),
        (n * n + 1, "n\\^2 or above"),
        ((1 << 4096) - 1, "n\\^2 or above"),
    ):
        at = HEADER.size + 512 * which
        with pytest.raises(FederationError, match=reason) as refusal:
            read(encoded[:at] + number.to_bytes(512, "little") + encoded[at + 512 :])
        assert "site east" in str(refusal.value)


@pytest.mark.parametrize(
    "change", [lambda e: e[:-1], lambda e: e + b"\0", lambda e: e[:-512], lambda e: e + e[-512:], lambda e: e[:36]]
)
def test_another_length_is_refused(encoded, read, change):
    with pytest.raises(FederationError, match="expected 1060 bytes"):
        read(change(encoded))


def test_less_than_a_header_is_refused(encoded, read):
    for length in range(HEADER.size):
        with pytest.raises(FederationError, match="a header"):
            read(encoded[:length])


def header(encoded, **changes):
    names = ("mark", "key", "values", "bits", "most", "addends")
    fields = dict(zip(names, HEADER.unpack_from(encoded), strict=True)) | changes
    return HEADER.pack(*fields.values()) + encoded[HEADER.size :]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mark": b"HzP2"}, "another kind of message"),
        ({"key": bytes(16)}, "another key"),
        ({"bits": 15}, "other bits"),
        ({"most": 6}, "other numbers of addends"),
        ({"values": 0}, "0 values"),
        ({"values": 2**64 - 1}, "values, expected 1 to"),
        ({"values": 209}, "expected 1572 bytes"),
        ({"addends": 0}, "0 addends"),
        ({"addends": 6}, "6 addends"),
    ],
)
def test_a_header_that_was_not_agreed_is_refused(encoded, read, changes, reason):
    with pytest.raises(FederationError, match=reason):
        read(header(encoded, **changes))


def test_slots_for_another_key_are_refused(encoded, read):
    with pytest.raises(FederationError, match="slots for 3072 bits"):
        read(encoded, Slots(16, 5, 3072))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000))
def test_no_bytes_whatever_do_more_than_be_refused(read, junk):
    with pytest.raises(FederationError, match="refused"):
        read(junk)
