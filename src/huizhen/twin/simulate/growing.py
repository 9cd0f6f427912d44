"""A course for a large roster, from rehearsals of three small ones.

What is told of every site (rosters, lists, adverts, signatures) grows as a line in the number of sites. What goes from neighbour to
neighbour in masked sums (sealed boxes, promises, shares) grows as a square in the number of neighbours, which is known
(`huizhen.privacy.masking.graph`). What a site answers does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from huizhen.errors import CallerError, Problem
from huizhen.federation.masked.epoch import ROUNDS
from huizhen.privacy.masking.graph import SPARSE_FROM, degree
from huizhen.privacy.masking.keys import CIPHERTEXT_BYTES
from huizhen.privacy.masking.streams import SEED_BYTES
from huizhen.twin.course import Course, RoundDemand, StageDemand, Use, Work

__all__ = ["SIZES", "grown"]

SIZES = (6, 9, 12)  # sites of the rehearsals: all of them neighbours of all others
TAG = 16  # bytes of a seal
PADDING = 3.5  # bytes behind a head, on average
NEIGHBOURLY = (("share", "up"), ("unmask", "up"))  # bytes that go with the neighbours alone
LINE = ("aes-256-gcm", "open"), ("aes-256-gcm", "seal")  # of the line: the first two uses of every site


def grown(courses: Sequence[Course], roster: tuple[str, ...], rows: Mapping[str, int]) -> Course:
    """The course of a roster, from those of its three smaller likenesses.

    Args:
        courses: of the same study with `SIZES` sites each, of names about as long, measured `unpadded`.
        rows: of each site; work grows with them.

    Raises:
        CallerError: the rehearsals do not fit together: other rounds or stages at other sizes.
    """
    sizes = tuple(len(one.roster) for one in courses)
    if sizes != SIZES or len({_outline(one) for one in courses}) > 1:
        problem = Problem("rehearsals", f"of {', '.join(map(str, sizes))} sites", f"the same rounds with {SIZES} sites each")
        raise CallerError("These rehearsals do not grow into one course.", [problem])
    last = courses[-1]
    rounds = tuple(_round([one.rounds[place] for one in courses], _Growth(roster, rows, last)) for place in range(len(last.rounds)))
    said = f"Bytes of {len(roster)} sites were carried over from rehearsals with {', '.join(map(str, sizes))} of them."
    return replace(last, roster=roster, rounds=rounds, notes=(*last.notes, said))


def _outline(course: Course) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    return tuple((one.analysis, one.step, tuple(stage.stage for stage in one.stages)) for one in course.rounds)


@dataclass(frozen=True, slots=True)
class _Growth:
    """Where a course grows to."""

    roster: tuple[str, ...]
    rows: Mapping[str, int]
    last: Course

    @property
    def sites(self) -> int:
        return len(self.roster)

    @property
    def near(self) -> int:
        return degree(self.sites) if self.sites >= SPARSE_FROM else self.sites - 1


def _round(rounds: Sequence[RoundDemand], growth: _Growth) -> RoundDemand:
    stages = tuple(_stage([one.stages[place] for one in rounds], growth) for place in range(len(rounds[-1].stages)))
    return replace(rounds[-1], stages=stages)


def _stage(stages: Sequence[StageDemand], growth: _Growth) -> StageDemand:
    last, sites = stages[-1], growth.sites
    down = round(_bytes(stages, "down", growth))
    up = round(_bytes(stages, "up", growth))
    uses = _uses([_typical(one.protect) for one in stages], growth, down, up)
    share = sites / SIZES[-1]
    adding = replace(last.adding, operations=tuple(replace(one, calls=one.calls * share) for one in last.adding.operations))
    sealing = tuple(
        replace(one, length=(down if one.step == "seal" else up) * sites)
        if (one.algorithm, one.step) in LINE
        else _often(one, share)
        for one in last.sealing
    )
    return StageDemand(
        last.stage,
        MappingProxyType(dict.fromkeys(growth.roster, down)),
        MappingProxyType(dict.fromkeys(growth.roster, up)),
        _work(last.work, growth),
        MappingProxyType(dict.fromkeys(growth.roster, uses)),
        adding,
        sealing,
    )


def _often(use: Use, share: float) -> Use:
    return replace(use, times=use.times * share) if use.times > 1 else use


def _bytes(stages: Sequence[StageDemand], way: str, growth: _Growth) -> float:
    """Mean bytes of a site in this direction."""
    means = [_mean(getattr(one, way)) for one in stages]
    if (stages[-1].stage, way) in NEIGHBOURLY:
        return _square([size - 1 for size in SIZES], means, growth.near) + PADDING
    if (stages[-1].stage, way) == ("mask", "down") and _has_boxes(stages[-1]):
        name = sum(map(len, growth.last.roster)) / len(growth.last.roster)
        rest = [mean - _boxes(size - 1, name) for mean, size in zip(means, SIZES, strict=True)]
        return _line(SIZES[1:], rest[1:], growth.sites) + _boxes(growth.near, name) + PADDING
    return _line(SIZES[1:], means[1:], growth.sites) + PADDING


def _has_boxes(stage: StageDemand) -> bool:
    return any(one.algorithm == "ml-kem-768" for uses in stage.protect.values() for one in uses)


def _boxes(near: int, name: float) -> float:
    """Bytes of the boxes that a site gets: of each neighbour's secrets a share, sealed, with two names."""
    secrets = (1 + near / 2) * ROUNDS * SEED_BYTES
    return near * (1 + 2 * (name + 1) + 3 + CIPHERTEXT_BYTES + secrets + TAG)


