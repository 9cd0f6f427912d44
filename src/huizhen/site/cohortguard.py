"""What of a cohort may be told to a hub beside what this site has answered before, whoever asked: stands between rows and gate.

Rules, each with what it stops:

- the criteria are those of the study that the site accepted, never of what is asked (a hub could ask for others);
- a number that the hub sees by itself is 0 or at least the minimum, and so are the patients lost since the last such number;
- a number is told only where its patients differ by enough from every cohort that was answered, by two and by three (`site.apart`);
- what was withheld when the sites agreed stays so when they count (a hub could ask for it all the same);
- a number is remembered before it leaves, and judged and remembered under one lock (two questions at once could pass each other).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from huizhen.data.criteria.attrition import told
from huizhen.data.criteria.declarations import Criteria
from huizhen.data.criteria.sketch import buckets_for
from huizhen.federation.rounds import Ask
from huizhen.federation.selection import MUSTER, muster
from huizhen.federation.study import Study
from huizhen.federation.workplace import DRAW_BYTES, Workplace
from huizhen.methods.attrition import AGREE, COUNT
from huizhen.policy.decision import Decision
from huizhen.policy.gate import Gate
from huizhen.privacy.release import EMPTY, Answer, Part, Question
from huizhen.site.answered import Answered, Answers, Counted
from huizhen.site.apart import as_answered, close, known, other_sites
from huizhen.site.eventcounts import SKETCH, cohorts_of

__all__ = ["CohortGuard"]

CLAUSE = "differencing"
WITHHELD = "cohort refused"  # kind of the ledger's entries
OTHER_SITES = (
    "differencing: this cohort was answered for other sites, so that the sums could be subtracted; ask the same sites, or at least "
    "3 others"
)
TOO_NEAR = (
    "differencing: what is asked differs by too few patients from a cohort that this site has answered; ask as before, or change "
    "the criteria further"
)
TOO_FEW = "min_cell_count: too few patients are left after a criterion that is asked for, or too few are lost there"
NOT_A_STEP = "form: expected one of the steps in which cohorts are counted"
NOT_STEPS = "form: expected a 0 or 1 for each criterion"


@dataclass(slots=True)
class CohortGuard:
    """Judges the answers of one study here.

    Attributes:
        workplace: where the registry is read.
        answers: what the site has answered.
    """

    site: str
    study: Study
    workplace: Workplace
    gate: Gate
    answers: Answers
    _counted: dict[str, Counted] = field(default_factory=dict)
    _told: set[tuple[object, ...]] = field(default_factory=set)

    def __call__(self, ask: Ask, answer: Answer) -> Answer | Decision:
        """What may leave in place of an answer, or why nothing may."""
        criteria = cohorts_of(self.study).get(ask.analysis)
        if criteria is None:
            return answer
        held = self._held(ask.analysis)
        with self.answers.alone():
            earlier = self.answers.all()
            counted = as_answered(earlier, criteria.digest, held, self._minimum)
            if ask.question.step == MUSTER:
                return self._mustered(ask, criteria, counted, earlier)
            if any(other_sites(one, criteria.digest, counted, ask.roster, self._minimum) for one in earlier):
                return self._refuse(ask, criteria, Decision.refuse(CLAUSE, OTHER_SITES))
            few, near = self._flags(counted, earlier, ask.roster)
            if ask.question.step == AGREE:
                return self._agreed(ask, criteria, counted, few, near)
            if ask.question.step == COUNT:
                return self._count(ask, criteria, counted, few, near)
            return Decision.refuse("form", NOT_A_STEP)

    @property
    def _minimum(self) -> int:
        return self.gate.policy.min_cell_count

    def _held(self, label: str) -> Counted:
        """The counts as they were when this study first asked."""
        if label not in self._counted:
            question = Question("attrition", SKETCH, {"buckets": buckets_for(self._minimum)})
            worked = self.workplace.answer(label, question, EMPTY, draw=bytes(DRAW_BYTES), course="")
            counts, mixed = (worked.answer.parts[name].values for name in ("counts", "mixed"))
            self._counted[label] = Counted(counts.copy(), np.ascontiguousarray(mixed).view(np.uint64))
        return self._counted[label]

    def _flags(
        self, counted: Counted, earlier: tuple[Answered, ...], roster: tuple[str, ...]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The steps with too few patients for a number of this site's own, and those too near to what was answered."""
        new = ~known(earlier, counted, roster, self.site)
        near = np.zeros(len(new), dtype=bool)
        near[[one.step for one in close(earlier, counted, self._minimum, new)]] = True
        few = np.zeros(len(new), dtype=bool)
        few[~near] = ~told(counted.counts[~near], self._minimum)
        return few, near

    def _mustered(self, ask: Ask, criteria: Criteria, counted: Counted, earlier: tuple[Answered, ...]) -> Answer | Decision:
        """How many have the index event, which the hub sees by site in every lane."""
        first = np.zeros(len(counted.counts), dtype=bool)
        first[0] = True
        new = first & ~known(earlier, counted, (self.site,), self.site)
        if any(True for _ in close(earlier, counted, self._minimum, new)):
            return self._refuse(ask, criteria, Decision.refuse(CLAUSE, TOO_NEAR))
        rows = int(counted.counts[0])
        if rows >= self.gate.policy.min_rows:  # else the gate tells no number
            self.answers.remember(criteria, counted, first, (self.site,))
        return muster(rows)

    def _agreed(self, ask: Ask, criteria: Criteria, counted: Counted, few: NDArray[np.bool_], near: NDArray[np.bool_]) -> Answer:
        if near.any():
            self._record(ask, criteria, steps=np.flatnonzero(near).tolist())
        again = np.array([bool(counted.note)])
        # In the masked lane nobody sees this site's own number, nor need anybody know that it is small.
        flags = {"near": near, "few": few & self._is_seen(ask), "again": again}
        rows = int(counted.counts[0])
        return Answer({name: Part(flag.astype(np.int64), rows) for name, flag in flags.items()}, rows)

    def _count(
        self, ask: Ask, criteria: Criteria, counted: Counted, few: NDArray[np.bool_], near: NDArray[np.bool_]
    ) -> Answer | Decision:
        said = ask.question.facts.get("told")
        if not isinstance(said, np.ndarray) or said.shape != near.shape or not np.isin(said, (0, 1)).all():
            return Decision.refuse("form", NOT_STEPS)
        asked = said == 1
        if (asked & near).any():
            return self._refuse(ask, criteria, Decision.refuse(CLAUSE, TOO_NEAR))
        if self._is_seen(ask) and (asked & few).any():
            return self._refuse(ask, criteria, Decision.refuse("min_cell_count", TOO_FEW))
        rows, counts = int(counted.counts[0]), counted.counts
        parts = {"patients": Part(np.where(asked, counts, 0), rows, cells=True)}
        if asked.any():
            self.answers.remember(criteria, counted, asked, ask.roster)
        if self._by_site(ask):
            own = ~(few | near)
            parts["here"] = Part(np.where(own, counts, 0), rows, kind="individual", cells=True)
            parts["told"] = Part(own.astype(np.int64), rows, kind="individual")
            self.answers.remember(criteria, counted, own, (self.site,))
        return Answer(parts, rows)

    def _is_seen(self, ask: Ask) -> bool:
        """Whether the hub sees this site's own numbers."""
        return ask.lane == "plain" or self._by_site(ask)

    def _by_site(self, ask: Ask) -> bool:
        (analysis,) = (one for one in self.study.analyses if one.label == ask.analysis)
        return bool(getattr(analysis.spec, "by_site", False))

    def _refuse(self, ask: Ask, criteria: Criteria, decision: Decision) -> Decision:
        self._record(ask, criteria)
        return decision

    def _record(self, ask: Ask, criteria: Criteria, **more: object) -> None:
        """On the ledger, once for each round."""
        turn = (ask.run, ask.analysis, ask.round)
        if turn not in self._told:
            self._told.add(turn)
            fact: Mapping[str, object] = {
                "study": ask.study,
                "criteria": criteria.digest,
                "run": ask.run,
                "roster": list(ask.roster),
                "clauses": [CLAUSE],
                **more,
            }
            self.gate.record(WITHHELD, fact)
