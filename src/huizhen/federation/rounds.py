"""Rounds: what is carried between hub and sites, and the rules by which replies become a total.

Rules of order, each with the mistake that it stops:

- a reply counts only for the ask it answers (same run, analysis, round and stage): a late reply of an earlier round cannot slip
  into a later sum;
- a site that was silent, failed or refused in any stage of a round is part of the round's result and never of its sum;
- replies are added in roster order: the same answers give the same bytes;
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
from huizhen.privacy.release import EMPTY, Answer, Part, Question, Total

__all__ = [
    "Answered",
    "Ask",
    "Box",
    "Failed",
    "Lane",
    "QuestionIdentity",
    "Refused",
    "Reply",
    "Silent",
    "add_up",
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


def add_up(answers: Mapping[str, Answer], roster: tuple[str, ...]) -> Total:
    """The sum of the addends and the individual releases, in roster order.

    Raises:
        FederationError: answers that do not fit together, naming each site whose answer differs from the first one's.
    """
    _check_alike(answers, roster)
    first = answers[roster[0]]
    sums: dict[str, Any] = {}
    keyed: dict[str, Mapping[str, float]] = {}
    individual: dict[str, Mapping[str, Any]] = {}
    for name, part in first.parts.items():
        each = [answers[site].parts[name] for site in roster]
        if part.kind == "individual":
            individual[name] = {site: one.values for site, one in zip(roster, each, strict=True)}
        elif part.keys is not None:
            keyed[name] = _add_keyed(each)
        else:
            sums[name] = _add_arrays(each)
    return Total(sums, keyed, individual, sum(answers[site].rows for site in roster), roster)


def _add_arrays(parts: list[Part]) -> Any:
    total = np.array(parts[0].values)  # a copy: an answer is never edited
    for part in parts[1:]:
        total += part.values
    return total


def _add_keyed(parts: list[Part]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for key, value in zip(part.keys or (), part.values.tolist(), strict=True):
            total[key] = total.get(key, 0) + value
    return dict(sorted(total.items()))


def _outline(answer: Answer) -> dict[str, tuple[Any, ...]]:
    return {
        name: (part.kind, part.values.dtype.str, part.keys is not None, None if part.keys is not None else part.values.shape)
        for name, part in answer.parts.items()
        if part.kind == "addend"
    } | {name: ("individual",) for name, part in answer.parts.items() if part.kind == "individual"}


def _check_alike(answers: Mapping[str, Answer], roster: tuple[str, ...]) -> None:
    expected = _outline(answers[roster[0]])
    problems = [
        Problem(f"site {site}", "an answer with other arrays", f"the names, dtypes and shapes of site {roster[0]}'s answer")
        for site in roster[1:]
        if _outline(answers[site]) != expected
    ]
    if problems:
        raise FederationError("The sites' answers cannot be added.", problems)
