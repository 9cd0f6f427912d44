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

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen import canonical
from huizhen.errors import FederationError, PolicyError, Problem, SiteError
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.noise import wanted
from huizhen.federation.rounds import Answered, Ask, Lane, QuestionIdentity
from huizhen.federation.scheme import HubSide, Noisy, Scheme, SiteSide, SiteTurn, Summed
from huizhen.federation.selection import MUSTER
from huizhen.federation.study import Study
from huizhen.policy.gate import Gate
from huizhen.privacy.noise import Entropy
from huizhen.privacy.noiseplan import NoisePlan, StepNoise, plan_noise, plan_of_settings
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import EMPTY, Answer, Part, Sensitivity

__all__ = ["Noised", "NoisedHub", "plan_of", "reserve", "settle"]

ROWS = "rows"
COUNTED = NoisyStep(MUSTER, 1, {ROWS: NoisyPart("counts", (Sensitivity(1.0, 1.0),))}, seen=True)
COUNTED_EXACTLY = NoisyStep(MUSTER, 1, rows=(ROWS,))
DRAW_BYTES = 16
LOUDER = 8.0  # the noise of a count that only weighs sites, over that of a step of training: it costs it some hundredths


def plan_of(study: Study, sites: int) -> NoisePlan | None:
    """The noise of a study with so many sites; None where it asks for none, in its section nor in the settings of a method.

    Raises:
        StudyError: no noise is enough.
        FederationError: more honest sites are asked for than there are.
        MachineError: the package dp-accounting is not installed.
    """
    noise = study.protection.noise
    if noise is None:
        own = {label: (COUNTED_EXACTLY, *steps) for label, steps in study.noisy_steps.items()}
        return plan_of_settings(own) if own else None
    asked = wanted(noise, sites)
    if asked.place == "shares" and asked.honest > sites:
        problem = Problem("protection.noise.honest", f"{asked.honest}", f"no more than the {sites} sites that are here")
        raise FederationError("The noise cannot be shared out.", [problem])
    return plan_noise(asked, {label: (_counted(noise.level, steps), *steps) for label, steps in study.noisy_steps.items()})


def _counted(level: str, steps: tuple[NoisyStep, ...]) -> NoisyStep:
    if level == "site":
        return COUNTED_EXACTLY
    return replace(COUNTED, louder=LOUDER) if any(step.training is not None for step in steps) else COUNTED


def reserve(gates: Mapping[str, Gate], study: Study, plan: NoisePlan, kept: Checkpoints, data: str = "") -> None:
    """Sets aside at every site with a budget what the whole study will spend, before anything is asked.

    What a site has kept of an earlier run of this study on these rows was paid for then.

    Args:
        kept, data: as of `Noised`.

    Raises:
        PolicyError: at a site it would spend more than is left; every such site is named, and nothing is set aside anywhere.
    """
    problems = []
    for site, gate in gates.items():
        if gate.purse is None:
            continue
        if not math.isfinite(plan.spent.pld) and not gate.purse.budget.allow_exact:
            problems.append(Problem(f"site {site}", *RATELESS))
            continue
        if not plan.events:
            continue
        draws = [draw for analysis in study.analyses for draw in _draws(kept, site, analysis.label, plan, data)]
        decision = gate.purse.reserve(study.digest, plan.events, draws=draws)
        if not decision.allowed:
            expected = f"room for a study of epsilon {plan.spent.pld:.3g} at delta {plan.wanted.delta:g}"
            problems.append(Problem(f"site {site}", "; ".join(decision.reasons), expected))
    if problems:
        settle(gates, study)
        raise PolicyError("The study would spend more than privacy budgets allow, so it does not start.", problems)


RATELESS = (
    "a privacy budget, and training whose cost is not known beforehand",
    "a cost that the study's file tells",
    "Set rate in private",
)


