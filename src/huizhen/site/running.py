"""A study that runs at this site: the rows in a worker, the answers through the gate, as the site has accepted it to the last word.

What a run was prepared with is kept, so that an agent that was killed goes on with it when it is asked again.

Rules, each with what it stops:

- one acceptance is one run (another run would draw its noise anew, and the mean of many draws tells what one hides);
- a run keeps what it was prepared with, to the last word (the hub could change roster or levels between two rounds);
- as many sites take part as the study asks for, all of them from the proposal (a sum of one is an answer of one);
- variables are read as the study declares them (a wider or narrower range is another noise, another kind another question);
- a run is asked so many questions and no more (each tells a little, and nobody consented to thousands).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huizhen import canonical
from huizhen.clock import Clock
from huizhen.errors import CallerError, FederationError, HuizhenError, Problem
from huizhen.extension import installed
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.checkpoint import FileCheckpoints
from huizhen.federation.noised.planning import plan_of, reserve, settle
from huizhen.federation.participant import Participant
from huizhen.federation.proposal import Proposal
from huizhen.federation.reading import may_be_read_as
from huizhen.federation.rounds import Ask, Failed, Reply
from huizhen.federation.schemes import counted_at_site, lane_of, noisy_at_site, sum_at_site
from huizhen.federation.study import METHODS
from huizhen.federation.suggestion import most_rounds
from huizhen.federation.wire.agreements import Preparation
from huizhen.ledger.keys import SigningKey, read_public_hex
from huizhen.ledger.store import LedgerStore
from huizhen.policy.gate import Gate
from huizhen.site.answered import Answers
from huizhen.site.cohortguard import CohortGuard
from huizhen.site.eventcounts import cohorts_of
from huizhen.site.inbox import Accepted, Inbox
from huizhen.site.settings import Settings
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.serving import NETWORKS
from huizhen.site.worker.speech import Order
from huizhen.site.worker.started import Starting

__all__ = ["Runs", "enabled", "starting_of"]

AT_ONCE = 4  # runs that keep their workers; of more, the one that was asked longest ago starts anew, if it is idle
FEW, PER_BOUND = 5000, 50  # questions of a run: such as no bound is set for, and for each round, tree or step that is bounded
UNKNOWN = "this site was not prepared for this run"


@dataclass(slots=True)
class _Running:
    """One run here."""

    proposal: Proposal
    roster: tuple[str, ...]
    workplace: WorkerProcess
    participant: Participant
    asked: int = 0  # asks that are being answered now
    last: tuple[Any, ...] = ()
    questions: int = 0

    def count(self, ask: Ask) -> None:
        """Counts what is asked; the stages of one round, and the same asked again, are one question.

        Raises:
            FederationError: it is one too many.
        """
        this = (ask.analysis, ask.lineage, ask.round, ask.roster, ask.question.step)
        self.questions += this != self.last
        self.last = this
        most = FEW + PER_BOUND * len(self.roster) * most_rounds(self.proposal.study)
        if self.questions > most:
            raise _refusal("more questions than the study can need", f"at most {most} in a run")


@dataclass(slots=True)
class Runs:
    """The runs of one site.

    Attributes:
        folder: of the site; checkpoints, ledger and the workers' log stand in it.
        gate: the one door out, of all studies.
        starting: starts the workers.
    """

    settings: Settings
    inbox: Inbox
    key: SigningKey
    gate: Gate
    ledger: LedgerStore
    clock: Clock
    folder: Path
    starting: Starting
    _running: dict[str, _Running] = field(default_factory=dict)  # by run, the one that was asked last at the end
    _closed: set[str] = field(default_factory=set)  # runs that have ended
    _let_go: set[str] = field(default_factory=set)  # proposals
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def prepare(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Makes this site ready for a run of what it has accepted; the same again changes nothing.

        Raises:
            PolicyError: it has not accepted that, or its privacy budget does not allow it.
            FederationError: the hub tells what the proposal does not say.
            HuizhenError: the rows cannot be read as the study needs them; the message holds no value of a patient.
        """
        wanted = Preparation.parse(told)
        accepted = self.inbox.accepted(wanted.proposal)
        with self._lock:
            self._check_run(wanted)
            if wanted.run not in self._running:
                running = self._made(accepted, wanted)
                try:
                    self.inbox.store.prepare(wanted.proposal, wanted.run, wanted.content)
                    self.gate.record("started", _about(accepted.proposal, wanted.run))
                except BaseException:
                    running.workplace.close()
                    raise
                self._closed.discard(wanted.run)
                self._keep(wanted.run, running)
        self._running[wanted.run].workplace.open()
        return {"ready": True}

    def respond(self, ask: Ask) -> Reply:
        """The reply to an ask of a run that this site was prepared for, in a study that it has accepted and not withdrawn from."""
        try:
            running = self._of(ask.run)
            self._still_accepted(running.proposal.digest)
            if not set(ask.roster) <= set(running.roster):
                raise _refusal("a roster with other sites than those that have accepted", "some of them")
            running.count(ask)
        except HuizhenError as error:
            return Failed(str(error))
        with self._lock:
            running.asked += 1
        try:
            return running.participant.respond(ask)
        finally:
            with self._lock:
                running.asked -= 1

    def close_run(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """A run has ended: the worker is let go of, the noise that was not spent is free again, and the ledger says so.

        Returns:
            Where the ledger stands now: ``entries``, ``head``, ``public_key``.
        """
        proposal, run, has_failed = told.get("proposal"), told.get("run"), told.get("failed")
        if not isinstance(proposal, str) or not isinstance(run, str) or type(has_failed) is not bool:
            raise FederationError("A message cannot be read.", [Problem("close", "nothing that fits", "a proposal and a run")])
        kept = self.inbox.store.suggestion(proposal)
        if kept is None or self.inbox.store.prepared(proposal, run) is None:
            raise _refusal("a run that this site was not prepared for", "one that it was prepared for")
        of = Proposal.parse(kept.content)
        with self._lock:
            running = self._running.pop(run, None)
            if running is not None:
                running.workplace.close()
            self._settle(of)
            if run not in self._closed:  # an agent that was killed may not hold it any more, and finishes it all the same
                self.gate.record("finished", {**_about(of, run), "failed": has_failed})
                self._closed.add(run)
            self.ledger.settle()
        self.starting.warm()
        head = self.ledger.head
        return {"entries": head.entries, "head": head.hash, "public_key": self.ledger.public_key}

    def let_go(self, digest: str) -> None:
        """Ends the runs of a proposal at once, in the middle of an answer too: it was withdrawn from, or its study is over.

        What it has not spent of a privacy budget is free again.
        """
        with self._lock:
            ended = {run: one for run, one in self._running.items() if one.proposal.digest == digest}
            for run, one in ended.items():
                self._running.pop(run)
                one.workplace.close()
            for run, one in ended.items():
                self.gate.record("interrupted", _about(one.proposal, run))
            if digest not in self._let_go and self.gate.purse is not None:
                kept = self.inbox.store.suggestion(digest)
                if kept is not None and self.inbox.store.decisions(digest):
                    self._settle(Proposal.parse(kept.content))
            self._let_go.add(digest)

    def close(self) -> None:
        """Ends every worker."""
        with self._lock:
            for running in self._running.values():
                running.workplace.close()
            self._running.clear()

    def _check_run(self, wanted: Preparation) -> None:
        """Whether this is the one run of what was accepted, as it was prepared before."""
        runs = self.inbox.store.runs(wanted.proposal)
        if any(run != wanted.run for run in runs):
            raise _refusal("another run of what was accepted", "the one run that has begun")
        if runs and canonical.encode(self.inbox.store.prepared(wanted.proposal, wanted.run)) != canonical.encode(wanted.content):
            raise _refusal("another roster, or other variables, than this run began with", "what it began with")
        if not runs and self.inbox.store.prepared_run(wanted.run) is not None:
            raise _refusal("a run of another study", "a run of its own for each study")

    def _settle(self, proposal: Proposal) -> None:
        """Frees what a study has set aside and not spent, unless another run of the very study goes on here."""
        study = proposal.study
        if all(one.proposal.study.digest != study.digest for one in self._running.values()):
            settle({self.gate.site: self.gate}, study)

    # --- making a run ready ---------------------------------------------------------------------------------------------------

    def _of(self, run: str) -> _Running:
        """A run, as it is or made ready again from what was kept."""
        with self._lock:
            running = self._running.get(run)
            if running is None:
                running = self._again(run)
            self._keep(run, running)
            return running

    def _again(self, run: str) -> _Running:
        kept = self.inbox.store.prepared_run(run)
        if kept is None:
            raise _refusal(UNKNOWN, "a run that the hub has prepared")
        wanted = Preparation.parse(kept)
        return self._made(self.inbox.accepted(wanted.proposal), wanted)

    def _keep(self, run: str, running: _Running) -> None:
        """As the newest; the oldest of too many that are idle loses its worker, and is made anew when it is asked again."""
        self._running.pop(run, None)
        self._running[run] = running
        idle = [old for old in list(self._running)[:-AT_ONCE] if not self._running[old].asked]
        for old in idle:
            self._running.pop(old).workplace.close()

    def _still_accepted(self, digest: str) -> None:
        standing = self.inbox.store.standing(digest)
        if standing != "accepted":
            raise CallerError("this site has withdrawn" if standing == "withdrawn" else "the study is over at this site")

    def _made(self, accepted: Accepted, wanted: Preparation) -> _Running:
        proposal = accepted.proposal
        study, site = proposal.study, self.inbox.site
        roster, least = wanted.roster, max(study.participants.quorum, study.start.sites)
        if site not in roster or not set(roster) <= set(proposal.sites) or len(set(roster)) < len(roster):
            raise _refusal("a roster that is none of the proposal", "sites of the proposal, this one among them")
        if len(roster) < least:
            raise _refusal(f"a roster of {len(roster)} sites", f"at least {least}, as the study asks for")
        if set(wanted.variables) != {name for name in study.uses if name != "site"}:
            raise _refusal("other variables than the study's", "the variables that the study reads")
        if other := [name for name, told in wanted.variables.items() if not may_be_read_as(study, name, told)]:
            raise _refusal(f"other ways to read {', '.join(other)}", "variables as the study declares and uses them")
        lane, folder = lane_of(study, one_process=False), self.folder / "studies" / wanted.run
        kept, plan = FileCheckpoints(folder, study.digest[:12]), plan_of(study, len(wanted.roster))
        if plan is not None:
            reserve({site: self.gate}, study, plan, kept)
        peers = {name: read_public_hex(key) for name, key in proposal.keys.items()}
        own = sum_at_site(study, lane, SiteIdentity(self.key, peers, secrets.token_bytes))
        workplace = self._workplace(accepted, wanted)
        participant = Participant(
            site,
            study,
            workplace,
            gate=self.gate,
            scheme=noisy_at_site(own, plan, kept, ""),
            counted=counted_at_site(lane, plan, kept, ""),
            checkpoints=kept,
            guard=CohortGuard(site, study, workplace, self.gate, Answers(self.folder)) if cohorts_of(study) else None,
        )
        try:
            workplace.start()
        except BaseException:
            settle({site: self.gate}, study)
            raise
        return _Running(proposal, wanted.roster, workplace, participant)

    def _workplace(self, accepted: Accepted, wanted: Preparation) -> WorkerProcess:
        study, settings = accepted.proposal.study, self.settings
        order = Order(
            site=self.inbox.site,
            content=study.content,
            digest=study.digest,
            source=str(settings.path_of(accepted.source)),
            variables=wanted.variables,
            methods=enabled(settings, METHODS),
            networks=enabled(settings, NETWORKS),
            key=str(settings.key_path),
        )
        return WorkerProcess(order, starting=self.starting, clock=self.clock)


def enabled(settings: Settings, group: str) -> tuple[str, ...]:
    """The methods or networks that may run here, by name."""
    names = settings.enabled.methods if group == METHODS else settings.enabled.networks
    return installed(group) if isinstance(names, str) else tuple(names)


def starting_of(settings: Settings, folder: Path) -> Starting:
    """How this site starts its workers; their log stands in the folder."""
    return Starting(limits_of(settings), settings.limits.network, folder / "worker.log", enabled(settings, METHODS))


def limits_of(settings: Settings) -> Limits:
    """The limits of a worker, as the configuration sets them."""
    said = settings.limits
    return Limits(memory=said.memory_bytes, answer_s=said.wall_s, cpu_s=int(said.cpu_s), files=said.open_files, ranks=said.ranks)


def _about(proposal: Proposal, run: str) -> dict[str, str]:
    """What the ledger says of a run."""
    return {"study": proposal.study.digest, "run": run, "title": proposal.study.title, "proposal": proposal.digest}


def _refusal(found: str, expected: str) -> FederationError:
    remedy = "Ask who runs the hub; this site answers nothing else"
    return FederationError("This is not what this site has accepted.", [Problem("run", found, expected, remedy)])
