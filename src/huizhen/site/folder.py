"""What a site holds toward its hub: its keys, whom it trusts, and the token by which it was admitted; in `identity/` of its folder.

    identity/hub.json        who it is, and of which hub (nothing secret)
    identity/authority.pem   the only authority that may vouch for the hub's server
    identity/nkey.seed       the connection's key; it never leaves
    identity/identity.pem    the key by which the site signs facts; it never leaves
    identity/invitation      until it is admitted: the code
    identity/token           once it is admitted: proof for the server

Researchers and compute providers keep the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from huizhen.errors import CallerError, Problem, SiteError
from huizhen.federation.wire.access import Access
from huizhen.federation.wire.certificates import authority_digest, pem_of
from huizhen.federation.wire.folders import new_folder, read_file, read_secret, write_file
from huizhen.federation.wire.invitations import Invitation, fingerprint, read_code, write_code
from huizhen.federation.wire.nkeys import KeyPair, new_pair, pair_from_seed
from huizhen.federation.wire.subjects import Role, inbox, permissions
from huizhen.federation.wire.tokens import check_user_token, read_token
from huizhen.ledger.keys import SigningKey, load_key, public_hex

__all__ = ["SiteFolder", "create_identity", "open_identity"]

SECRET, PUBLIC = 0o600, 0o644


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """A site's identity toward one hub.

    Attributes:
        root: the site's folder; the identity stands in `identity/` below it.
        name: under which it is known.
        role: what it was invited as.
        addresses: where the hub's servers listen.
        account: public NKey of the account that vouches for it.
        hub: the hub's public identity key, hexadecimal.
        invitation: by which it asked.
    """

    root: Path
    name: str
    role: Role
    addresses: tuple[str, ...]
    account: str
    hub: str
    invitation: str

    @property
    def identity(self) -> SigningKey:
        """The key by which the site signs facts."""
        return load_key(self._file("identity.pem"))

    @property
    def pair(self) -> KeyPair:
        """The connection's key."""
        return pair_from_seed(read_secret(self._file("nkey.seed")).decode("ascii", "replace"))

    @property
    def authority(self) -> bytes:
        """The hub's authority, PEM."""
        return read_file(self._file("authority.pem"))

    @property
    def admitted(self) -> bool:
        """Whether a token is here."""
        return self._file("token").exists()

    @property
    def expires(self) -> datetime:
        """Until when the token is good; raises as `access`."""
        return datetime.fromtimestamp(read_token(self._token()).expires, UTC)

    def fingerprint(self) -> str:
        """What the hub's operator must see too before admitting."""
        return fingerprint(self.name, self.pair.public, public_hex(self.identity.public), authority_digest(self.authority))

    def open_invitation(self) -> Invitation:
        """The invitation by which this site asked.

        Raises:
            MachineError: it was used up.
        """
        return read_code(read_secret(self._file("invitation")).decode("ascii", "replace"))

    def access(self, proxy: str = "") -> Access:
        """The site's way to the hub.

        Raises:
            SiteError: it is not admitted yet.
        """
        pair = self.pair
        return Access(self.addresses, self.authority, pair, self._token(), self.name, inbox(pair.public), proxy)

    def keep_token(self, token: str, now: datetime) -> None:
        """Keep a token, if it is what this site was promised; the invitation is used up.

        Raises:
            FederationError: it is for another key, by another account, with other permissions, or expired.
        """
        key = self.pair.public
        check_user_token(token, account=self.account, user=key, allowed=permissions(self.role, key), now=now)
        write_file(self._file("token"), token.encode("ascii"), SECRET)
        self._file("invitation").unlink(missing_ok=True)

    def _token(self) -> str:
        if not self.admitted:
            remedy = "Ask the hub's operator, then join again with the same code."
            raise SiteError("This site is not admitted yet.", [Problem(str(self.root), "no token", "a token of the hub", remedy)])
        return read_secret(self._file("token")).decode("ascii", "replace")

    def _file(self, name: str) -> Path:
        return self.root / "identity" / name


def create_identity(root: Path, invitation: Invitation) -> SiteFolder:
    """Fresh keys for an invitation, made here; whole, or nothing is there.

    Raises:
        CallerError: the folder holds an identity already.
        MachineError: it cannot be written.
    """
    facts = {
        "version": 1,
        "name": invitation.name,
        "role": invitation.role,
        "addresses": list(invitation.addresses),
        "account": invitation.account,
        "hub": invitation.hub,
        "invitation": invitation.id,
    }
    identity = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {
        "hub.json": (json.dumps(facts, ensure_ascii=False, indent=1).encode("utf-8"), PUBLIC),
        "authority.pem": (pem_of(invitation.authority), PUBLIC),
        "nkey.seed": (new_pair("user").seed().encode("ascii"), SECRET),
        "identity.pem": (identity, SECRET),
        "invitation": (write_code(invitation).encode("ascii"), SECRET),
    }
    new_folder(root / "identity", files)
    return open_identity(root)


def open_identity(root: Path) -> SiteFolder:
    """The identity in a site's folder.

    Raises:
        CallerError: there is none.
        SiteError: it cannot be read as one.
    """
    path = root / "identity" / "hub.json"
    if not path.is_file():
        problem = Problem(str(root), "no identity", "a folder that joined", "Join first: huizhen site join CODE")
        raise CallerError("This folder belongs to no hub.", [problem])
    try:
        facts = json.loads(read_file(path))
        return _folder(root.resolve(), facts)
    except (ValueError, KeyError, TypeError):
        problem = Problem(str(path), "another form", "the facts that joining wrote", "Restore it, or join anew in another folder.")
        raise SiteError("The site's identity cannot be read.", [problem]) from None


def _folder(root: Path, facts: Mapping[str, Any]) -> SiteFolder:
    if facts["version"] != 1:
        raise ValueError
    addresses = tuple(str(address) for address in facts["addresses"])
    texts = {key: str(facts[key]) for key in ("name", "account", "hub", "invitation")}
    return SiteFolder(root, role=facts["role"], addresses=addresses, **texts)
