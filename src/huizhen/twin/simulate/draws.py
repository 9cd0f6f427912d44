"""What is drawn for a play, each number from a place of its own: whichever lanes are played in whatever order, the same seed
gives the same numbers, to the last bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from huizhen.twin.simulate.models import Array
from huizhen.twin.simulate.sheet import RoundSheet, Sheet

__all__ = ["Chance", "Lane", "doubts_of"]

WHOLE, PASSING = 1, 2  # what is drawn for a whole play, and what for one attempt of a round


@dataclass(frozen=True, slots=True)
class Lane:
    """One attempt of one round in one draw: `place` of its kind in the course, its `turn`, and how often it was tried before."""

    draw: int
    place: int
    turn: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Chance:
    """What one draw holds to from beginning to end.

    Attributes:
        device: standard deviations by device; line: by site; times: by kind of round.
    """

    device: Array
    line: Array
    times: Array


def doubts_of(sheet: Sheet, seed: int, draw: int) -> Chance:
    """The standing doubts of one draw; of draw 0 none, so that it shows the medians."""
    kinds = len(sheet.course.rounds)
    if draw == 0:
        return Chance(np.zeros(sheet.device_count + 1), np.zeros(len(sheet.roster)), np.zeros(kinds))
    rng = _rng(seed, WHOLE, draw, 0, 0)
    return Chance(rng.standard_normal(sheet.device_count + 1), rng.standard_normal(len(sheet.roster)), rng.standard_normal(kinds))


def passing(sheet: Sheet, seed: int, lane: Lane) -> tuple[Array, Array]:
    """Of one attempt: by what factor each site takes longer, and a uniform number that says whether it falls silent; (site,)."""
    rng, sites = _rng(seed, PASSING + (lane.draw << 8), lane.place, lane.turn, lane.attempt), len(sheet.roster)
    factor = np.exp(sheet.jitter * rng.standard_normal(sites)) if sheet.jitter else np.ones(sites)
    return factor, rng.random(sites) if sheet.silent.any() else np.ones(sites)


def times_of(round_: RoundSheet, chance: Chance) -> int:
    """How often a kind of round comes in a draw."""
    return max(round(float(round_.times.drawn(chance.times[[round_.place]])[0])), 0)


def _rng(seed: int, purpose: int, first: int, second: int, third: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, first, second, third]))