def settle(gates: Mapping[str, Gate], study: Study) -> None:
    """Ends a study's reservations: what was not spent is free again."""
    for gate in gates.values():
        if gate.purse is not None:
            gate.purse.settle(study.digest)


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
            raise _refusal(f"the step {self.ask.question.step!r}", expected)
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
                raise _refusal(
                    f"another question of the step {self.ask.question.step!r}", f"{noise.planned.times}, as planned", ANEW
                )
            told, beside = self._trained(noise, answer) if noise.planned.training else (self._told(noise, answer), "nothing")
            found = {"step": self.ask.question.step, "draw": self.scheme.entropy(DRAW_BYTES).hex(), "rows": told.rows}
            found |= {"parts": _plain(told), "beside": beside}
            self._keep(kept, question, found, count + 1)
        return Noisy(_answer(found), noise.event, found["draw"], beside=found["beside"])

    def _keep(self, kept: dict[str, Any], question: str, found: dict[str, Any], count: int) -> None:
        """Remembers an answer, before it leaves; of a course that needs no answer but the newest, that alone, and all draws."""
        step = self.ask.question.step
        before = kept["answers"] if self.side.exact or step == MUSTER else _musters(kept["answers"])
        answers, asked = {**before, question: found}, {**kept["asked"], step: count}
        self.scheme.kept.save(self._name, {**kept, "answers": answers, "asked": asked, "draws": [*kept["draws"], found["draw"]]})

    def _check_asked(self, noise: StepNoise) -> None:
        """Whether the question says what the study's file says, wherever that decides what its answer costs."""
        said = self.ask.question.facts
        if other := [name for name, value in noise.facts.items() if name not in said or not _same(said[name], value)]:
            found = f"a question of the step {self.ask.question.step!r} with another {', '.join(other)}"
            raise _refusal(found, "what the study's file says", ASK)

    @property
    def _name(self) -> str:
        return _name(self.side.site, self.ask.analysis)

    def _recall(self) -> dict[str, Any]:
        return _kept(self.scheme.kept, self._name, self.scheme.plan, self.scheme.data)

    def _told(self, noise: StepNoise, answer: Answer) -> Answer:
        """The answer as it may leave: noisy parts, the rows where they are told, ones for weights, zeros for what is withheld."""
        rows = self._rows(answer)
        parts, problems = {}, []
        for name, part in answer.parts.items():
            if part.kind != "addend" or part.keys is not None:
                problems.append(Problem(f"part {name!r}", "labels of its own, or one site's release", "an addend of known shape"))
            elif name in noise.parts:
                problems += _unplanned(name, part, noise.planned.parts[name], noise)
            elif name in noise.planned.rows:
                problems += [] if _is_rows(part, answer.rows) else [_not_planned(name)]
            elif name not in noise.planned.ones and noise.planned.rest == "refused":
                problems.append(_not_planned(name))
        if missing := [name for name in noise.parts if name not in answer.parts]:
            problems += [_not_planned(name) for name in missing]
        if problems:
            raise SiteError("This answer cannot carry the study's noise.", problems)
        weight = _weight(answer, noise)
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
            return _mustered(parts[ROWS], int(noise.parts[ROWS].opened(parts[ROWS].values)[0]))
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
                is_rows = name in planned.rows and _is_rows(part, rows)
                beside.add("rows" if is_rows else "exact")
                problems += [] if is_rows or planned.beside else [_not_planned(name)]
            elif part.kind != "addend" and not planned.beside:
                problems.append(_not_planned(name))
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
        musters = _musters(self._recall()["answers"])
        if not musters:
            raise _refusal("a question before the rows were counted", "the count first")
        return int(next(iter(musters.values()))["rows"])


Beside = Literal["nothing", "rows", "exact"]
ASK = "Ask who runs the hub; this site answers nothing else"
ANEW = "Run it as a new study, which reserves what it spends"


def _name(site: str, analysis: str) -> str:
    return f"{site}.{analysis}.noisy"


def _kept(kept: Checkpoints, name: str, plan: NoisePlan, data: str) -> dict[str, Any]:
    """Noisy answers by question, and how many different ones were asked by step; of these rows and this plan."""
    mine = {"data": data, "multiplier": plan.multiplier, "honest": plan.wanted.honest}
    found = kept.load(name)
    if isinstance(found, Mapping) and found.get("of") == mine:
        return dict(found)
    return {"of": mine, "answers": {}, "asked": {}, "draws": []}


def _draws(kept: Checkpoints, site: str, analysis: str, plan: NoisePlan, data: str) -> list[str]:
    """Of all noisy answers, also of those that are not kept any more: they count as asked, so that none is drawn again."""
    return list(_kept(kept, _name(site, analysis), plan, data)["draws"])


def _musters(answers: Mapping[str, Any]) -> dict[str, Any]:
    return {question: one for question, one in answers.items() if one["step"] == MUSTER}


def _mustered(part: Part, count: int) -> Answer:
    """The noisy number of rows, which the hub sees by site; it is that of the answer, too."""
    return Answer({ROWS: replace(part, values=np.array([count], np.int64), rows=count, cells=True)}, count)


