"""A hub's folder: settings, keys, certificates, who belongs, and what its server needs; made once, whole, readable by its owner.

What stands where:

    hub.toml                 settings
    keys/*.seed              NKeys: operator (signs accounts), account (signs actors), system, hub, keeper
    keys/operator.token      the operator's own statement; servers are given it
    keys/identity.pem        the key by which the hub signs facts
    tls/                     own authority, and the server's certificate with its key
    actors.sqlite            invitations and actors
    nats/                    the server's configuration, accounts and log; made anew at each start
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from huizhen.errors import CallerError, Problem, SiteError
from huizhen.federation.wire.access import Access
from huizhen.federation.wire.certificates import Certified, needs_renewal, new_authority, new_server_certificate
from huizhen.federation.wire.folders import new_folder, read_file, read_secret, write_file
from huizhen.federation.wire.nkeys import KeyKind, KeyPair, new_pair, pair_from_seed
from huizhen.federation.wire.subjects import HUB_INBOX, Permissions, hub_permissions, system_permissions
from huizhen.federation.wire.tokens import operator_token, user_token
from huizhen.hub.settings import HubSettings, check_settings, read_settings, template
from huizhen.ledger.keys import SigningKey, load_key

__all__ = ["HubFolder", "create_folder", "open_folder"]

SEEDS: Mapping[str, KeyKind] = {"operator": "operator", "account": "account", "system": "account", "hub": "user", "keeper": "user"}
SECRET, PUBLIC = 0o600, 0o644
AUTHORITY = "authority"


@dataclass(frozen=True, slots=True)
class HubFolder:
    """Where things stand in a hub's folder, and the keys in it.

    Attributes:
        root: the folder.
        settings: as its file says.
    """

    root: Path
    settings: HubSettings

    @property
    def actors(self) -> Path:
        """The file of invitations and actors."""
        return self.root / "actors.sqlite"

    @property
    def nats(self) -> Path:
        """The server's own folder."""
        return self.root / "nats"

    @property
    def authority(self) -> bytes:
        """The authority's certificate, PEM."""
        return read_file(self.root / "tls" / f"{AUTHORITY}.pem")

    @property
    def operator_token(self) -> str:
        """The operator's token; made once, for a running server takes no other one."""
        return read_file(self.root / "keys" / "operator.token").decode("ascii", "replace")

    @property
    def identity(self) -> SigningKey:
        """The key by which the hub signs facts."""
        return load_key(self.root / "keys" / "identity.pem")

    @property
    def server_certificate(self) -> Path:
        """The file of the server's certificate and its key: one file, for two cannot be replaced in one step."""
        return self.root / "tls" / "server.pem"

    def pair(self, name: str) -> KeyPair:
        """One of the NKeys: ``operator``, ``account``, ``system``, ``hub`` or ``keeper``.

        Raises:
            SiteError: others can read the seed's file, or it is a key of another kind.
        """
        path = self.root / "keys" / f"{name}.seed"
        pair = pair_from_seed(read_secret(path).decode("ascii", "replace"))
        if pair.kind != SEEDS[name]:
            problem = Problem(str(path), f"a seed of kind {pair.kind}", f"a seed of kind {SEEDS[name]}")
            raise SiteError("A key of the hub is not its own.", [problem])
        return pair

    def hub_access(self, now: datetime) -> Access:
        """The hub's own way to its server; the only one that speaks to actors."""
        return self._access("account", "hub", HUB_INBOX, hub_permissions(), now)

    def keeper_access(self, now: datetime) -> Access:
        """The way by which the servers are told of changed accounts."""
        return self._access("system", "keeper", "hz.system.inbox", system_permissions(), now)

    def _access(self, account: str, user: str, inbox: str, allowed: Permissions, now: datetime) -> Access:
        pair = self.pair(user)
        token = user_token(self.pair(account), pair.public, name=user, now=now, expires=None, allowed=allowed)
        addresses = (self.settings.local_address,) if self.settings.program else self.settings.addresses
        return Access(addresses, self.authority, pair, token, user, inbox)

    def renew_certificate(self, now: datetime) -> bool:
        """Make the server's certificate anew if it ends soon or lacks a name; whether it was. The authority stays."""
        settings = self.settings
        if not needs_renewal(read_secret(self.server_certificate), settings.hosts, now):
            return False
        authority = Certified(self.authority, read_secret(self.root / "tls" / f"{AUTHORITY}.key"))
        fresh = new_server_certificate(authority, settings.hosts, now)
        write_file(self.server_certificate, fresh.certificate + fresh.key, SECRET)
        return True


def create_folder(root: Path, settings: HubSettings, now: datetime) -> HubFolder:
    """A new hub's folder with fresh keys.

    Raises:
        CallerError: a hub or something else is in that folder, or the settings are wrong.
        MachineError: it cannot be written.
    """
    check_settings(settings)
    if (root / "hub.toml").exists():
        remedy = f"Run it: huizhen hub run {root}; or name another folder. Keys are never overwritten."
        raise CallerError("There is a hub in this folder.", [Problem(str(root), "a hub", "an empty folder", remedy)])
    authority = new_authority(f"huizhen {settings.name}", now)
    server = new_server_certificate(authority, settings.hosts, now)
    pairs = {name: new_pair(kind) for name, kind in SEEDS.items()}
    operator = operator_token(pairs["operator"], name=settings.name, system_account=pairs["system"].public, now=now)
    files = {
        "hub.toml": (template(settings).encode("utf-8"), PUBLIC),
        "keys/identity.pem": (_identity_pem(), SECRET),
        "keys/operator.token": (operator.encode("ascii"), PUBLIC),
        **{f"keys/{name}.seed": (pair.seed().encode("ascii"), SECRET) for name, pair in pairs.items()},
        f"tls/{AUTHORITY}.pem": (authority.certificate, PUBLIC),
        f"tls/{AUTHORITY}.key": (authority.key, SECRET),
        "tls/server.pem": (server.certificate + server.key, SECRET),
    }
    new_folder(root, files)
    return open_folder(root)


def open_folder(root: Path) -> HubFolder:
    """The hub in a folder.

    Raises:
        CallerError: there is none, or its settings are wrong.
    """
    path = root / "hub.toml"
    if not path.is_file():
        problem = Problem(str(root), "no hub.toml", "a hub's folder", f"Make one: huizhen hub init {root}")
        raise CallerError("There is no hub in this folder.", [problem])
    return HubFolder(root.resolve(), read_settings(read_file(path)))


def _identity_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
