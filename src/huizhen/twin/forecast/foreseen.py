"""What is foreseen of a study, as one fact: how long, where the time goes, what moves, what it relies on; with a digest.

The fact is canonical: the same content has the same digest, which a ledger commits to before the run starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from huizhen.canonical import digest
from huizhen.clock import moment, written
from huizhen.errors import CallerError, Problem
from huizhen.twin.quantity import Quantity

__all__ = ["Bar", "Foreseen", "Relied", "RoundShare", "SiteShare", "as_content", "as_quantity"]

VERSION = 1
NUMBERS = ("rest_factor", "ends", "late", "deadline_s", "in_time", "naive_s", "operations_pfd", "hardware_pfd", "left_spread")
PETAFLOP_DAY = 1e15 * 86_400.0


@dataclass(frozen=True, slots=True)
class Relied:
    """One input: what it is called, the value that was used, and how old it was, in seconds; None: it does not age."""

    name: str
    value: Quantity
    age_s: float | None


@dataclass(frozen=True, slots=True)
class SiteShare:
    """One site's part of the whole study; medians.

    Attributes:
        rows: as its card tells.
        down, up: bytes on its line, from the hub and to it.
        left: bytes of answers that leave it, without any framing.
        work_s: seconds that its device is at work, protections included.
        flop: operations.
    """

    site: str
    rows: float
    down: float
    up: float
    left: float
    work_s: float
    flop: float


@dataclass(frozen=True, slots=True)
class RoundShare:
    """One kind of round; medians of one turn of it.

    Attributes:
        times: how often it comes.
        seconds: from the first ask to the total.
        work_s: seconds of processor time by site, whatever else its device does; raw_s: before any lesson;
            line_s: seconds on the line.
        left: bytes of its answers, by site.
        groups: whom a lesson about its work belongs to, by site and level (`huizhen.twin.shadow.factors`).
    """

    analysis: str
    step: str
    times: Quantity
    seconds: float
    work_s: Mapping[str, float]
    raw_s: Mapping[str, float]
    line_s: Mapping[str, float]
    left: Mapping[str, float]
    groups: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the Gantt chart of one round; `site` is "" for the hub; seconds from the round's begin."""

    site: str
    part: str
    stage: str
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is foreseen.

    Attributes:
        study: digest of the study.
        engine: ``wire`` across hospitals, ``in-process`` for several sites in one program.
        made: when, aware, UTC.
        total: seconds; parts: of them, by name, which add up to it; rest_factor: by what earlier runs had lengthened all but work.
        rounds: how many are asked, musters included.
        moved: bytes to and from all sites.
        ends: probability that there is a result; late: that a site misses a round's deadline.
        deadline_s: that was asked about; 0: none. in_time: probability of a result before it.
        naive_s: what size over bandwidth plus operations over peak would say.
        operations_pfd, hardware_pfd: petaflop/s-days, by operations and by the time that devices are at work at their peak.
        left_spread: by what factor bytes may be more or fewer; 1 where all that they depend on is told.
        shown: which round the bars are of.
    """

    study: str
    title: str
    engine: str
    made: datetime
    draws: int
    seed: int
    total: Quantity
    parts: Mapping[str, Quantity]
    rest_factor: float
    rounds: Quantity
    moved: Quantity
    ends: float
    late: float
    deadline_s: float
    in_time: float
    naive_s: float
    operations_pfd: float
    hardware_pfd: float
    left_spread: float
    sites: tuple[SiteShare, ...]
    kinds: tuple[RoundShare, ...]
    shown: str
    bars: tuple[Bar, ...]
    relied_on: tuple[Relied, ...]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return digest(self.content)

    @property
    def summary(self) -> dict[str, Any]:
        """What a ledger's entry holds of it."""
        total = self.total
        return {
            "digest": self.digest,
            "study": self.study,
            "engine": self.engine,
            "seconds": total.value,
            "low": total.low,
            "high": total.high,
            "bytes": self.moved.value,
            "rounds": self.rounds.value,
        }

    @property
    def content(self) -> dict[str, Any]:
        """All of it as canonical values."""
        told: dict[str, Any] = {"foreseen": VERSION, "made": written(self.made)}
        told |= {name: getattr(self, name) for name in ("study", "title", "engine", "draws", "seed", "shown")}
        told |= {name: float(getattr(self, name)) for name in NUMBERS}
        told |= {name: as_content(getattr(self, name)) for name in ("total", "rounds", "moved")}
        told["parts"] = [[name, as_content(one)] for name, one in self.parts.items()]
        told["sites"] = [[getattr(one, name) for name in SiteShare.__slots__] for one in self.sites]
        told["kinds"] = [_kind_to(one) for one in self.kinds]
        told["bars"] = [[getattr(one, name) for name in Bar.__slots__] for one in self.bars]
        told["relied_on"] = [[one.name, as_content(one.value), one.age_s] for one in self.relied_on]
        told["notes"] = list(self.notes)
        return told

    @classmethod
    def parse(cls, content: Any) -> Foreseen:
        """What stands in canonical values.

        Raises:
            CallerError: it is no forecast, or one of another version.
        """
        try:
            if content["foreseen"] != VERSION:
                raise ValueError
            words = [str(content[name]) for name in ("study", "title", "engine", "shown")]
            numbers = [float(content[name]) for name in NUMBERS]
            total, rounds, moved = (as_quantity(content[name]) for name in ("total", "rounds", "moved"))
            rest_factor, ends, late, deadline_s, in_time, naive_s, operations_pfd, hardware_pfd, left_spread = numbers
            return cls(
                study=words[0],
                title=words[1],
                engine=words[2],
                shown=words[3],
                total=total,
                rounds=rounds,
                moved=moved,
                rest_factor=rest_factor,
                ends=ends,
                late=late,
                deadline_s=deadline_s,
                in_time=in_time,
                naive_s=naive_s,
                operations_pfd=operations_pfd,
                hardware_pfd=hardware_pfd,
                left_spread=left_spread,
                made=moment(content["made"]),
                draws=int(content["draws"]),
                seed=int(content["seed"]),
                parts={str(name): as_quantity(one) for name, one in content["parts"]},
                sites=tuple(SiteShare(str(one[0]), *map(float, one[1:])) for one in content["sites"]),
                kinds=tuple(map(_kind_from, content["kinds"])),
                bars=tuple(_bar_from(_of(one, 5)) for one in content["bars"]),
                relied_on=tuple(
                    Relied(str(name), as_quantity(value), None if age is None else float(age))
                    for name, value, age in content["relied_on"]
                ),
                notes=tuple(map(str, content["notes"])),
            )
        except (TypeError, LookupError, ValueError, AttributeError, CallerError):
            problem = Problem("forecast", "another form", f"version {VERSION} of a forecast", "Make the forecast anew")
            raise CallerError("The forecast cannot be read.", [problem]) from None


