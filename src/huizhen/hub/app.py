"""The hub, assembled: its server, its actors, its store and ledger, its line to everybody, and the studies that run.

with HubProgram(open_folder(path), clock) as hub:
    hub.wait()
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from huizhen.clock import Clock
from huizhen.errors import FederationError, HuizhenError, PolicyError, Problem
from huizhen.federation.breaking import where_it_broke
from huizhen.federation.eventlines import EventLines
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.ways import HubWay
from huizhen.hub import cards, running, usecases
from huizhen.hub.actor import Actor
from huizhen.hub.actorsdb import ActorStore
from huizhen.hub.conducting import Conducted, Stopped, lead
from huizhen.hub.db import HubStore
from huizhen.hub.folder import HubFolder
from huizhen.hub.guests import answer_guests
from huizhen.hub.joining import Joining
from huizhen.hub.keeper import Keeper
from huizhen.hub.lives import Lives
from huizhen.hub.members import AdmittedActors
from huizhen.hub.running import Hub
from huizhen.hub.server import Server
from huizhen.ids import new_id
from huizhen.ledger.store import SqliteLedger

__all__ = ["HubProgram"]

LOOK_S = 0.5  # how often it is looked whether something expired, or was done by a command in another terminal
AT_ONCE = 4  # studies that run at the same time
NEWS_S = 5.0
RENEW_S = 3600.0
LEAVE_S = 10.0
LARGEST_ASK = 8 << 20  # bytes of a request: a study file has four million at most
AGAIN_S, SELDOM_S = 1.0, 60.0  # after which a study that this machine could not go on with is led again, doubling
USE_CASES: Mapping[str, Callable[[Hub, Actor, Any], Mapping[str, Any]]] = {
    "submit": usecases.submit,
    "propose": usecases.propose,
    "status": usecases.status,
    "studies": usecases.studies,
    "cancel": usecases.cancel,
    "result": usecases.result,
    "inbox": usecases.inbox_of,
    "consent": usecases.consent,
    "publish": cards.publish,
    "search": cards.search,
    "card": cards.card,
}
MOVES = frozenset({"submit", "propose", "cancel", "consent"})  # after which something may start, or must be told


@dataclass(frozen=True, slots=True)
class _Standing:
    """A study that stands still: how long it waits this time, and until when."""

    wait_s: float
    until_s: float


class HubProgram:
    """A running hub, as a context.

    Args:
        folder: the hub's.
        told: is told, in a sentence, what an operator should know.

    Raises:
        FederationError: another hub runs on this folder.
        MachineError, LedgerError: the folder, the server or the ledger cannot be used.
    """

    def __init__(self, folder: HubFolder, clock: Clock, told: Callable[[str], None] | None = None) -> None:
        self._folder, self._clock, self._told = folder, clock, told or (lambda _: None)
        self._stack = ExitStack()
        self._moved = threading.Condition()
        self._is_moved = False
        self._stopping = threading.Event()
        self._led: dict[str, threading.Thread] = {}
        self._stands: dict[str, _Standing] = {}
        self._announced: dict[str, int] = {}  # events of each study when its sites were told last
        self.lines = EventLines()

    def __enter__(self) -> Self:
        folder, clock = self._folder, self._clock
        with ExitStack() as stack:
            store = stack.enter_context(HubStore(folder.root / "hub.sqlite"))  # first: there is one hub for one folder
            folder.renew_certificate(clock.now())
            ledger = SqliteLedger(folder.root / "ledger.sqlite", folder.identity)
            stack.callback(ledger.close)
            actors = ActorStore(folder.actors)
            stack.callback(actors.close)
            self._joining = Joining(folder, actors, clock)
            self._members = AdmittedActors(actors)
            self.hub = Hub(Lives(store, ledger), self._members, clock)
            self._server: Server | None = None
            if folder.settings.program:
                self._server = stack.enter_context(Server(folder, self._joining.account_token, clock, self._told))
            stack.enter_context(Keeper(self._joining, self._told))
            verbs = {name: self._verb(name, act) for name, act in USE_CASES.items()} | {
                "renew": self._joining.renew,
                "events": self._events,
            }
            self._bus = stack.enter_context(
                Bus(
                    lambda: folder.hub_access(clock.now()),
                    HubWay(),
                    verbs,
                    told=self._told,
                    besides=answer_guests(self._joining),
                    largest_ask=LARGEST_ASK,
                )
            )
            self._leader = threading.Thread(target=self._go_on, name="hub", daemon=True)
            self._leader.start()
            stack.callback(self._stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def wait(self) -> None:
        """Until somebody interrupts."""
        self._stopping.wait()

    # --- what actors ask ----------------------------------------------------------------------------------------------------

    def _verb(self, name: str, act: Callable[[Hub, Actor, Any], Mapping[str, Any]]) -> Callable[[str, Any], Mapping[str, Any]]:
        def answer(key: str, body: Any) -> Mapping[str, Any]:
            told = act(self.hub, self._actor(key), body)
            if name in MOVES:
                self._move()
            return told

        return answer

    def _actor(self, key: str) -> Actor:
        """Who speaks, by the key in the subject, of which the server knows that it is theirs.

        Raises:
            PolicyError: nobody who is admitted.
        """
        actor = self._members.holder(key)
        if actor is None:
            raise PolicyError("This hub does not know you.", [Problem("actor", "a key that is not admitted", "a member")])
        return actor

    def _events(self, key: str, body: Any) -> Mapping[str, Any]:
        """What happens in a study, from a line on: its figures are for whoever asked it; others see how it stands."""
        id, since = body.get("id"), body.get("since")
        if not isinstance(id, str) or type(since) is not int:
            raise FederationError("A message cannot be read.", [Problem("events", "nothing that fits", "an id and a number")])
        actor = self._actor(key)
        standing = usecases.status(self.hub, actor, {"id": id})
        return {**standing, "events": self.lines.since(id, since) if usecases.is_own(self.hub, actor, id) else []}

    # --- what goes on by itself ----------------------------------------------------------------------------------------------

    def _move(self) -> None:
        with self._moved:
            self._is_moved = True
            self._moved.notify()

    def _go_on(self) -> None:
        """One thread looks what expires and whose turn it is; each study that runs has one of its own."""
        renewed_s = self._clock.seconds()
        for id in running.unfinished(self.hub):
            self._lead(id)
        while not self._stopping.is_set():
            try:
                if self._clock.seconds() - renewed_s >= RENEW_S:
                    renewed_s = self._clock.seconds()
                    self._renew_certificate()
                self._announce()
                running.expire(self.hub)
                self._lead_again()
                while len(self._led) < AT_ONCE and (proposal := running.next_to_run(self.hub)) is not None:
                    running.started(self.hub, proposal.id, run=new_id("run"))
                    self._lead(proposal.id)
            except HuizhenError as error:
                self._told(str(error))
            except Exception as error:  # every other study waits on this thread; the text may hold anything, so it stays out
                self._told(f"this program broke ({type(error).__name__}{where_it_broke(error)}) and goes on")
            with self._moved:
                self._moved.wait_for(lambda: self._is_moved or self._stopping.is_set(), LOOK_S)
                self._is_moved = False

    def _renew_certificate(self) -> None:
        """Long before the server's certificate ends; connections stay."""
        if self._folder.renew_certificate(self._clock.now()) and self._server is not None:
            self._server.reload()

    def _announce(self) -> None:
        """Tells sites that something new concerns them; one that is away finds it when it is back."""
        for key in self._news():
            self._bus.asking("news", {}, timeout_s=NEWS_S, peer=key)

    def _news(self) -> list[str]:
        told = []
        for one in self.hub.lives.store.studies():
            life = self.hub.lives.life(one.id)
            if self._announced.get(one.id) == life.events or life.state == "drafted":
                continue
            is_new = one.id not in self._announced
            self._announced[one.id] = life.events
            if is_new or life.state in ("cancelled", "failed", "done"):
                told += [member.key for site in life.stances if (member := self._members.member(site)) is not None]
        return list(dict.fromkeys(told))

    def _lead(self, id: str) -> None:
        thread = threading.Thread(target=self._led_to_its_end, args=(id,), name=id, daemon=True)
        self._led[id] = thread
        thread.start()

    def _lead_again(self) -> None:
        """Studies that stand still because this machine could not keep something: there may be room now."""
        now_s = self._clock.seconds()
        for id in [id for id, one in self._stands.items() if id not in self._led and now_s >= one.until_s]:
            if self.hub.lives.life(id).state in ("running", "closing"):
                self._lead(id)
            else:
                del self._stands[id]

    def _led_to_its_end(self, id: str) -> None:
        proposal = self.hub.lives.proposal(id)
        folder = self._folder.root / "studies" / id
        one = Conducted(self.hub, self._bus, folder, proposal, lambda event: self.lines.add(id, event), self._stopping.is_set)
        try:
            lead(one)
        except Stopped:
            pass
        except HuizhenError as error:
            self._stands_still(id, str(error))
        except OSError as error:
            self._stands_still(id, error.strerror or type(error).__name__)
        except Exception as error:  # a mistake of this program; its text may hold anything, so it stays out
            self._broke(id, f"{type(error).__name__}{where_it_broke(error)}")
        finally:
            self._led.pop(id, None)
            self._move()

    def _stands_still(self, id: str, why: str) -> None:
        before = self._stands.get(id)
        wait_s = AGAIN_S if before is None else min(2 * before.wait_s, SELDOM_S)
        self._stands[id] = _Standing(wait_s, self._clock.seconds() + wait_s)
        self._told(f"study {id} stands still: {why}")

    def _broke(self, id: str, how: str) -> None:
        try:
            running.failed(self.hub, id, f"the hub's program broke ({how}); the hub's operator can look into it")
        except HuizhenError as error:
            self._stands_still(id, str(error))

    def _stop(self) -> None:
        self._stopping.set()
        self._move()
        self._leader.join(LEAVE_S)
        self._bus.close()  # whoever waits for a site waits no longer
        for thread in list(self._led.values()):
            thread.join(LEAVE_S)
