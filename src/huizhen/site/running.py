"""A study that runs at this site: the rows in a worker, the answers through the gate, as the site has accepted it to the last word.

What a run was prepared with is kept, so that an agent that was killed goes on with it when it is asked again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huizhen.clock import Clock
from huizhen.errors import CallerError, FederationError, HuizhenError, Problem
from huizhen.extension import installed
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.checkpoint import FileCheckpoints
from huizhen.federation.noised import plan_of, reserve, settle
from huizhen.federation.participant import Participant
from huizhen.federation.proposal import Proposal
from huizhen.federation.rounds import Ask, Failed, Reply
from huizhen.federation.schemes import counted_at_site, lane_of, noisy_at_site, sum_at_site
from huizhen.federation.study import METHODS
from huizhen.federation.wire.agreements import Preparation
from huizhen.ledger.keys import SigningKey, read_public_hex
from huizhen.ledger.store import LedgerStore
from huizhen.policy.gate import Gate
from huizhen.site.inbox import Accepted, Inbox
from huizhen.site.settings import Settings
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.serving import NETWORKS
from huizhen.site.worker.speech import Order
from huizhen.site.worker.started import Starting

__all__ = ["Runs", "enabled", "starting_of"]

AT_ONCE = 4  # runs that keep their workers; of more, the one that was asked longest ago starts anew, if it is idle
UNKNOWN = "this site was not prepared for this run"


@dataclass(slots=True)
class _Running:
    """One run here."""

    proposal: Proposal
    roster: tuple[str, ...]
    workplace: WorkerProcess
    participant: Participant
    asked: int = 0  # asks that are being answered now


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
            if wanted.run not in self._running:
                running = self._made(accepted, wanted)
                self.inbox.store.prepare(wanted.proposal, wanted.run, wanted.content)
                about = {"study": accepted.proposal.study.digest, "run": wanted.run, "title": accepted.proposal.study.title}
                self.gate.record("started", {**about, "proposal": wanted.proposal})
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
        if self.inbox.store.prepared(proposal, run) is None:
            raise _refusal("a run that this site was not prepared for", "one that it was prepared for")
        with self._lock:
            running = self._running.pop(run, None)
            if running is not None:
                self._ended(run, running, failed=has_failed)
            self.ledger.settle()
        self.starting.warm()
        head = self.ledger.head
        return {"entries": head.entries, "head": head.hash, "public_key": self.ledger.public_key}

    def let_go(self, digest: str) -> None:
        """Ends the runs of a proposal at once, in the middle of an answer too: it was withdrawn from, or its study is over."""
        with self._lock:
            for run in [run for run, one in self._running.items() if one.proposal.digest == digest]:
                self._ended(run, self._running.pop(run), failed=True)

    def close(self) -> None:
        """Ends every worker."""
        with self._lock:
            for running in self._running.values():
                running.workplace.close()
            self._running.clear()

    def _ended(self, run: str, running: _Running, *, failed: bool) -> None:
        """Lets go of the worker, frees the noise that was not spent, and puts it on the ledger."""
        running.workplace.close()
        study = running.proposal.study
        settle({self.gate.site: self.gate}, study)
        about = {"study": study.digest, "run": run, "title": study.title, "proposal": running.proposal.digest}
        self.gate.record("finished", {**about, "failed": failed})

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
        kept = self.inbox.store.suggestion(digest)
        if kept is None or kept.standing != "accepted":
            raise CallerError(
                "this site has withdrawn" if kept and kept.standing == "withdrawn" else "the study is over at this site"
            )

    def _made(self, accepted: Accepted, wanted: Preparation) -> _Running:
        proposal = accepted.proposal
        study, site = proposal.study, self.inbox.site
        if site not in wanted.roster or not set(wanted.roster) <= set(proposal.sites):
            raise _refusal("a roster that is none of the proposal", "sites of the proposal, this one among them")
        if set(wanted.variables) != {name for name in study.uses if name != "site"}:
            raise _refusal("other variables than the study's", "the variables that the study reads")
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
        )
        workplace.start()
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


def _refusal(found: str, expected: str) -> FederationError:
    remedy = "Ask who runs the hub; this site answers nothing else"
    return FederationError("This is not what this site has accepted.", [Problem("run", found, expected, remedy)])
