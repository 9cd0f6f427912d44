"""What answering costs on this machine: the study itself on few stand-in rows, carried by calling, and the clock read around it.

Most of what a small question takes is not arithmetic: checking, gates, signed entries, packing. It does not depend on rows, so a
rehearsal has it already. With two numbers of rows the part that grows with them is known as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from statistics import median

from huizhen.clock import ManualClock
from huizhen.federation.conduct import conduct
from huizhen.federation.events import leaving
from huizhen.federation.rounds import Answered, Ask, Reply
from huizhen.privacy.release import Question
from huizhen.twin.simulate.engine import Passage, Respondent
from huizhen.twin.simulate.federation import Standins, federation_of
from huizhen.twin.simulate.rehearsal import shortened

__all__ = ["Place", "Witnessed", "unclocked", "witnessed"]

Place = tuple[str, str, str]  # analysis, step, stage
MOST_LOAD = 0.9


def unclocked() -> float:
    """A clock that stands still: nothing is measured, so the same inputs give the same forecast."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What was measured.

    Attributes:
        answering: seconds of a site for one ask: those that it takes anyway, and those of a row more.
        leading: seconds of the hub for one reply.
        left: bytes of an answer, by site; each different answer of a step once, in the order in which they came.
        load: share of the time in which others had the processor, 0 to 1.
    """

    answering: Mapping[Place, tuple[float, float]]
    leading: float
    left: Mapping[Place, tuple[Mapping[str, float], ...]]
    load: float = 0.0


def witnessed(few: Standins, many: Standins | None, clock: Callable[[], float], wall: Callable[[], float] = unclocked) -> Witnessed:
    """Measures the study on few rows and, for what a row more costs, on many.

    Args:
        many: the same study on more rows; None: all that a question takes beyond the quickest one is taken to grow with rows.
        clock: seconds of processor time of this thread; wall: of the time that passes.
    """
    first, began = _Watch(few, clock), (clock(), wall())
    first.to_its_end()
    if many is None:
        least, many_rows = min(first.medians.values(), default=0.0), max(_mean_rows(few), 1.0)
        answering = {place: (least, (one - least) / many_rows) for place, one in first.medians.items()}
        return Witnessed(answering, first.leading, first.answers, _load(clock() - began[0], wall() - began[1]))
    more = _Watch(many, clock)
    more.to_its_end()
    load = _load(clock() - began[0], wall() - began[1])
    rows = [_mean_rows(one) for one in (few, many)]
    found = {place: _line(rows[0], seconds, rows[1], more.medians.get(place, seconds)) for place, seconds in first.medians.items()}
    return Witnessed(found, (first.leading + more.leading) / 2, first.answers, load)


def _load(worked: float, passed: float) -> float:
    return min(max(1.0 - worked / passed, 0.0), MOST_LOAD) if passed > 0 else 0.0


def _line(fewer: float, less: float, rows: float, seconds: float) -> tuple[float, float]:
    slope = max(seconds - less, 0.0) / max(rows - fewer, 1.0)
    return max(less - slope * fewer, 0.0), slope


def _mean_rows(here: Standins) -> float:
    return sum(table.rows for table in here.tables.values()) / max(len(here.tables), 1)


@dataclass(slots=True)
class _Watch:
    """One rehearsal, carried by calling and timed."""

    here: Standins
    clock: Callable[[], float]
    seconds: dict[Place, list[float]] = field(default_factory=lambda: defaultdict(list))
    left: dict[Place, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    leading: float = 0.0

    def to_its_end(self) -> None:
        there: dict[str, Respondent] = {}
        wrap = self.here.wrap

        def kept(site: str, respondent: Respondent) -> Respondent:
            there[site] = wrap(site, respondent)
            return there[site]

        run = federation_of(replace(shortened(self.here), wrap=kept), ManualClock(), seen=_unseen, worked=_Unwatched())
        engine = _Calling({site: _Timed(site, one, self) for site, one in there.items()})
        began = self.clock()
        for _ in conduct(replace(run, engine=engine)):
            pass
        asks = sum(map(len, self.seconds.values()))
        self.leading = max(self.clock() - began - sum(map(sum, self.seconds.values())), 0.0) / max(asks, 1)

    @property
    def medians(self) -> dict[Place, float]:
        return {place: median(some) for place, some in self.seconds.items()}

    @property
    def answers(self) -> dict[Place, tuple[Mapping[str, float], ...]]:
        found: dict[Place, tuple[Mapping[str, float], ...]] = {}
        for place, sites in self.left.items():
            turns = [dict(zip(sites, each, strict=True)) for each in zip_longest(*sites.values(), fillvalue=0.0)]
            found[place] = tuple({sum(one.values()): one for one in reversed(turns)}.values())[::-1]
        return found


@dataclass(frozen=True, slots=True)
class _Timed:
    """A site's program with a clock around it."""

    site: str
    inner: Respondent
    watch: _Watch

    def respond(self, ask: Ask) -> Reply:
        began = self.watch.clock()
        reply = self.inner.respond(ask)
        place = (ask.analysis, ask.question.step, ask.stage)
        self.watch.seconds[place].append(self.watch.clock() - began)
        if isinstance(reply, Answered):
            self.watch.left[place][self.site].append(float(sum(part.bytes for part in leaving(reply, ""))))
        return reply


class _Calling:
    """An engine that calls one site after another, at no cost of its own."""

    name = "calling"

    def __init__(self, respondents: Mapping[str, Respondent]) -> None:
        self._respondents = respondents

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._respondents)

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Iterator[tuple[str, Reply]]:
        return iter({site: self._respondents[site].respond(ask) for site, ask in asks.items()}.items())

    def close(self) -> None:
        """There is nothing to let go of."""


def _unseen(_: Passage) -> None:
    return None


class _Unwatched:
    """Nobody wants to know when a site computes."""

    def __call__(self, site: str, question: Question, rows: int) -> None:
        return None
