"""A study's life, as a state machine without I/O: events in, the next life or a named mistake out.

    drafted -> proposed <-> waiting -> running -> closing -> done
                  any of them but done -> failed; any but closing and done -> cancelled

``drafted``: it stands at the hub and nobody was asked. ``proposed``: sites decide. ``waiting``: enough have accepted, and it waits
for its time and for its turn. ``running``, ``closing``: rounds are asked; the result is being kept.

Rules of order, each with the attack or mistake that it stops:

- done, failed and cancelled are final: nothing brings a study back, a proposal that is over is made anew (an old acceptance started
  nothing);
- a site decides once, and may then only withdraw (an acceptance that was recorded and sent again after a withdrawal does nothing);
- a decision names the proposal by its digest (what was accepted cannot be swapped);
- a study starts with exactly those that have accepted, when its start condition holds and not before (nobody is drawn in);
- a site that withdraws in mid-run is lost from then on, whatever it accepted;
- order is that of the events and never that of their times, so that a clock that is set back undoes nothing; times are compared
  only with the proposal's own expiry and start.

The same events give the same life: a hub that was killed folds what it has kept and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from huizhen.clock import moment, written
from huizhen.errors import FederationError, Problem
from huizhen.federation.proposal import Proposal
from huizhen.privacy.release import EMPTY

__all__ = [
    "FINAL",
    "Kind",
    "Life",
    "LifeEvent",
    "Mistake",
    "Stance",
    "State",
    "begun",
    "consented",
    "event_content",
    "fold",
    "hopeless",
    "proposed_facts",
    "read_event",
    "ready",
    "step",
]

State = Literal["drafted", "proposed", "waiting", "running", "closing", "done", "failed", "cancelled"]
Stance = Literal["asked", "accepted", "declined", "withdrawn"]
Kind = Literal[
    "drafted", "proposed", "accepted", "declined", "withdrawn", "expired", "started", "closing", "done", "failed", "cancelled"
]
Rule = Literal[
    "no-life",
    "over",
    "too-early",
    "too-late",
    "nobody-asked",
    "decided",
    "another-proposal",
    "not-ready",
    "other-roster",
    "malformed",
]
FINAL: frozenset[State] = frozenset({"done", "failed", "cancelled"})
BEFORE: Mapping[Kind, frozenset[State]] = {
    "drafted": frozenset(),
    "proposed": frozenset({"drafted"}),
    "accepted": frozenset({"proposed", "waiting"}),
    "declined": frozenset({"proposed", "waiting"}),
    "withdrawn": frozenset({"proposed", "waiting", "running", "closing"}),
    "expired": frozenset({"proposed"}),
    "started": frozenset({"waiting"}),
    "closing": frozenset({"running"}),
    "done": frozenset({"closing"}),
    "failed": frozenset({"proposed", "waiting", "running", "closing"}),
    "cancelled": frozenset({"drafted", "proposed", "waiting", "running"}),
}
ORDER: tuple[State, ...] = ("drafted", "proposed", "waiting", "running", "closing")


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """One thing that happened to a study.

    Attributes:
        at: when, by the hub's clock; aware, UTC.
        by: who did it: a site, a person, or "" for the hub itself.
        reason: why, in their words or ours.
        facts: what belongs to the kind: of ``proposed`` see `proposed_facts`; of a decision the ``proposal``, of ``accepted`` also
            ``rows``; of ``started`` ``run`` and ``roster``; of ``done`` the digest of the ``result``.
    """

    kind: Kind
    at: datetime
    by: str = ""
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why an event cannot happen: the rule that it breaks, and the same for a reader."""

    rule: Rule
    problem: Problem


@dataclass(frozen=True, slots=True)
class Life:
    """Where a study stands.

    Attributes:
        events: how many were folded.
        initiator: who drafted it.
        proposal: digest of what was proposed; "" before.
        stances: of every participant, in roster order.
        rows: rows that accepting sites told, rounded down.
        providers: the participants without data.
        needed: how many sites must accept; 0: every participant.
        at, joint_rows: further conditions of the start; None, 0: none.
        run, roster: of the execution; "" and () before.
        lost: who withdrew in mid-run.
        reason: why it failed or was cancelled.
        result: digest of the result.
    """

    state: State = "drafted"
    events: int = 0
    initiator: str = ""
    proposal: str = ""
    stances: Mapping[str, Stance] = field(default_factory=lambda: EMPTY)
    rows: Mapping[str, int] = field(default_factory=lambda: EMPTY)
    providers: tuple[str, ...] = ()
    needed: int = 0
    at: datetime | None = None
    joint_rows: int = 0
    expires: datetime | None = None
    run: str = ""
    roster: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    reason: str = ""
    result: str = ""

    @property
    def accepted(self) -> tuple[str, ...]:
        """The participants that have accepted, in roster order."""
        return tuple(name for name, stance in self.stances.items() if stance == "accepted")


