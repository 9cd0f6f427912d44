"""One draw from the first ask to the end, by the rules of `federation.conduct`: musters, rounds asked again, restarts, quorums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from huizhen.twin.simulate.batch import PARTS, Given, StageTimes
from huizhen.twin.simulate.draws import Chance, Lane, doubts_of, passing, times_of
from huizhen.twin.simulate.models import Array, Transfers
from huizhen.twin.simulate.sheet import Block, RoundSheet, Sheet, StageSheet
from huizhen.twin.simulate.timeline import Happening, Played, Span

__all__ = ["Enact", "given_of", "played"]

Enact = Callable[[StageSheet, Given, Transfers], StageTimes]
Present = NDArray[np.bool_]


class _Ended(Exception):
    """The study has no result; the reason is in plain words."""


def given_of(
    sheet: Sheet,
    stage: StageSheet,
    chances: list[Chance],
    factor: Array,
    present: Present,
    silent: Present,
    index: NDArray[np.intp],
) -> Given:
    """A stage in some lanes.

    Args:
        chances: of the draws; index: which draw each lane belongs to.
        factor: (lane, site); present, silent: (lane, site).
    """
    device = np.array([one.device for one in chances])
    compute = stage.compute.drawn(device[:, sheet.devices])
    protect = stage.protect.drawn(device[:, sheet.devices])
    line = sheet.lines.drawn(np.array([one.line for one in chances]))
    sealing, add = stage.sealing.drawn(device[:, -1:]), stage.add.drawn(device[:, -1:])
    return Given(
        present,
        silent,
        (stage.down * line)[index],
        (stage.up * line)[index],
        compute[index] * factor,
        protect[index] * factor,
        sealing[index],
        add[index],
        sheet.course.deadline_s,
    )


def played(sheet: Sheet, seed: int, draw: int, enact: Enact, *, told: bool = False) -> Played:
    """One draw.

    Args:
        enact: how a stage is played.
        told: whether spans and happenings are kept.
    """
    return _Draw(sheet, seed, draw, enact, told, doubts_of(sheet, seed, draw)).to_its_end()


@dataclass(slots=True)
class _Draw:
    sheet: Sheet
    seed: int
    draw: int
    enact: Enact
    told: bool
    chance: Chance
    now_s: float = 0.0
    number: int = 0
    restarts: int = 0
    asked: int = 0
    late: bool = False
    moved: float = 0.0
    parts: Array = field(default_factory=lambda: np.zeros(len(PARTS)))
    roster: Present = field(default_factory=lambda: np.zeros(0, bool))
    spans: list[Span] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    tries: dict[tuple[int, int], int] = field(default_factory=dict)

    def to_its_end(self) -> Played:
        failures = []
        for block in self.sheet.blocks:
            label = (block.muster or block.rounds[0]).analysis
            self.number = 0
            try:
                self._analysis(block)
            except _Ended as reason:
                failures.append(f"{label}: {reason}")
            self._happens("finished", label)
        parts = dict(zip(PARTS, self.parts.tolist(), strict=True))
        seconds, failure = self.now_s, "; ".join(failures)
        return Played(
            seconds, parts, failure, self.late, self.restarts, self.asked, self.moved, tuple(self.spans), tuple(self.happenings)
        )

    def _analysis(self, block: Block) -> None:
        self.roster = np.ones(len(self.sheet.roster), bool)
        if block.muster is not None:
            self._muster(block.muster)
        while not self._all_rounds(block):
            self.restarts += 1

    def _muster(self, muster: RoundSheet) -> None:
        self.number += 1
        missing = self._attempt(muster, 0, 0)
        if missing.any() and self.sheet.course.on_loss == "wait":
            raise _Ended(f"{int(missing.sum())} sites are missing")
        self.roster &= ~missing
        self._happens("mustered", muster.analysis)
        self._check_quorum()

    def _all_rounds(self, block: Block) -> bool:
        """Whether all rounds went through with this roster; else it has changed, and they begin anew."""
        return all(self._round(one, turn) for one in block.rounds for turn in range(times_of(one, self.chance)))

    def _round(self, one: RoundSheet, turn: int) -> bool:
        course = self.sheet.course
        self.number += 1
        for patience in range(course.patience, -1, -1):
            missing = self._attempt(one, turn, course.patience - patience)
            stayed = int((self.roster & ~missing).sum())
            if not missing.any() or (not course.keeps_roster and stayed >= max(course.quorum, 1)):
                self._happens("folded", one.analysis)
                return True
            if patience:
                self._happens("waiting", one.analysis)
        if not course.keeps_roster or course.on_loss == "wait":
            raise _Ended(f"{stayed} sites answered in round {self.number}, the quorum is {course.quorum}")
        self.roster = self.roster & ~missing
        self._check_quorum()
        self._happens("restarted", one.analysis)
        return False

    def _check_quorum(self) -> None:
        if (left := int(self.roster.sum())) < max(self.sheet.course.quorum, 1):
            raise _Ended(f"{left} sites are left, the quorum is {self.sheet.course.quorum}")

    def _attempt(self, one: RoundSheet, turn: int, attempt: int) -> Present:
        """All stages with whoever is left after each; who is missing at the end."""
        tried = self.tries.get((one.place, turn), 0)
        self.tries[one.place, turn] = tried + 1
        factor, luck = passing(self.sheet, self.seed, Lane(self.draw, one.place, turn, tried))
        silent, present, self.asked = luck < self.sheet.silent, self.roster.copy(), self.asked + 1
        self._happens("asked", one.analysis)
        for place, stage in enumerate(one.stages):
            given = given_of(
                self.sheet, stage, [self.chance], factor[None, :], present[None, :], silent[None, :], np.zeros(1, np.intp)
            )
            times = self.enact(stage, given, self.sheet.transfers)
            self._keep(one, stage, present, times, attempt, last=place == len(one.stages) - 1)
            self.parts += times.parts[0]
            self.moved += float(((stage.down + stage.up) * present).sum())
            self.now_s += float(times.ends[0])
            missing = times.missing[0]
            self.late |= bool(missing.any())
            present = present & ~missing
            if not present.any() or (missing.any() and self.sheet.course.keeps_roster and one.step != "muster"):
                break
        return self.roster & ~present

    def _keep(self, one: RoundSheet, stage: StageSheet, present: Present, times: StageTimes, attempt: int, *, last: bool) -> None:
        if not self.told:
            return
        ends = float(times.ends[0])
        for k in np.flatnonzero(present):
            site, missing = self.sheet.roster[k], bool(times.missing[0, k])
            self._happens("silent" if missing else "answered" if last else "passed", one.analysis, site, ends)
            marks = [0.0] + [min(float(each[0, k]), ends) for each in (times.asked, times.worked, times.ready)]
            marks.append(ends if missing else min(float(times.came[0, k]), ends))
            names = ("download", "compute", "protect", "wait" if missing else "upload")
            for name, begins, stops in zip(names, marks, marks[1:], strict=False):
                self._span(site, name, one, stage, attempt, begins, stops)
            self._span(site, "wait", one, stage, attempt, marks[-1], ends)
        came = times.came[0][np.isfinite(times.came[0]) & present & ~times.missing[0]]
        if len(came):
            self._span("", "aggregate", one, stage, attempt, min(float(came.min()), ends), ends)

    def _span(self, site: str, part: str, one: RoundSheet, stage: StageSheet, attempt: int, begins: float, ends: float) -> None:
        if ends > begins:
            at = (self.now_s + begins, self.now_s + ends)
            self.spans.append(Span(site, part, one.analysis, self.number, attempt, stage.stage, *at))  # type: ignore[arg-type]

    def _happens(self, kind: str, analysis: str, site: str = "", after_s: float = 0.0) -> None:
        if self.told:
            self.happenings.append(Happening(kind, analysis, self.number, site, self.now_s + after_s))
