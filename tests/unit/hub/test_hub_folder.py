"""A hub's folder: whole or not at all, once, and its secrets are its owner's."""

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from huizhen.errors import CallerError, MachineError, SiteError
from huizhen.federation.wire import folders
from huizhen.federation.wire.certificates import names_of
from huizhen.hub.folder import HubFolder, create_folder, open_folder
from huizhen.hub.settings import HubSettings, read_settings, template

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SETTINGS = HubSettings(addresses=("tls://hub.example.org:4222", "wss://hub.example.org:443"), listen="0.0.0.0")


def files_of(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_secrets_are_readable_by_their_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        create_folder(tmp_path / "hub", SETTINGS, NOW)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "hub").rglob("*")}
    assert modes["keys"] == modes["tls"] == 0o700
    secret = {name for name, mode in modes.items() if name.endswith((".seed", ".key", "identity.pem", "server.pem"))}
    assert len(secret) == 8
    assert {modes[name] for name in secret} == {0o600}
    assert stat.S_IMODE((tmp_path / "hub").stat().st_mode) == 0o700


def test_a_second_init_is_refused_and_changes_nothing(tmp_path):
    create_folder(tmp_path / "hub", SETTINGS, NOW)
    before = files_of(tmp_path / "hub")
    with pytest.raises(CallerError, match="There is a hub"):
        create_folder(tmp_path / "hub", SETTINGS, NOW)
    assert files_of(tmp_path / "hub") == before
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CallerError, match="in use"):
        create_folder(tmp_path, SETTINGS, NOW)
    assert files_of(tmp_path) == {"thesis.txt": b"mine"}


def test_an_empty_folder_may_become_a_hub(tmp_path):
    (tmp_path / "hub").mkdir()
    assert create_folder(tmp_path / "hub", SETTINGS, NOW).settings == SETTINGS


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    written = []
    real = folders._write

    def full(path, content, mode):
        written.append(path)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        real(path, content, mode)

    monkeypatch.setattr(folders, "_write", full)
    with pytest.raises(MachineError, match="No space left"):
        create_folder(tmp_path / "hub", SETTINGS, NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_hub_says_how_to_make_one(tmp_path):
    with pytest.raises(CallerError, match="huizhen hub init"):
        open_folder(tmp_path)


def test_keys_that_others_can_read_are_not_used(tmp_path):
    folder = create_folder(tmp_path / "hub", SETTINGS, NOW)
    (tmp_path / "hub/keys/account.seed").chmod(0o640)
    with pytest.raises(SiteError, match="chmod 600"):
        folder.pair("account")
    assert folder.pair("operator").kind == "operator"


def test_a_key_of_another_kind_is_not_used(tmp_path):
    folder = create_folder(tmp_path / "hub", SETTINGS, NOW)
    keys = tmp_path / "hub/keys"
    (keys / "account.seed").write_bytes((keys / "hub.seed").read_bytes())
    with pytest.raises(SiteError, match="not its own"):
        folder.pair("account")


def test_the_certificate_is_renewed_by_the_same_authority(tmp_path):
    folder = create_folder(tmp_path / "hub", SETTINGS, NOW)
    first, authority = files_of(tmp_path / "hub"), folder.authority
    assert not folder.renew_certificate(NOW + timedelta(days=200))
    assert files_of(tmp_path / "hub") == first
    assert folder.renew_certificate(NOW + timedelta(days=300))
    changed = {name for name, content in files_of(tmp_path / "hub").items() if first.get(name) != content}
    assert changed == {"tls/server.pem"}
    assert folder.authority == authority


def test_a_new_address_comes_into_the_certificate(tmp_path):
    folder = create_folder(tmp_path / "hub", SETTINGS, NOW)
    moved = HubFolder(folder.root, replace(SETTINGS, addresses=("tls://new.example.org:4222",)))
    assert moved.renew_certificate(NOW)
    assert "new.example.org" in names_of(folder.server_certificate.read_bytes())


def test_settings_are_read_back_as_they_were_written():
    assert read_settings(template(SETTINGS).encode()) == SETTINGS


def test_all_mistakes_in_the_settings_are_told_at_once():
    with pytest.raises(CallerError) as refused:
        read_settings(b'[hub]\nport = "x"\nlisten = 7\nhost = "a"\naddresses = "tls://a:1"\n[more]\n')
    assert [problem.where for problem in refused.value.problems] == ["more", "port", "listen", "host", "addresses"]
    with pytest.raises(CallerError) as refused:
        read_settings(
            b'[hub]\nname = "../x"\nport = 0\nlisten = "everywhere"\naddresses = ["http://a", "tls://b"]\nprogram = "a\\"b"\n'
        )
    assert [problem.where for problem in refused.value.problems] == ["addresses", "addresses", "name", "listen", "port", "program"]


@pytest.mark.parametrize("content", [b"", b"[", b"\xff", b"x = 1", b"[hub]\naddresses = []"])
def test_settings_that_say_nothing_are_refused(content):
    with pytest.raises(CallerError):
        read_settings(content)


@pytest.mark.parametrize("bad", ['tls://a:1/"x', "tls://u@a:1", "tls://a:1\n", "tls://a:99999", "nats://a:1", "tls://é:1"])
def test_an_address_holds_a_host_and_a_port(bad):
    with pytest.raises(CallerError, match="addresses"):
        create_folder(None, replace(SETTINGS, addresses=(bad,)), NOW)
