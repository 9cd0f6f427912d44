"""What each server of a plan is given: its configuration, its certificate, whom it believes, and a leaf's credentials.

    NAME/nats.conf           the configuration, for `nats-server -c`
    NAME/authority.pem       the authority that vouches for all of them
    NAME/server.pem          its certificate with its key
    NAME/leaf.creds          a leaf's: it may pass on what actors say
    NAME/accounts.creds      a leaf's: it hears which actor is shut out

Servers of the cluster know each other by certificate *and* by a word that no leaf node has: a leaf's certificate comes from the
same authority, and would otherwise be good for the cluster. All are without JetStream.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from huizhen.federation.wire.certificates import AMONG_SERVERS, SERVER_LASTS, Certified, new_server_certificate
from huizhen.federation.wire.folders import read_secret, write_file
from huizhen.federation.wire.nkeys import KeyPair
from huizhen.federation.wire.subjects import leaf_permissions, leaf_system_permissions
from huizhen.federation.wire.tokens import credentials, user_token
from huizhen.hub.configuration import HANDSHAKE_S, certified, guarded, listening, rendered, trust
from huizhen.hub.folder import HubFolder
from huizhen.hub.leaves import keep_leaves
from huizhen.hub.plan import Leaf, Listening, Plan, ServerSection, dialled

__all__ = ["server_files", "write_servers"]

SECRET, PUBLIC = 0o600, 0o644
ROUTES = "huizhen-routes"  # the user by which servers of the cluster speak with each other
SYNC_S = 10  # how often servers compare the accounts that they keep: one that was away learns so late who was shut out
Files = dict[str, tuple[bytes, int]]


def write_servers(
    folder: HubFolder, plan: Plan, out: Path, account: Callable[[], str], keys: Mapping[str, Sequence[str]], now: datetime
) -> None:
    """Each server's files, below `out`, new or in place of the old ones. Arguments and what is raised: as of `server_files`."""
    for name, content in server_files(folder, plan, out, account, keys, now).items():
        place = out / name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, (text, mode) in content.items():
            write_file(place / file, text, mode)


def server_files(
    folder: HubFolder, plan: Plan, out: Path, account: Callable[[], str], keys: Mapping[str, Sequence[str]], now: datetime
) -> dict[str, Files]:
    """The files of each server: by its name, by file, content and mode.

    Args:
        folder: the hub's, with the operator's keys.
        out: where they will be written; a server finds them there, unless the plan names another folder.
        account: gives the token of the actors' account, with all revocations; called once the leaves' keys stand.
        keys: by leaf, the actors that may use it; of one that is not named, all may.

    Raises:
        FederationError: a host can stand in no certificate.
        SiteError, MachineError: keys of the hub cannot be used.
    """
    pairs = keep_leaves(folder.root, plan.leaves)
    believed = account()
    authority = Certified(folder.authority, read_secret(folder.root / "tls" / "authority.key"))
    found: dict[str, Files] = {}
    servers: dict[str, Listening] = {**plan.servers, **plan.leaves}
    for name, one in servers.items():
        place = PurePosixPath(plan.cluster.folder or str(out.resolve() / name))
        made = new_server_certificate(authority, _hosts(one), now, uses=AMONG_SERVERS)
        content = _common(folder, one, name, believed, now, place)
        if isinstance(one, ServerSection):
            content |= _cluster(folder, plan, one, place)
        else:
            content["leafnodes"] = _upwards(folder, plan, place)
        found[name] = {
            "nats.conf": (rendered(content).encode("utf-8"), SECRET),
            "authority.pem": (folder.authority, PUBLIC),
            "server.pem": (made.certificate + made.key, SECRET),
        }
        if isinstance(one, Leaf):
            found[name] |= _credentials(folder, name, pairs[name], keys.get(name, ()), now)
    return found


def _common(folder: HubFolder, one: Listening, name: str, account: str, now: datetime, place: PurePosixPath) -> dict[str, Any]:
    tls = certified(str(place / "server.pem"))
    believed = trust(folder, account, now, str(place / "accounts"))
    believed["resolver"] |= {"interval": f"{SYNC_S}s"}
    content = {
        "server_name": name,
        "listen": listening(one.listen, one.port),
        "tls": tls,
        **guarded(folder.settings.payload_bytes),
        **believed,
        "pid_file": str(place / "nats.pid"),
    }
    if one.websocket_port:
        listen = listening(one.listen, one.websocket_port)
        content["websocket"] = {"listen": listen, "tls": tls, "handshake_timeout": f"{HANDSHAKE_S}s"}
    return content


def _cluster(folder: HubFolder, plan: Plan, one: ServerSection, place: PurePosixPath) -> dict[str, Any]:
    word = hmac.digest(folder.pair("operator").seed().encode("ascii"), b"huizhen-routes-1", "sha256").hex()
    tls = certified(str(place / "server.pem"))
    others = [f"nats-route://{ROUTES}:{word}@{dialled(each.host, each.cluster_port)}" for each in plan.servers.values()]
    return {
        "cluster": {
            "name": plan.cluster.name,
            "listen": listening(one.listen, one.cluster_port),
            "tls": {**tls, "ca_file": str(place / "authority.pem")},
            "authorization": {"user": ROUTES, "password": word, "timeout": HANDSHAKE_S + 1},
            "routes": others,
            "no_advertise": True,  # sites dial the addresses that they were invited by, for these stand in certificates
        },
        "leafnodes": {"listen": listening(one.listen, one.leaf_port), "tls": tls, "no_advertise": True},
    }


def _upwards(folder: HubFolder, plan: Plan, place: PurePosixPath) -> dict[str, Any]:
    """A leaf's ways to the cluster: what actors say, and news of accounts. It listens to no further leaf."""
    urls = [f"tls://{dialled(each.host, each.leaf_port)}" for each in plan.servers.values()]
    ways = (("account", "leaf.creds"), ("system", "accounts.creds"))
    tls = {"ca_file": str(place / "authority.pem"), "timeout": HANDSHAKE_S}
    remotes = [
        {"urls": urls, "account": folder.pair(who).public, "credentials": str(place / file), "tls": tls} for who, file in ways
    ]
    return {"reconnect": 1, "remotes": remotes}


def _credentials(folder: HubFolder, name: str, pair: KeyPair, keys: Sequence[str], now: datetime) -> Files:
    """Good as long as the certificate beside them."""
    found: Files = {}
    for who, file, allowed in (
        ("account", "leaf.creds", leaf_permissions(keys)),
        ("system", "accounts.creds", leaf_system_permissions()),
    ):
        token = user_token(
            folder.pair(who), pair.public, name=name, now=now, expires=now + SERVER_LASTS, allowed=allowed, connects=("LEAFNODE",)
        )
        found[file] = (credentials(token, pair), SECRET)
    return found


def _hosts(one: Listening) -> tuple[str, ...]:
    return tuple(dict.fromkeys((one.host, "localhost", "127.0.0.1")))
