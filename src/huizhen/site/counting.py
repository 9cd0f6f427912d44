"""A cohort counted in this site's registry, through the gate, and never so that two answers differ by few patients.

What was answered is remembered in `cohorts/` of the site's folder, for this account alone: the counts, and of the patients hashes
of their pseudonyms, mixed bucket by bucket. The releases are on a ledger of their own there, signed with the site's key, so that
cohorts can be counted while the agent runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from huizhen.canonical import digest
from huizhen.clock import Clock
from huizhen.data.criteria.attrition import Attrition, rounded, told
from huizhen.data.criteria.compiled import sketched
from huizhen.data.criteria.declarations import Criteria
from huizhen.data.criteria.sketch import buckets_for, differing, near, stacked
from huizhen.data.events.segments import guarded
from huizhen.data.events.store import Registry
from huizhen.errors import MachineError, PolicyError, Problem
from huizhen.ledger.keys import SigningKey, load_key, open_key
from huizhen.ledger.store import SqliteLedger
from huizhen.policy.decision import Decision
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Answer, Part, Question
from huizhen.site.registering import REGISTRY
from huizhen.site.settings import Settings, read_settings

__all__ = ["METHOD", "Counted", "CountingSite", "count_here"]

METHOD = "attrition"
SITES_APART = 3  # as for masked sums: of two totals, or a total and one's own number, no fewer sites' numbers may be left
REFUSED = "The policy does not answer this cohort."
Seen = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
FOLDER, CONFIGURATION, IDENTITY = "cohorts", "site.toml", "identity/identity.pem"
AGAIN = "the patients have changed by fewer than the minimum since this was answered: the earlier numbers stand"


@dataclass(frozen=True, slots=True)
class _Answered:
    """What was answered earlier.

    Attributes:
        shown: the steps whose numbers, or whose part of a sum, were seen: bool (step,).
        roster: the sites of the sum, this one alone where it was none.
    """

    criteria: str
    title: str
    steps: tuple[str, ...]
    counts: tuple[int, ...]
    shown: tuple[bool, ...]
    roster: tuple[str, ...]
    mixed: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Counted:
    """Exact counts, for the gate alone.

    Attributes:
        counts: patients left after the index event and after each criterion: int64 (step,).
        note: why these are earlier numbers, or "".
    """

    counts: NDArray[np.int64]
    mixed: NDArray[np.uint64]
    note: str = ""


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
        folder = self.root / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        with ExitStack() as stack:
            self.ledger = SqliteLedger(folder / "ledger.sqlite", self._key(folder), durable="when settled")
            stack.callback(self.ledger.close)
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
        buckets = buckets_for(self.settings.policy.min_cell_count)
        statement = sketched(criteria, buckets)
        registry = Registry(self.root / REGISTRY)

        def asked() -> list[tuple[int, int, int, int]]:
            with registry.connect() as connection:
                found: list[tuple[int, int, int, int]] = connection.execute(statement.sql, statement.bound).fetchall()
                return found

        counts, mixed = stacked(guarded(registry.folder, asked), len(criteria.steps), buckets)
        return Counted(counts, mixed)

    def judge(self, criteria: Criteria, counted: Counted, seen: Seen, *, lane: str, roster: tuple[str, ...], run: str) -> Counted:
        """The counts that may be released, as far as is known before; nothing is released yet.

        Where the same criteria were answered for nearly the same patients, it is that answer once more.

        Args:
            seen: which steps of some counts will be seen, or their sum: bool (step,).

        Raises:
            PolicyError: the policy refuses, or the cohort or the sites differ too little from what was answered.
        """
        earlier = self._answered()
        same = [one for one in reversed(earlier) if one.criteria == criteria.digest and len(one.counts) == len(counted.counts)]
        near_same = next((one for one in same if self._is_near(one, counted)), None)
        if near_same is not None:
            counted = Counted(np.array(near_same.counts, np.int64), near_same.mixed, AGAIN)
        # A number that was told for these sites before tells nothing new.
        shown = seen(counted.counts) & ~self._known(earlier, counted, roster)
        found = [
            self._other_sites(one, criteria, counted, roster) or self._too_near(one, criteria, counted, shown) for one in earlier
        ]
        problems = [problem for problem in found if problem is not None]
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
        known = (criteria.digest, tuple(shown.tolist()), tuple(sorted(roster)))
        alike = (one for one in self._answered() if (one.criteria, one.shown, one.roster) == known)
        if not any(np.array_equal(one.mixed, counted.mixed) for one in alike):
            self._remember(criteria, counted, shown, roster)
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

    def _is_near(self, one: _Answered, counted: Counted) -> bool:
        """Whether the same criteria now give nearly the same patients at some step, and not the same at all."""
        return bool(np.diagonal(near(counted.mixed, one.mixed, self.settings.policy.min_cell_count)).any())

    def _too_near(self, one: _Answered, criteria: Criteria, counted: Counted, shown: NDArray[np.bool_]) -> Problem | None:
        found = near(counted.mixed, one.mixed, self.settings.policy.min_cell_count)
        found &= shown[:, None] & np.array(one.shown, dtype=bool)[None, :]
        if not found.any():
            return None
        here, there = (int(place) for place in np.argwhere(found)[0])
        step = (criteria.index.kind, *criteria.steps)[here]
        return Problem(
            f"site {self.name}, {step}",
            f"a cohort that differs by too few patients from {one.title!r} after {one.steps[there]!r}, which was answered",
            f"the same patients, or at least {self.settings.policy.min_cell_count} others",
            "Ask again as before, or change the criteria further",
        )

    def _known(self, earlier: Sequence[_Answered], counted: Counted, roster: tuple[str, ...]) -> NDArray[np.bool_]:
        """The steps with the very patients of a step that was told for the same sites: bool (step,)."""
        known = np.zeros(len(counted.counts), dtype=bool)
        for one in earlier:
            if one.roster == tuple(sorted(roster)):
                known |= ((differing(counted.mixed, one.mixed) == 0) & np.array(one.shown, dtype=bool)[None, :]).any(axis=1)
        return known

    def _other_sites(self, one: _Answered, criteria: Criteria, counted: Counted, roster: tuple[str, ...]) -> Problem | None:
        """Whether the sums of two rosters could be subtracted to the numbers of one or two sites."""
        together = len(roster) > 1 and len(one.roster) > 1
        if not together or not 0 < len(set(roster) ^ set(one.roster)) < SITES_APART:
            return None
        alike = differing(counted.mixed, one.mixed) < self.settings.policy.min_cell_count
        alike &= (counted.counts[:, None] > 0) & (np.array(one.counts)[None, :] > 0)
        if one.criteria != criteria.digest and not alike.any():
            return None
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

    # --- what was answered ------------------------------------------------------------------------------------------------------

    def _answered(self) -> list[_Answered]:
        return [_read(path) for path in sorted((self.root / FOLDER).glob("answered-*.json"))]

    def _remember(self, criteria: Criteria, counted: Counted, shown: NDArray[np.bool_], roster: tuple[str, ...]) -> None:
        number = len(self._answered())
        path = self.root / FOLDER / f"answered-{number:06d}.json"
        facts = {
            "criteria": criteria.digest,
            "title": criteria.title,
            "steps": [criteria.index.kind, *criteria.steps],
            "counts": counted.counts.tolist(),
            "shown": shown.tolist(),
            "roster": sorted(roster),
        }
        with path.with_suffix(".npy").open("wb") as file:
            np.save(file, counted.mixed, allow_pickle=False)
            _settle(file)
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as text:
            json.dump(facts, text, ensure_ascii=False)
            _settle(text)
        new.replace(path)


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
    return Attrition(criteria.title, (criteria.index.kind, *criteria.steps), patients, {}, counted.note)


def _read(path: Path) -> _Answered:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        with path.with_suffix(".npy").open("rb") as file:
            mixed: Any = np.load(file, allow_pickle=False)
        steps: Sequence[str] = facts["steps"]
        if mixed.dtype != np.uint64 or mixed.ndim != 2 or len(mixed) != len(steps):
            raise ValueError
        return _Answered(
            facts["criteria"],
            facts["title"],
            tuple(steps),
            tuple(facts["counts"]),
            tuple(facts["shown"]),
            tuple(facts["roster"]),
            mixed,
        )
    except (OSError, ValueError, KeyError, TypeError):
        pass
    problem = Problem(
        str(path), "a damaged file", "what was answered earlier", "Restore it from a backup: without it nothing is counted"
    )
    raise MachineError("What was answered cannot be read.", [problem])


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
