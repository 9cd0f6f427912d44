"""Beside the joint answer: the same analysis on each participant's own rows, and on all of them together.

Only one process can do this. What is learned here is learned site by site, and takes as long as the joint learning or longer:
every model is an event, and one that is finished is kept, so that the same run, begun again, goes on with the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from huizhen import canonical
from huizhen.clock import Clock
from huizhen.data.examples import Examples, concatenate
from huizhen.embedded.aside import as_shown, by_itself, hold_together
from huizhen.embedded.findings import Finding
from huizhen.embedded.judged import Judged, judge
from huizhen.errors import MachineError
from huizhen.federation.breaking import why_it_broke
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.events import Comparing, Event, EventKind, Outcome
from huizhen.federation.keeping import result_from, result_to
from huizhen.federation.selection import select
from huizhen.federation.study import Analysis, Study
from huizhen.privacy.release import Progress, Question, Terms
from huizhen.privacy.result import Result

__all__ = ["Comparison"]

POOLED = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is needed to compare the analyses of a study.

    Attributes:
        tables: each site's rows; terms: what a roster can agree to.
        watch: is told of every model, and may raise `KeyboardInterrupt`.
        checkpoints: where models that are finished are kept.
        data: fingerprint of the rows; what was learned from others is not used.
        started_s: when the run began, on the clock.
    """

    study: Study
    tables: Mapping[str, Examples]
    terms: Callable[[tuple[str, ...]], Terms]
    watch: Callable[[Event], None]
    checkpoints: Checkpoints
    data: str
    clock: Clock
    started_s: float

    def of(self, analysis: Analysis, outcome: Outcome) -> Finding:
        """The outcome with every participant alone and the pooled rows beside it; what breaks is a `Result.failure` there."""
        finding = self._of(analysis, outcome)
        self.tell(outcome, "compared")
        return finding

    def _of(self, analysis: Analysis, outcome: Outcome) -> Finding:
        if not outcome.roster:
            return Finding(outcome, {})
        terms = self.terms(outcome.roster)
        rows = {site: select(self.study, analysis, self.tables[site]).examples for site in outcome.roster}
        models = _Models(self, analysis, outcome, terms, {site: some.rows for site, some in rows.items()})
        alone = hold_together({site: models.learned(site, some) for site, some in rows.items()})
        try:
            whole = concatenate(list(rows.values()))
            pooled = models.learned(POOLED, whole)
            judged = judge(
                analysis,
                outcome.result,
                alone=alone,
                pooled=pooled,
                rows=rows,
                terms=terms,
                whole=whole,
                judging=models.judging,
            )
        except MemoryError as error:  # all rows in one place take the most room
            return Finding(outcome, as_shown(alone), Result(analysis.method.name, failure=why_it_broke(error)), judged=Judged())
        return Finding(outcome, as_shown(alone), pooled, judged=judged)

    def tell(self, outcome: Outcome, kind: EventKind, **details: Any) -> None:
        self.watch(Event(kind, outcome.label, outcome.rounds, self.clock.seconds() - self.started_s, **details))


@dataclass(frozen=True, slots=True)
class _Models:
    """The models of one analysis, one after the other."""

    comparison: Comparison
    analysis: Analysis
    outcome: Outcome
    terms: Terms
    sizes: Mapping[str, int]  # rows by site

    def learned(self, whose: str, rows: Examples) -> Result:
        """The published result on these rows, as it was kept or anew."""
        self._tell(self._place(whose, None))
        kept = self._kept(whose)
        if kept is None:
            kept = by_itself(self.analysis, rows, self.terms, asking=lambda question: self._asked(whose, question))
            self._keep(whose, kept)
        return kept

    def judging(self, place: int, of: int) -> None:
        self._tell(Comparing(None, place, of, (place - 1) / of))

    def _asked(self, whose: str, question: Question) -> None:
        if question.progress is not None:
            self._tell(self._place(whose, question.progress), question.step, question.progress)

    def _place(self, whose: str, progress: Progress | None) -> Comparing:
        """The pooled rows come last, and are as many as those of all sites together."""
        order, all_rows = [*self.sizes, POOLED], sum(self.sizes.values())
        place = order.index(whose)
        within = progress.done / max(progress.of, 1) if progress is not None else 0.0
        done = sum(self.sizes[site] for site in order[:place]) + within * self.sizes.get(whose, all_rows)
        return Comparing(whose, place + 1, len(order), done / max(2 * all_rows, 1))

    def _tell(self, comparing: Comparing, step: str = "", progress: Progress | None = None) -> None:
        self.comparison.tell(self.outcome, "comparing", step=step, progress=progress, comparing=comparing)

    def _kept(self, whose: str) -> Result | None:
        try:
            kept = self.comparison.checkpoints.load(self._name(whose))
        except MachineError:
            return None  # a damaged file costs time, not the answer
        return result_from(kept["result"]) if kept is not None and kept["of"] == self._digest(whose) else None

    def _keep(self, whose: str, result: Result) -> None:
        if not result.failure:  # what failed may have failed for want of memory
            try:
                self.comparison.checkpoints.save(self._name(whose), {"of": self._digest(whose), "result": result_to(result)})
            except MachineError:
                return  # a full disk costs time when the run is begun again, not the answer

    def _name(self, whose: str) -> str:
        return f"{self.outcome.label}.alone.{whose}" if whose else f"{self.outcome.label}.pooled"

    def _digest(self, whose: str) -> str:
        """Of all that a model depends on."""
        return canonical.digest(
            [self.comparison.study.digest, self.outcome.label, whose, self.comparison.data, repr(self.terms), version("huizhen")]
        )
