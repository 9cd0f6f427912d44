"""What a site holds toward its hub: made here, once, whole; private keys stay; only what was promised is kept."""

import json
import stat
from datetime import timedelta

import pytest

from hubs import hub_at, site_of
from huizhen.clock import ManualClock
from huizhen.errors import CallerError, FederationError, SiteError
from huizhen.federation.wire.invitations import join_body, read_code
from huizhen.federation.wire.nkeys import new_pair
from huizhen.federation.wire.subjects import Permissions, permissions
from huizhen.federation.wire.tokens import user_token
from huizhen.ledger.keys import public_hex
from huizhen.site.folder import open_identity
from huizhen.site.joining import begin, renewal_due


@pytest.fixture
def hub(tmp_path):
    with hub_at(tmp_path / "hub", clock=ManualClock()) as made:
        yield made


def test_what_was_made_is_opened_again(hub, tmp_path):
    made = begin(hub.joining.invite("East"), tmp_path / "site")
    opened = open_identity(tmp_path / "site")
    assert (opened.name, opened.role, opened.addresses) == ("east", "site", hub.folder.settings.addresses)
    assert opened.pair.public == made.pair.public
    assert opened.hub == public_hex(hub.folder.identity.public)
    assert opened.authority == hub.folder.authority
    assert not opened.admitted


def test_secrets_stay_in_files_of_their_owner_and_out_of_the_request(hub, tmp_path):
    code = hub.joining.invite("east")
    folder = begin(code, tmp_path / "site")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "site/identity").iterdir()}
    assert {modes[name] for name in ("nkey.seed", "identity.pem", "invitation")} == {0o600}
    sent = str(join_body(read_code(code), folder.pair, folder.identity))
    assert folder.pair.seed() not in sent
    assert str(read_code(code).secret) not in sent


def test_the_same_code_goes_on_with_the_same_keys_and_another_is_refused(hub, tmp_path):
    code = hub.joining.invite("east")
    first = begin(code, tmp_path / "site").fingerprint()
    assert begin(code, tmp_path / "site").fingerprint() == first
    with pytest.raises(CallerError, match="joined already"):
        begin(hub.joining.invite("west"), tmp_path / "site")
    assert open_identity(tmp_path / "site").fingerprint() == first


def test_a_folder_with_a_configuration_may_join(hub, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/site.toml").write_text("# mine")
    assert begin(hub.joining.invite("east"), tmp_path / "site").name == "east"


def test_a_site_that_is_not_admitted_has_no_access(hub, tmp_path):
    folder = begin(hub.joining.invite("east"), tmp_path / "site")
    with pytest.raises(SiteError, match="not admitted"):
        folder.access()


def test_an_admitted_site_has_used_its_invitation_up(hub, tmp_path):
    folder = site_of(hub, "east", tmp_path / "site")
    assert folder.admitted
    assert not (tmp_path / "site/identity/invitation").exists()
    assert folder.access().inbox == f"hz.to.{folder.pair.public}.inbox"


@pytest.mark.parametrize("what", ["another key", "another account", "more permissions", "expired"])
def test_a_token_that_was_not_promised_is_not_kept(hub, tmp_path, what):
    folder = site_of(hub, "east", tmp_path / "site")
    before = folder.access().token
    now, key = hub.clock.now(), folder.pair.public
    signer = new_pair("account") if what == "another account" else hub.folder.pair("account")
    user = new_pair("user").public if what == "another key" else key
    allowed = Permissions(("hz.>",), ("hz.>",)) if what == "more permissions" else permissions("site", user)
    expires = now - timedelta(seconds=1) if what == "expired" else now + timedelta(days=90)
    with pytest.raises(FederationError, match="promised"):
        folder.keep_token(user_token(signer, user, name="east", now=now, expires=expires, allowed=allowed), now)
    assert folder.access().token == before


def test_renewal_is_due_when_a_third_of_the_time_is_over(hub, tmp_path):
    folder = site_of(hub, "east", tmp_path / "site")
    assert not renewal_due(folder, hub.clock.now() + timedelta(days=29))
    assert renewal_due(folder, hub.clock.now() + timedelta(days=31))


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"version": 2})])
def test_facts_that_cannot_be_read_are_told(hub, tmp_path, content):
    begin(hub.joining.invite("east"), tmp_path / "site")
    (tmp_path / "site/identity/hub.json").write_text(content)
    with pytest.raises(SiteError, match="cannot be read"):
        open_identity(tmp_path / "site")


def test_a_folder_that_did_not_join_says_how(tmp_path):
    with pytest.raises(CallerError, match="huizhen site join"):
        open_identity(tmp_path)
