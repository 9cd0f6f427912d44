"""Rounds: what is carried between hub and sites, and the rules by which replies become a total.

Rules of order, each with the mistake that it stops:

- a reply counts only for the ask it answers (same run, analysis, round and stage): a late reply of an earlier round cannot slip
  into a later sum;
- a site that was silent, failed or refused in any stage of a round is part of the round's result and never of its sum;
- replies are added in roster order, as they come: the same answers give the same bytes, and none is kept;
- addends of different shape, dtype or name are not added: the round fails and names the site that differs.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from huizhen import canonical
from huizhen.errors import FederationError, Problem
from huizhen.privacy.release import EMPTY, Answer, Question, Total

__all__ = [
    "Adding",
    "Answered",
    "Ask",
    "Box",
    "Failed",
    "Lane",
    "QuestionIdentity",
    "Refused",
    "Reply",
    "Silent",
]

Lane = Literal["embedded", "plain", "masked"]


@dataclass(frozen=True, slots=True)
class Box:
    """A sealed message from one site to another; engines relay it unread."""

    sender: str
    receiver: str
    sealed: bytes


@dataclass(frozen=True)
class Ask:
    """What one site is asked in one stage of one round.

    Attributes:
        study: digest of the study that the site accepted.
        run, analysis, round, stage: which ask this is.
        question: what the method asks; the same for every participant.
        roster: the participants of the round, in order.
        lane: how totals and addends are judged.
        scope: what else an answer depends on: digest of cohort, missing-data rule and needed variables.
        boxes: sealed boxes from other sites for this one.
        notice: what the hub's side of the sum tells all sites in this stage, canonical values.
        lineage: which beginning of the analysis this goes back to, "" for its first question; a site goes on from local state of
            this lineage only.
        seed: the study's seed; a site draws from (seed, site, analysis, round).
        identity: the question's digest and key; set by the site itself, which does not take the hub's word for them.
    """

    study: str
    run: str
    analysis: str
    round: int
    stage: str
    question: Question
    roster: tuple[str, ...]
    lane: Lane
    scope: str
    boxes: tuple[Box, ...] = ()
    notice: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    lineage: str = ""
    seed: int = 0
    identity: QuestionIdentity | None = None


@dataclass(frozen=True, slots=True)
class QuestionIdentity:
    """What makes two questions the same question; every site computes it for itself, from what it is asked.

    Attributes:
        digest: of the question and the scope.
        key: by which rosters whose sums were opened are compared, and not of the roster: two runs that ask the same of the same
            patients have the same key, whoever takes part.
    """

    digest: str
    key: str

    @classmethod
    def of(cls, question: Question, scope: str, telling: Collection[str] = (), *, key: str = "") -> QuestionIdentity:
        """The identity of a question.

        Args:
            telling: facts that make no difference to what is asked, see `Method.telling`.
            key: of an exact method, `key_of_course`; "": by what is asked.
        """
        known = _LAST.identity
        if known is not None and known[0] is question and known[1:4] == (scope, telling, key):
            return known[4]
        digest = asked = _digest(question, question.facts)
        if any(name in question.facts for name in telling):
            asked = _digest(question, {name: value for name, value in question.facts.items() if name not in telling})
        identity = cls(canonical.digest([digest, scope]), key or canonical.digest([asked, scope]))
        _LAST.identity = (question, scope, telling, key, identity)
        return identity


def key_of_course(method: str, settings: Mapping[str, Any], scope: str) -> str:
    """The key of all questions of an exact method with these settings: a question with one fact more, or a coefficient a hair's
    breadth off, tells as much by subtraction as the same one."""
    return canonical.digest([method, settings, scope])


class _Last(threading.local):
    """The identity computed last: in one process all sites are asked the same question object."""

    identity: tuple[Question, str, Collection[str], str, QuestionIdentity] | None = None


_LAST = _Last()


def _digest(question: Question, facts: Mapping[str, Any]) -> str:
    return canonical.digest([question.method, question.step, facts, list(question.variables), question.degrees])


@dataclass(frozen=True, slots=True)
class Answered:
    """A site did what this stage asks.

    Attributes:
        answer: what it releases in the clear; None where the stage releases nothing, or nothing in the clear.
        boxes: sealed, for other sites.
        packet: what the hub's side of the sum needs: keys, masked numbers, shares; canonical values.
    """

    answer: Answer | None
    boxes: tuple[Box, ...] = ()
    packet: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Silent:
    """No reply before the deadline."""

    reason: str = "no reply before the deadline"


@dataclass(frozen=True, slots=True)
class Failed:
    """The site could not compute; the reason holds no patient's value."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The site's policy decided against releasing."""

    reasons: tuple[str, ...]
    clauses: tuple[str, ...] = ()


Reply = Answered | Silent | Failed | Refused


class Adding:
    """Adds answers up as they come; what was added is not kept.

    Attributes:
        rows: rows behind each site's answer, in the order in which they came.
        cells: names of the parts whose entries are numbers of patients.
    """

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.cells: tuple[str, ...] = ()
        self._first, self._outline = "", dict[str, tuple[Any, ...]]()
        self._sums: dict[str, Any] = {}
        self._keyed: dict[str, dict[str, float]] = {}
        self._individual: dict[str, dict[str, Any]] = {}
        self._problems: list[Problem] = []

    def add(self, site: str, answer: Answer) -> None:
        """One site's answer; one that does not fit the first one's is left out, and `total` names it."""
        outline = _outline(answer)
        if not self.rows:
            self._first, self._outline = site, outline
            self.cells = tuple(name for name, part in answer.parts.items() if part.cells)
        elif outline != self._outline:
            expected = f"the names, dtypes and shapes of site {self._first}'s answer"
            self._problems.append(Problem(f"site {site}", "an answer with other arrays", expected))
            return
        self.rows[site] = answer.rows
        for name, part in answer.parts.items():
            if part.kind == "individual":
                self._individual.setdefault(name, {})[site] = part.values
            elif part.keys is not None:
                keyed = self._keyed.setdefault(name, {})
                for key, value in zip(part.keys, part.values.tolist(), strict=True):
                    keyed[key] = keyed.get(key, 0) + value
            elif name in self._sums:
                self._sums[name] += part.values
            else:
                self._sums[name] = np.array(part.values)  # a copy: an answer is never edited

    def total(self) -> Total:
        """The sum of the addends and the individual releases.

        Raises:
            FederationError: answers that do not fit together, naming each site whose answer differs from the first one's.
        """
        if self._problems:
            raise FederationError("The sites' answers cannot be added.", self._problems)
        keyed = {name: dict(sorted(each.items())) for name, each in self._keyed.items()}
        return Total(self._sums, keyed, self._individual, sum(self.rows.values()), tuple(self.rows))


def _outline(answer: Answer) -> dict[str, tuple[Any, ...]]:
    return {
        name: (part.kind, part.values.dtype.str, part.keys is not None, None if part.keys is not None else part.values.shape)
        for name, part in answer.parts.items()
        if part.kind == "addend"
    } | {name: ("individual",) for name, part in answer.parts.items() if part.kind == "individual"}
