"""Obfuscators made while an answer is computed, and a count of those that were not ready in time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import TracebackType

from huizhen.errors import FederationError
from huizhen.privacy.paillier.obfuscators import Pool

__all__ = ["Ahead", "Tally"]


@dataclass(slots=True)
class Tally:
    """How many obfuscators sites have used, and how many of them had to be made while the hub waited."""

    used: int = 0
    late: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, used: int, late: int) -> None:
        """Of one answer."""
        with self._lock:
            self.used, self.late = self.used + used, self.late + late


class Ahead:
    """Fills a pool in a thread of its own for as long as the block lasts, and never past `count`."""

    def __init__(self, pool: Pool, count: int) -> None:
        self._pool, self._count = pool, count
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="obfuscators", daemon=True)

    def __enter__(self) -> None:
        if len(self._pool) < self._count:
            self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _fill(self) -> None:
        try:
            self._pool.fill(self._count, go_on=lambda: not self._over.is_set())
        except FederationError:
            return  # the same is said where the missing ones are made
