"""Which segments a registry consists of, and how far each source has been read: one small file, replaced by one rename.

What the manifest does not name is not in the registry, so a sync that is killed leaves nothing but files that nobody reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huizhen.data.parquetfiles import sync_folder
from huizhen.errors import MachineError, Problem

__all__ = ["Manifest", "Origin", "Segment", "read_manifest", "write_manifest"]

NAME, FORMAT = "manifest.json", 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A Parquet file of events of one source.

    Attributes:
        name: of the file.
        rows: events in it.
    """

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Origin:
    """What the registry holds of one source.

    Attributes:
        cursor: where its next sync goes on; None: from the beginning.
        settings: how it was read.
        synced: when its last sync ended, ISO 8601; "" while the first one has not.
        agreed: how it was de-identified, as far as sources must agree on it to be asked together.
        treated: what de-identification did since the source was last read whole, with its number.
    """

    segments: tuple[Segment, ...] = ()
    cursor: Any = None
    settings: str = ""
    synced: str = ""
    agreed: str = ""
    treated: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A registry as it is at one moment.

    Attributes:
        generation: grows by one with every change.
        origins: by alias.
    """

    generation: int = 0
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Of all sources."""
        return tuple(segment for origin in self.origins.values() for segment in origin.segments)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a registry; an empty one where there is none yet.

    Raises:
        MachineError: it is damaged, or of a newer format.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise _unusable(path, "another format of registry", "Use the version of huizhen that wrote it")
        origins = {
            alias: Origin(tuple(Segment(*segment) for segment in origin.pop("segments")), **origin)
            for alias, origin in content["origins"].items()
        }
        return Manifest(int(content["generation"]), origins)
    except FileNotFoundError:
        return Manifest()
    except OSError as error:
        raise _unusable(path, error.strerror or "an error", "Change its permissions") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _unusable(path, "a damaged file", "Restore the registry from a backup, or delete its folder and sync again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Makes a manifest the one of the registry, durably and at once."""
    origins = {
        alias: {
            "segments": [[segment.name, segment.rows] for segment in origin.segments],
            "cursor": origin.cursor,
            "settings": origin.settings,
            "synced": origin.synced,
            "agreed": origin.agreed,
            "treated": dict(origin.treated),
        }
        for alias, origin in manifest.origins.items()
    }
    new = folder / (NAME + ".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "generation": manifest.generation, "origins": origins}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / NAME)
    sync_folder(folder)


def _unusable(path: Path, found: str, remedy: str) -> MachineError:
    problem = Problem(str(path), found, "the manifest of a registry", remedy)
    return MachineError("The registry cannot be opened.", [problem])
