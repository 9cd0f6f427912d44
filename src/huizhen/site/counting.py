"""A cohort counted in this site's registry by its own people, through the gate, beside all that was answered before.

What was answered is remembered (`site.answered`), whoever asked. The releases are on a ledger of their own in the same folder,
signed with the site's key, so that cohorts can be counted while the agent runs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from huizhen.canonical import digest
from huizhen.clock import Clock
from huizhen.data.criteria.attrition import Attrition, rounded, told
from huizhen.data.criteria.declarations import Criteria
from huizhen.data.criteria.sketch import buckets_for
from huizhen.errors import PolicyError, Problem
from huizhen.ledger.keys import SigningKey, load_key, open_key
from huizhen.ledger.store import SqliteLedger
from huizhen.policy.decision import Decision
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Answer, Part, Question
from huizhen.site.answered import FOLDER, Answered, Answers, Counted
from huizhen.site.apart import SITES_APART, Close, as_answered, close, known, other_sites
from huizhen.site.eventcounts import count_events
from huizhen.site.settings import REGISTRY, Settings, read_settings

__all__ = ["METHOD", "CountingSite", "count_here"]

METHOD = "attrition"
REFUSED = "The policy does not answer this cohort."
Seen = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
CONFIGURATION, IDENTITY = "site.toml", "identity/identity.pem"


class CountingSite:
    """A site whose registry cohorts are counted in, as a context; alone on its folder.

    Raises:
        SiteError, MachineError: the configuration cannot be read. LedgerError: another count is going on.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root, self._clock = root, clock
        self.settings: Settings = read_settings(root / CONFIGURATION)

    @property
    def name(self) -> str:
        return self.settings.site.name

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._answers = Answers(self.root)
            folder = self.root / FOLDER
            self.ledger = SqliteLedger(folder / "ledger.sqlite", self._key(folder), durable="when settled")
            stack.callback(self.ledger.close)
            stack.enter_context(self._answers.alone())
            self.gate = Gate(self.name, self.settings.policy, self.ledger, self._clock)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def count(self, criteria: Criteria) -> Counted:
        """Counts in the registry as it is now; nothing leaves.

        Raises:
            MachineError: the registry is damaged.
        """
        return Counted(*count_events(self.root / REGISTRY, criteria, buckets_for(self.settings.policy.min_cell_count)))

    def judge(self, criteria: Criteria, counted: Counted, seen: Seen, *, lane: str, roster: tuple[str, ...], run: str) -> Counted:
        """The counts that may be released, as far as is known before; nothing is released yet.

        Where the same criteria were answered for nearly the same patients, it is that answer once more.

        Args:
            seen: which steps of some counts will be seen, or their sum: bool (step,).

        Raises:
            PolicyError: the policy refuses, or the cohort or the sites differ too little from what was answered.
        """
        minimum, earlier = self.settings.policy.min_cell_count, self._answers.all()
        counted = as_answered(earlier, criteria.digest, counted, minimum)
        new = seen(counted.counts) & ~known(earlier, counted, roster, self.name)
        problems = [self._other_sites(one) for one in earlier if other_sites(one, criteria.digest, counted, roster, minimum)]
        problems += [
            self._close(criteria, one) for one in close(earlier, counted, minimum, new, begins=bool(seen(counted.counts)[0]))
        ]
        if problems:
            self._refused(criteria, roster, run)
            raise PolicyError(REFUSED, list(dict.fromkeys(problems)))
        self._allowed(self.gate.admits(method=METHOD, lane=lane, variables=(), rows=int(counted.counts[0])))
        return counted

    def release(self, criteria: Criteria, counted: Counted, seen: Seen, *, lane: str, roster: tuple[str, ...], run: str) -> None:
        """Records that counts which were judged are handed on, and remembers them; only then may they be.

        Raises:
            PolicyError: the policy refuses.
        """
        shown = seen(counted.counts)
        self._allowed(self._decide(criteria, counted, shown, lane, roster, run))
        self._answers.remember(criteria, counted, shown, roster)
        self.ledger.settle()

    def _allowed(self, decision: Decision) -> None:
        if not decision.allowed:
            problems = [Problem(f"site {self.name}", reason, "what its policy allows") for reason in decision.reasons]
            raise PolicyError(REFUSED, problems)

    def _decide(
        self, criteria: Criteria, counted: Counted, shown: NDArray[np.bool_], lane: str, roster: tuple[str, ...], run: str
    ) -> Decision:
        facts = {"criteria": criteria.digest, "steps": len(criteria.steps)}
        key = digest(facts)
        values, rows = counted.counts[shown], int(counted.counts[0])
        answer = Answer({"patients": Part(values, rows, cells=True)}, rows)
        return self.gate.release(
            Question(METHOD, "counts", facts),
            answer,
            study=criteria.digest,
            run=run,
            round=0,
            lane=lane,
            roster=roster,
            question_key=key,
            question_digest=digest({**facts, "roster": list(roster)}),
        )

    def _close(self, criteria: Criteria, found: Close) -> Problem:
        """For this site's own people, who may read of what was answered."""
        minimum = self.settings.policy.min_cell_count
        where = f"site {self.name}, {criteria.names[found.step]}"
        expected, remedy = f"the same patients, or at least {minimum} others", "Ask again as before, or change the criteria further"
        title, step = found.one[0].title, found.one[0].steps[found.one[1]]
        if found.is_of_three:
            said = f"a cohort that with another and {title!r} after {step!r}, which was answered, tells of too few patients"
        else:
            said = f"a cohort that differs by too few patients from {title!r} after {step!r}, which was answered"
        return Problem(where, said, expected, remedy)

    def _other_sites(self, one: Answered) -> Problem:
        found = f"other sites than those for which {one.title!r} was answered: {', '.join(one.roster)}"
        expected = f"the same sites, or at least {SITES_APART} others"
        return Problem(f"site {self.name}", found, expected, "Ask the same sites again, or change the criteria further")

    def _refused(self, criteria: Criteria, roster: tuple[str, ...], run: str) -> None:
        fact = {"criteria": criteria.digest, "run": run, "roster": list(roster), "clauses": ["differencing"]}
        self.gate.record("cohort refused", fact)
        self.ledger.settle()

    def _key(self, folder: Path) -> SigningKey:
        """The site's own key; before it has joined a hub one for its cohorts."""
        own = self.root / IDENTITY
        return load_key(own) if own.exists() else open_key(folder / "key.pem")


def count_here(root: Path, criteria: Criteria, clock: Clock, *, run: str) -> Attrition:
    """The attrition table of one site, for those to whom its policy speaks.

    Raises:
        PolicyError: the policy refuses. SiteError, MachineError, LedgerError: the site cannot be used.
    """
    with CountingSite(root, clock) as site:
        policy = site.settings.policy

        def seen(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
            return told(counts, policy.min_cell_count)

        lane = "plain" if "plain" in policy.lanes else "embedded"
        about: dict[str, Any] = {"lane": lane, "roster": (site.name,), "run": run}
        counted = site.judge(criteria, site.count(criteria), seen, **about)
        site.release(criteria, counted, seen, **about)
        shown = seen(counted.counts)
        patients = rounded(counted.counts, shown, policy.min_cell_count, policy.round_to)
    return Attrition(criteria.title, criteria.names, patients, {}, counted.note)
