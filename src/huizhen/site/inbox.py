"""A site's inbox: suggestions come in, rules or a person decide, decisions go out signed; and what may run is looked up here.

Rules of order, each with what it stops:

- a proposal is read whole before it is shown; one that cannot be read, or in which this site stands with another key, is kept to be
  declined and can never be accepted;
- a decision is signed and kept before it is sent, and sent until the hub confirms it (a crash loses none, and makes none twice);
- a site runs a study only by the digest of the proposal that it accepted and has not withdrawn: a word that was changed afterwards
  has another digest, and is another suggestion;
- what cannot run here by the configuration is accepted by nobody;
- how long a suggestion is open is told by the hub's clock and counted by this site's: a clock that is off by a day lets nothing
  expire early or stay open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, field_validator

from huizhen import canonical
from huizhen.clock import Clock, moment, written
from huizhen.errors import CallerError, HuizhenError, PolicyError, Problem
from huizhen.federation.bodies import Body, read_body
from huizhen.federation.consent import Choice, Consent, told_rows
from huizhen.federation.life import FINAL
from huizhen.federation.proposal import Proposal
from huizhen.ids import is_name
from huizhen.ledger.chain import Signer
from huizhen.ledger.store import LedgerStore
from huizhen.privacy.release import EMPTY
from huizhen.site.db import Decided, Kept, SiteStore
from huizhen.site.rules import can_run, judge
from huizhen.site.settings import Settings

__all__ = ["Accepted", "Inbox", "Looked"]

BY_RULES = "rules"
CONSENTED = "consented"  # kind of the ledger's entries
OFF_S = 300.0  # a clock that differs from the hub's by more is told
NOTE = 2000  # characters of why a suggestion cannot be read
UNREADABLE_FOR = timedelta(days=3)  # in the list; when it expires at the hub cannot be told
LARGEST = 64_000_000  # bytes of all open suggestions together


class _Suggested(Body):
    proposal: dict[str, Any]
    state: str = Field(max_length=32)


class _Told(Body):
    now: str
    suggestions: list[_Suggested] = Field(max_length=10_000)
    states: dict[str, str]

    @field_validator("now")
    @classmethod
    def _time(cls, text: str) -> str:
        moment(text)
        return text


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking at the hub's suggestions brought.

    Attributes:
        new: digests of suggestions that were new.
        unreadable: why a suggestion that is new cannot be read here, and so can only be declined.
        clock_off_s: by how much this site's clock is ahead of the hub's; 0.0 where that does not matter.
    """

    new: tuple[str, ...]
    unreadable: tuple[str, ...]
    clock_off_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What this site has accepted and may run; `source`: alias of what it is answered from."""

    proposal: Proposal
    source: str
    decider: str


@dataclass(frozen=True, slots=True)
class Inbox:
    """The inbox of one site; commands in other terminals may work on the same store meanwhile.

    Attributes:
        key: the site's identity key, and public: its public half in hexadecimal.
        count: rows of the cohort of a proposal in a source, for studies that set a number of rows; None: nobody can count here, and
            such studies wait or are refused.
        read: how a source holds the variables of a proposal, plain values; told with the acceptance.
    """

    site: str
    settings: Settings
    store: SiteStore
    key: Signer
    public: str
    clock: Clock
    count: Callable[[Proposal, str], int] | None = None
    read: Callable[[Proposal, str], Mapping[str, Any]] = field(default=lambda _proposal, _source: EMPTY)

    @property
    def wish(self) -> Mapping[str, Any]:
        """What the hub is asked: what is new, and how the studies stand that were not over."""
        return {"known": [one.digest for one in self.entries() if one.state not in FINAL]}

    def take(self, told: Any) -> Looked:
        """Keep what the hub suggests, and decide at once what the rules decide.

        Args:
            told: the hub's answer to `wish`, see `hub.usecases.inbox_of`.

        Raises:
            CallerError: it is no such answer; nothing was kept.
        """
        found = read_body(_Told, told, what="inbox", largest=LARGEST)
        now, hub_now = self.clock.now(), moment(found.now)
        new, unreadable = [], []
        for one in found.suggestions:
            digest = canonical.digest(one.proposal)
            if self.store.suggestion(digest) is not None:
                self.store.told(digest, one.state)
                continue
            try:
                proposal = self._readable(one.proposal)
            except HuizhenError as error:
                unreadable.append(_said(error))
                self._take_unreadable(one, digest, now, unreadable[-1])
                continue
            self._take(proposal, one.state, now, proposal.expires - hub_now)
            new.append(digest)
        for digest, state in found.states.items():
            self._told(digest, state)
        self.expire()
        off = (now - hub_now).total_seconds()
        return Looked(tuple(new), tuple(unreadable), off if abs(off) > OFF_S else 0.0)

    def entries(self) -> tuple[Kept, ...]:
        """All suggestions, the oldest first."""
        return self.store.suggestions()

    def find(self, name: str) -> Kept:
        """The suggestion of a study's id, or of a digest or its beginning (8 digits at least); of an id the newest.

        Raises:
            CallerError: there is none.
        """
        found = [one for one in self.entries() if one.study == name or (len(name) >= 8 and one.digest.startswith(name))]
        if not found:
            problem = Problem("suggestion", name[:80], "the id of a suggestion in the inbox", "`huizhen site inbox` lists them")
            raise CallerError("There is no such suggestion.", [problem])
        return found[-1]

    def proposal(self, kept: Kept) -> Proposal:
        """What a suggestion says.

        Raises:
            CallerError, PolicyError: it cannot be read here, or is not for this site.
        """
        return self._readable(kept.content)

    def accept(self, name: str, *, decider: str, source: str = "") -> Consent:
        """Accept a suggestion; the consent is kept, and the agent delivers it.

        Args:
            decider: who accepts.
            source: alias of what it is to be answered from; "": the configured one.

        Raises:
            CallerError: there is no such suggestion, or it was decided, has expired or is over.
            PolicyError: the configuration does not let it run here, or there are too few rows.
        """
        kept = self.find(name)
        proposal = self.proposal(kept)
        judged = can_run(self.settings, proposal)
        if not judged.allowed:
            expected = "a study that this site's configuration allows"
            problems = [Problem(clause, reason, expected) for clause, reason in zip(judged.clauses, judged.reasons)]
            raise PolicyError("The study cannot run at this site.", problems)
        return self._accept(kept, proposal, decider, source or self.settings.source_for(proposal.study))

    def decline(self, name: str, *, decider: str, why: str = "") -> Consent:
        """Decline a suggestion that is open.

        Raises:
            CallerError: there is no such suggestion, or it is not open.
        """
        return self._decide(self.find(name), "decline", decider, reason=why)

    def withdraw(self, name: str, *, decider: str, why: str = "") -> Consent:
        """Take an acceptance back, at any time; from now on nothing is answered in this study.

        Raises:
            CallerError: there is no such suggestion, or it was not accepted.
        """
        return self._decide(self.find(name), "withdraw", decider, reason=why)

    def expire(self) -> tuple[str, ...]:
        """Closes the suggestions that nobody decided on in time; their digests."""
        now = self.clock.now()
        old = [digest for digest, expires in self.store.expiries() if moment(expires) <= now]
        for digest in old:
            self.store.stands(digest, "expired")
        return tuple(old)

    def accepted(self, digest: str) -> Accepted:
        """What this site has accepted under this very digest, as it was accepted.

        Raises:
            PolicyError: it has not, or has withdrawn; nothing of it may be answered.
        """
        kept = self.store.suggestion(digest) if isinstance(digest, str) else None
        if kept is None or kept.standing != "accepted":
            found = "a study that this site does not know" if kept is None else f"a study that is {kept.standing} here"
            problem = Problem("proposal", found, "the digest of a proposal that this site has accepted")
            raise PolicyError("This site has not accepted this study.", [problem])
        decided = next(one for one in reversed(self.store.decisions(digest)) if one.choice == "accept")
        return Accepted(Proposal.parse(kept.content), decided.source, decided.decider)

    def pending(self) -> tuple[Decided, ...]:
        """Decisions to be sent to the hub, in order; `delivered` is told of each that it has taken."""
        return self.store.undelivered()

    def record(self, decided: Decided, ledger: LedgerStore) -> None:
        """Put a decision on the site's ledger; to be called by the agent before it is sent."""
        fact = {key: decided.consent[key] for key in ("proposal", "study", "choice", "reason")}
        ledger.append(CONSENTED, {**fact, "decider": decided.decider, "source": decided.source}, self.clock.now())
        ledger.settle()

    def delivered(self, decided: Decided) -> None:
        """The hub has confirmed a decision, or has refused it for good."""
        self.store.delivered(decided.place)

    def _readable(self, content: Mapping[str, Any]) -> Proposal:
        """A proposal, read whole; of methods that are not enabled here not even the program is loaded."""
        study = content.get("study")
        asked = study.get("method") if isinstance(study, Mapping) else None
        enabled = self.settings.enabled.methods
        others = (
            [name for name in asked if enabled != "any installed" and name not in enabled] if isinstance(asked, Mapping) else []
        )
        if others:
            problem = Problem("enabled.methods", ", ".join(map(str, others))[:80], "methods that are enabled at this site")
            raise PolicyError("The study cannot run at this site.", [problem])
        proposal = Proposal.parse(content)
        if proposal.keys.get(self.site) != self.public:
            problem = Problem("proposal.participants", "this site with another key, or not at all", "this site with its own key")
            raise CallerError("The suggestion is not for this site.", [problem])
        return proposal

    def _take(self, proposal: Proposal, state: str, now: datetime, open_for: timedelta) -> None:
        verdict = judge(self.settings, proposal)
        expires = written(now + open_for)
        digest, notes = proposal.digest, verdict.reasons
        kept = Kept(digest, proposal.id, written(now), expires, "open", state, notes, proposal.content)
        self.store.add(kept)
        if open_for <= timedelta(0):
            return
        if verdict.does == "decline":
            self._decide(kept, "decline", BY_RULES, reason="; ".join(verdict.reasons)[:2000])
        elif verdict.does == "accept":
            try:
                self._accept(kept, proposal, BY_RULES, self.settings.source_for(proposal.study))
            except HuizhenError as error:  # what a rule cannot accept, a person may look at
                self.store.note(digest, *notes, _said(error))

    def _take_unreadable(self, one: _Suggested, digest: str, now: datetime, why: str) -> None:
        """What cannot be read here is kept to be declined, where it says whom to tell."""
        study = one.proposal.get("id")
        if not isinstance(study, str) or not is_name(study):
            return
        kept = Kept(digest, study, written(now), written(now + UNREADABLE_FOR), "open", one.state, (why,), one.proposal)
        self.store.add(kept)
        if self.settings.accept.unfitting == "decline":
            self._decide(
                kept, "decline", BY_RULES, reason="this site cannot read the proposal, or its methods are not enabled here"
            )

    def _told(self, digest: str, state: str) -> None:
        kept = self.store.suggestion(digest)
        if kept is not None and kept.state != state:
            self.store.told(digest, state)
            if state in FINAL and kept.standing in ("open", "accepted"):
                self.store.stands(digest, "over")

    def _accept(self, kept: Kept, proposal: Proposal, decider: str, source: str) -> Consent:
        if source:
            self.settings.path_of(source)
        conditions, rows = proposal.conditions, 0
        holds_data = self.site in proposal.sites
        if holds_data and not source:
            problem = Problem("source", "no source", "a table [source.NAME] in the site's configuration")
            raise CallerError("The study cannot be accepted.", [problem])
        if holds_data and (conditions.min_rows or conditions.joint_rows):
            rows = self._counted(proposal, source)
        told = told_rows(rows) if conditions.joint_rows else 0
        policy = self.settings.policy.model_dump(mode="json")
        reads = dict(self.read(proposal, source)) if holds_data else {}
        return self._decide(kept, "accept", decider, source=source, rows=told, policy=policy, reads=reads)

    def _counted(self, proposal: Proposal, source: str) -> int:
        if self.count is None:
            problem = Problem("source", "rows that were not counted", "a source whose rows can be counted")
            raise CallerError("The study cannot be accepted.", [problem])
        rows, least = self.count(proposal, source), proposal.conditions.min_rows
        if rows < least:
            problem = Problem("participants.min_rows", "fewer rows here", f"at least {least} rows of the cohort")
            raise PolicyError("The study cannot run at this site.", [problem])
        return rows

    def _decide(
        self,
        kept: Kept,
        choice: Choice,
        decider: str,
        *,
        reason: str = "",
        source: str = "",
        rows: int = 0,
        policy: Mapping[str, Any] = EMPTY,
        reads: Mapping[str, Any] = EMPTY,
    ) -> Consent:
        said = Consent(kept.digest, kept.study, self.site, choice, reason, written(self.clock.now()), rows, policy, reads)
        Consent.parse(said.signed(self.key).content)  # what the hub would not read is not kept either
        with self.store.whole():
            standing = self._may(kept.digest, choice)
            signed = said.signed(self.key)
            self.store.decide(kept.digest, choice=choice, source=source, decider=decider, consent=signed.content)
            self.store.stands(kept.digest, standing)
        return signed

    def _may(self, digest: str, choice: Choice) -> Any:
        """What a suggestion becomes by a decision, if it may still be made; asked within the transaction that makes it."""
        kept = self.store.suggestion(digest)
        assert kept is not None
        wanted = "accepted" if choice == "withdraw" else "open"
        is_old = choice == "accept" and moment(kept.expires) <= self.clock.now()
        if kept.standing != wanted or is_old:
            found = f"a suggestion that is {'expired' if is_old else kept.standing}"
            raise CallerError("This cannot be decided any more.", [Problem("suggestion", found, f"one that is {wanted}")])
        return {"accept": "accepted", "decline": "declined", "withdraw": "withdrawn"}[choice]


def _said(error: HuizhenError) -> str:
    """An error in one line, for the list."""
    return " ".join([error.message, *map(str, error.problems)])[:NOTE]
