"""Which NATS servers carry a federation whose hub starts none of its own: a cluster, and leaf nodes; one TOML file, read whole.

[cluster]
folder = "/etc/huizhen-nats"

[server.cloud-1]
host = "cloud-1.example.org"

[leaf.north]
host = "north.example.org"
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from huizhen.errors import CallerError, Problem
from huizhen.federation.mistakes import Mistakes, check_section
from huizhen.federation.wire.folders import read_file
from huizhen.ids import NAME_RULE, is_name

__all__ = ["Cluster", "Leaf", "Listening", "Plan", "ServerSection", "dialled", "parse_plan", "read_plan"]

WRONG = "The plan of servers cannot be used."


class Section(BaseModel):
    """One table; frozen, unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


One = TypeVar("One", bound=Section)


class Cluster(Section):
    """``[cluster]``: its name, and where each server's files will stand on its machine; "" for where they are written."""

    name: str = Field("huizhen", pattern=r"^[A-Za-z0-9-]{1,64}$")
    folder: str = Field("", max_length=1000)


class Listening(Section):
    """What every server has: the host that others dial, the interface and the ports on which it listens."""

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")
    listen: str = "0.0.0.0"  # noqa: S104  a server of a cluster is there to be reached
    port: int = Field(4222, ge=1, le=65_535)
    websocket_port: int = Field(0, ge=0, le=65_535)

    @field_validator("listen")
    @classmethod
    def _is_interface(cls, listen: str) -> str:
        try:
            ipaddress.ip_address(listen)
        except ValueError:
            raise ValueError("an IP address of this machine, or 0.0.0.0") from None
        return listen


class ServerSection(Listening):
    """``[server.NAME]``: one of the cluster."""

    cluster_port: int = Field(6222, ge=1, le=65_535)
    leaf_port: int = Field(7422, ge=1, le=65_535)


class Leaf(Listening):
    """``[leaf.NAME]``: a server near its sites, which passes on what they say. `sites` names those that may use it; none: all."""

    sites: list[str] = []


@dataclass(frozen=True, slots=True)
class Plan:
    """A validated plan; servers and leaves by name."""

    cluster: Cluster
    servers: Mapping[str, ServerSection]
    leaves: Mapping[str, Leaf]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the hub dials."""
        return tuple(f"tls://{dialled(one.host, one.port)}" for one in self.servers.values())


def dialled(host: str, port: int) -> str:
    """A host and a port as they stand in an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_plan(path: Path) -> Plan:
    """The plan in a TOML file.

    Raises:
        CallerError: every mistake.
        MachineError: it cannot be read.
    """
    try:
        return parse_plan(tomllib.loads(read_file(path).decode("utf-8")))
    except ValueError as error:
        raise CallerError(WRONG, [Problem(str(path), str(error), "TOML 1.0")]) from None


def parse_plan(content: Mapping[str, Any]) -> Plan:
    """The plan in a mapping with the layout of the file.

    Raises:
        CallerError: every mistake: the key, what was found, what was expected.
    """
    mistakes = Mistakes()
    known = ["cluster", "server", "leaf"]
    for key in content:
        if key not in known:
            mistakes.unknown(key, known)
    cluster = check_section(Cluster, content.get("cluster", {}), "cluster", mistakes)
    servers = _named(ServerSection, content.get("server", {}), "server", mistakes)
    leaves = _named(Leaf, content.get("leaf", {}), "leaf", mistakes)
    if not servers and not mistakes.problems:
        mistakes.add("server", "none", "at least one table [server.NAME]; three for a cluster that may lose one")
    for name in servers.keys() & leaves.keys():
        mistakes.add(f"leaf.{name}", "the name of another server", "a name of its own")
    if mistakes.problems or cluster is None:
        raise CallerError(WRONG, mistakes.problems)
    return Plan(cluster, servers, leaves)


def _named(kind: type[One], content: Any, where: str, mistakes: Mistakes) -> dict[str, One]:
    if not isinstance(content, Mapping):
        mistakes.add(where, f"a {type(content).__name__}", f"tables [{where}.NAME]")
        return {}
    found = {}
    for name, table in content.items():
        if not is_name(name):
            mistakes.add(where, repr(name)[:80], NAME_RULE)
        elif (one := check_section(kind, table, f"{where}.{name}", mistakes)) is not None:
            found[name] = one
    return found
