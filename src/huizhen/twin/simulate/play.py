"""A course on a mirror, played: one draw with a full timeline, and many draws as arrays.

    forecast = play(course, mirror, models, seed=1, draws=200)
    forecast.prediction.total, forecast.within(3600)

Rounds do not touch one another, so all rounds of all draws are played beside each other. A draw in which a site is lost from a
roster that is kept, or too few answer, is played again from its beginning, event by event, with the same numbers drawn.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from huizhen.errors import CallerError, Problem
from huizhen.twin.course import Course
from huizhen.twin.mirror import Mirror
from huizhen.twin.simulate.agenda import enact_stage
from huizhen.twin.simulate.batch import PARTS, play_stage
from huizhen.twin.simulate.conducting import given_of, played
from huizhen.twin.simulate.draws import Chance, Lane, doubts_of, passing, times_of
from huizhen.twin.simulate.forecast import Forecast
from huizhen.twin.simulate.models import Array, Models
from huizhen.twin.simulate.sheet import RoundSheet, Sheet, sheet_of
from huizhen.twin.simulate.timeline import Played

__all__ = ["enact", "play"]

AT_ONCE = 400_000  # numbers of one array: lanes times sites, so that what is at work stays in the cache
MOST = 100_000  # draws
SHOWN = 50_000  # rounds of sites up to which the timeline of the medians is drawn; `enact` tells longer ones


def enact(course: Course, mirror: Mirror, models: Models, *, seed: int = 0, draw: int = 0) -> Played:
    """One draw, event by event, with its timeline; draw 0 is of the medians.

    Raises:
        CallerError: the mirror does not know a site of the course.
    """
    return played(sheet_of(course, mirror, models), seed, draw, enact_stage, told=True)


def play(course: Course, mirror: Mirror, models: Models, *, seed: int = 0, draws: int = 100) -> Forecast:
    """What is expected of a course on a mirror.

    Raises:
        CallerError: the mirror does not know a site of the course, or there is nothing to draw.
    """
    if not 1 <= draws <= MOST:
        raise CallerError("This cannot be played.", [Problem("draws", f"{draws}", f"1 to {MOST:,} draws")])
    sheet = sheet_of(course, mirror, models)
    sums = _Sums(sheet, seed, draws, [doubts_of(sheet, seed, draw) for draw in range(draws)])
    for block in sheet.blocks:
        sums.all_take_part()
        for one in (*([block.muster] if block.muster else []), *block.rounds):
            sums.add(one)
    again = {int(draw): played(sheet, seed, int(draw), play_stage) for draw in np.flatnonzero(sums.again)}
    for draw, whole in again.items():
        sums.put(draw, whole)
    why = Counter(whole.failure for whole in again.values() if whole.failure)
    timeline = sum(one.times.value * len(one.stages) for one in course.rounds) * len(sheet.roster)
    median = played(sheet, seed, 0, enact_stage, told=True) if timeline <= SHOWN else None
    return Forecast(
        course.study,
        sums.seconds,
        {name: sums.parts[:, place] for place, name in enumerate(PARTS)},
        1.0 - sum(why.values()) / draws,
        float(np.mean(sums.late)),
        sums.restarts,
        sums.rounds,
        sums.bytes,
        median,
        dict(why),
        course.notes,
    )


class _Sums:
    """Seconds, parts and the rest, by draw.

    Attributes:
        again: which draws have to be played from their beginning.
    """

    def __init__(self, sheet: Sheet, seed: int, draws: int, chances: list[Chance]) -> None:
        self.sheet, self.seed, self.draws, self.chances = sheet, seed, draws, chances
        self.seconds, self.restarts, self.rounds, self.bytes, self.late = np.zeros((5, draws))
        self.parts, self.again = np.zeros((draws, len(PARTS))), np.zeros(draws, bool)
        self.all_take_part()

    def all_take_part(self) -> None:
        """An analysis begins: all sites are asked to its muster."""
        self.roster = np.ones((self.draws, len(self.sheet.roster)), bool)

    def add(self, one: RoundSheet) -> None:
        """All turns of one kind of round, in all draws."""
        lanes = [(draw, turn) for draw in range(self.draws) for turn in range(self._turns(one, draw))]
        weight = 1.0
        if not self.sheet.jitter and not self.sheet.silent.any():  # every turn is like the first
            lanes, weight = [(draw, 0) for draw in range(self.draws) if times_of(one, self.chances[draw])], 0.0
        size = max(AT_ONCE // max(len(self.sheet.roster), 1), 1)
        for first in range(0, len(lanes), size):
            some = lanes[first : first + size]
            alike = [float(times_of(one, self.chances[draw])) for draw, _ in some] if not weight else [1.0] * len(some)
            self._some(one, some, np.array(alike))

    def put(self, draw: int, one: Played) -> None:
        """A draw that was played by itself."""
        self.seconds[draw], self.late[draw], self.restarts[draw] = one.seconds, one.late, one.restarts
        self.rounds[draw], self.bytes[draw] = one.rounds, one.bytes
        self.parts[draw] = [one.parts[name] for name in PARTS]

    def _turns(self, one: RoundSheet, draw: int) -> int:
        return 1 if one.step == "muster" else times_of(one, self.chances[draw])

    def _some(self, one: RoundSheet, lanes: list[tuple[int, int]], weights: Array) -> None:
        sheet, course = self.sheet, self.sheet.course
        own = sorted({draw for draw, _ in lanes})
        index = np.array([own.index(draw) for draw, _ in lanes]) if len(own) < 64 else np.searchsorted(own, [d for d, _ in lanes])
        drawn = [passing(sheet, self.seed, Lane(draw, one.place, turn, 0)) for draw, turn in lanes]
        factor, luck = np.array([each[0] for each in drawn]), np.array([each[1] for each in drawn])
        which, chances = np.array([draw for draw, _ in lanes]), [self.chances[draw] for draw in own]
        silent, asked = luck < sheet.silent, self.roster[which]
        present = asked.copy()
        for stage in one.stages:
            given = given_of(sheet, stage, chances, factor, present, silent, index)
            times = play_stage(stage, given, sheet.transfers)
            np.add.at(self.seconds, which, times.ends * weights)
            np.add.at(self.parts, which, times.parts * weights[:, None])
            np.add.at(self.bytes, which, (present * (stage.down + stage.up)).sum(axis=1) * weights)
            present &= ~times.missing
            np.maximum.at(self.late, which, times.missing.any(axis=1).astype(float))
        np.add.at(self.rounds, which, weights)
        short = present.sum(axis=1) < max(course.quorum, 1)
        lost = (present != asked).any(axis=1)
        if one.step == "muster":
            self.roster[which] = present
            lost &= course.on_loss == "wait"
        np.logical_or.at(self.again, which, (lost & (course.keeps_roster or one.step == "muster")) | short)
