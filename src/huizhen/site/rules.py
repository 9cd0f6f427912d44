"""What a site's rules say of a suggestion: pure, and closed where they know nothing.

Two questions are kept apart. Whether a study *can* run here (enabled, and admitted by the disclosure policy) binds people, too.
Whether it *fits* the rules of ``[accept]`` decides only whether a person has to look at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from huizhen.federation.proposal import Proposal
from huizhen.federation.study import Study
from huizhen.federation.suggestion import most_rounds
from huizhen.policy.decision import ALLOWED, Decision
from huizhen.policy.disclosure import admits
from huizhen.site.settings import Settings

__all__ = ["Verdict", "can_run", "fits", "judge", "lane_of"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens with a suggestion at once, and why."""

    does: Literal["accept", "decline", "wait"]
    reasons: tuple[str, ...] = ()


def judge(settings: Settings, proposal: Proposal) -> Verdict:
    """Accept or decline at once, or wait for a person; what cannot run here is never accepted by a rule."""
    against = Decision.all_of([can_run(settings, proposal), fits(settings, proposal)])
    if not against.allowed:
        return Verdict("decline" if settings.accept.unfitting == "decline" else "wait", against.reasons)
    return Verdict("accept" if settings.accept.fitting == "accept" or _is_at_once(settings, proposal) else "wait")


def can_run(settings: Settings, proposal: Proposal) -> Decision:
    """Whether the configuration lets the study run here at all, whoever accepts it."""
    study = proposal.study
    methods = dict.fromkeys(analysis.method.name for analysis in study.analyses)
    checks = [_enabled("methods", settings.enabled.methods, name) for name in methods]
    checks += [_enabled("networks", settings.enabled.networks, name) for name in dict.fromkeys(_networks(study))]
    lane, policy = lane_of(study), settings.policy
    checks += [admits(policy, method=name, lane=lane, variables=study.uses) for name in methods]
    if not policy.allow_individual and (asking := _individual(study)):
        reason = f"allow_individual is false, and {', '.join(asking)} asks for values of this site alone"
        checks.append(Decision.refuse("allow_individual", reason))
    if policy.budget is not None and not proposal.spends.level and not policy.budget.allow_exact:
        checks.append(Decision.refuse("budget", "this site has a privacy budget, and the study's answers carry no noise"))
    return Decision.all_of(checks)


def fits(settings: Settings, proposal: Proposal) -> Decision:
    """Whether the suggestion keeps to every rule of ``[accept]``."""
    return Decision.all_of([Decision.refuse(clause, reason) for clause, reason in _unfitting(settings, proposal)] or [ALLOWED])


def lane_of(study: Study) -> Literal["plain", "masked"]:
    """Who sees what between machines: with masks or encryption the hub sees totals only."""
    return "plain" if study.protection.sum == "plain" else "masked"


def _is_at_once(settings: Settings, proposal: Proposal) -> bool:
    """Whether every method of a study is one that nobody has to look at here."""
    return all(one.method.name in settings.accept.at_once for one in proposal.study.analyses)


def _unfitting(settings: Settings, proposal: Proposal) -> Iterator[tuple[str, str]]:
    accept, study = settings.accept, proposal.study
    if accept.who != "anyone" and proposal.initiator.name not in accept.who:
        yield "accept.who", f"accept.who does not name {proposal.initiator.name}"
    others = [
        one.method.name for one in study.analyses if accept.methods != "any enabled" and one.method.name not in accept.methods
    ]
    if others:
        yield "accept.methods", f"accept.methods does not name {', '.join(dict.fromkeys(others))}"
    if study.protection.sum not in accept.sums:
        yield "accept.sums", f"accept.sums does not name {study.protection.sum}"
    if not accept.individual and (asking := _individual(study)):
        yield "accept.individual", f"accept.individual is false, and {', '.join(asking)} asks for values of this site alone"
    if (rounds := most_rounds(study)) > accept.max_rounds:
        yield "accept.max_rounds", f"accept.max_rounds is {accept.max_rounds}, and the study may ask {rounds} times"
    if proposal.spends.epsilon > accept.max_epsilon:
        found = f"accept.max_epsilon is {accept.max_epsilon:g}, and the study spends {proposal.spends.epsilon:g}"
        yield "accept.max_epsilon", found
    if len(proposal.sites) < accept.min_participants:
        yield (
            "accept.min_participants",
            f"accept.min_participants is {accept.min_participants}, and {len(proposal.sites)} sites take part",
        )


def _enabled(what: str, enabled: list[str] | str, name: str) -> Decision:
    if enabled == "any installed" or name in enabled:
        return ALLOWED
    return Decision.refuse(f"enabled.{what}", f"enabled.{what} does not name {name}")


def _networks(study: Study) -> Iterator[str]:
    for analysis in study.analyses:
        name = getattr(analysis.spec, "network", None)
        if isinstance(name, str):
            yield name


def _individual(study: Study) -> list[str]:
    """Labels of the analyses that ask for values of single sites."""
    asking = ((one.label, getattr(one.method, "individual", None), one.spec) for one in study.analyses)
    return [label for label, states, spec in asking if states is not None and states(spec)]