def _mean(told: Mapping[str, int]) -> float:
    return sum(told.values()) / max(len(told), 1)


def _line(at: Sequence[float], values: Sequence[float], where: float) -> float:
    slope = (values[1] - values[0]) / (at[1] - at[0])
    return values[1] + slope * (where - at[1])


def _square(at: Sequence[float], values: Sequence[float], where: float) -> float:
    """The parabola through three points (Lagrange)."""
    (a, b, c), (p, q, r), x = at, values, where
    return (
        p * (x - b) * (x - c) / ((a - b) * (a - c))
        + q * (x - a) * (x - c) / ((b - a) * (b - c))
        + r * (x - a) * (x - b) / ((c - a) * (c - b))
    )


def _typical(protect: Mapping[str, tuple[Use, ...]]) -> tuple[Use, ...]:
    """What a site does that is neither first nor last: those deal the most shares, and the fewest."""
    each = list(protect.values())
    return each[len(each) // 2] if each else ()


def _uses(uses: Sequence[tuple[Use, ...]], growth: _Growth, down: int, up: int) -> tuple[Use, ...]:
    found = []
    for place, last in enumerate(uses[-1]):
        if place < len(LINE):
            found.append(replace(last, length=down if last.step == "open" else up))
            continue
        before = uses[-2][place] if place < len(uses[-2]) else last
        times = _along(last, before.times, last.times, growth)
        length = _along(last, before.length, last.length, growth)
        found.append(replace(last, times=max(times, 0.0), length=max(round(length), 0)))
    return tuple(found)


def _along(use: Use, before: float, last: float, growth: _Growth) -> float:
    """A figure of a use: what is verified grows with the sites, all else with the neighbours."""
    if use.step == "verify":
        return _line(SIZES[1:], (before, last), growth.sites)
    return _line([size - 1 for size in SIZES[1:]], (before, last), growth.near)


def _work(told: Mapping[str, Work], growth: _Growth) -> Mapping[str, Work]:
    """The work of a site that was rehearsed, by as many times as another has rows; sites with as many rows share it."""
    if not told:
        return told
    one = next(iter(told.values()))
    known: dict[int, Work] = {}
    for rows in {growth.rows.get(site, one.rows) for site in growth.roster}:
        share = rows / max(one.rows, 1)
        operations = tuple(replace(each, flop=each.flop * share, moved=each.moved * share) for each in one.operations)
        known[rows] = replace(one, operations=operations, rows=rows)
    return MappingProxyType({site: known[growth.rows.get(site, one.rows)] for site in growth.roster})
