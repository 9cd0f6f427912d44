"""A run's events beside its forecast: residuals of the total, of rounds, work, bytes, of how often steps came, and of all the rest.

Events are those of `huizhen.federation.events`; an interrupted run that was resumed says nothing of its time, so nothing is learnt.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from huizhen.federation.events import Event
from huizhen.twin.functional import Residual
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.learnt import Compared

__all__ = ["Told", "compared", "turns_in"]

WORK_SPREAD, ROUND_SPREAD = 1.35, 1.5  # of one step's work, and of one round's seconds
NOUGHT = 1e-9


class Kind(Protocol):
    """A kind of round as it was foreseen (`huizhen.twin.forecast.foreseen.RoundShare`)."""

    analysis: str
    step: str
    times: Quantity
    seconds: float
    work_s: Mapping[str, float]
    raw_s: Mapping[str, float]
    left: Mapping[str, float]
    groups: Mapping[str, Mapping[str, str]]


class Told(Protocol):
    """A forecast (`huizhen.twin.forecast.foreseen.Foreseen`)."""

    @property
    def study(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def total(self) -> Quantity: ...
    @property
    def naive_s(self) -> float: ...
    @property
    def rest_factor(self) -> float: ...
    @property
    def left_spread(self) -> float: ...
    @property
    def kinds(self) -> Sequence[Any]: ...


@dataclass(slots=True)
class Turn:
    """One round that was asked.

    Attributes:
        cpu_s: processor seconds by site; left: bytes by site.
    """

    analysis: str
    step: str
    began_s: float
    ended_s: float
    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    left: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def seconds(self) -> float:
        return max(self.ended_s - self.began_s, 0.0)


def turns_in(events: Iterable[Event]) -> list[Turn]:
    """The rounds of a run, each attempt by itself; seconds are those since its analysis began."""
    turns: list[Turn] = []
    for event in events:
        if event.kind == "asked":
            turns.append(Turn(event.analysis, event.step, event.at_s, event.at_s))
        elif turns and turns[-1].analysis == event.analysis and event.kind not in ("comparing", "compared", "reading", "finished"):
            turns[-1].ended_s = max(turns[-1].ended_s, event.at_s)
            if event.kind in ("answered", "passed"):
                turns[-1].cpu_s[event.site] += event.cpu_s
                turns[-1].left[event.site] += sum(part.bytes for part in event.leaving)
    return turns


def compared(told: Told, events: Sequence[Event], *, run: str, at: datetime) -> tuple[Compared, ...]:
    """Everything that can be compared; () of a run that was resumed, or that came to no end."""
    ends = [event for event in events if event.kind == "finished"]
    if not ends or any(event.kind == "resumed" for event in events):
        return ()
    turns, found = turns_in(events), list[Compared]()
    alike: dict[tuple[str, str], list[Kind]] = defaultdict(list)
    for kind in told.kinds:
        alike[kind.analysis, kind.step].append(kind)
    by = _By(told, run, at)
    found.append(by.one("total", told.study, told.total, sum(event.at_s for event in ends), naive=told.naive_s))
    for (analysis, step), kinds in alike.items():
        mine = [turn for turn in turns if (turn.analysis, turn.step) == (analysis, step)]
        if mine:
            found += by.step(f"{analysis}/{step}", kinds, mine)
    known = [turn for turn in turns if (turn.analysis, turn.step) in alike]
    found += by.bytes_and_rest(alike, known)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _By:
    told: Told
    run: str
    at: datetime

    def one(
        self,
        part: str,
        subject: str,
        predicted: Quantity,
        seen: float,
        *,
        groups: Mapping[str, str] | None = None,
        raw: float = 0.0,
        naive: float = 0.0,
    ) -> Compared:
        residual = Residual(part, subject, predicted, seen, self.at)
        return Compared(residual, self.told.study, self.run, dict(groups or {}), raw, naive)

    def step(self, subject: str, kinds: Sequence[Kind], turns: Sequence[Turn]) -> Iterable[Compared]:
        """One step of one analysis: how often, how long a round, how much work of each device."""
        yield self.one("times", subject, _sum([one.times for one in kinds]), float(len(turns)))
        seconds = _mean(kinds, len(turns), [one.seconds for one in kinds])
        yield self.one("round", subject, _near(seconds, ROUND_SPREAD), sum(turn.seconds for turn in turns) / len(turns))
        sums: dict[tuple[tuple[str, str], ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for site in {site for turn in turns for site in turn.cpu_s}:
            group = next((one.groups[site] for one in kinds if site in one.groups), None)
            if group is None:
                continue
            there = sum(1 for turn in turns if site in turn.cpu_s)
            told = sums[tuple(sorted(group.items()))]
            told[0] += there * _mean(kinds, len(turns), [one.work_s.get(site, 0.0) for one in kinds])
            told[1] += there * _mean(kinds, len(turns), [one.raw_s.get(site, 0.0) for one in kinds])
            told[2] += sum(turn.cpu_s[site] for turn in turns if site in turn.cpu_s)
        for groups, (predicted, raw, seen) in sorted(sums.items()):
            about = dict(groups)
            yield self.one("compute", about["model"], _near(predicted, WORK_SPREAD), seen, groups=about, raw=raw)

    def bytes_and_rest(self, alike: Mapping[tuple[str, str], Sequence[Kind]], turns: Sequence[Turn]) -> Iterable[Compared]:
        """Bytes of answers, and all seconds but those of work: waiting, lines, the hub."""
        bytes_told = bytes_seen = rest_told = rest_seen = 0.0
        counts = Counter((turn.analysis, turn.step) for turn in turns)
        busiest = max if self.told.engine == "wire" else sum
        for turn in turns:
            kinds = alike[turn.analysis, turn.step]
            many = counts[turn.analysis, turn.step]
            bytes_told += sum(_mean(kinds, many, [one.left.get(site, 0.0) for one in kinds]) for site in turn.left)
            bytes_seen += sum(turn.left.values())
            work = [_mean(kinds, many, [one.work_s.get(site, 0.0) for one in kinds]) for site in turn.cpu_s] or [0.0]
            rest_told += _mean(kinds, many, [one.seconds for one in kinds]) - busiest(work)
            rest_seen += turn.seconds - busiest(list(turn.cpu_s.values()) or [0.0])
        if bytes_told > 0:
            yield self.one("bytes", self.told.study, _about(bytes_told, self.told.left_spread), bytes_seen)
        if rest_told > NOUGHT and rest_seen > NOUGHT:
            groups = {"engine": self.told.engine, "study": self.told.study}
            predicted = _near(rest_told * self.told.rest_factor, ROUND_SPREAD)
            yield self.one("rest", self.told.engine, predicted, rest_seen, groups=groups, raw=rest_told)


def _mean(kinds: Sequence[Kind], many: int, values: Sequence[float]) -> float:
    """Over so many turns: of the commonest kind there are as many as the others leave."""
    weights = [max(one.times.value, NOUGHT) for one in kinds]
    most = max(range(len(kinds)), key=lambda place: weights[place])
    weights[most] = max(many - (sum(weights) - weights[most]), NOUGHT)
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)


def _near(value: float, spread: float) -> Quantity:
    return Quantity(value, "s", value / spread, value * spread, "fitted")


def _about(value: float, spread: float) -> Quantity:
    return Quantity(value, "byte", value / spread, value * spread, "fitted")


def _sum(some: Sequence[Quantity]) -> Quantity:
    low, value, high = (sum(getattr(one, name) for one in some) for name in ("low", "value", "high"))
    return Quantity(value, "count", low, high, some[0].provenance, some[0].source)