def begun(event: LifeEvent) -> Life | Mistake:
    """The life that begins with its first event."""
    if event.kind != "drafted":
        return _mistake("no-life", f"the event {event.kind}", "a life that begins by being drafted")
    return Life(events=1, initiator=event.by)


def step(life: Life, event: LifeEvent) -> Life | Mistake:
    """The life after an event, or why the event cannot happen; pure, and the only way in which a life goes on."""
    mistake = _out_of_order(life, event)
    if mistake is not None:
        return mistake
    after = _AFTER[event.kind](life, event)
    return after if isinstance(after, Mistake) else replace(after, events=life.events + 1)


def fold(events: Iterable[LifeEvent]) -> Life:
    """The life behind stored events.

    Raises:
        FederationError: they are no life: one is missing, or was put where it cannot stand.
    """
    life: Life | None = None
    for event in events:
        after = begun(event) if life is None else step(life, event)
        if isinstance(after, Mistake):
            raise FederationError("What is kept of a study's life cannot be followed.", [after.problem])
        life = after
    if life is None:
        raise FederationError("What is kept of a study's life cannot be followed.", [Problem("life", "no event", "at least one")])
    return life


def consented(life: Life) -> bool:
    """Whether enough participants have accepted, with enough rows."""
    return not _lacking(life)


def ready(life: Life, now: datetime) -> bool:
    """Whether the study may start now."""
    return life.state == "waiting" and (life.at is None or now >= life.at)


def hopeless(life: Life) -> str:
    """Why the start condition can never hold any more; "" while it can. To be asked of a study that is proposed or waiting."""
    undecided = [name for name, stance in life.stances.items() if stance == "asked"]
    against = [name for name, stance in life.stances.items() if stance in ("declined", "withdrawn")]
    if not life.needed and against:
        return f"not every participant accepts: {', '.join(against)}"
    sites = [name for name in (*life.accepted, *undecided) if name not in life.providers]
    if len(sites) < life.needed:
        return f"{len(sites)} sites are left, and {life.needed} must accept"
    if not undecided and _joint(life) < life.joint_rows:
        return f"the sites that accept hold fewer than {life.joint_rows} rows together"
    return ""


def proposed_facts(proposal: Proposal) -> dict[str, Any]:
    """What the event ``proposed`` says: all that decides over the start."""
    start, quorum = proposal.study.start, proposal.study.participants.quorum
    return {
        "proposal": proposal.digest,
        "parties": [party.name for party in proposal.participants],
        "providers": [party.name for party in proposal.participants if party.role == "provider"],
        "needed": 0 if start.when == "all accepted" else start.sites or quorum,
        "at": start.at,
        "joint_rows": start.joint_rows,
        "expires": written(proposal.expires),
    }


def event_content(event: LifeEvent) -> dict[str, Any]:
    """An event as plain values, for the ledger and the store."""
    return {"kind": event.kind, "at": written(event.at), "by": event.by, "reason": event.reason, "facts": dict(event.facts)}


def read_event(content: Any) -> LifeEvent:
    """The event behind `event_content`.

    Raises:
        FederationError: it is none.
    """
    try:
        kind, facts = content["kind"], content["facts"]
        texts = (content["by"], content["reason"])
        if kind not in get_args(Kind) or not isinstance(facts, Mapping) or not all(isinstance(text, str) for text in texts):
            raise ValueError
        return LifeEvent(kind, moment(content["at"]), *texts, dict(facts))
    except (KeyError, TypeError, ValueError):
        problem = Problem("life", "an event that cannot be understood", "one that this program wrote")
        raise FederationError("What is kept of a study's life cannot be followed.", [problem]) from None


def _out_of_order(life: Life, event: LifeEvent) -> Mistake | None:
    if life.state in BEFORE[event.kind]:
        return None
    found, expected = f"a study that is {life.state}", f"one that is {' or '.join(sorted(BEFORE[event.kind])) or 'new'}"
    if life.state in FINAL:
        return _mistake("over", found, expected, "What is over stays so; propose the study anew")
    late = [state for state in BEFORE[event.kind] if ORDER.index(state) < ORDER.index(life.state)]
    return _mistake("too-late" if late or event.kind == "drafted" else "too-early", found, expected)


def _proposed(life: Life, event: LifeEvent) -> Life | Mistake:
    facts = event.facts
    try:
        parties, providers = [str(name) for name in facts["parties"]], tuple(str(name) for name in facts["providers"])
        at = moment(facts["at"]) if facts["at"] else None
        needed, joint_rows, expires = int(facts["needed"]), int(facts["joint_rows"]), moment(facts["expires"])
        stances: dict[str, Stance] = dict.fromkeys(parties, "asked")
        if not set(providers) < set(parties) or len(stances) < len(parties) or needed < 0 or joint_rows < 0:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        return _mistake("malformed", "a proposal's facts that cannot be understood", "those of a proposal")
    return replace(
        life,
        state="proposed",
        proposal=str(facts["proposal"]),
        stances=stances,
        providers=providers,
        needed=needed,
        at=at,
        joint_rows=joint_rows,
        expires=expires,
    )


