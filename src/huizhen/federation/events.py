"""What happens in a run, as one stream: progress bars, the report, the console and the twin are all readers of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from huizhen.privacy.release import Answer, Progress
from huizhen.privacy.result import Result

__all__ = ["Comparing", "Event", "Leaving", "Loss", "Outcome", "leaving"]

EventKind = Literal[
    "reading",
    "mustered",
    "asked",
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
    """One array that left a site: its name, its kind (``addend``, ``counts`` or ``individual``), how much."""

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
        leaving: what left the site (kind ``answered`` only).
        cpu_s: processor time the site spent (kind ``answered`` only).
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


def leaving(answer: Answer | None, prefix: str) -> tuple[Leaving, ...]:
    """What an answer lets leave the site, part by part."""
    if answer is None:
        return ()
    return tuple(
        Leaving(
            what=f"{prefix}/{name}",
            kind="individual" if part.kind == "individual" else "counts" if part.cells else "addend",
            bytes=part.values.nbytes + sum(len(key.encode()) for key in part.keys or ()),
            numbers=part.values.size,
        )
        for name, part in answer.parts.items()
    )
