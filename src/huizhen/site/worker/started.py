"""Workers that were started, before they have an order: made by one rule, and one of them kept warm.

A program takes longer to load than a table to read. So the site keeps a worker that has loaded everything and waits; it is given to
the study that comes next. A worker that only looked into a source is as good as new.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from huizhen.federation.workplace import Unanswered
from huizhen.privacy.release import EMPTY
from huizhen.site.worker.confine import Confinement
from huizhen.site.worker.launch import Child, launch
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.worklog import WorkLog

__all__ = ["REAP_S", "Started", "Starting"]

PROGRAM = "huizhen.site.worker.program"
REAP_S = 5.0  # a worker that has hung up has this long to be gone by itself, so that its status tells why


@dataclass(slots=True)
class Started:
    """A worker that runs.

    Attributes:
        opened: rows of its source, once it has told them.
        held: whose state it holds since its last answer.
        turn: number of what it was told last.
        meeting: a folder in which its ranks find each other.
    """

    child: Child
    line: socket.socket
    log: threading.Thread
    opened: int | None = None
    held: tuple[str, Mapping[str, Any]] = ("", EMPTY)
    turn: int = 0
    meeting: Path | None = None

    def end(self) -> None:
        """Ends it, and all that it started."""
        self.child.kill()
        self.line.close()
        self.log.join(REAP_S)
        if self.meeting is not None:
            shutil.rmtree(self.meeting, ignore_errors=True)


@dataclass(slots=True)
class Starting:
    """Starts workers with the same limits; safe to use from several threads.

    Attributes:
        limits: of the process and of each answer.
        network: ``none``: the worker has no network, and does not start where the kernel cannot take it away; ``open``: it has.
        log: file for what the worker says; it stays at the site.
        methods: names that are loaded beforehand.
    """

    limits: Limits
    network: Confinement
    log: Path
    methods: tuple[str, ...] = ()
    _spare: Started | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def take(self) -> Started:
        """The worker that waits, or a new one.

        Raises:
            Unanswered: it cannot be started.
        """
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.child.ended() is None:
            return spare
        if spare is not None:
            spare.end()
        return self._started()

    def warm(self) -> None:
        """Has one worker wait, if none does."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare = self._started()

    def give_back(self, started: Started) -> None:
        """A worker that holds nothing of a study; it waits for the next."""
        with self._lock:
            waits = self._spare is None and not self._closed
            if waits:
                self._spare = started
        if not waits:
            started.end()

    def close(self) -> None:
        """Ends the worker that waits; those that were taken are their takers' to end. May be called twice."""
        with self._lock:
            self._closed, spare, self._spare = True, self._spare, None
        if spare is not None:
            spare.end()

    def _started(self) -> Started:
        ours, theirs = socket.socketpair()
        meeting = Path(tempfile.mkdtemp(prefix="ranks-")) if self.limits.ranks > 1 else None
        place = {"network": self.network, "rank": 0, "meeting": str(meeting / "file") if meeting else ""}
        settings = json.dumps({**asdict(self.limits), **place, "warm": list(self.methods)})
        try:
            child = launch(PROGRAM, [str(theirs.fileno()), settings], hand_over=[theirs.fileno()])
        except OSError as error:
            ours.close()
            raise Unanswered("ended", f"the worker cannot be started ({type(error).__name__})") from None
        finally:
            theirs.close()
        return Started(child, ours, WorkLog(self.log, self.limits.log).follow(child), meeting=meeting)
