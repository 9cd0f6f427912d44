"""A site's part in a study: have its rows answered on, pass the gate, remember what is its own.

The same code answers in one process and behind the wire. Patient rows are a `Workplace`'s and never come here from another process:
what comes is an `Answer`, and what leaves is one that the gate has released.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any

from huizhen import canonical
from huizhen.clock import cpu_seconds
from huizhen.data.examples import Examples
from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.breaking import where_it_broke
from huizhen.federation.checkpoint import Checkpoints, MemoryCheckpoints
from huizhen.federation.replies import is_answer
from huizhen.federation.rounds import Answered, Ask, Failed, QuestionIdentity, Refused, Reply, key_of_course
from huizhen.federation.scheme import Noisy, PlainSum, Scheme, SiteSide
from huizhen.federation.selection import MUSTER, muster, muster_question, scope_of
from huizhen.federation.study import Analysis, Study
from huizhen.federation.workplace import Here, Worked, Workplace, draw_key
from huizhen.policy.decision import Decision
from huizhen.policy.gate import Gate
from huizhen.privacy.release import EMPTY, Answer

__all__ = ["Guard", "Participant"]

Guard = Callable[[Ask, Answer], Answer | Decision]  # what may leave beside earlier answers, in an answer's place, or why nothing


@dataclass(slots=True)
class _Work:
    """What a participant holds for one analysis."""

    analysis: Analysis
    rows: int  # that take part in it
    scope: str  # what else an answer depends on
    read: frozenset[str]  # every variable that is read here
    key: str  # of all questions of an exact method
    own: Mapping[str, Any] = field(default_factory=lambda: EMPTY)  # what the site keeps
    lineage: str = ""
    turn: tuple[str, int, str, tuple[str, ...]] = ("", 0, "", ())
    answer: Answer | None = None
    elsewhere_s: float = 0.0  # processor time of the workplace that no reply has told yet
    ahead: Future[Worked] | None = None
    counted: int | None = None  # the rows, as the muster told them, where noise hides a patient
    kept: dict[str, Any] = field(default_factory=dict)  # the scheme's, and what of it is checkpointed
    lasting: dict[str, Any] = field(default_factory=dict)


class Participant:
    """One site in one study.

    Args:
        site: the site's name.
        study: the study that the site accepted; asks of another digest are refused.
        examples: the site's rows, with every variable that the study reads; or the workplace where they are answered on.
        gate: the one door out.
        scheme: how addends are protected.
        counted: how the number of rows is told, which the hub sees by site, so that one with too few can be left out by name.
        checkpoints: where local state is kept.
        entropy: of rows that are handed in, see `Here`; another workplace has its own.
        guard: judges answers before the gate does, by what the site has answered elsewhere; None: none needs it.
        ahead: where an answer is computed while the stages before it (keys, shares) go to and fro; None: when it is needed.
    """

    def __init__(
        self,
        site: str,
        study: Study,
        examples: Examples | Workplace,
        *,
        gate: Gate,
        scheme: Scheme,
        counted: Scheme | None = None,
        checkpoints: Checkpoints | None = None,
        entropy: Callable[[int], bytes] | None = None,
        guard: Guard | None = None,
        ahead: Executor | None = None,
    ) -> None:
        self.site = site
        self._study = study
        self._workplace = Here(study, examples, entropy) if isinstance(examples, Examples) else examples
        self._gate = gate
        self._scheme = scheme
        self._counted = counted or PlainSum()
        self._checkpoints = checkpoints or MemoryCheckpoints()
        self._guard = guard
        self._ahead = ahead
        self._work: dict[str, _Work] = {}

    def respond(self, ask: Ask) -> Reply:
        """The reply to one ask: an answer that the gate released, a refusal with its reasons, or a failure.

        No failure holds a patient's value: messages of foreign exceptions, which may quote data, are not passed on.
        """
        started = cpu_seconds()
        if ask.study != self._study.digest:
            return Refused(("the study's digest is not the one that this site accepted",), ("consent",))
        try:
            return self._turn(ask, started)
        except _Withheld as refusal:
            return refusal.reply
        except HuizhenError as error:
            return Failed(str(error))
        except MemoryError:
            return Failed("the site ran out of memory; a smaller batch, or a smaller network, needs less")
        except Exception as error:
            kind, place = type(error).__name__, where_it_broke(error)
            return Failed(f"the site's program broke ({kind}{place}); the site's operator can look into it")

    def _turn(self, ask: Ask, started: float) -> Reply:
        work, ask = self._begin(ask)
        side = SiteSide(
            site=self.site,
            exact=work.analysis.method.exact,
            answer=lambda: self._judged_answer(ask, work),
            noisy=lambda noise: self._judged_answer(ask, work, noise),
            reveal=lambda roster: self._reveal(ask, roster),
            kept=work.kept,
            lasting=work.lasting,
        )
        scheme = self._counted if ask.question.step == MUSTER else self._scheme
        before = dict(work.lasting)
        turn = scheme.at_site(ask, side)
        if any(work.lasting[name] is not before.get(name) for name in work.lasting):
            self._checkpoints.save(self._name(ask) + ".scheme", {"lineage": ask.lineage, "kept": dict(work.lasting)})
        if self._ahead is not None and work.answer is None and work.ahead is None and ask.question.step != MUSTER:
            work.ahead = self._ahead.submit(self._compute, ask, work)
        elsewhere_s, work.elsewhere_s = work.elsewhere_s, 0.0
        return Answered(turn.answer, turn.boxes, turn.packet, cpu_seconds() - started + elsewhere_s)

    def _begin(self, ask: Ask) -> tuple[_Work, Ask]:
        """The work that an ask is about, and the ask with what this site knows of it for itself."""
        work = self._work.get(ask.analysis)
        if work is None:
            analysis = next((each for each in self._study.analyses if each.label == ask.analysis), None)
            if analysis is None:
                raise _refusal("an analysis that the study does not have", "one of the study's")
            self._work.clear()  # analyses come one after the other
            rows = self._workplace.muster(analysis.label)
            scope, settings = scope_of(self._study, analysis), analysis.spec.model_dump(mode="json")
            work = self._work[ask.analysis] = _Work(
                analysis,
                rows,
                scope,
                frozenset(muster_question(self._study, analysis).variables),
                key_of_course(analysis.method.name, settings, scope) if analysis.method.exact else "",
            )
        ask = self._checked(ask, work)
        assert ask.identity is not None
        if ask.question.step != MUSTER and ask.lineage != work.lineage:
            work.lineage, work.own, work.lasting = ask.lineage, self._recall(ask), self._recall_scheme(ask)
        turn = (ask.lineage, ask.round, ask.identity.digest, ask.roster)
        if turn != work.turn:
            if turn[:2] == work.turn[:2] and work.answer is not None:
                # What was released for one question is no answer to another, and two answers of one round are two totals.
                raise _refusal("a second question, or another roster, in a round that was answered", "one question in a round")
            work.turn, work.answer, work.ahead = turn, None, None
        return work, ask

    def _checked(self, ask: Ask, work: _Work) -> Ask:
        """The ask, once it is one of this study and analysis; with scope, variables and identity as this site knows them.

        Raises:
            FederationError: the hub asks for something else than the site has accepted.
        """
        musters = ask.question.step == MUSTER
        if found := self._not_ours(ask, work, musters=musters):
            raise _refusal(", ".join(found), "what the study says that this site has accepted")
        key = "" if musters else work.key
        identity = QuestionIdentity.of(ask.question, work.scope, work.analysis.method.telling, key=key)
        if work.read.issubset(ask.question.variables):
            return replace(ask, identity=identity)
        # The policy judges what is read here, whatever the hub says is read.
        read = tuple(dict.fromkeys((*ask.question.variables, *sorted(work.read))))
        return replace(ask, question=replace(ask.question, variables=read), identity=identity)

    def _not_ours(self, ask: Ask, work: _Work, *, musters: bool) -> list[str]:
        """What of an ask is not the study's."""
        participants, found = self._study.participants, []
        if ask.question.method != work.analysis.method.name:
            found.append(f"method {ask.question.method!r}")
        if ask.lane != self._scheme.lane:
            found.append(f"the lane {ask.lane!r}")
        if ask.scope != work.scope:
            found.append("another cohort")
        if participants.sites and not set(ask.roster) <= set(participants.sites):
            found.append("a roster of other sites than the study's")
        if not musters and len(ask.roster) < participants.quorum:
            found.append(f"a roster of {len(ask.roster)} sites")
        if musters and ask.lineage:
            found.append("a muster within a course")
        return found

    def _recall(self, ask: Ask) -> Mapping[str, Any]:
        """Kept state as it was before the round that is asked: a round may be asked again after a crash."""
        saved = self._checkpoints.load(self._name(ask))
        if saved is None or saved["lineage"] != ask.lineage or ask.round < saved["round"]:
            return EMPTY
        kept: Mapping[str, Any] = saved["before"] if saved["round"] == ask.round else saved["kept"]
        return kept

    def _recall_scheme(self, ask: Ask) -> dict[str, Any]:
        """What the scheme kept of this course."""
        saved = self._checkpoints.load(self._name(ask) + ".scheme")
        return dict(saved["kept"]) if saved is not None and saved["lineage"] == ask.lineage else {}

    def _remember(self, ask: Ask, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        if after is not before:
            kept = {"lineage": ask.lineage, "round": ask.round, "before": dict(before), "kept": dict(after)}
            self._checkpoints.save(self._name(ask), kept)

    def _name(self, ask: Ask) -> str:
        """By roster, as the hub keeps its totals: both go on from the same course, or neither does."""
        return f"{self.site}.{ask.analysis}.{canonical.digest(list(ask.roster))[:12]}"

    def _judged_answer(self, ask: Ask, work: _Work, noise: Callable[[Answer], Noisy] | None = None) -> Answer:
        """This round's answer, computed and judged once, however many stages need it."""
        if work.answer is None:
            if noise is None and self._study.noisy_steps:
                raise FederationError("the study asks for noise, and nothing here adds it, so the answer stays here")
            identity = ask.identity
            assert identity is not None
            worked = self._compute(ask, work) if work.ahead is None else work.ahead.result()
            work.elsewhere_s += worked.elsewhere_s
            answer = self._guarded(ask, worked.answer)
            noisy = Noisy(answer) if noise is None else noise(answer)
            decision = self._gate.release(
                ask.question,
                answer,
                study=ask.study,
                run=ask.run,
                round=ask.round,
                lane=ask.lane,
                roster=ask.roster,
                question_key=identity.key,
                question_digest=identity.digest,
                in_clear=ask.lane == "masked" and ask.question.step == MUSTER,
                spends=noisy.spends,
                draw=noisy.draw,
                tells_rows_only=noisy.tells_rows_only,
                beside=noisy.beside,
                leaving=noisy.answer,
            )
            if not decision.allowed:
                raise _Withheld(Refused(decision.reasons, decision.clauses))
            self._remember(ask, work.own, worked.kept)
            work.answer, work.own = noisy.answer, worked.kept
            if ask.question.step == MUSTER and self._hides_patients:
                work.counted = noisy.answer.rows
        return work.answer

    def _guarded(self, ask: Ask, answer: Answer) -> Answer:
        """An answer as it may be told beside those of other studies."""
        if self._guard is None:
            return answer
        told = self._guard(ask, answer)
        if isinstance(told, Decision):
            raise _Withheld(Refused(told.reasons, told.clauses))
        return told

    @property
    def _hides_patients(self) -> bool:
        noise = self._study.protection.noise
        return noise is not None and noise.level == "patient"

    def _reveal(self, ask: Ask, roster: tuple[str, ...]) -> None:
        """Whether the sum of these sites may be seen, which is recorded before anything that opens it leaves."""
        identity = ask.identity
        assert identity is not None
        decision = self._gate.reveal(study=ask.study, run=ask.run, round=ask.round, roster=roster, question_key=identity.key)
        if not decision.allowed:
            raise _Withheld(Refused(decision.reasons, decision.clauses))

    def _compute(self, ask: Ask, work: _Work) -> Worked:
        """The answer of the workplace, once it is one; a policy judges by its numbers of rows, so none of them is made up."""
        if ask.question.step == MUSTER:
            return Worked(muster(work.rows), work.own)
        if self._hides_patients and work.counted is None:
            raise _refusal("a question before the rows were counted", "the count first")
        draw = draw_key(ask.seed, self.site, ask.analysis, ask.round)
        worked = self._workplace.answer(ask.analysis, ask.question, work.own, draw=draw, course=ask.lineage, counted=work.counted)
        answer = worked.answer
        if not is_answer(answer):
            raise FederationError(f"the step {ask.question.step} came to numbers that are none, so its answer stays here")
        if any(claimed > work.rows for claimed in (answer.rows, *(part.rows for part in answer.parts.values()))):
            raise FederationError(f"the step {ask.question.step} claims more rows than it was given, so its answer stays here")
        return worked


def _refusal(found: str, expected: str) -> FederationError:
    """What a site says to an ask that is none of its study."""
    remedy = "Ask who runs the hub; this site answers nothing else"
    return FederationError("This is not asked by the study.", [Problem("ask", found, expected, remedy)])


class _Withheld(Exception):
    """Carries a refusal out of the scheme; never leaves this file."""

    def __init__(self, reply: Refused) -> None:
        super().__init__()
        self.reply = reply
