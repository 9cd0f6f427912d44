"""How a study is conducted, on any engine: muster, then rounds of ask, answer, add up and fold, until each analysis has its result.

Exact methods keep one roster. A site that is lost in mid-run means waiting (the same round is asked again) or restarting
without it, as the study says; both are events, and the outcome names them. A refusal by a policy ends the analysis: whether to go
on without that site is the initiator's decision, not the program's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from huizhen import units
from huizhen.clock import Clock
from huizhen.errors import FederationError
from huizhen.federation.checkpoint import Checkpoints, MemoryCheckpoints
from huizhen.federation.course import Course
from huizhen.federation.engine import Engine
from huizhen.federation.events import Event, EventKind, Leaving, Loss, Outcome, leaving
from huizhen.federation.noised.hub import NoisedHub
from huizhen.federation.replies import checked
from huizhen.federation.rounds import Answered, Ask, Box, Failed, Refused, Reply, Silent
from huizhen.federation.scheme import ONLY, HubSide, PlainSum, Scheme
from huizhen.federation.selection import MUSTER, muster_question, scope_of
from huizhen.federation.study import Analysis, Study
from huizhen.methods.method import Finished
from huizhen.policy.disclosure import judge_total
from huizhen.policy.publication import publish
from huizhen.privacy.noiseplan import NoisePlan
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Result

__all__ = ["Run", "conduct"]


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution of a study needs; assembled by a program.

    Attributes:
        identifier: the run's id, in every ask and ledger entry.
        terms: the strictest of a roster's policies.
        checkpoints: where totals are kept, to be resumed from.
        data: fingerprint of the rows, where one process knows them all; totals of other rows are not resumed from.
        noise: the noise that the sites' answers hold; None: none.
        sites: who is asked; (): those that the study names, or all that the engine knows.
    """

    identifier: str
    study: Study
    engine: Engine
    scheme: Scheme
    terms: Callable[[tuple[str, ...]], Terms]
    clock: Clock
    checkpoints: Checkpoints = field(default_factory=MemoryCheckpoints)
    data: str = ""
    noise: NoisePlan | None = None
    sites: tuple[str, ...] = ()


def conduct(run: Run) -> Generator[Event, None, tuple[Outcome, ...]]:
    """Conducts every analysis of the study; yields events, returns the outcomes in the study's order."""
    outcomes = []
    for analysis in run.study.analyses:
        conducting = _Conduct(run, analysis, run.clock.seconds(), scope_of(run.study, analysis))
        outcome = yield from conducting.analysis_to_its_end()
        outcomes.append(outcome)
    return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class _RoundResult:
    """What came of one round: the answers' total, or who was lost."""

    total: Total | None
    rows: Mapping[str, int]
    losses: tuple[Loss, ...]
    cells: tuple[str, ...] = ()


class _Heard:
    """The replies of one stage as they come from the engine: handed on one by one, and kept without what may be large.

    Attributes:
        replies: of every site asked; answered: of those that answered, without answers and packets.
        leaving: what left each.
    """

    def __init__(self, told: Iterator[tuple[str, Reply]], prefix: str) -> None:
        self._told, self._prefix = told, prefix
        self.replies: dict[str, Reply] = {}
        self.answered: dict[str, Answered] = {}
        self.leaving: dict[str, tuple[Leaving, ...]] = {}

    def answers(self) -> Iterator[tuple[str, Answered]]:
        for site, said in self._told:
            reply = checked(said)
            if isinstance(reply, Answered):
                self.leaving[site] = leaving(reply, self._prefix)
                self.replies[site] = self.answered[site] = Answered(None, reply.boxes, seconds=reply.seconds)
                yield site, reply
            else:
                self.replies[site] = reply
            del said, reply  # nothing holds it while the next one comes


class _Stopped(Exception):
    """The analysis has no answer; the reason is in plain words."""


