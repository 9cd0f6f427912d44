"""A hub's settings: one commented TOML file, read whole, with all its mistakes at once."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from huizhen.errors import CallerError, Problem
from huizhen.ids import NAME_RULE, is_name

__all__ = ["HubSettings", "check_settings", "read_settings", "template"]

MEGABYTE = 1_048_576


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How the hub can be reached, and by how many.

    Attributes:
        name: the hub's name.
        addresses: where sites dial, ``tls://host:port`` or ``wss://host:port``; their hosts stand in the server's certificate.
        listen: the network interface that the server listens on, an IP address.
        port: for TLS connections.
        websocket_port: for WebSocket connections; 0 for none.
        connections: of all actors, at most so many at once.
        payload_bytes: the largest message.
        program: the server's program; "" where the addresses are of servers that others run (a cluster).
    """

    name: str = "hub"
    addresses: tuple[str, ...] = ("tls://127.0.0.1:4222",)
    listen: str = "127.0.0.1"
    port: int = 4222
    websocket_port: int = 0
    connections: int = 4096
    payload_bytes: int = MEGABYTE
    program: str = "nats-server"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that the server's certificate must hold: those that sites dial, and this machine's own."""
        dialled = (urlsplit(address).hostname or "" for address in self.addresses)
        own = () if ipaddress.ip_address(self.listen).is_unspecified else (self.listen,)
        return tuple(dict.fromkeys((*dialled, "localhost", "127.0.0.1", *own)))

    @property
    def local_address(self) -> str:
        """Where the hub itself dials its own server."""
        listen = ipaddress.ip_address(self.listen)
        host = "127.0.0.1" if listen.is_unspecified else f"[{listen}]" if listen.version == 6 else str(listen)
        return f"tls://{host}:{self.port}"


def template(settings: HubSettings) -> str:
    """The settings as a commented file."""
    text = (files("huizhen.hub") / "settings_template.toml").read_text(encoding="utf-8")
    values = {name: getattr(settings, name) for name in HubSettings.__slots__}
    return text.format(**{**values, "addresses": ", ".join(f'"{address}"' for address in settings.addresses)})


def read_settings(content: bytes) -> HubSettings:
    """The settings in a file.

    Raises:
        CallerError: all that is wrong with them.
    """
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        problem = Problem("hub.toml", str(error), "a TOML file with a table [hub]")
        raise CallerError("The hub's settings cannot be read.", [problem]) from None
    problems = [Problem(key, "an unknown table", "[hub] alone") for key in table if key != "hub"]
    hub = table.get("hub")
    if not isinstance(hub, Mapping):
        raise CallerError("The hub's settings cannot be used.", [*problems, Problem("hub", "nothing", "a table [hub]")])
    settings, wrong = _read(hub)
    if problems or wrong:
        raise CallerError("The hub's settings cannot be used.", [*problems, *wrong])
    check_settings(settings)
    return settings


def check_settings(settings: HubSettings) -> None:
    """Whether a hub can run by these settings.

    Raises:
        CallerError: all that is wrong with them.
    """
    wrong = [problem for address in settings.addresses if (problem := _address_problem(address))]
    if not settings.addresses:
        wrong.append(Problem("addresses", "none", "at least one address", "Say where sites dial."))
    if not is_name(settings.name):
        wrong.append(Problem("name", repr(settings.name), NAME_RULE))
    try:
        ipaddress.ip_address(settings.listen)
    except ValueError:
        wrong.append(Problem("listen", repr(settings.listen), "an IP address of this machine, or 0.0.0.0"))
    ranges = (
        ("port", 1, 65_535),
        ("websocket_port", 0, 65_535),
        ("connections", 4, 1_000_000),
        ("payload_bytes", 65_536, 64 * MEGABYTE),
    )
    for key, least, most in ranges:
        number = getattr(settings, key)
        if not least <= number <= most:
            wrong.append(Problem(key, str(number), f"a number from {least} to {most}"))
    if any(ord(letter) < 32 or letter in '"\\' for letter in settings.program):
        wrong.append(Problem("program", "a quotation mark, a backslash or a control character", "the path of a program"))
    if wrong:
        raise CallerError("The hub's settings cannot be used.", wrong)


def _read(hub: Mapping[str, Any]) -> tuple[HubSettings, list[Problem]]:
    plain = HubSettings()
    values: dict[str, Any] = {}
    wrong: list[Problem] = []
    for key, value in hub.items():
        if key not in HubSettings.__slots__:
            wrong.append(Problem(key, "an unknown key", f"one of: {', '.join(HubSettings.__slots__)}"))
        elif key == "addresses":
            if isinstance(value, list) and all(isinstance(address, str) for address in value):
                values[key] = tuple(value)
            else:
                wrong.append(Problem(key, type(value).__name__, "a list of addresses"))
        elif type(value) is not type(getattr(plain, key)):
            wrong.append(Problem(key, type(value).__name__, "text" if isinstance(getattr(plain, key), str) else "a whole number"))
        else:
            values[key] = value
    return HubSettings(**values), wrong


def _address_problem(address: str) -> Problem | None:
    expected = "tls://host:port or wss://host:port"
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("tls", "wss") and parts.hostname and parts.port and not parts.path and "@" not in address
        plain = all(letter.isascii() and (letter.isalnum() or letter in ":/.-[]") for letter in address)
    except ValueError:
        sound = plain = False
    return None if sound and plain else Problem("addresses", repr(address), expected)
