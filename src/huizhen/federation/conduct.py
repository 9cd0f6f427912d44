"""How a study is conducted, on any engine: muster, then rounds of ask, answer, add up and fold, until each analysis has its result.

Exact methods keep one roster. A site that is lost in mid-run means waiting (the same round is asked again) or restarting
without it, as the study says; both are events, and the outcome names them. A refusal by a policy ends the analysis: whether to go
on without that site is the initiator's decision, not the program's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from huizhen import units
from huizhen.clock import Clock
from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.checkpoint import Checkpoints, MemoryCheckpoints, damaged, total_from, total_to
from huizhen.federation.engine import Engine
from huizhen.federation.events import Event, EventKind, Loss, Outcome, leaving
from huizhen.federation.rounds import Answered, Ask, Box, Failed, QuestionIdentity, Refused, Reply, Scheme, Silent
from huizhen.federation.selection import muster_question, scope_of
from huizhen.federation.study import Analysis, Study
from huizhen.ids import new_id
from huizhen.methods.method import Finished, Milestone
from huizhen.policy.disclosure import judge_total
from huizhen.policy.publication import publish
from huizhen.privacy.release import Answer, Question, Terms, Total
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
    """

    identifier: str
    study: Study
    engine: Engine
    scheme: Scheme
    terms: Callable[[tuple[str, ...]], Terms]
    clock: Clock
    checkpoints: Checkpoints = field(default_factory=MemoryCheckpoints)
    data: str = ""


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


class _Stopped(Exception):
    """The analysis has no answer; the reason is in plain words."""


