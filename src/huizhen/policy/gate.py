"""The one door out of a site: decide, account, append to the ledger, release. Nothing leaves any other way, on any engine.

Rules of order, each with what it stops:
- What is allowed is on the ledger before it leaves; an answer whose entry cannot be written stays (no release without a trace).
- Deciding and accounting are one step, under one lock (two questions at once cannot both pass for rosters that differ by one site).
- What was opened in the masked lane is read back from the ledger at opening (a restart does not forget); the ledger's links are
  verified on the way, up to the newest entry, whose signature the store verified (a shortened past is not believed).
- Where the policy has a privacy budget, a release is charged to what its study reserved before it is recorded, and one without
  noise is refused unless the budget allows it (an exact number beside noisy ones undoes their promise).
- An entry names parts, shapes and bytes, never a value or a label, and of rows only whether they were enough: a record that an
  auditor may read must not add up, over many cohorts, to the number of patients behind each.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Literal

from huizhen.clock import Clock
from huizhen.errors import LedgerError, MachineError, Problem
from huizhen.ledger.chain import EMPTY, Entry, linked
from huizhen.ledger.store import LedgerStore
from huizhen.policy.decision import ALLOWED, Context, Decision
from huizhen.policy.differencing import differencing
from huizhen.policy.disclosure import DisclosurePolicy, admits, judge_answer, judge_rows
from huizhen.policy.purse import KINDS, Purse
from huizhen.privacy.accounting.events import PrivacyEvent
from huizhen.privacy.accounting.facts import described
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["REFUSED", "RELEASED", "REVEALED", "Gate"]

RELEASED, REFUSED, REVEALED = "released", "refused", "revealed"
REMEMBERED = 4096  # judgements and descriptions of parts kept; they depend on question and policy only

ROWS_TOLD = (
    "this site has a privacy budget, and the study tells its exact number of rows; ask for noise by patient, or ask the site for "
    "allow_row_counts = true"
)

EXACT_BESIDE = (
    "this site has a privacy budget, and exact numbers would leave beside the noisy ones; leave them out, or ask the site for "
    "allow_exact = true"
)

Beside = Literal["nothing", "rows", "exact"]
Seen = dict[str, tuple[frozenset[str], ...]]  # masked rosters answered, by question key


class Gate:
    """The door of one site, with its policy and its ledger.

    Args:
        site: the site's name.
        policy: what the site lets out.
        ledger: where every decision is kept; this gate must be its only writer of releases.
        clock: tells the time of each entry.

    Attributes:
        purse: the privacy budget that the policy sets, where a study reserves before it starts and settles when it has ended; None
            where the policy sets none.

    Raises:
        LedgerError: the ledger does not verify.
    """

    def __init__(self, site: str, policy: DisclosurePolicy, ledger: LedgerStore, clock: Clock) -> None:
        self.site = site
        self.policy = policy
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._masked = _rosters(ledger)
            self.purse = None if policy.budget is None else Purse(ledger, clock, policy.budget)
        except LedgerError as error:
            remedy = "Find out who changed it, and restore it from a copy, or begin with a new folder"
            problem = Problem(f"the ledger of site {site}", error.message, "a ledger as it was written", remedy)
            raise LedgerError("A site's ledger does not verify.", [problem]) from None
        self._admitted: dict[tuple[str, str, tuple[str, ...]], Decision] = {}
        self._described: dict[tuple[Any, ...], list[Any]] = {}

    def admits(self, *, method: str, lane: str, variables: tuple[str, ...], rows: int | None = None) -> Decision:
        """Whether this site can take part in an analysis at all; nothing is released and nothing recorded."""
        return admits(self.policy, method=method, lane=lane, variables=variables, rows=rows)

    def release(
        self,
        question: Question,
        answer: Answer,
        *,
        study: str,
        run: str,
        round: int,
        lane: str,
        roster: tuple[str, ...],
        question_key: str,
        question_digest: str,
        in_clear: bool = False,
        spends: PrivacyEvent | None = None,
        draw: str = "",
        tells_rows_only: bool = False,
        beside: Beside = "nothing",
        leaving: Answer | None = None,
    ) -> Decision:
        """Decide about one answer and record it; the answer may be handed on only if the decision allows it.

        Args:
            study: digest of the study.
            run: identifier of its execution.
            round: number of the round, from 0.
            lane: how the answer would travel: ``embedded``, ``plain`` or ``masked``.
            roster: the participants of the round, this site among them.
            question_key: identifier of the question, the same whoever is asked (a digest that leaves out roster and run).
            question_digest: digest of the question as it was put.
            in_clear: whether the hub sees this answer as the site's own, whatever the lane (how many rows a site has).
            spends: what the noise in the answer costs, to be charged to what the study reserved; None: there is none.
            draw: names the draw of that noise; the same noisy answer, released again, costs nothing.
            tells_rows_only: whether what leaves tells no more than how many rows the answer rests on.
            beside: what leaves exactly beside the noise: nothing, the number of rows, or more.
            leaving: what leaves in the answer's place, with its noise, to be described in the record; the policy judges `answer`.

        Returns:
            Allowed, or refused with every reason. Refused with the clause ``ledger`` where the record cannot be written.
        """
        with self._lock:
            earlier = self._masked.get(question_key, ()) if lane == "masked" else ()
            context = Context(self.site, lane, roster, question_key, earlier, in_clear)
            refusals = [self._admits(question, lane), judge_rows(self.policy, answer.rows)]
            decision = Decision.all_of([*refusals, *judge_answer(self.policy, question, answer, context)])
            if decision.allowed:  # what is refused anyway costs nothing
                decision = self._charge(study, spends, draw, "rows" if tells_rows_only else beside)
            fact = {
                "study": study,
                "run": run,
                "round": round,
                "method": question.method,
                "step": question.step,
                "question": question_digest,
                "question_key": question_key,
                "roster": roster,
                "lane": lane,
                "enough_rows": answer.rows >= self.policy.min_rows,
                "parts": {name: self._describe(name, part) for name, part in (leaving or answer).parts.items()},
            }
            if spends is not None:
                fact["spends"] = described([spends])
            if not decision.allowed:
                fact["clauses"] = decision.clauses
            unwritten = self._append(RELEASED if decision.allowed else REFUSED, fact)
            return decision if unwritten is None else Decision.all_of([decision, unwritten])

    def reveal(self, *, study: str, run: str, round: int, roster: tuple[str, ...], question_key: str) -> Decision:
        """Decide whether the masked sum of these sites may be seen, and record it; only then may a site help to open it.

        What left in the masked lane tells nothing until then, so the rule about rosters that differ by few sites is held against
        the sums that were opened.

        Args:
            roster: those whose answers are in the sum: the participants who stayed.
            study, run, round, question_key: as for `release`.
        """
        with self._lock:
            context = Context(self.site, "masked", roster, question_key, self._masked.get(question_key, ()))
            decision = Decision.all_of(differencing(context))
            fact = {"study": study, "run": run, "round": round, "question_key": question_key, "roster": roster, "lane": "masked"}
            if not decision.allowed:
                fact["clauses"] = decision.clauses
            unwritten = self._append(REVEALED if decision.allowed else REFUSED, fact)
            if unwritten is not None:
                return Decision.all_of([decision, unwritten])
            if decision.allowed:
                _remember(self._masked, question_key, frozenset(roster))
            return decision

    def record(self, kind: str, payload: Mapping[str, Any]) -> Entry:
        """Append a fact that is no release, such as a consent or the end of a run.

        Raises:
            ValueError: the kind is kept for releases and what they spend.
            TypeError: the payload is not a plain fact.
            LedgerError, MachineError: it cannot be written.
        """
        if kind in (RELEASED, REFUSED, REVEALED, *KINDS):
            raise ValueError(f"an entry of kind {kind!r} is written by releasing alone")
        return self._ledger.append(kind, payload, self._clock.now())

    def _charge(self, study: str, spends: PrivacyEvent | None, draw: str, beside: Beside) -> Decision:
        if self.purse is None:
            return ALLOWED
        budget = self.purse.budget
        if beside == "rows" and not (budget.allow_exact or budget.allow_row_counts):
            return Decision.refuse("budget", f"budget: {ROWS_TOLD}")
        if beside == "exact" and not budget.allow_exact:
            return Decision.refuse("budget", f"budget: {EXACT_BESIDE}")
        if spends is not None:
            return self.purse.charge(study, spends, draw=draw)
        if budget.allow_exact or beside == "rows":
            return ALLOWED
        reason = (
            "this site has a privacy budget, and the answer holds no noise; ask for noise, or ask the site for allow_exact = true"
        )
        return Decision.refuse("budget", f"budget: {reason}")

    def _admits(self, question: Question, lane: str) -> Decision:
        key = (question.method, lane, question.variables)
        known = self._admitted.get(key)
        if known is None:
            known = admits(self.policy, method=question.method, lane=lane, variables=question.variables)
            _keep(self._admitted, key, known)
        return known

    def _describe(self, name: str, part: Part) -> list[Any]:
        """Kind, shape and bytes of a part, as the ledger keeps them."""
        labels = part.keys
        label_bytes = sum(len(label.encode()) for label in labels) if labels else 0
        shape, size = getattr(part.values, "shape", ()), getattr(part.values, "nbytes", 0)  # what is no array is refused, but told
        key = (name, part.kind, part.cells, shape, size, label_bytes)
        known = self._described.get(key)
        if known is None:
            kind = "counts" if part.cells and part.kind == "addend" else str(part.kind)
            known = [kind, list(shape), size + label_bytes]
            _keep(self._described, key, known)
        return known

    def _append(self, kind: str, fact: Mapping[str, Any]) -> Decision | None:
        try:
            self._ledger.append(kind, fact, self._clock.now())
        except (LedgerError, MachineError) as error:
            return Decision.refuse("ledger", f"ledger: the release cannot be recorded, so nothing leaves. {error.message}")
        except (TypeError, ValueError):
            return Decision.refuse("ledger", "ledger: the release cannot be described as a plain fact, so nothing leaves")
        return None


def _rosters(ledger: LedgerStore) -> Seen:
    """The rosters whose masked sums were opened so far, by question key, from a ledger whose links are sound up to its head."""
    seen: Seen = {}
    newest = EMPTY.hash
    for entry in linked(ledger.entries()):
        newest = entry.hash
        if entry.kind == REVEALED:
            _remember(seen, entry.payload["question_key"], frozenset(entry.payload["roster"]))
    if newest != ledger.head.hash:
        raise LedgerError("The ledger does not verify: it does not end with its newest entry. Restore it from a copy.")
    return seen


def _remember(seen: Seen, question_key: str, roster: frozenset[str]) -> None:
    earlier = seen.get(question_key, ())
    if roster not in earlier:
        seen[question_key] = (*earlier, roster)


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if len(kept) >= REMEMBERED:
        kept.clear()
    kept[key] = value
