"""NKeys: one key has one text, and a changed letter is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.federation.wire.nkeys import is_public, new_pair, pair_from_bytes, pair_from_seed, verify

KINDS = {"operator": "O", "account": "A", "user": "U"}
# The seed and the public key of the example in the documentation of nats-server's NKey authentication.
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


def test_a_seed_made_by_the_tools_of_nats_gives_the_key_that_they_say():
    assert pair_from_seed(SEED).public == PUBLIC
    assert pair_from_seed(SEED).seed() == SEED


@given(st.sampled_from(sorted(KINDS)), st.binary(min_size=32, max_size=32))
def test_a_seed_gives_its_key_back_and_begins_with_the_letters_of_its_kind(kind, secret):
    pair = pair_from_bytes(kind, secret)
    assert pair.seed().startswith("S" + KINDS[kind])
    assert pair.public.startswith(KINDS[kind])
    back = pair_from_seed(pair.seed())
    assert (back.kind, back.public) == (kind, pair.public)
    assert verify(pair.public, b"nonce", back.sign(b"nonce"))
    assert [is_public(pair.public, other) for other in KINDS] == [other == kind for other in KINDS]


@given(st.integers(0, 55), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_public_key_with_one_letter_changed_is_none(at, letter):
    changed = PUBLIC[:at] + letter + PUBLIC[at + 1 :]
    assert is_public(changed, "user") == (changed == PUBLIC)


@given(st.integers(0, 57), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_seed_with_one_letter_changed_is_refused_and_not_repeated(at, letter):
    changed = SEED[:at] + letter + SEED[at + 1 :]
    if changed == SEED:
        return
    with pytest.raises(FederationError) as refused:
        pair_from_seed(changed)
    assert changed not in str(refused.value)


@given(st.text(max_size=80) | st.none() | st.integers())
def test_anything_else_is_no_public_key(text):
    assert not is_public(text, "user")


def test_a_signature_of_another_message_or_key_does_not_verify():
    one, other = new_pair("user"), new_pair("user")
    assert not verify(one.public, b"other", one.sign(b"nonce"))
    assert not verify(other.public, b"nonce", one.sign(b"nonce"))
    assert not verify("U" * 56, b"nonce", one.sign(b"nonce"))
    assert not verify(one.public, b"nonce", b"short")


def test_a_pair_shows_no_secret():
    pair = new_pair("user")
    assert pair.seed() not in repr(pair)
    assert "Private" not in repr(pair)
