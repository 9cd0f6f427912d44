"""What the hub's NATS server is told: TLS, whom it believes, and limits. Also which releases of it have open advisories.

Written anew before each start of the server from the hub's own facts, which are the truth; the server's files are a copy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from huizhen.errors import CallerError, Problem
from huizhen.federation.wire.tokens import account_token, read_token
from huizhen.hub.folder import HubFolder

__all__ = ["HANDSHAKE_S", "advisory", "certified", "configuration", "guarded", "listening", "rendered", "server_name", "trust"]

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
    tls = certified(str(folder.server_certificate))
    content: dict[str, Any] = {
        "server_name": server_name(folder),
        "listen": listening(settings.listen, settings.port),
        "tls": tls,
        **guarded(settings.payload_bytes),
        **trust(folder, account, now, str(folder.nats / "accounts")),
        "log_file": str(folder.nats / "nats.log"),
        "logfile_size_limit": 10_000_000,
    }
    if settings.websocket_port:
        listen = listening(settings.listen, settings.websocket_port)
        content["websocket"] = {"listen": listen, "tls": tls, "handshake_timeout": f"{HANDSHAKE_S}s"}
    return rendered(content)


def trust(folder: HubFolder, account: str, now: datetime, kept: str) -> dict[str, Any]:
    """Whom a server believes: the operator, and the accounts that it vouches for; `kept` is where the server keeps these."""
    operator, system = folder.pair("operator"), folder.pair("system").public
    servers = account_token(operator, system, name="system", now=now, connections=-1, revoked={})
    return {
        "operator": folder.operator_token,
        "system_account": system,
        "resolver": {"type": "full", "dir": kept, "allow_delete": False, "limit": 100, "timeout": LOOKUP},
        "resolver_preload": {system: servers, read_token(account).subject: account},
    }


def guarded(payload_bytes: int) -> dict[str, Any]:
    """The limits that hold for whoever connects."""
    return {
        "authorization": {"timeout": HANDSHAKE_S + 1},
        "max_connections": MOST_CONNECTIONS,
        "max_payload": payload_bytes,
        "max_control_line": 4096,
        "ping_interval": "10s",
        "ping_max": 2,
        "write_deadline": "10s",
        "lame_duck_duration": "30s",
    }


def certified(path: str) -> dict[str, Any]:
    """TLS by the certificate and the key in one file."""
    return {"cert_file": path, "key_file": path, "timeout": HANDSHAKE_S}


def rendered(content: Mapping[str, Any]) -> str:
    """A configuration as the server reads it.

    Raises:
        CallerError: a text has characters that the server would read as something else.
    """
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


def listening(host: str, port: int) -> str:
    """An interface and a port, in the server's notation."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _value(value: Any) -> str:
    """A value in the server's own notation, in which JSON stands but for escapes; such characters are refused, not escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and text != f'"{value}"':
        problem = Problem(repr(value), "a quotation mark, a backslash or a control character", "a path without them")
        raise CallerError("The server's configuration cannot be written.", [problem])
    return text