def _weight(answer: Answer, noise: StepNoise) -> float:
    """The rows by which a change was multiplied; nothing is divided where there are none."""
    weights = [float(answer.parts[name].values.sum()) for name in noise.planned.ones]
    return next((one for one in weights if one > 0), 1.0)


def _unplanned(name: str, part: Part, planned: NoisyPart, noise: StepNoise) -> list[Problem]:
    slices = noise.parts[name].slices
    entries = part.values.size // max(len(slices), 1)
    if entries > planned.size or (len(slices) > 1 and part.values.shape[-1:] != (len(slices),)):
        return [Problem(f"part {name!r}", "more numbers than planned", f"at most {planned.size}")]
    if planned.kind == "change":
        return []
    declared = part.sensitivity if isinstance(part.sensitivity, tuple) else (part.sensitivity,)
    if len(declared) != len(slices) or not all(
        _is_within(one, other) for one, other in zip(declared, planned.sensitivity, strict=True)
    ):
        return [Problem(f"part {name!r}", "no bound, or a larger one, on what a patient changes", "the planned bound")]
    return []


def _is_within(declared: Sensitivity | None, planned: Sensitivity) -> bool:
    slack = 1 + 1e-12
    return declared is not None and 0 <= declared.l1 <= planned.l1 * slack and 0 <= declared.l2 <= planned.l2 * slack


def _is_rows(part: Part, rows: int) -> bool:
    """Whether the part holds the number of rows, and zeros."""
    flat = part.values.reshape(-1)
    return bool(flat.size and flat[0] == rows and not flat[1:].any())


def _same(said: Any, planned: Any) -> bool:
    """Whether two facts are one canonical value."""
    try:
        return canonical.digest(said) == canonical.digest(planned)
    except (TypeError, ValueError):
        return False


def _not_planned(name: str) -> Problem:
    return Problem(f"part {name!r}", "a part that the study's plan of noise does not hold", "what was planned")


def _refusal(found: str, expected: str, remedy: str = "") -> SiteError:
    return SiteError("This answer cannot carry the study's noise.", [Problem("protection.noise", found, expected, remedy)])


def _plain(answer: Answer) -> dict[str, Any]:
    """The parts as canonical values."""
    return {
        name: {
            "values": part.values,
            "rows": part.rows,
            "kind": part.kind,
            "cells": part.cells,
            "keys": None if part.keys is None else list(part.keys),
            "layout": [[tensor, list(shape)] for tensor, shape in part.layout],
            "unit": part.unit,
        }
        for name, part in answer.parts.items()
    }


def _answer(found: Mapping[str, Any]) -> Answer:
    parts = {
        name: Part(
            np.asarray(one["values"]),
            one["rows"],
            one["kind"],
            one["cells"],
            None if one["keys"] is None else tuple(one["keys"]),
            layout=tuple((tensor, tuple(shape)) for tensor, shape in one["layout"]),
            unit=one["unit"],
        )
        for name, one in found["parts"].items()
    }
    return Answer(parts, found["rows"])


class NoisedHub:
    """The hub's side of an analysis with noise: it takes the inner sum from steps of a grid to the unit of the values.

    What is computed from a noisy sum costs nothing more: counts below 0 become 0, but for histograms.
    """

    def __init__(self, inner: HubSide, plan: NoisePlan, analysis: str) -> None:
        self._inner, self._plan, self._analysis, self._step = inner, plan, analysis, ""

    @property
    def answers_in(self) -> str:
        return self._inner.answers_in

    def stages(self, step: str) -> tuple[str, ...]:
        self._step = step
        return self._inner.stages(step)

    def notice(self, stage: str) -> Mapping[str, Any]:
        return self._inner.notice(stage)

    def take(self, stage: str, replies: Iterable[tuple[str, Answered]]) -> Mapping[str, str]:
        return self._inner.take(stage, replies)

    def summed(self) -> Summed:
        summed = self._inner.summed()
        noise = self._plan.steps.get((self._analysis, self._step))
        if noise is None:
            return summed
        sums: dict[str, NDArray[Any]] = dict(summed.total.sums)
        cells = list(summed.cells)
        for name, part in noise.parts.items():
            sums[name] = part.opened(sums[name])
            cells += [name] if part.kind == "counts" else []
        return replace(summed, total=replace(summed.total, sums=sums), cells=tuple(dict.fromkeys(cells)))

    def facts(self) -> Mapping[str, Any]:
        return self._inner.facts()
