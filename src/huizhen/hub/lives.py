"""The lives of studies at the hub: every step is judged, then on the ledger, then kept, and only then acted on.

The order stops this: a hub that is killed between two of these has nothing that was acted on and is not on its ledger. What is on
the ledger and not in the store is taken over when the hub starts again, so that the store never knows less than was signed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from huizhen.errors import CallerError, LedgerError, Problem
from huizhen.federation.life import Life, LifeEvent, Mistake, begun, event_content, fold, read_event, step
from huizhen.federation.proposal import Proposal
from huizhen.hub.db import HubStore
from huizhen.ledger.store import LedgerStore

__all__ = ["KIND", "Lives", "life_in"]

KIND = "study"  # of the ledger's entries about a life


@dataclass(slots=True)
class Lives:
    """Every study's life; safe to use from several threads.

    Args:
        store, ledger: the hub's own; nobody else may write them.

    Raises:
        LedgerError: the ledger tells of a life what the store cannot take over.
    """

    store: HubStore
    ledger: LedgerStore
    lock: threading.RLock = field(default_factory=threading.RLock)
    _known: dict[str, Life] = field(default_factory=dict)
    _proposals: dict[str, Proposal] = field(default_factory=dict)
    _behind: bool = False  # whether the ledger may tell of a step that the store does not know

    def __post_init__(self) -> None:
        self._recover()

    def life(self, study: str) -> Life:
        """Where a study stands.

        Raises:
            CallerError: there is no such study.
        """
        with self.lock:
            if study not in self._known:
                self._known[study] = life_in(self.store, study)
            return self._known[study]

    def proposal(self, study: str) -> Proposal:
        """What was proposed of a study.

        Raises:
            CallerError: nothing was.
        """
        with self.lock:
            if study not in self._proposals:
                content = self.store.proposal(study)
                if content is None:
                    raise CallerError("This study was not proposed.", [Problem("study", study, "a study that was proposed")])
                self._proposals[study] = Proposal.parse(content)
            return self._proposals[study]

    def advance(self, study: str, event: LifeEvent, *, beside: Callable[[], None] | None = None) -> Life:
        """A study's next step: judged, put on the ledger, kept.

        Args:
            beside: writes to the store what belongs to the event, before it: without its event it counts for nothing.

        Raises:
            CallerError: the event cannot happen now; nothing was written.
            LedgerError, MachineError: it cannot be recorded, so it has not happened.
        """
        with self.lock:
            if self._behind:
                self._recover()
            after = self._judged(study, event)
            content = event_content(event)
            if beside is not None:
                with self.store.whole():
                    beside()
            fact = {"study": study, "number": after.events - 1, "state": after.state, "event": content}
            entry = self.ledger.append(KIND, fact, event.at)
            self._behind = True  # until it is kept, too
            self.ledger.settle()
            self.store.append(study, after.events - 1, content, ledger=entry.sequence)
            self._behind = False
            self._known[study] = after
            return after

    def _judged(self, study: str, event: LifeEvent) -> Life:
        if event.kind == "drafted" and self.store.events(study):
            raise CallerError("This cannot be done with the study as it stands.", [Problem("study", study, "an id that is free")])
        after = begun(event) if event.kind == "drafted" else step(self.life(study), event)
        if isinstance(after, Mistake):
            raise CallerError("This cannot be done with the study as it stands.", [after.problem])
        return after

    def _recover(self) -> None:
        """Takes over from the ledger what a hub had no time to keep, or no room for."""
        for entry in self.ledger.entries(self.store.ledger_read):
            if entry.kind != KIND:
                continue
            fact = entry.payload
            study, number, content = str(fact.get("study", "")), fact.get("number"), fact.get("event")
            kept = self.store.events(study)
            if number != len(kept) or not isinstance(content, Mapping):
                problem = Problem(f"entry {entry.sequence}", "a step of a life that does not follow what is kept", "the next step")
                raise LedgerError("The hub's ledger and its store do not belong together.", [problem])
            fold([*map(read_event, kept), read_event(content)])
            self.store.append(study, number, content, ledger=entry.sequence)
            self._known.pop(study, None)
        self._behind = False


def life_in(store: HubStore, study: str) -> Life:
    """Where a study stands, from what the store keeps.

    Raises:
        CallerError: there is no such study.
        FederationError: what is kept of it cannot be followed.
    """
    kept = store.events(study)
    if not kept:
        raise CallerError("There is no such study.", [Problem("study", study[:80], "the id of a study at this hub")])
    return fold(map(read_event, kept))
