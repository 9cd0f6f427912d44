"""A program's own folder: its files stand there whole or not at all, and secrets are its owner's alone.

A folder is put together beside its place and moved there in one step; a file is replaced in one step. So a program that is
killed, or whose disk is full, leaves what stood there before.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from huizhen.errors import CallerError, MachineError, Problem, SiteError

__all__ = ["new_folder", "read_file", "read_secret", "write_file"]

OWNER_ONLY = 0o600
EVERYBODY = 0o644
LONGEST = 16_000_000  # bytes; none of these files is near it


def new_folder(root: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """A folder with its files (by path below it: content and mode), readable by its owner; made whole, or nothing is there.

    Raises:
        CallerError: something stands there already.
        MachineError: it cannot be written.
    """
    root = root.absolute()
    draft = root.with_name(f".{root.name}.{secrets.token_hex(8)}")
    try:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise FileExistsError
        root.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        for name, (content, mode) in files.items():
            path = draft / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, content, mode)
        _sync(draft)
        draft.rename(root)  # takes the place of an empty folder, and of nothing else
        _sync(root.parent)
    except (FileExistsError, NotADirectoryError):
        raise _taken(root) from None
    except OSError as error:
        if root.is_dir() and any(root.iterdir()):  # another program was faster
            raise _taken(root) from None
        raise _unwritten(root, error) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_file(path: Path, content: bytes, mode: int = OWNER_ONLY) -> None:
    """A file, new or in place of the old one, in one step.

    Raises:
        MachineError: it cannot be written; the old one stands.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, content, mode)
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from None
    finally:
        draft.unlink(missing_ok=True)


def read_file(path: Path) -> bytes:
    """What a file holds.

    Raises:
        MachineError: it cannot be read.
    """
    return _read(path)[0]


def read_secret(path: Path) -> bytes:
    """What a file with a secret holds.

    Raises:
        SiteError: others than its owner may read it.
        MachineError: it cannot be read.
    """
    content, mode = _read(path)
    if os.name == "posix" and mode & 0o077:
        remedy = f"Run: chmod 600 {path}; if others had access, make new keys."
        raise SiteError("A secret can be read by others.", [Problem(str(path), f"mode {mode:04o}", "mode 0600", remedy)])
    return content


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a file that can be read")
        raise MachineError("A file of the folder cannot be read.", [problem]) from None


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _taken(root: Path) -> CallerError:
    remedy = "Use the folder as it is, or name another one; keys are never overwritten."
    return CallerError("The folder is in use.", [Problem(str(root), "files", "a folder that is empty or not there", remedy)])


def _unwritten(path: Path, error: OSError) -> MachineError:
    problem = Problem(str(path), error.strerror or "an error", "a folder that can be written, with free space")
    return MachineError("The folder cannot be written.", [problem])
