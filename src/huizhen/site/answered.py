"""What a site has answered of cohorts, remembered in `cohorts/` of its folder for this account alone.

Of the patients it holds hashes of their pseudonyms, mixed bucket by bucket (`data.criteria.sketch`). Whoever counts, the agent or a
command, holds `alone` from judging until what is released is remembered: two counts at once do not pass each other.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.criteria.declarations import Criteria
from huizhen.errors import MachineError, Problem

__all__ = ["FOLDER", "Answered", "Answers", "Counted"]

FOLDER = "cohorts"  # in a site's folder


@dataclass(frozen=True, slots=True)
class Counted:
    """Exact counts, for the gate alone.

    Attributes:
        counts: patients left after the index event and after each criterion: int64 (step,).
        mixed: uint64 (step, bucket).
        note: why these are earlier numbers, or "".
    """

    counts: NDArray[np.int64]
    mixed: NDArray[np.uint64]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered earlier.

    Attributes:
        shown: the steps whose numbers, or whose part of a sum, were seen: bool (step,).
        roster: the sites of the sum, this one alone where it was none.
    """

    criteria: str
    title: str
    steps: tuple[str, ...]
    counts: tuple[int, ...]
    shown: tuple[bool, ...]
    roster: tuple[str, ...]
    mixed: NDArray[np.uint64]


class Answers:
    """The memory of one site.

    Args:
        root: the site's folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._read: dict[str, Answered] = {}  # a file is written once and never changed

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until nobody else counts; not to be entered twice."""
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def all(self) -> tuple[Answered, ...]:
        """What was answered, the oldest first.

        Raises:
            MachineError: some of it cannot be read, and so nothing may be answered.
        """
        found = []
        for path in sorted(self._folder.glob("answered-*.json")):
            if path.name not in self._read:
                self._read[path.name] = _read(path)
            found.append(self._read[path.name])
        return tuple(found)

    def remember(self, criteria: Criteria, counted: Counted, shown: NDArray[np.bool_], roster: Sequence[str]) -> None:
        """Keeps what is about to be handed on, unless the very same is kept already; it is on the disk when this returns."""
        earlier = self.all()
        known = (criteria.digest, tuple(shown.tolist()), tuple(sorted(roster)))
        alike = (one for one in earlier if (one.criteria, one.shown, one.roster) == known)
        if any(np.array_equal(one.mixed, counted.mixed) for one in alike):
            return
        path = self._folder / f"answered-{len(earlier):06d}.json"
        facts = {
            "criteria": criteria.digest,
            "title": criteria.title,
            "steps": list(criteria.names),
            "counts": counted.counts.tolist(),
            "shown": shown.tolist(),
            "roster": sorted(roster),
        }
        with path.with_suffix(".npy").open("wb") as file:
            np.save(file, counted.mixed, allow_pickle=False)
            _settle(file)
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as text:
            json.dump(facts, text, ensure_ascii=False)
            _settle(text)
        new.replace(path)


def _read(path: Path) -> Answered:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        with path.with_suffix(".npy").open("rb") as file:
            mixed: Any = np.load(file, allow_pickle=False)
        steps: Sequence[str] = facts["steps"]
        if (
            mixed.dtype != np.uint64
            or mixed.ndim != 2
            or not len(mixed) == len(steps) == len(facts["counts"]) == len(facts["shown"])
        ):
            raise ValueError
        return Answered(
            facts["criteria"],
            facts["title"],
            tuple(steps),
            tuple(facts["counts"]),
            tuple(facts["shown"]),
            tuple(facts["roster"]),
            mixed,
        )
    except (OSError, ValueError, KeyError, TypeError):
        pass
    problem = Problem(
        str(path), "a damaged file", "what was answered earlier", "Restore it from a backup: without it nothing is counted"
    )
    raise MachineError("What was answered cannot be read.", [problem])


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