def _accepted(life: Life, event: LifeEvent) -> Life | Mistake:
    rows = event.facts.get("rows", 0)
    if type(rows) is not int or rows < 0:
        return _mistake("malformed", "a number of rows that is none", "a whole number, 0 or more")
    if life.expires is not None and event.at >= life.expires:
        return _mistake("too-late", "an acceptance after the proposal has expired", f"one before {written(life.expires)}")
    after = _decided(life, event, "accepted")
    return after if isinstance(after, Mistake) else _settled(replace(after, rows={**life.rows, event.by: rows}))


def _declined(life: Life, event: LifeEvent) -> Life | Mistake:
    after = _decided(life, event, "declined")
    return after if isinstance(after, Mistake) else _settled(after)


def _decided(life: Life, event: LifeEvent, stance: Stance) -> Life | Mistake:
    mistake = _no_party(life, event)
    if mistake is None and life.stances[event.by] != "asked":
        found = f"a second decision of {event.by}, which has {life.stances[event.by]} before"
        mistake = _mistake("decided", found, "one decision, which can be withdrawn")
    return mistake or replace(life, stances={**life.stances, event.by: stance})


def _withdrawn(life: Life, event: LifeEvent) -> Life | Mistake:
    mistake = _no_party(life, event)
    if mistake is None and life.stances[event.by] != "accepted":
        mistake = _mistake("decided", f"the withdrawal of {event.by}, which has not accepted", "a site that has accepted")
    if mistake is not None:
        return mistake
    rows = {name: count for name, count in life.rows.items() if name != event.by}
    after = replace(life, stances={**life.stances, event.by: "withdrawn"}, rows=rows)
    if life.state in ("running", "closing"):
        return replace(after, lost=(*life.lost, event.by)) if event.by in life.roster else after
    return _settled(after)


def _expired(life: Life, event: LifeEvent) -> Life | Mistake:
    if life.expires is None or event.at < life.expires:
        return _mistake("too-early", "an expiry before its time", "one at the proposal's own time")
    return replace(life, state="failed", reason="the suggestion expired before enough participants had accepted")


def _started(life: Life, event: LifeEvent) -> Life | Mistake:
    if not ready(life, event.at):
        return _mistake("not-ready", "a start before its time", "the start condition of the proposal")
    run, roster = event.facts.get("run"), event.facts.get("roster")
    if not isinstance(run, str) or not run or not isinstance(roster, list | tuple):
        return _mistake("malformed", "a start without its run or roster", "both")
    if tuple(roster) != life.accepted:
        return _mistake("other-roster", "a roster of others than have accepted", f"{', '.join(life.accepted)}, in this order")
    return replace(life, state="running", run=run, roster=tuple(roster))


def _closing(life: Life, _event: LifeEvent) -> Life:
    return replace(life, state="closing")


def _done(life: Life, event: LifeEvent) -> Life:
    return replace(life, state="done", result=str(event.facts.get("result", "")))


def _failed(life: Life, event: LifeEvent) -> Life:
    return replace(life, state="failed", reason=event.reason)


def _cancelled(life: Life, event: LifeEvent) -> Life:
    return replace(life, state="cancelled", reason=event.reason)


_AFTER = {
    "proposed": _proposed,
    "accepted": _accepted,
    "declined": _declined,
    "withdrawn": _withdrawn,
    "expired": _expired,
    "started": _started,
    "closing": _closing,
    "done": _done,
    "failed": _failed,
    "cancelled": _cancelled,
}


def _no_party(life: Life, event: LifeEvent) -> Mistake | None:
    if event.by not in life.stances:
        return _mistake("nobody-asked", "a decision of somebody who takes no part", "a decision of a participant")
    if event.facts.get("proposal") != life.proposal:
        found, expected = "a decision on another proposal", "the digest of what was proposed"
        return _mistake("another-proposal", found, expected, "Read the suggestion anew: what it says may have changed")
    return None


def _settled(life: Life) -> Life:
    return replace(life, state="waiting" if consented(life) else "proposed")


def _lacking(life: Life) -> bool:
    if not life.needed and len(life.accepted) < len(life.stances):
        return True
    sites = [name for name in life.accepted if name not in life.providers]
    return len(sites) < max(life.needed, 1) or _joint(life) < life.joint_rows


def _joint(life: Life) -> int:
    return sum(count for name, count in life.rows.items() if name not in life.providers)


def _mistake(rule: Rule, found: str, expected: str, remedy: str = "") -> Mistake:
    return Mistake(rule, Problem("study", found, expected, remedy))
