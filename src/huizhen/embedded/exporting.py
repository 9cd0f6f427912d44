"""Taking a learned model away: files that other programs read, beside the report or wherever Python wants them.

What a model becomes is its method's own word (`ScriptedMethod.export`): suffixes and contents, from the published result alone,
so a file holds nothing that the report could not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from huizhen import extension
from huizhen.errors import CallerError, MachineError, Problem
from huizhen.federation.study import METHODS
from huizhen.methods.method import Export
from huizhen.privacy.result import Result

__all__ = ["export", "is_taken_away", "write_together"]


def is_taken_away(result: Result) -> bool:
    """Whether there is a model in the result that other programs can use."""
    return not result.failure and _export_of(result) is not None


def export(result: Result, label: str, folder: Path) -> tuple[Path, ...]:
    """The files of a result's model, named by the label: ``LABEL.onnx`` and the like, as its method makes them.

    Raises:
        CallerError: its method learns no model that other programs could use.
        MachineError: the folder cannot be written, or a package for the format is missing; nothing is left half-written.
    """
    made = _export_of(result)
    if made is None:
        problem = Problem(label, f"a result of {result.method}", "a method that learns a model, such as boosting or averaging")
        raise CallerError("There is no model to take away.", [problem])
    return write_together(folder, {f"{label}.{suffix}": content for suffix, content in made(result).items()})


def write_together(folder: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Files in a folder, all whole or none new: each is written beside its place first.

    Raises:
        MachineError: the disk is full, the folder may not be written.
    """
    paths = [folder / name for name in contents]
    drafts = [path.with_name(f".{path.name}.draft") for path in paths]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for draft, content in zip(drafts, contents.values()):
            draft.write_bytes(content)
        for draft, path in zip(drafts, paths):
            os.replace(draft, path)
    except OSError as error:
        found = error.strerror or type(error).__name__
        problem = Problem(str(folder), found, "a writable folder with room", "Name another folder, or make room")
        raise MachineError("The model cannot be written.", [problem]) from None
    finally:
        if folder.is_dir():
            for draft in drafts:
                draft.unlink(missing_ok=True)
    return tuple(paths)


def _export_of(result: Result) -> Export | None:
    if result.method not in extension.installed(METHODS):
        return None
    made: Export | None = getattr(extension.load(METHODS, result.method), "export", None)
    return made
