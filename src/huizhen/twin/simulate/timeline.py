"""Who did what when in one draw: the facts behind a Gantt chart, and the states that a run goes through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Happening", "Part", "Played", "Span"]

Part = Literal["download", "compute", "protect", "upload", "aggregate", "wait"]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a stage at a site, or at the hub (``site`` is "").

    Attributes:
        round: numbered as in a run; attempt: 0, or how often the round was asked before.
        begins_s, ends_s: seconds since the run began.
    """

    site: str
    part: Part
    analysis: str
    round: int
    attempt: int
    stage: str
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class Happening:
    """A state that a run goes through; kinds as of `huizhen.federation.events`."""

    kind: str
    analysis: str
    round: int
    site: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Played:
    """One draw to its end.

    Attributes:
        seconds: from the first ask to the end; parts: of them, by name, along the sites that the others waited for.
        failure: "" or why there would be no result.
        late: whether a site missed a deadline; restarts: how often the roster changed; rounds: that were asked, musters included.
        bytes: to and from all sites.
    """

    seconds: float
    parts: dict[str, float]
    failure: str
    late: bool
    restarts: int
    rounds: int
    bytes: float
    spans: tuple[Span, ...] = ()
    happenings: tuple[Happening, ...] = ()
