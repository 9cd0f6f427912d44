"""The hub's own certificate authority and the certificate of its server (X.509, RFC 5280; ECDSA on P-256, FIPS 186-5).

A site trusts exactly the authority that its invitation carried: no authority of the operating system can speak for the hub, and
the hub renews its server's certificate without asking the sites. Certificates begin two days early, for clocks that are off.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from huizhen.errors import FederationError, Problem

__all__ = [
    "AMONG_SERVERS",
    "SERVER_LASTS",
    "Certified",
    "authority_digest",
    "der_of",
    "names_of",
    "needs_renewal",
    "new_authority",
    "new_server_certificate",
    "pem_of",
]

AUTHORITY_LASTS = timedelta(days=20 * 365)
SERVER_LASTS = timedelta(days=397)  # the longest that browsers accept, for the console to come
BEGINS_EARLY = timedelta(days=2)
RENEWED_BEFORE = timedelta(days=120)
AMONG_SERVERS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate and its private key, both in PEM; the key is not shown.

    Attributes:
        certificate: may be given to anyone.
        key: PKCS #8, unencrypted; it goes into a file that only its owner can read.
    """

    certificate: bytes
    key: bytes = field(repr=False)


def new_authority(name: str, now: datetime) -> Certified:
    """A fresh authority that can vouch for servers, and for no further authority."""
    key = generate_private_key(SECP256R1())
    subject = _named(name)
    builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    return _certified(builder.sign(key, hashes.SHA256()), key)


def new_server_certificate(
    authority: Certified,
    names: Sequence[str],
    now: datetime,
    *,
    lasts: timedelta = SERVER_LASTS,
    uses: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH,),
) -> Certified:
    """A fresh key and certificate for the server that answers to `names` (DNS names or IP addresses), vouched for by the authority.

    Args:
        uses: what it is good for; a server of a cluster also dials the others (`AMONG_SERVERS`).

    Raises:
        FederationError: no name is given, or one can stand in no certificate.
    """
    try:
        alternatives = [_alternative(name) for name in names]
        if not alternatives:
            raise ValueError
    except ValueError:
        problem = Problem("names of the server", ", ".join(names) or "nothing", "DNS names or IP addresses, e.g. hub.example.org")
        raise FederationError("The server's certificate cannot be made.", [problem]) from None
    above = x509.load_pem_x509_certificate(authority.certificate)
    signer = load_pem_private_key(authority.key, password=None)
    assert isinstance(signer, EllipticCurvePrivateKey)
    key = generate_private_key(SECP256R1())
    builder = _builder(_named("huizhen-hub"), above.subject, key.public_key(), now, lasts)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    identifier = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    return _certified(builder.sign(signer, hashes.SHA256()), key)


def needs_renewal(certificate: bytes, names: Sequence[str], now: datetime) -> bool:
    """Whether a server's certificate is to be made anew: it ends within 120 days, has not begun, or lacks one of the names."""
    read = x509.load_pem_x509_certificate(certificate)
    timely = read.not_valid_before_utc <= now < read.not_valid_after_utc - RENEWED_BEFORE
    return not timely or not set(names) <= set(names_of(certificate))


def names_of(certificate: bytes) -> tuple[str, ...]:
    """The DNS names and IP addresses that a server's certificate stands for."""
    read = x509.load_pem_x509_certificate(certificate)
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def der_of(certificate: bytes) -> bytes:
    """A certificate in PEM as the bytes that it stands for."""
    return x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)


def pem_of(der: bytes) -> bytes:
    """The other way round.

    Raises:
        FederationError: the bytes are no certificate.
    """
    try:
        return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    except ValueError:
        problem = Problem("certificate", f"{len(der)} bytes that are none", "an X.509 certificate")
        raise FederationError("A certificate cannot be read.", [problem]) from None


def authority_digest(certificate: bytes) -> bytes:
    """SHA-256 of an authority's certificate (of its bytes, not of its PEM), 32 bytes."""
    return hashlib.sha256(der_of(certificate)).digest()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - BEGINS_EARLY).not_valid_after(now + lasts)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _certified(certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> Certified:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certified(certificate.public_bytes(Encoding.PEM), secret)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not name or not name.isascii() or any(not (letter.isalnum() or letter in ".-*") for letter in name):
            raise ValueError from None
        return x509.DNSName(name)