def as_content(quantity: Quantity) -> list[Any]:
    """A quantity as canonical values."""
    at = None if quantity.at is None else written(quantity.at)
    low, value, high = float(quantity.low), float(quantity.value), float(quantity.high)
    return [value, quantity.unit, low, high, quantity.provenance, quantity.source, at]


def as_quantity(told: Any) -> Quantity:
    """The quantity behind `as_content`.

    Raises:
        CallerError, ValueError, TypeError: it is none.
    """
    value, unit, low, high, provenance, source, at = told
    when = None if at is None else moment(at)
    return Quantity(float(value), unit, float(low), float(high), provenance, str(source), when)


def _kind_to(one: RoundShare) -> list[Any]:
    maps = (one.work_s, one.raw_s, one.line_s, one.left, {site: dict(each) for site, each in one.groups.items()})
    return [one.analysis, one.step, as_content(one.times), one.seconds, *map(dict, maps)]


def _kind_from(told: Any) -> RoundShare:
    analysis, step, times, seconds, *maps, groups = _of(told, 9)
    work, raw, line, left = ({str(site): float(value) for site, value in each.items()} for each in maps)
    named = {str(site): {str(level): str(name) for level, name in each.items()} for site, each in groups.items()}
    return RoundShare(str(analysis), str(step), as_quantity(times), float(seconds), work, raw, line, left, named)


def _bar_from(told: list[Any]) -> Bar:
    site, part, stage, begins, ends = told
    return Bar(str(site), str(part), str(stage), float(begins), float(ends))


def _of(told: Any, count: int) -> list[Any]:
    if not isinstance(told, list) or len(told) != count:
        raise ValueError
    return told
