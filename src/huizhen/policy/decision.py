"""What a policy answers, and what it knows besides the question: a refusal is a value, with every reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ALLOWED", "Context", "Decision"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed, or refused for every reason that was found.

    Attributes:
        reasons: what was found, what the policy expects, what to do; one for each clause broken.
        clauses: the clauses of the policy that refuse, in the order of `reasons`.
    """

    allowed: bool
    reasons: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()

    @classmethod
    def refuse(cls, clause: str, reason: str) -> Decision:
        return cls(False, (reason,), (clause,))

    @classmethod
    def all_of(cls, decisions: Iterable[Decision]) -> Decision:
        """Allowed if all are; else every reason, each once."""
        refusals = [decision for decision in decisions if not decision.allowed]
        if not refusals:
            return ALLOWED
        pairs = dict.fromkeys(pair for one in refusals for pair in zip(one.clauses, one.reasons))
        return cls(False, tuple(reason for _, reason in pairs), tuple(clause for clause, _ in pairs))


ALLOWED = Decision(True)


@dataclass(frozen=True, slots=True)
class Context:
    """What else a site knows when it decides.

    Attributes:
        site: its own name.
        lane: how the answer would travel.
        roster: the participants of the round.
        question_key: identifier of the question, the same for every roster that it is put to.
        earlier: the rosters whose masked sums of this very question were opened before.
        in_clear: whether the hub sees this answer as the site's own, whatever the lane.
    """

    site: str
    lane: str
    roster: tuple[str, ...]
    question_key: str
    earlier: tuple[frozenset[str], ...] = ()
    in_clear: bool = False
