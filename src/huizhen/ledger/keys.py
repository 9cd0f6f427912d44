"""The key with which a site signs its ledger: Ed25519 (RFC 8032), kept in a PEM file that only its owner can read."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from huizhen.errors import LedgerError, MachineError, Problem, SiteError

__all__ = ["SigningKey", "create_key", "key_id", "load_key", "new_key", "open_key", "public_hex", "read_public_hex"]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that can be used and not shown.

    Attributes:
        public: the key that verifies.
        key_id: first 16 bytes of SHA-256 of the raw public key, hexadecimal.
    """

    _private: Ed25519PrivateKey = field(repr=False)
    public: Ed25519PublicKey
    key_id: str

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        return self._private.sign(message)


def new_key() -> SigningKey:
    """A fresh key, in memory only."""
    return _signing_key(Ed25519PrivateKey.generate())


def key_id(public: Ed25519PublicKey) -> str:
    """Identifier of a public key: first 16 bytes of SHA-256 of its 32 raw bytes, hexadecimal."""
    return hashlib.sha256(_raw(public)).digest()[:16].hex()


def public_hex(public: Ed25519PublicKey) -> str:
    """The 32 raw bytes of a public key, hexadecimal."""
    return _raw(public).hex()


def read_public_hex(text: str) -> Ed25519PublicKey:
    """The public key behind `public_hex`.

    Raises:
        LedgerError: not 64 hexadecimal digits.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError:
        problem = Problem("public key", f"{len(text)} characters", "64 hexadecimal digits, as a report prints them")
        raise LedgerError("A public key cannot be read.", [problem]) from None


def create_key(path: Path) -> SigningKey:
    """A fresh key in a new file (PEM, PKCS #8, mode 0600): after this call the whole key stands at `path`, or nothing.

    Raises:
        SiteError: something stands at `path` already; a key is never overwritten.
        MachineError: the file cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, pem)
        os.link(draft, path)  # unlike a rename, a link never replaces what stands there
    except FileExistsError:
        problem = Problem(str(path), "a file", "a path where nothing stands", "Load that key, or choose another path.")
        raise SiteError("A signing key is never overwritten.", [problem]) from None
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a folder that can be written")
        raise MachineError("The signing key cannot be written.", [problem]) from None
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return _signing_key(private)


def load_key(path: Path) -> SigningKey:
    """The key in a file.

    Raises:
        SiteError: others than the owner may read the file, or it holds no Ed25519 private key in PEM.
        MachineError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read(16_384)
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a key file that can be read")
        raise MachineError("The signing key cannot be read.", [problem]) from None
    if os.name == "posix" and mode & 0o077:
        problem = Problem(
            str(path), f"mode {mode:04o}", "mode 0600", f"Run: chmod 600 {path}; if others had access, make a new key."
        )
        raise SiteError("The signing key can be read by others.", [problem])
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        problem = Problem(str(path), "something else", "an unencrypted Ed25519 private key in PEM (PKCS #8)")
        raise SiteError("The signing key cannot be used.", [problem])
    return _signing_key(private)


def open_key(path: Path) -> SigningKey:
    """The key in a file, made first where there is none."""
    return load_key(path) if path.exists() else create_key(path)


def _signing_key(private: Ed25519PrivateKey) -> SigningKey:
    public = private.public_key()
    return SigningKey(private, public, key_id(public))


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
