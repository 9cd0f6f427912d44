"""What the hub's NATS server is told: TLS, whom it believes, and limits. Also which releases of it have open advisories.

Written anew before each start of the server from the hub's own facts, which are the truth; the server's files are a copy.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from huizhen.errors import CallerError, Problem
from huizhen.federation.wire.tokens import account_token, read_token
from huizhen.hub.folder import HubFolder

__all__ = ["advisory", "configuration", "server_name"]

# Half-open connections are closed after this; one that is honest needs two round trips.
HANDSHAKE_S = 3
# A token of an unknown account makes the server ask its peers for that account, so long and no longer.
LOOKUP = "200ms"
# Connections of whoever did not prove itself count too: too many to fill within the time after which they are closed.
MOST_CONNECTIONS = 65_536
MENDED = ((2, 10, 27), (2, 11, 1))  # the oldest releases of each line in which CVE-2025-30215 is mended


def configuration(folder: HubFolder, account: str, now: datetime) -> str:
    """The configuration file of the hub's server.

    Args:
        folder: the hub's folder.
        account: the token of the actors' account, with all revocations.
        now: the time.
    """
    settings = folder.settings
    operator, system = folder.pair("operator"), folder.pair("system").public
    servers = account_token(operator, system, name="system", now=now, connections=-1, revoked={})
    tls = {
        "cert_file": str(folder.server_certificate),
        "key_file": str(folder.server_certificate),
        "timeout": HANDSHAKE_S,
    }
    content: dict[str, Any] = {
        "server_name": server_name(folder),
        "listen": _listen(settings.listen, settings.port),
        "tls": tls,
        "authorization": {"timeout": HANDSHAKE_S + 1},
        "max_connections": MOST_CONNECTIONS,
        "max_payload": settings.payload_bytes,
        "max_control_line": 4096,
        "ping_interval": "10s",
        "ping_max": 2,
        "write_deadline": "10s",
        "lame_duck_duration": "30s",
        "operator": folder.operator_token,
        "system_account": system,
        "resolver": {"type": "full", "dir": str(folder.nats / "accounts"), "allow_delete": False, "limit": 100, "timeout": LOOKUP},
        "resolver_preload": {system: servers, read_token(account).subject: account},
        "log_file": str(folder.nats / "nats.log"),
        "logfile_size_limit": 10_000_000,
    }
    if settings.websocket_port:
        listen = _listen(settings.listen, settings.websocket_port)
        content["websocket"] = {"listen": listen, "tls": tls, "handshake_timeout": f"{HANDSHAKE_S}s"}
    return "".join(f"{key}: {_value(value)}\n" for key, value in content.items())


def server_name(folder: HubFolder) -> str:
    """The name by which the hub knows its own server on a port from another's: its hub's public key."""
    return f"huizhen-{folder.pair('hub').public}"


def advisory(version: str) -> str | None:
    """Why a release of nats-server should not carry patients' studies; None where nothing is known against it.

    The access control of its JetStream interface was incomplete before 2.10.27 and 2.11.1 (CVE-2025-30215): an account with
    JetStream could be changed by another. Huizhen's accounts have no JetStream; the advisory stays open for whatever else the
    server carries.
    """
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        return "the server does not tell its release"
    release = tuple(int(number) for number in found.groups())
    line = next((mended for mended in MENDED if release[:2] == mended[:2]), MENDED[0])
    if release >= line:
        return None
    return f"nats-server {found.group()} has an open advisory (CVE-2025-30215); use 2.10.27, 2.11.1 or newer"


def _listen(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _value(value: Any) -> str:
    """A value in the server's own notation, in which JSON stands but for escapes; such characters are refused, not escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) + "}"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and text != f'"{value}"':
        problem = Problem(repr(value), "a quotation mark, a backslash or a control character", "a path without them")
        raise CallerError("The server's configuration cannot be written.", [problem])
    return text
