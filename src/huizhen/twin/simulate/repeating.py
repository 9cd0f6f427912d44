"""Rounds that come again and again, told once: how often each comes, from what two and three rehearsed rounds have in common.

Rounds are alike that put the same step in the same stages and move about the same bytes. Of a long training the number of each kind
is a line through what two and what three rounds took; keys of hidden sums are renewed after so many rounds as the protection says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from huizhen.federation.masked.epoch import ROUNDS
from huizhen.federation.study import Analysis, Study
from huizhen.twin.course import RoundDemand, StageDemand
from huizhen.twin.quantity import Quantity, assumed, exactly

__all__ = ["Heard", "rounds_of"]

ALIKE = 0.02  # relative difference in bytes up to which two rounds are the same
DOUBT = 1.6  # by what factor an iteration may take more or fewer rounds on real rows
AS_STANDINS = "as often as on rows that stand in"
MUSTER = "muster"


@dataclass(frozen=True, slots=True)
class Heard:
    """One round as it was rehearsed."""

    analysis: str
    round: int
    step: str
    stages: tuple[StageDemand, ...]

    @property
    def bytes(self) -> int:
        return sum(sum(one.down.values()) + sum(one.up.values()) for one in self.stages)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.stage for one in self.stages)


@dataclass(slots=True)
class _Kind:
    """Rounds that are alike: the last of them stands for all."""

    heard: Heard
    count: int = 1


def rounds_of(
    study: Study,
    told: Sequence[Heard],
    fewer: Sequence[Heard],
    *,
    long: Mapping[str, tuple[int, int]],
    often: Mapping[tuple[str, str], Quantity],
) -> tuple[RoundDemand, ...]:
    """The rounds of a study, in the order in which each kind first comes.

    Args:
        told: as rehearsed; fewer: with one round less of each long training.
        long: by label of a long analysis: rounds that were rehearsed, and rounds that it really has.
        often: how often a step comes, by (method, step).
    """
    found: list[RoundDemand] = []
    for analysis in study.analyses:
        mine = _kinds([one for one in told if one.analysis == analysis.label])
        less = _kinds([one for one in fewer if one.analysis == analysis.label])
        rounds = [
            RoundDemand(analysis.label, one.heard.step, one.heard.stages, _times(analysis, one, less, mine, long, often))
            for one in mine
        ]
        found += _with_keys(rounds)
    return tuple(found)


def _kinds(heard: Sequence[Heard]) -> list[_Kind]:
    kinds: list[_Kind] = []
    for one in heard:
        same = next((kind for kind in kinds if _alike(kind.heard, one)), None)
        if same is None:
            kinds.append(_Kind(one))
        else:
            same.heard, same.count = one, same.count + 1
    return kinds


def _alike(one: Heard, other: Heard) -> bool:
    if (one.step, one.names) != (other.step, other.names):
        return False
    return abs(one.bytes - other.bytes) <= ALIKE * max(one.bytes, other.bytes)


def _times(
    analysis: Analysis,
    kind: _Kind,
    less: Sequence[_Kind],
    kinds: Sequence[_Kind],
    long: Mapping[str, tuple[int, int]],
    often: Mapping[tuple[str, str], Quantity],
) -> Quantity:
    step = kind.heard.step
    if (known := often.get((analysis.method.name, step))) is not None and kind.count == max(
        one.count for one in kinds if one.heard.step == step
    ):
        return known
    if analysis.label in long:
        rehearsed, really = long[analysis.label]
        before = next((one.count for one in less if _alike(one.heard, kind.heard)), 0)
        slope = kind.count - before
        times = kind.count + slope * (really - rehearsed)
        if slope and getattr(analysis.spec, "early_stopping", 0):
            return Quantity(0.7 * times, "count", min(kind.count, 0.7 * times), times, "assumed", "stops early, or does not")
        return exactly(times, "count", "the study's own number of rounds")
    if kind.count == 1 or step == MUSTER:
        return exactly(kind.count, "count", "asked so often whatever the rows")
    return assumed(kind.count, "count", AS_STANDINS, spread=DOUBT)


def _with_keys(rounds: list[RoundDemand]) -> list[RoundDemand]:
    """Hidden sums renew their keys after so many rounds: as many of the commonest rounds have the keys' stages, too."""
    asked = [one for one in rounds if one.step != MUSTER]
    keyed = next((one for one in asked if one.stages[0].stage == "advertise"), None)
    if keyed is None:
        return rounds
    most = max((one for one in asked if one.stages[0].stage != "advertise"), key=lambda one: one.times.value, default=None)
    due = math.ceil(sum(one.times.value for one in asked) / ROUNDS)
    had = sum(one.times.value for one in asked if one.stages[0].stage == "advertise")
    if most is None or due <= had:
        return rounds
    keys = tuple(one for one in keyed.stages if one.stage in ("advertise", "share", "entrust"))
    renewing = RoundDemand(most.analysis, most.step, keys + most.stages, exactly(due - had, "count", "keys are renewed"))
    left = max(most.times.value - (due - had), 1.0)
    share = left / most.times.value
    times = replace(most.times, value=left, low=most.times.low * share, high=most.times.high * share)
    return [each for one in rounds for each in ((replace(one, times=times), renewing) if one is most else (one,))]
