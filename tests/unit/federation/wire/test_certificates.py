"""Certificates: one authority, its servers, in time."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from huizhen.errors import FederationError
from huizhen.federation.wire.certificates import (
    authority_digest,
    der_of,
    names_of,
    needs_renewal,
    new_authority,
    new_server_certificate,
    pem_of,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AUTHORITY = new_authority("huizhen hub", NOW)
NAMES = ["hub.example.org", "127.0.0.1", "::1"]
SERVER = new_server_certificate(AUTHORITY, NAMES, NOW)


def verified(server, authority, name="hub.example.org", at=NOW):
    store = Store([x509.load_pem_x509_certificate(authority.certificate)])
    verifier = PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(name))
    return verifier.verify(x509.load_pem_x509_certificate(server.certificate), [])


def test_a_server_certificate_stands_under_its_authority():
    assert len(verified(SERVER, AUTHORITY)) == 2
    assert set(names_of(SERVER.certificate)) == set(NAMES)


@pytest.mark.parametrize(
    "wrong", [{"authority": new_authority("huizhen hub", NOW)}, {"name": "other.example.org"}, {"at": NOW + timedelta(days=398)}]
)
def test_it_stands_under_no_other_for_no_other_name_and_not_for_ever(wrong):
    with pytest.raises(VerificationError):
        verified(**{"server": SERVER, "authority": AUTHORITY, **wrong})


def test_a_clock_that_is_a_day_off_does_not_matter():
    assert verified(SERVER, AUTHORITY, at=NOW - timedelta(days=1))


def test_a_certificate_is_renewed_before_it_ends_and_when_a_name_is_new():
    assert not needs_renewal(SERVER.certificate, NAMES, NOW)
    assert not needs_renewal(SERVER.certificate, NAMES, NOW + timedelta(days=276))
    assert needs_renewal(SERVER.certificate, NAMES, NOW + timedelta(days=278))
    assert needs_renewal(SERVER.certificate, NAMES, NOW - timedelta(days=3))
    assert needs_renewal(SERVER.certificate, [*NAMES, "new.example.org"], NOW)


def test_a_server_certificate_cannot_vouch_for_another():
    below = new_server_certificate(SERVER_AS_AUTHORITY, NAMES, NOW)
    with pytest.raises(VerificationError):
        verified(below, AUTHORITY)


SERVER_AS_AUTHORITY = SERVER


def test_no_key_is_shown():
    assert b"PRIVATE" in SERVER.key
    assert "PRIVATE" not in repr(SERVER)


@pytest.mark.parametrize("names", [[], [""], ["a b"], ["x\ny"]])
def test_a_server_without_a_sound_name_has_no_certificate(names):
    with pytest.raises(FederationError, match="cannot be made"):
        new_server_certificate(AUTHORITY, names, NOW)


def test_a_certificate_has_one_text_and_one_digest():
    assert pem_of(der_of(AUTHORITY.certificate)) == AUTHORITY.certificate
    assert len(authority_digest(AUTHORITY.certificate)) == 32
    with pytest.raises(FederationError, match="cannot be read"):
        pem_of(b"nothing")
