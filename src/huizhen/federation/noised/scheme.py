"""Noise around any way of adding up: a site's answer is clipped and gets its noise before the inner scheme masks or sends it.

Rules, each with what it stops:

- what a study will spend follows from its file; a part that was not planned, or could tell more of a patient than planned, does not
  leave (a hub cannot ask for more than was consented to);
- a site answers no more different questions of a step than planned, whether its policy has a budget or not;
- the noise of a question is drawn once and kept: asked again, after whatever crash, the site sends the very same answer (the mean
  of many draws would tell what one hides);
- a sum of shares is opened only if at least as many sites are in it as make the noise whole;
- training that puts its noise in itself must be asked for word for word as the study's file says (another rate, clip or noise costs
  something else than was reserved), and of its answer no more leaves than was planned;
- noisy numbers travel as whole numbers of a grid's steps, so that every inner scheme adds them exactly, and the sum holds no more
  than the sum of values and the sum of noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from huizhen.errors import Problem, SiteError
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.noised.answers import ROWS, answer_from, answer_to, kept_of, mustered, musters_among, name_of
from huizhen.federation.noised.fitting import ASK, is_rows, not_planned, refusal, says_the_same, unplanned, weight_of
from huizhen.federation.rounds import Ask, Lane, QuestionIdentity
from huizhen.federation.scheme import HubSide, Noisy, Scheme, SiteSide, SiteTurn
from huizhen.federation.selection import MUSTER
from huizhen.privacy.noise import Entropy
from huizhen.privacy.noiseplan import NoisePlan, StepNoise
from huizhen.privacy.release import EMPTY, Answer

__all__ = ["Noised"]

DRAW_BYTES = 16


@dataclass(frozen=True, slots=True)
class Noised:
    """A site's scheme with noise.

    Attributes:
        inner: what the noisy answers are handed to.
        plan: of the whole study.
        entropy: that many bytes from a secure source.
        kept: where noisy answers are kept, so that none is drawn twice.
        data: fingerprint of the rows; answers of other rows are not sent again.
    """

    inner: Scheme
    plan: NoisePlan
    entropy: Entropy = field(repr=False)
    kept: Checkpoints
    data: str = ""

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def lane(self) -> Lane:
        return self.inner.lane

    def at_site(self, ask: Ask, side: SiteSide) -> SiteTurn:
        def noise(answer: Answer) -> Noisy:
            return _SiteNoise(self, ask, side).of(answer)

        def reveal(roster: tuple[str, ...]) -> None:
            self._check_shares(roster)
            side.reveal(roster)

        return self.inner.at_site(ask, replace(side, answer=lambda: side.noisy(noise), reveal=reveal))

    def at_hub(self, roster: tuple[str, ...], facts: Mapping[str, Any] = EMPTY) -> HubSide:
        return self.inner.at_hub(roster, facts)  # `conduct` puts a `NoisedHub` around it, which knows the analysis

    def _check_shares(self, roster: tuple[str, ...]) -> None:
        asked = self.plan.wanted
        if asked.place == "shares" and len(roster) < asked.honest:
            expected = f"at least {asked.honest}, whose shares make it whole"
            raise SiteError("The noise of this sum is not whole.", [Problem("shares of noise", f"{len(roster)} sites", expected)])


@dataclass(frozen=True, slots=True)
class _SiteNoise:
    """The noise of one answer, drawn or kept."""

    scheme: Noised
    ask: Ask
    side: SiteSide

    def of(self, answer: Answer) -> Noisy:
        noise = self.scheme.plan.steps.get((self.ask.analysis, self.ask.question.step))
        if noise is None:
            if self.scheme.plan.wanted.level == "settings":
                return Noisy(answer)  # an exact answer, which a policy judges as such
            expected = "a step that the study's plan of noise knows"
            raise refusal(f"the step {self.ask.question.step!r}", expected)
        self.scheme._check_shares(self.ask.roster)
        self._check_asked(noise)
        if noise.event is None and noise.planned.training is None:
            return Noisy(self._told(noise, answer), tells_rows_only=True)
        kept = self._recall()
        question = (self.ask.identity or QuestionIdentity.of(self.ask.question, self.ask.scope)).digest
        found = kept["answers"].get(question)
        if found is None:
            count = kept["asked"].get(self.ask.question.step, 0)
            if count >= noise.planned.times:
                raise refusal(
                    f"another question of the step {self.ask.question.step!r}", f"{noise.planned.times}, as planned", ANEW
                )
            told, beside = self._trained(noise, answer) if noise.planned.training else (self._told(noise, answer), "nothing")
            found = {"step": self.ask.question.step, "draw": self.scheme.entropy(DRAW_BYTES).hex(), "rows": told.rows}
            found |= {"parts": answer_to(told), "beside": beside}
            self._keep(kept, question, found, count + 1)
        return Noisy(answer_from(found), noise.event, found["draw"], beside=found["beside"])

    def _keep(self, kept: dict[str, Any], question: str, found: dict[str, Any], count: int) -> None:
        """Remembers an answer, before it leaves; of a course that needs no answer but the newest, that alone, and all draws."""
        step = self.ask.question.step
        before = kept["answers"] if self.side.exact or step == MUSTER else musters_among(kept["answers"])
        answers, asked = {**before, question: found}, {**kept["asked"], step: count}
        self.scheme.kept.save(self._name, {**kept, "answers": answers, "asked": asked, "draws": [*kept["draws"], found["draw"]]})

    def _check_asked(self, noise: StepNoise) -> None:
        """Whether the question says what the study's file says, wherever that decides what its answer costs."""
        said = self.ask.question.facts
        if other := [name for name, value in noise.facts.items() if name not in said or not says_the_same(said[name], value)]:
            found = f"a question of the step {self.ask.question.step!r} with another {', '.join(other)}"
            raise refusal(found, "what the study's file says", ASK)

    @property
    def _name(self) -> str:
        return name_of(self.side.site, self.ask.analysis)

    def _recall(self) -> dict[str, Any]:
        return kept_of(self.scheme.kept, self._name, self.scheme.plan, self.scheme.data)

    def _told(self, noise: StepNoise, answer: Answer) -> Answer:
        """The answer as it may leave: noisy parts, the rows where they are told, ones for weights, zeros for what is withheld."""
        rows = self._rows(answer)
        parts, problems = {}, []
        for name, part in answer.parts.items():
            if part.kind != "addend" or part.keys is not None:
                problems.append(Problem(f"part {name!r}", "labels of its own, or one site's release", "an addend of known shape"))
            elif name in noise.parts:
                problems += unplanned(name, part, noise.planned.parts[name], noise)
            elif name in noise.planned.rows:
                problems += [] if is_rows(part, answer.rows) else [not_planned(name)]
            elif name not in noise.planned.ones and noise.planned.rest == "refused":
                problems.append(not_planned(name))
        if missing := [name for name in noise.parts if name not in answer.parts]:
            problems += [not_planned(name) for name in missing]
        if problems:
            raise SiteError("This answer cannot carry the study's noise.", problems)
        weight = weight_of(answer, noise)
        for name, part in answer.parts.items():
            if name in noise.parts:
                values = part.values / weight if noise.parts[name].kind == "change" else part.values
                parts[name] = replace(part, values=noise.parts[name].noisy(values, self.scheme.entropy), cells=False, rows=rows)
            elif name in noise.planned.rows:
                parts[name] = replace(part, rows=rows)
            elif name in noise.planned.ones:
                parts[name] = replace(part, values=np.ones_like(part.values), rows=rows)
            else:
                parts[name] = replace(part, values=np.zeros_like(part.values), rows=rows)
        if self.ask.question.step == MUSTER and ROWS in noise.parts:
            return mustered(parts[ROWS], int(noise.parts[ROWS].opened(parts[ROWS].values)[0]))
        return Answer(parts, rows)

    def _trained(self, noise: StepNoise, answer: Answer) -> tuple[Answer, Beside]:
        """The answer of training that holds its noise, as it may leave, and what it tells exactly beside it."""
        rows, planned = self._rows(answer), noise.planned
        parts, problems, beside = {}, [], set[Beside]()
        for name, part in answer.parts.items():
            if name in planned.withheld:
                parts[name] = replace(part, values=np.zeros_like(part.values), rows=rows)
                continue
            if name not in planned.computed:
                tells_rows = name in planned.rows and is_rows(part, rows)
                beside.add("rows" if tells_rows else "exact")
                problems += [] if tells_rows or planned.beside else [not_planned(name)]
            elif part.kind != "addend" and not planned.beside:
                problems.append(not_planned(name))
            parts[name] = replace(part, rows=rows)
        if problems:
            raise SiteError("This answer cannot carry the study's noise.", problems)
        if self.scheme.plan.wanted.level == "patient":
            return Answer(parts, rows), "nothing"  # its rows are noisy
        return Answer(parts, rows), "exact" if "exact" in beside else "rows"

    def _rows(self, answer: Answer) -> int:
        """The rows to be told beside the answer: as the muster told them."""
        if self.scheme.plan.wanted.level != "patient" or self.ask.question.step == MUSTER:
            return answer.rows
        musters = musters_among(self._recall()["answers"])
        if not musters:
            raise refusal("a question before the rows were counted", "the count first")
        return int(next(iter(musters.values()))["rows"])


Beside = Literal["nothing", "rows", "exact"]
ANEW = "Run it as a new study, which reserves what it spends"
