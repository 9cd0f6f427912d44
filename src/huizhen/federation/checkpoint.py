"""Where a run is kept between rounds, so that it can be interrupted and resumed to the same numbers.

The hub keeps the totals of each analysis; a site keeps its local state. Each write replaces the last whole or not at all, and what
was changed since, by a disk or by hand, is refused.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from huizhen import canonical
from huizhen.errors import MachineError, Problem
from huizhen.privacy.release import Total

__all__ = ["Checkpoints", "FileCheckpoints", "MemoryCheckpoints", "damaged", "total_from", "total_to"]

CHECKSUM = 4  # bytes at the end of a file: CRC-32 of those before


class Checkpoints(Protocol):
    """Canonical values by name."""

    def save(self, name: str, value: Any) -> None:
        """Keep `value`; the one before is gone."""

    def load(self, name: str) -> Any | None:
        """What was kept last, or None."""


@dataclass(slots=True)
class MemoryCheckpoints:
    """Kept as long as the process."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def save(self, name: str, value: Any) -> None:
        self.kept[name] = canonical.encode(value)

    def load(self, name: str) -> Any | None:
        return canonical.decode(self.kept[name]) if name in self.kept else None


@dataclass(frozen=True, slots=True)
class FileCheckpoints:
    """One file for each name in a folder, replaced atomically; `study` keeps the files of one study from those of another."""

    folder: Path
    study: str = ""

    def save(self, name: str, value: Any) -> None:
        path = self._path(name)
        draft = path.with_suffix(".draft")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # totals as they are before suppression
            content = canonical.encode(value)
            with draft.open("wb") as file:
                file.write(content)
                file.write(_checksum(content))
            os.replace(draft, path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            found = error.strerror or type(error).__name__
            raise MachineError(
                "A checkpoint cannot be written.", [Problem(str(path), found, "a writable folder with room")]
            ) from None

    def load(self, name: str) -> Any | None:
        path = self._path(name)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file:
                content = file.read(max(path.stat().st_size - CHECKSUM, 0))
                if file.read() != _checksum(content):
                    raise ValueError
            return canonical.decode(content)
        except (OSError, ValueError):
            raise damaged(str(path)) from None

    def _path(self, name: str) -> Path:
        return self.folder / f"{self.study}{'.' if self.study else ''}{name}.checkpoint"


def damaged(name: str) -> MachineError:
    """The error of a checkpoint that cannot be gone on from."""
    remedy = "Remove the file to start this run anew"
    return MachineError("A checkpoint cannot be read.", [Problem(name, "a damaged file", "a checkpoint", remedy)])


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CHECKSUM, "little")


def total_to(total: Total) -> dict[str, Any]:
    """A total as canonical values."""
    return {
        "sums": dict(total.sums),
        "keyed": {name: dict(sums) for name, sums in total.keyed.items()},
        "individual": {name: dict(sites) for name, sites in total.individual.items()},
        "rows": total.rows,
        "roster": list(total.roster),
    }


def total_from(value: Mapping[str, Any]) -> Total:
    """The total behind canonical values; keys and sites in the order that they had."""
    roster = tuple(value["roster"])
    individual = {name: {site: sites[site] for site in roster} for name, sites in value["individual"].items()}
    keyed = {name: dict(sorted(sums.items())) for name, sums in value["keyed"].items()}
    return Total(value["sums"], keyed, individual, value["rows"], roster)
