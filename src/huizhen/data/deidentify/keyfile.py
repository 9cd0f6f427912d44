"""The file in which a site keeps its key for de-identification: 64 hexadecimal digits that only their owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from huizhen.data.deidentify.secret import KEY_BYTES, Secret
from huizhen.errors import Problem, SiteError

__all__ = ["create_secret", "load_secret"]

OWNER_ONLY = 0o600
LARGEST = 4096  # bytes; what is longer is no key, and is not read


def create_secret(path: Path) -> Secret:
    """A fresh key in a new file of mode 0600; a file that is there is never overwritten: its pseudonyms would be lost.

    Raises:
        SiteError: something stands there already, or the folder cannot be written.
    """
    key = secrets.token_bytes(KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(key.hex() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise _unfit(path, "a file that is there already", "a new file in a writable folder") from None
    except OSError as error:
        raise _unfit(path, str(error.strerror), "a new file in a writable folder") from None
    return Secret(key)


def load_secret(path: Path) -> Secret:
    """The key in a file.

    Raises:
        SiteError: no such file, others can read it, or it holds no key.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(LARGEST)
    except OSError as error:
        remedy = "Make one: huizhen data key FILE"
        raise _unfit(path, str(error.strerror), "a key file of this site", remedy) from None
    if os.name == "posix" and mode & 0o077:
        raise _unfit(path, f"a file that others can read (mode {mode & 0o777:04o})", "mode 0600", "Run: chmod 600 FILE")
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise _unfit(path, "a file that holds no key", "64 hexadecimal digits, as huizhen data key writes them")
    return Secret(key)


def _unfit(path: Path, found: str, expected: str, remedy: str = "") -> SiteError:
    return SiteError("The key for de-identification cannot be used.", [Problem(str(path), found, expected, remedy)])