@dataclass(slots=True)
class _Conduct:
    run: Run
    analysis: Analysis
    started_s: float
    scope: str
    round: int = 0
    attempt: int = 1
    roster: tuple[str, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    mine: Mapping[str, Any] = field(default_factory=dict)  # what a checkpoint must say to be gone on from
    token: str = ""
    milestone: Milestone | None = None
    folded: int = 0  # totals since the milestone

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
        return Outcome(label, result, self.roster, rows, tuple(self.losses), self.round, self.attempt - 1)

    def _muster(self) -> Generator[Event, None, None]:
        """Who has enough rows? Sites under their own policy's minimum are left out; others that do not answer are lost."""
        candidates = self.run.study.participants.sites or self.run.engine.sites
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
            terms = self.run.terms(self.roster)
            state = yield from self._begin(terms)
            while not isinstance(asked := method.ask(state), Finished):
                total_or_none = yield from self._answered(asked, terms)
                if total_or_none is None:
                    break  # a site was lost: anew, with the roster that is left
                state = self._fold(state, total_or_none)
                yield self._event("folded", step=asked.step, progress=asked.progress)
            else:
                published = publish(asked.result, terms)
        return published

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
        if self.run.study.participants.on_loss == "wait":
            raise _Stopped(
                f"lost in round {self.round}: {_names(result.losses)}; an exact method keeps its roster, run it again later"
            )
        lost = {loss.site for loss in result.losses}
        self.roster = tuple(site for site in self.roster if site not in lost)
        self._check_quorum()
        self.attempt += 1
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
        identity = QuestionIdentity.of(question, self.scope)
        yield self._event("asked", step=question.step, detail=", ".join(self.roster), progress=question.progress)
        present, losses, payloads = self.roster, [], []
        boxes: tuple[Box, ...] = ()
        for stage in self.run.scheme.stages:
            asks = {site: self._ask(site, stage, question, identity, boxes) for site in present}
            replies = self.run.engine.exchange(asks, deadline_s=self._deadline_s)
            payload: dict[str, Answer] = {}
            outgoing: list[Box] = []
            for site in present:
                reply = replies[site]
                yield self._reply_event(site, reply, question)
                if isinstance(reply, Answered):
                    outgoing += [box for box in reply.boxes if box.sender == site]  # nobody speaks for another site
                    if reply.answer is not None:
                        payload[site] = reply.answer
                else:
                    losses.append(_loss(site, reply))
            present = tuple(site for site in present if isinstance(replies[site], Answered))
            boxes = tuple(outgoing)
            payloads.append(payload)
        answers = {site: answer for payload in payloads for site, answer in payload.items() if site in present}
        rows = {site: answers[site].rows for site in present if site in answers}
        try:
            total = self.run.scheme.at_hub(payloads, present) if present else None
        except FederationError as error:
            raise _Stopped(str(error)) from None
        cells = tuple(name for name, part in next(iter(answers.values())).parts.items() if part.cells) if rows else ()
        return _RoundResult(total, rows, tuple(losses), cells)

    def _ask(self, site: str, stage: str, question: Question, identity: QuestionIdentity, boxes: tuple[Box, ...]) -> Ask:
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
            attempt=self.attempt,
            seed=self.run.study.about.seed,
            identity=identity,
        )

    def _reply_event(self, site: str, reply: Reply, question: Question) -> Event:
        if isinstance(reply, Answered):
            left = leaving(reply.answer, f"{question.method}/{question.step}")
            return self._event("answered", site=site, step=question.step, leaving=left, cpu_s=reply.seconds)
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
            reasons = "; ".join(f"{loss.site}: {loss.reason}" for loss in self.losses)
            raise _Stopped(f"{len(self.roster)} sites can take part, the quorum is {quorum} ({reasons})")

    @property
    def _deadline_s(self) -> float:
        return units.seconds(self.run.study.participants.round_deadline)

    def _begin(self, terms: Terms) -> Generator[Event, None, Any]:
        """The state to go on from: of an interrupted run of this very roster, these very rows and this version, or the first."""
        method = self.analysis.method
        rows = {site: self.rows[site] for site in self.roster}
        self.mine = {"study": self.run.study.digest, "rows": rows, "data": self.run.data, "program": version("huizhen")}
        header = self.run.checkpoints.load(self._total_name(0))
        if header is not None and not isinstance(header, Mapping):
            raise damaged(self._total_name(0))
        if header is None or not self._is_mine(header):
            self._open(None)
            return method.begin(self.analysis.spec, terms)
        try:
            state = self._resumed(header, terms)
        except (HuizhenError, MemoryError):
            raise
        except Exception as error:  # what a program makes of values that are not its own cannot be told beforehand
            raise damaged(self._total_name(0)) from error
        if self.folded or self.milestone:
            yield self._event("resumed", detail=f"after round {self.round}")
        return state

    def _resumed(self, header: Mapping[str, Any], terms: Terms) -> Any:
        """The state behind a header and the totals that follow it, with its question, so that what cannot go on shows here."""
        method = self.analysis.method
        self.token, self.round = header["token"], header["round"]
        self.milestone = None if header["milestone"] is None else Milestone(header["milestone"]["value"])
        state, self.folded = method.begin(self.analysis.spec, terms, self.milestone), 0
        while (kept := self.run.checkpoints.load(self._total_name(self.folded + 1))) is not None and kept["token"] == self.token:
            self.round, self.folded = self.round + 1, self.folded + 1
            state = method.fold(state, total_from(kept["total"]))
        method.ask(state)
        return state

    def _is_mine(self, header: Mapping[str, Any]) -> bool:
        if header.get("study") != self.run.study.digest:
            name, remedy = self._total_name(0), "Use another folder, or remove the file"
            found = Problem(name, "the checkpoint of another study", "a checkpoint of this study", remedy)
            raise FederationError("The run cannot be resumed from this checkpoint.", [found])
        return {key: header.get(key) for key in self.mine} == self.mine

    def _open(self, milestone: Milestone | None) -> None:
        """From here on totals are kept anew; those under an earlier token do not count any more."""
        self.token, self.milestone, self.folded = new_id("totals"), milestone, 0
        kept = None if milestone is None else {"value": milestone.value}
        header = {**self.mine, "token": self.token, "round": self.round, "milestone": kept}
        self.run.checkpoints.save(self._total_name(0), header)

    def _fold(self, state: Any, total: Total) -> Any:
        """The next state, which is kept before anything is asked of it."""
        method = self.analysis.method
        after = method.fold(state, total)
        passed = method.milestone(after)
        if passed is not self.milestone:
            self._open(passed)
        else:
            self.folded += 1
            self.run.checkpoints.save(self._total_name(self.folded), {"token": self.token, "total": total_to(total)})
        return after

    def _total_name(self, place: int) -> str:
        return f"{self.analysis.label}.{self.attempt}.{place:05d}"


def _loss(site: str, reply: Reply) -> Loss:
    if isinstance(reply, Refused):
        return Loss(site, "left out" if "min_rows" in reply.clauses else "refused", "; ".join(reply.reasons))
    if isinstance(reply, Failed):
        return Loss(site, "failed", reply.reason)
    return Loss(site, "silent", reply.reason if isinstance(reply, Silent) else "no reply")


def _names(losses: tuple[Loss, ...]) -> str:
    return ", ".join(f"{loss.site} ({loss.reason})" for loss in losses)
