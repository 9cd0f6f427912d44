"""Which participants a question may be put to, so that no totals can be subtracted to the answer of one or two sites."""

from __future__ import annotations

import numpy as np

from huizhen.policy.decision import Context, Decision

__all__ = ["differencing"]

MASKED_SITES = 3  # two totals, or a total and one's own answer, must not leave the answer of fewer sites


def differencing(context: Context) -> list[Decision]:
    """The refusals for a roster, none if it may be answered.

    In every lane a roster names each site once, and this site. In the masked lane it holds at least three sites, differs by at
    least three from every roster for which the same question was answered, and no combination of all those totals gives the
    answer of this site alone, or of this and one other.
    """
    if len(set(context.roster)) != len(context.roster) or context.site not in context.roster:
        return [Decision.refuse("roster", "roster: expected each site once and this site among them")]
    return _masked(context) if context.lane == "masked" and not context.in_clear else []


def _masked(context: Context) -> list[Decision]:
    now = frozenset(context.roster)
    if len(now) < MASKED_SITES:
        reason = f"roster: a masked sum needs at least {MASKED_SITES} sites, for of two each knows the other's answer"
        return [Decision.refuse("roster", reason)]
    if any(now != before and len(now ^ before) < MASKED_SITES for before in context.earlier) or _pinned(context, now):
        reason = (
            "roster: this question was answered for other sites before, and the totals would give away the answers of one or two"
        )
        return [
            Decision.refuse(
                "roster", f"{reason}; keep the earlier roster, or start again with at least {MASKED_SITES} sites more or fewer"
            )
        ]
    return []


def _pinned(context: Context, now: frozenset[str]) -> bool:
    """Whether some combination of all the totals is made of this site's answer, alone or with one other site's."""
    if len(set(context.earlier) - {now}) < 2:
        return False  # two totals can only be subtracted, which was looked at
    rosters = [now, *dict.fromkeys(context.earlier)]
    sites = sorted(frozenset().union(*rosters))
    member = np.array([[site in roster for site in sites] for roster in rosters], dtype=np.float64)
    own = sites.index(context.site)
    rank = np.linalg.matrix_rank(member)
    # A combination that leaves out all sites but two exists iff the columns of the others have a rank below the whole.
    for other in range(len(sites)):
        others = [place for place in range(len(sites)) if place not in (own, other)]
        if np.linalg.matrix_rank(member[:, others]) < rank:
            return True
    return False
