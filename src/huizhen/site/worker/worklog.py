"""The site's own log of a worker: what it printed and why it broke. It stays at the site, and never grows beyond its limit."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from huizhen.site.worker.launch import Child

__all__ = ["WorkLog"]

PIECE = 65_536


class WorkLog:
    """A file for the newest, and one beside it (``.1``) for what was before; neither is larger than `most` bytes.

    Args:
        path: the file; readable by the site's account alone, for it may quote data.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most

    def follow(self, child: Child) -> threading.Thread:
        """Takes down all that a child says until it ends. It is always read to its end: a child must not wait for its log."""
        reader = threading.Thread(target=self._follow, args=(child,), name="worker-log", daemon=True)
        reader.start()
        return reader

    def _follow(self, child: Child) -> None:
        try:
            while said := os.read(child.words, PIECE):
                self.write(said)
        finally:
            child.close()

    def write(self, said: bytes) -> None:
        """Adds to the file. A disk that takes no more loses the log, not the answer."""
        said = said[-self._most :]
        try:
            if self._path.exists() and self._path.stat().st_size + len(said) > self._most:
                os.replace(self._path, self._path.with_name(self._path.name + ".1"))
            number = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                os.write(number, said)
            finally:
                os.close(number)
        except OSError:
            return
