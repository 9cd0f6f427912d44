"""The key that signs: made whole, kept from others, never overwritten."""

import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from huizhen.errors import LedgerError, MachineError, SiteError
from huizhen.ledger.keys import create_key, key_id, load_key, new_key, open_key, public_hex, read_public_hex


def test_a_key_is_made_once_and_loaded_again(tmp_path):
    made = create_key(tmp_path / "site.pem")
    loaded = load_key(tmp_path / "site.pem")
    loaded.public.verify(made.sign(b"fact"), b"fact")
    assert loaded.key_id == made.key_id
    assert open_key(tmp_path / "site.pem").key_id == made.key_id
    assert [path.name for path in tmp_path.iterdir()] == ["site.pem"], "no draft is left"


def test_only_the_owner_can_read_the_key_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        open_key(tmp_path / "site.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "site.pem").stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(tmp_path):
    made = create_key(tmp_path / "site.pem")
    with pytest.raises(SiteError, match="never overwritten"):
        create_key(tmp_path / "site.pem")
    assert load_key(tmp_path / "site.pem").key_id == made.key_id
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    create_key(tmp_path / "site.pem")
    (tmp_path / "site.pem").chmod(mode)
    with pytest.raises(SiteError, match="chmod 600"):
        load_key(tmp_path / "site.pem")


def test_another_kind_of_key_is_refused_without_showing_it(tmp_path):
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (pem, b"", b"MARKED"):
        (tmp_path / "site.pem").write_bytes(content)
        (tmp_path / "site.pem").chmod(0o600)
        with pytest.raises(SiteError, match="Ed25519") as refusal:
            load_key(tmp_path / "site.pem")
        assert "MARKED" not in str(refusal.value)


def test_a_key_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(MachineError, match=r"site\.pem"):
        load_key(tmp_path / "site.pem")
    with pytest.raises(MachineError, match="cannot be written"):
        create_key(tmp_path / "no folder" / "site.pem")


def test_a_public_key_survives_being_printed():
    key = new_key()
    assert key_id(read_public_hex(public_hex(key.public))) == key.key_id
    with pytest.raises(LedgerError, match="64 hexadecimal digits"):
        read_public_hex("abc")


def test_a_private_key_does_not_show_in_its_repr():
    assert "rivate" not in repr(new_key())
