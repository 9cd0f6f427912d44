"""Which segments telemetry consists of: one small file, replaced by one rename.

What the manifest does not name is not part of the telemetry, so a killed program leaves only files that nobody reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from huizhen.data.parquetfiles import sync_folder
from huizhen.errors import MachineError, Problem

__all__ = ["Manifest", "Segment", "read_manifest", "write_manifest"]

NAME, FORMAT = "manifest.json", 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A Parquet file.

    Attributes:
        first, last: times of its values, microseconds since 1970.
        level: ``raw``, ``coarse`` (one value an hour), ``aside`` (not believed) or ``contradicted`` (keys of values that differ).
    """

    name: str
    rows: int
    first: int
    last: int
    level: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Telemetry as it is at one moment.

    Attributes:
        generation: grows by one with every change.
        whole_since: before it values were made coarser, and no more are taken; 0: everything is as it came.
    """

    generation: int = 0
    whole_since: int = 0
    segments: tuple[Segment, ...] = ()

    def of(self, level: str) -> tuple[Segment, ...]:
        return tuple(one for one in self.segments if one.level == level)

    def overlapping(self, first: int, last: int, levels: Sequence[str]) -> tuple[Segment, ...]:
        """Segments with times between two, themselves included."""
        return tuple(one for one in self.segments if one.level in levels and one.first <= last and one.last >= first)

    def grown(self, more: Sequence[Segment]) -> Manifest:
        """The next one, with more segments."""
        return replace(self, generation=self.generation + 1, segments=(*self.segments, *more))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; an empty one where there is none yet.

    Raises:
        MachineError: it is damaged, or of a newer format.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise _unusable(path, "another format", "Use the version of huizhen that wrote it")
        return Manifest(
            int(content["generation"]), int(content["whole_since"]), tuple(Segment(*one) for one in content["segments"])
        )
    except FileNotFoundError:
        return Manifest()
    except OSError as error:
        raise _unusable(path, error.strerror or "an error", "Change its permissions") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _unusable(path, "a damaged file", "Restore it from a backup") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Makes a manifest the one of a folder, durably and at once."""
    segments = [[one.name, one.rows, one.first, one.last, one.level] for one in manifest.segments]
    content = {"format": FORMAT, "generation": manifest.generation, "whole_since": manifest.whole_since, "segments": segments}
    new = folder / (NAME + ".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / NAME)
    sync_folder(folder)


def _unusable(path: Path, found: str, remedy: str) -> MachineError:
    return MachineError("The telemetry cannot be used.", [Problem(str(path), found, "the manifest of telemetry", remedy)])
