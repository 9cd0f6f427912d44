"""What happens in a run, as one stream: progress bars, the report, the console and the twin are all readers of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from huizhen.federation.rounds import Answered
from huizhen.privacy.release import Progress
from huizhen.privacy.result import Result

__all__ = ["Comparing", "Event", "Leaving", "Loss", "Outcome", "leaving"]

EventKind = Literal[
    "reading",
    "mustered",
    "asked",
    "passed",
    "answered",
    "silent",
    "failed",
    "refused",
    "left out",
    "waiting",
    "restarted",
    "resumed",
    "folded",
    "finished",
    "comparing",
    "compared",
]


@dataclass(frozen=True, slots=True)
class Leaving:
    """One array that left a site: its name, its kind (``addend``, ``counts``, ``individual`` or ``masked``), how much."""

    what: str
    kind: str
    bytes: int
    numbers: int


@dataclass(frozen=True, slots=True)
class Comparing:
    """Which model beside the joint one is at work.

    Attributes:
        whose: the site whose rows it learns from; "" for the pooled rows; None while all models are judged.
        place, of: which model of how many, or which judgement of how many.
        share: about how much is done, 0 to 1; of learning by numbers of rows, of judging by judgements.
    """

    whose: str | None
    place: int
    of: int
    share: float


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        analysis, round, site: where; site is "" for what concerns all. Of kind ``reading`` a site's source is opened
            or read (`step`), before any analysis ("").
        at_s: seconds since the run began.
        step: the method's step, for the readers of progress.
        detail: a reason or remark in plain words.
        leaving: what left the site (kind ``answered``, and ``passed`` for a stage before a round's last).
        cpu_s: processor time the site spent (of the same kinds).
        progress: how far a long method is (kinds ``asked``, ``folded`` and ``comparing``), or how many sites' sources
            were read (``reading``).
        comparing: which model beside the joint one (kind ``comparing`` only, after all analyses).
    """

    kind: EventKind
    analysis: str
    round: int
    at_s: float
    site: str = ""
    step: str = ""
    detail: str = ""
    leaving: tuple[Leaving, ...] = ()
    cpu_s: float = 0.0
    progress: Progress | None = None
    comparing: Comparing | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """A site that took no part, or no part to the end, or none in one round, and why.

    Attributes:
        kind: ``left out`` by the policy's minimum, or how it was lost.
        round: the one round that went on without it; 0 where it was lost for good.
    """

    site: str
    kind: Literal["left out", "silent", "failed", "refused"]
    reason: str
    round: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one analysis ended.

    Attributes:
        result: published: after suppression and rounding. `Result.failure` says why there is none.
        roster: who answered to the end; rows: rows behind it, by site.
        losses: who did not, and why.
        rounds: rounds asked, musters included; restarts: how often the roster changed.
    """

    label: str
    result: Result
    roster: tuple[str, ...]
    rows: dict[str, int]
    losses: tuple[Loss, ...]
    rounds: int
    restarts: int


def leaving(reply: Answered, prefix: str) -> tuple[Leaving, ...]:
    """What lets leave a site with a reply: an answer part by part, and what the protection needs as one."""
    answer = reply.answer
    parts = [
        Leaving(
            what=f"{prefix}/{name}",
            kind="individual" if part.kind == "individual" else "counts" if part.cells else "addend",
            bytes=part.values.nbytes + sum(len(key.encode()) for key in part.keys or ()),
            numbers=part.values.size,
        )
        for name, part in (answer.parts.items() if answer is not None else ())
    ]
    sealed = _bytes_of(reply.packet) + sum(len(box.sealed) for box in reply.boxes)
    return (*parts, *([Leaving(prefix, "masked", sealed, _numbers_of(reply.packet))] if sealed else []))


def _bytes_of(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_bytes_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_bytes_of, value))
    return value.nbytes if isinstance(value, np.ndarray) else len(value) if isinstance(value, bytes | str) else 0


def _numbers_of(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_numbers_of, value.values()))
    return value.size if isinstance(value, np.ndarray) else 0