@dataclass(slots=True)
class _Conduct:
    run: Run
    analysis: Analysis
    started_s: float
    scope: str
    round: int = 0
    restarts: int = 0
    roster: tuple[str, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    course: Course | None = None
    summing: HubSide = field(default_factory=lambda: PlainSum().at_hub(()))  # the muster is counted in the clear

    def analysis_to_its_end(self) -> Generator[Event, None, Outcome]:
        try:
            yield from self._muster()
            result = yield from self._rounds()
        except _Stopped as reason:
            result = Result(self.analysis.method.name, failure=str(reason))
        yield self._event("finished", detail=result.failure)
        rows = {site: count for site, count in self.rows.items() if site in self.roster}
        result = replace(result, rows=result.rows or sum(rows.values()), roster=self.roster)
        label = self.analysis.label
        return Outcome(label, result, self.roster, rows, tuple(self.losses), self.round, self.restarts)

    def _muster(self) -> Generator[Event, None, None]:
        """Who has enough rows? Sites under their own policy's minimum are left out; others that do not answer are lost."""
        candidates = self.run.sites or self.run.study.participants.sites or self.run.engine.sites
        self.roster, self.round = tuple(candidates), self.round + 1
        counted = yield from self._one_round(muster_question(self.run.study, self.analysis))
        for loss in counted.losses:
            if loss.kind == "refused":
                raise _Stopped(f"site {loss.site} refused: {loss.reason}")
        if self.run.study.participants.on_loss == "wait" and any(loss.kind != "left out" for loss in counted.losses):
            raise _Stopped("; ".join(f"site {loss.site}: {loss.reason}" for loss in counted.losses if loss.kind != "left out"))
        self.losses += counted.losses
        self.roster, self.rows = tuple(counted.rows), dict(counted.rows)
        yield self._event("mustered", detail=f"{len(self.roster)} of {len(candidates)} sites take part")
        self._check_quorum()

    def _rounds(self) -> Generator[Event, None, Result]:
        method, published = self.analysis.method, None
        while published is None:
            terms = self._terms()
            course = self._course()
            state = course.begin(terms)
            self.round, self.summing = course.round, self._hub_side(course)
            if course.resumed:
                yield self._event("resumed", detail=f"after round {self.round}")
            while not isinstance(asked := method.ask(state), Finished):
                total_or_none = yield from self._answered(asked, terms)
                if total_or_none is None:
                    break  # a site was lost: anew, with the roster that is left
                state = course.fold(state, total_or_none, round_number=self.round, protection=self.summing.facts())
                yield self._event("folded", step=asked.step, progress=asked.progress)
            else:
                published = publish(asked.result, terms)
        return published

    def _terms(self) -> Terms:
        """What the roster agreed to, and how large the noise in its sums is."""
        terms, noise = self.run.terms(self.roster), self.run.noise
        if noise is None:
            return terms
        deviations = noise.deviations(self.analysis.label, len(self.roster))
        return replace(terms, noise_sd=deviations, noise_multiplier=noise.multiplier)

    def _hub_side(self, course: Course) -> HubSide:
        inner = self.run.scheme.at_hub(self.roster, course.protection)
        return inner if self.run.noise is None else NoisedHub(inner, self.run.noise, self.analysis.label)

    def _course(self) -> Course:
        """What is kept of this analysis with the roster as it is now."""
        rows = {site: self.rows[site] for site in self.roster}
        study, data = self.run.study.digest, self.run.data
        self.course = Course(self.run.checkpoints, self.analysis, study, data, rows, self.round)
        return self.course

    def _answered(self, question: Question, terms: Terms) -> Generator[Event, None, Total | None]:
        """The total of one round, or None when the roster had to change.

        A round that is asked again has the same number: a site that answered already gives the same answer, computed once.
        """
        self.round += 1
        for patience in range(self.run.study.participants.patience, -1, -1):
            result = yield from self._one_round(question)
            refusals = [f"site {loss.site} refused: {loss.reason}" for loss in result.losses if loss.kind == "refused"]
            if refusals:
                self.losses += [loss for loss in result.losses if loss.kind == "refused"]
                raise _Stopped("; ".join(refusals))
            enough = not self.analysis.method.exact and len(result.rows) >= self.run.study.participants.quorum
            if not result.losses or (enough and result.total is not None):
                assert result.total is not None
                self.losses += [replace(loss, round=self.round) for loss in result.losses]
                return self._judged(question, result, terms)
            if patience:
                yield self._event("waiting", detail=_names(result.losses), step=question.step)
        self.losses += result.losses
        if not self.analysis.method.exact:  # a round may lack sites, so there is nothing to begin anew without them
            raise _Stopped(
                f"{len(result.rows)} sites answered in round {self.round}, the quorum is {self.run.study.participants.quorum} "
                f"({_names(result.losses)}); the rounds before are kept: run it again with the same folder when all can answer"
            )
        if self.run.study.participants.on_loss == "wait":
            raise _Stopped(
                f"lost in round {self.round}: {_names(result.losses)}; an exact method keeps its roster, run it again later"
            )
        lost = {loss.site for loss in result.losses}
        self.roster = tuple(site for site in self.roster if site not in lost)
        self._check_quorum()
        self.restarts += 1
        yield self._event("restarted", detail=f"without {_names(result.losses)}", step=question.step)
        return None

    def _judged(self, question: Question, result: _RoundResult, terms: Terms) -> Total:
        assert result.total is not None
        decision = judge_total(terms, question, result.total, result.cells)
        if not decision.allowed:
            raise _Stopped("the joint answer may not be used: " + "; ".join(decision.reasons))
        return result.total

    def _one_round(self, question: Question) -> Generator[Event, None, _RoundResult]:
        """Every stage of one round, with whoever is left after each."""
        yield self._event("asked", step=question.step, detail=", ".join(self.roster), progress=question.progress)
        present, losses, boxes = self.roster, list[Loss](), list[Box]()
        stages = self.summing.stages(question.step)
        for stage in stages:
            notice = self.summing.notice(stage)
            asks = {site: self._ask(site, stage, question, boxes, _told(notice, site)) for site in present}
            heard = _Heard(self.run.engine.exchange(asks, deadline_s=self._deadline_s), f"{question.method}/{question.step}")
            unfit, trouble = self._taken(stage, heard)
            for site, reply in heard.replies.items():
                told = Failed(unfit[site]) if site in unfit else reply
                yield self._reply_event(site, told, question, heard.leaving.get(site, ()), last=stage == stages[-1])
                losses += [] if isinstance(told, Answered) else [_loss(site, told)]
            if trouble is not None:
                return self._no_sum(trouble, losses)
            present = tuple(site for site in heard.answered if site not in unfit)
            # Nobody speaks for another site.
            boxes = [box for site in present for box in heard.answered[site].boxes if box.sender == site]
            if not present or (losses and self._needs_all(question)):
                return _RoundResult(None, {}, tuple(losses))
        try:
            summed = self.summing.summed()
        except FederationError as error:
            return self._no_sum(error, losses)
        return _RoundResult(
            summed.total, summed.rows or {site: self.rows.get(site, 0) for site in present}, tuple(losses), summed.cells
        )

    def _taken(self, stage: str, heard: _Heard) -> tuple[Mapping[str, str], FederationError | None]:
        """The replies of a stage, as they come, to the hub's side of the sum: who cannot go on, and what is in its way."""
        coming = heard.answers()
        try:
            first = next(coming, None)
            return ({} if first is None else self.summing.take(stage, chain((first,), coming))), None
        except FederationError as error:
            return {}, error
        finally:
            deque(coming, maxlen=0)  # who else was lost is told, whatever became of the sum

    def _needs_all(self, question: Question) -> bool:
        """Whether a round with a loss is not gone on with: no sum of fewer sites is to be seen. A muster counts who is there."""
        return self.analysis.method.exact and question.step != MUSTER

    def _no_sum(self, error: FederationError, losses: list[Loss]) -> _RoundResult:
        """Where sites were lost the round can be asked again; where none was, it would come to the same."""
        if not losses:
            raise _Stopped(str(error)) from None
        return _RoundResult(None, {}, tuple(losses))

    def _ask(self, site: str, stage: str, question: Question, boxes: list[Box], notice: Mapping[str, Any]) -> Ask:
        return Ask(
            study=self.run.study.digest,
            run=self.run.identifier,
            analysis=self.analysis.label,
            round=self.round,
            stage=stage,
            question=question,
            roster=self.roster,
            lane=self.run.scheme.lane,
            scope=self.scope,
            boxes=tuple(box for box in boxes if box.receiver == site),
            notice=notice,
            lineage=self.course.lineage if self.course is not None else "",
            seed=self.run.study.about.seed,
        )

    def _reply_event(self, site: str, reply: Reply, question: Question, left: tuple[Leaving, ...], *, last: bool) -> Event:
        if isinstance(reply, Answered):
            return self._event("answered" if last else "passed", site=site, step=question.step, leaving=left, cpu_s=reply.seconds)
        loss = _loss(site, reply)
        return self._event(loss.kind, site=site, step=question.step, detail=loss.reason)

    def _event(self, kind: EventKind, **details: object) -> Event:
        at_s = self.run.clock.seconds() - self.started_s
        return Event(kind, self.analysis.label, self.round, at_s, **details)  # type: ignore[arg-type]

    def _check_quorum(self) -> None:
        quorum = self.run.study.participants.quorum
        if len(self.roster) < max(quorum, 1):
            if not self.losses:
                raise _Stopped(f"the quorum is {quorum} and the sites here are {len(self.roster)}; add sites, or lower the quorum")
            reasons = "; ".join(f"{', '.join(sites)}: {reason}" for reason, sites in _by_reason(self.losses).items())
            raise _Stopped(f"{len(self.roster)} sites can take part, the quorum is {quorum} ({reasons})")

    @property
    def _deadline_s(self) -> float:
        return units.seconds(self.run.study.participants.round_deadline)


def _told(notice: Mapping[str, Any], site: str) -> Mapping[str, Any]:
    """What one site is told: what all are, and what it alone is."""
    if ONLY not in notice:
        return notice
    return {**{name: value for name, value in notice.items() if name != ONLY}, **notice[ONLY].get(site, {})}


def _loss(site: str, reply: Reply) -> Loss:
    if isinstance(reply, Refused):
        return Loss(site, "left out" if "min_rows" in reply.clauses else "refused", "; ".join(reply.reasons))
    if isinstance(reply, Failed):
        return Loss(site, "failed", reply.reason)
    return Loss(site, "silent", reply.reason if isinstance(reply, Silent) else "no reply")


def _names(losses: Sequence[Loss]) -> str:
    return ", ".join(f"{', '.join(sites)} ({reason})" for reason, sites in _by_reason(losses).items())


def _by_reason(losses: Sequence[Loss]) -> dict[str, list[str]]:
    """Sites by the reason for which they were lost: what all have in common is said once."""
    found: dict[str, list[str]] = {}
    for loss in losses:
        found.setdefault(loss.reason, []).append(loss.site)
    return found
