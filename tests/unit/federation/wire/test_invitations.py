"""Invitations: a code that is cut is found, a request is bound to its keys and to its invitation."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen import canonical
from huizhen.errors import CallerError
from huizhen.federation.wire.certificates import authority_digest, der_of, new_authority
from huizhen.federation.wire.invitations import (
    Invitation,
    bind_key,
    fingerprint,
    guest_pair,
    join_body,
    read_code,
    read_join,
    write_code,
)
from huizhen.federation.wire.nkeys import new_pair
from huizhen.ledger.keys import new_key, public_hex

AUTHORITY = new_authority("h", datetime(2026, 1, 1, tzinfo=UTC)).certificate
HUB, SITE, IDENTITY = new_key(), new_pair("user"), new_key()
INVITATION = Invitation(
    "00ff", "east", "site", 1_900_000_000, ("tls://h.example:4222",), der_of(AUTHORITY), new_pair("account").public,
    public_hex(HUB.public), "a.b.c", bytes(range(32)),
)  # fmt: skip
KEY = bind_key(INVITATION.secret)
BODY = join_body(INVITATION, SITE, IDENTITY)


def test_a_code_gives_its_invitation_back_also_over_several_lines():
    code = write_code(INVITATION)
    assert read_code(code) == INVITATION
    assert read_code("\n ".join(code[i : i + 70] for i in range(0, len(code), 70))) == INVITATION


@given(st.data())
def test_a_code_that_was_cut_or_mistyped_is_found_and_not_repeated(data):
    code = write_code(INVITATION)
    at = data.draw(st.integers(0, len(code) - 2))
    changed = data.draw(
        st.sampled_from([code[:at], code[:at] + code[at + 1 :], code[:at] + ("A" if code[at] != "A" else "B") + code[at + 1 :]])
    )
    with pytest.raises(CallerError, match="cannot be read") as refused:
        read_code(changed)
    assert changed == "" or changed not in str(refused.value) or len(changed) < 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "a.b"},
        {"name": "../x"},
        {"role": "hub"},
        {"addresses": ()},
        {"account": "A"},
        {"secret": b"short"},
        {"hub": "0"},
        {"authority": b"x"},
    ],
)
def test_a_code_with_another_content_is_refused(wrong):
    with pytest.raises(CallerError, match="cannot be read"):
        read_code(write_code(replace(INVITATION, **wrong)))


def test_a_sound_request_is_read():
    request = read_join(canonical.decode(canonical.encode(BODY)), KEY)
    assert (request.invitation, request.name, request.nkey) == ("00ff", "east", SITE.public)
    assert request.identity == public_hex(IDENTITY.public)


@pytest.mark.parametrize("field", sorted(BODY))
def test_a_request_with_any_field_changed_missing_or_of_another_kind_is_none(field):
    value = BODY[field]
    other = value[:-1] + (b"\0" if value[-1:] != b"\0" else b"\1") if isinstance(value, bytes) else new_pair("user").public
    for changed in (other, None, 7.5, [], b"", "\ud800"):
        assert read_join({**BODY, field: changed}, KEY) is None
    assert read_join({name: inner for name, inner in BODY.items() if name != field}, KEY) is None
    assert read_join({**BODY, "more": 1}, KEY) is None


def bound(body, key=KEY):
    """`body` with a binding by whoever knows the invitation."""
    import hmac

    rest = {name: value for name, value in body.items() if name != "binding"}
    return {**rest, "binding": hmac.digest(key, canonical.encode(rest), "sha256")}


def test_the_binding_alone_does_not_let_in_keys_that_did_not_sign():
    assert read_join(bound(BODY), KEY) is not None
    assert read_join(bound({**BODY, "nkey": new_pair("user").public}), KEY) is None
    assert read_join(bound({**BODY, "identity": public_hex(new_key().public)}), KEY) is None
    assert read_join(bound({**BODY, "name": "west"}), KEY) is None


def test_signatures_alone_do_not_let_in_whoever_did_not_see_the_code():
    assert read_join(bound(BODY, bind_key(bytes(32))), KEY) is None


def test_the_keys_derived_from_a_secret_differ_and_show_nothing_of_it():
    assert bind_key(INVITATION.secret) != INVITATION.secret
    assert guest_pair(INVITATION.secret).public != guest_pair(bytes(32)).public
    assert str(INVITATION.secret) not in repr(INVITATION)


def test_a_fingerprint_depends_on_name_keys_and_hub():
    digest = authority_digest(AUTHORITY)
    facts = ("east", SITE.public, public_hex(IDENTITY.public), digest)
    shown = fingerprint(*facts)
    assert [len(group) for group in shown.split("-")] == [4] * 5
    others = ("west", new_pair("user").public, public_hex(new_key().public), bytes(32))
    assert len({fingerprint(*facts[:i], other, *facts[i + 1 :]) for i, other in enumerate(others)} | {shown}) == 5
