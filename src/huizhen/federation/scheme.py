"""How the addends of a round are added up: in the clear, or protected, in one stage or several.

A scheme has two sides. The site's is a function of what it is asked and what it keeps; the hub's lives as long as the course of an
analysis with one roster, and sees nothing but what the sites' side sends. Methods, engines and `conduct` know no scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from huizhen.federation.rounds import Adding, Answered, Ask, Box, Lane
from huizhen.privacy.accounting.events import PrivacyEvent
from huizhen.privacy.release import EMPTY, Answer, Total

__all__ = ["ONLY", "HubSide", "Noisy", "PlainSum", "Scheme", "SiteSide", "SiteTurn", "Summed"]


ONLY = "only"  # in a notice: what one site alone is told besides, by its name


@dataclass(frozen=True, slots=True)
class Noisy:
    """An answer as it may leave a site.

    Attributes:
        answer: with its noise.
        spends: what the noise costs; None where the answer holds none.
        draw: names the draw of the noise; the same draw has the same name.
        tells_rows_only: whether it tells no more than how many rows the site has.
        beside: what it tells exactly beside the noise: nothing, how many rows the site has, or more.
    """

    answer: Answer
    spends: PrivacyEvent | None = None
    draw: str = ""
    tells_rows_only: bool = False
    beside: Literal["nothing", "rows", "exact"] = "nothing"


def _no_noise(_: Callable[[Answer], Noisy]) -> Answer:
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SiteSide:
    """What a scheme can use at a site.

    Attributes:
        site: its name.
        exact: whether the answers of all participants make the sum, or none do.
        answer: this round's answer, computed and judged once.
        noisy: the same with what a function makes of the answer before it is charged and leaves; the policy judges it as it was.
        reveal: asks the site's gate whether the sum of these sites may be seen, and has it recorded; raises where it may not.
        kept: what the scheme remembers of this analysis, in memory only; the scheme's own, to be changed.
        lasting: the same in canonical values, checkpointed at the site.
    """

    site: str
    exact: bool
    answer: Callable[[], Answer]
    reveal: Callable[[tuple[str, ...]], None]
    kept: dict[str, Any]
    lasting: dict[str, Any]
    noisy: Callable[[Callable[[Answer], Noisy]], Answer] = _no_noise


@dataclass(frozen=True, slots=True)
class SiteTurn:
    """What a site does in one stage: what it releases in the clear, what it passes on to sites and to the hub's side."""

    answer: Answer | None = None
    boxes: tuple[Box, ...] = ()
    packet: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Summed:
    """What came of a round.

    Attributes:
        rows: rows by site, where the hub sees them; else empty.
        cells: names of the parts whose entries are numbers of patients.
    """

    total: Total
    rows: Mapping[str, int]
    cells: tuple[str, ...]


class HubSide(Protocol):
    """The hub's side of the sums of one course."""

    @property
    def answers_in(self) -> str:
        """The stage in which a site gives its answer."""

    def stages(self, step: str) -> tuple[str, ...]:
        """What the sites are asked in a round that puts a question of this step, one stage after the other."""

    def notice(self, stage: str) -> Mapping[str, Any]:
        """What all sites are told in this stage, canonical values; under `ONLY`, by site, what that one alone is told besides."""

    def take(self, stage: str, replies: Iterable[tuple[str, Answered]]) -> Mapping[str, str]:
        """The replies of a stage, in roster order, as they come; the sites that cannot go on, each with the reason.

        Raises:
            FederationError: no sum can come of what is there.
        """

    def summed(self) -> Summed:
        """The sum, after the last stage.

        Raises:
            FederationError: what was sent does not make one; the site is named where it can be told.
        """

    def facts(self) -> Mapping[str, Any]:
        """What the next rounds of the course depend on, to be kept with its totals; canonical values."""


class Scheme(Protocol):
    """How addends are added up."""

    @property
    def name(self) -> str: ...

    @property
    def lane(self) -> Lane: ...

    def at_site(self, ask: Ask, side: SiteSide) -> SiteTurn:
        """A site's turn in one stage.

        Raises:
            SiteError, FederationError: it cannot, or will not; the reason holds no patient's value.
        """

    def at_hub(self, roster: tuple[str, ...], facts: Mapping[str, Any] = EMPTY) -> HubSide:
        """The hub's side for a course with this roster, begun anew or from the facts that were kept of it."""


@dataclass(frozen=True, slots=True)
class PlainSum:
    """Addends travel in the clear and are added by the hub; one stage."""

    lane: Lane = "plain"
    name: str = "plain"

    def at_site(self, ask: Ask, side: SiteSide) -> SiteTurn:
        return SiteTurn(answer=side.answer())

    def at_hub(self, roster: tuple[str, ...], facts: Mapping[str, Any] = EMPTY) -> HubSide:
        return _PlainHub()


class _PlainHub:
    """Adds what comes, as it comes, and keeps no answer."""

    answers_in = "answer"

    def __init__(self) -> None:
        self._adding = Adding()

    def stages(self, step: str) -> tuple[str, ...]:
        return ("answer",)

    def notice(self, stage: str) -> Mapping[str, Any]:
        return EMPTY

    def take(self, stage: str, replies: Iterable[tuple[str, Answered]]) -> Mapping[str, str]:
        self._adding = Adding()
        for site, reply in replies:
            if reply.answer is not None:
                self._adding.add(site, reply.answer)
            del reply  # it may be large, and the next one is on its way
        return EMPTY

    def summed(self) -> Summed:
        return Summed(self._adding.total(), dict(self._adding.rows), self._adding.cells)

    def facts(self) -> Mapping[str, Any]:
        return EMPTY
