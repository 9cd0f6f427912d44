"""A site's agent, assembled: its keys, store, ledger and gate; its line to the hub; its inbox; the studies that run here.

    with SiteProgram(folder, clock) as site:
        site.wait()

It opens one connection outwards and none inwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from huizhen.clock import Clock
from huizhen.errors import FederationError, HuizhenError
from huizhen.federation.breaking import where_it_broke
from huizhen.federation.wire.access import Access
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.post import Handler
from huizhen.federation.wire.pulling import NoReply
from huizhen.federation.wire.serving import Serving
from huizhen.federation.wire.ways import ActorWay
from huizhen.ledger.keys import public_hex
from huizhen.ledger.store import SqliteLedger
from huizhen.policy.gate import Gate
from huizhen.site.db import SiteStore
from huizhen.site.folder import SiteFolder
from huizhen.site.inbox import Inbox
from huizhen.site.joining import renewal_due
from huizhen.site.looking import Looking
from huizhen.site.running import Runs, starting_of
from huizhen.site.sampling import sampler_of
from huizhen.site.settings import read_settings

__all__ = ["CONFIGURATION", "STORE", "SiteProgram"]

CONFIGURATION, STORE, LEDGER = "site.toml", "site.sqlite", "ledger.sqlite"
SELDOM_S = 15.0  # how often the hub is asked for suggestions unless it tells of news
LOOK_S = 0.3  # how often it is looked whether somebody decided in another terminal
RENEW_S = 3600.0
ASK_S = 30.0


class SiteProgram:
    """A running agent, as a context.

    Args:
        folder: the site's, once it has joined.
        told: is told, in a sentence, what the site's operator should know.

    Raises:
        SiteError: the configuration has mistakes, another agent runs on this folder, or a key can be read by others.
        LedgerError, MachineError: the ledger does not verify, or the folder cannot be written.
    """

    def __init__(self, folder: SiteFolder, clock: Clock, told: Callable[[str], None] | None = None) -> None:
        self._folder, self._clock, self._told = folder, clock, told or (lambda _: None)
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._has_news = False

    def __enter__(self) -> Self:
        root, clock = self._folder.root, self._clock
        self.settings = read_settings(root / CONFIGURATION)
        with ExitStack() as stack:
            store = self._store = SiteStore(root / STORE)
            stack.callback(store.close)
            stack.enter_context(store.alone())
            key = self._folder.identity
            ledger = SqliteLedger(root / LEDGER, key, durable="when settled")
            stack.callback(ledger.close)
            gate = Gate(self.settings.site.name, self.settings.policy, ledger, clock)
            starting = starting_of(self.settings, root)
            stack.callback(starting.close)
            looking = Looking(self.settings, starting)
            self._sampler = sampler_of(self.settings, root, clock)
            if self._sampler is not None:
                stack.callback(self._sampler.write)
            public = public_hex(key.public)
            name = self.settings.site.name
            self.inbox = Inbox(name, self.settings, store, key, public, clock, looking.count, looking.read)
            self.ledger = ledger
            self.runs = Runs(self.settings, self.inbox, key, gate, ledger, clock, root, starting)
            stack.callback(self.runs.close)
            verbs: dict[str, Handler] = {
                "ask": Serving(self.runs.respond, settle=ledger.settle),
                "prepare": lambda _peer, body: self.runs.prepare(body),
                "close": lambda _peer, body: self.runs.close_run(body),
                "news": self._on_news,
            }
            way = ActorWay(self._folder.pair.public)
            self._bus = stack.enter_context(Bus(self._access, way, verbs, told=self._told, back=self._wake, patient=True))
            self._keeper = threading.Thread(target=self._go_on, name="agent", daemon=True)
            self._keeper.start()
            stack.callback(self._stop)
            if self.settings.sources:
                starting.warm()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def is_connected(self) -> bool:
        return self._bus.is_connected

    def wait(self) -> None:
        """Until somebody interrupts."""
        self._stopping.wait()

    def _access(self) -> Access:
        return self._folder.access(self.settings.site.proxy)

    def _on_news(self, _peer: str, _body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._wake()
        return {}

    def _wake(self) -> None:
        self._has_news = True
        self._news.set()

    def _stop(self) -> None:
        self._stopping.set()
        self._news.set()
        self._keeper.join(5)

    # --- what goes on by itself ------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        looked_s = renewed_s = -1e9
        while not self._stopping.is_set():
            now_s = self._clock.seconds()
            try:
                if self._has_news or now_s - looked_s >= SELDOM_S:
                    self._has_news, looked_s = False, now_s
                    self._look()
                self._deliver()
                self._send_card()
                self.inbox.expire()
                if now_s - renewed_s >= RENEW_S:
                    renewed_s = now_s
                    self._renew()
            except NoReply:
                pass  # the line is down, which is told by the bus; what was not sent is sent when it is back
            except HuizhenError as error:
                self._told(str(error))
            except Exception as error:  # an agent that looks no more would answer as before; the text may hold anything
                self._told(f"this program broke ({type(error).__name__}{where_it_broke(error)}) and goes on")
            self._sample()
            self._news.wait(LOOK_S)
            self._news.clear()

    def _look(self) -> None:
        """What the hub suggests; what the rules decide is decided."""
        looked = self.inbox.take(self._bus.ask("inbox", self.inbox.wish, timeout_s=ASK_S))
        if looked.new or looked.unreadable:  # an answer holds so many and no more
            self._wake()
        for digest in looked.new:
            self._told(f"a new suggestion: {digest[:12]}")
        for why in looked.unreadable:
            self._told(f"a suggestion that cannot be read here: {why}")
        if looked.clock_off_s:
            self._told(f"this machine's clock is {looked.clock_off_s:+.0f} s off the hub's; nothing depends on it, but look at it")
        for kept in self.inbox.entries():
            if kept.standing in ("over", "withdrawn"):
                self.runs.let_go(kept.digest)

    def _deliver(self) -> None:
        """Sends decisions, each on the ledger first; one that the hub will never take is told and put aside."""
        for decided in self.inbox.pending():
            if decided.choice == "withdraw":
                self.runs.let_go(decided.digest)
            self.inbox.record(decided, self.ledger)
            try:
                self._bus.ask("consent", decided.consent, timeout_s=ASK_S)
            except NoReply:
                raise
            except FederationError as error:
                self._told(str(error))
            self.inbox.delivered(decided)

    def _sample(self) -> None:
        """Looks at the machine, whether or not the line is up; a full disk costs the looks, not the agent."""
        try:
            if self._sampler is not None:
                self._sampler.step()
        except HuizhenError as error:
            self._told(str(error))

    def _send_card(self) -> None:
        """Sends the card that was published last, or takes it back; one that the hub will never take is told and put aside."""
        waiting = self._store.undelivered_card()
        if waiting is None:
            return
        refused = ""
        try:
            self._bus.ask("publish", waiting.content, timeout_s=ASK_S)
        except NoReply:
            raise
        except FederationError as error:
            refused = str(error)
            self._told(refused)
        self._store.card_delivered(waiting.number, refused)

    def _renew(self) -> None:
        """A fresh token long before the old one ends, and a new connection with it; no message is lost between."""
        now = self._clock.now()
        if renewal_due(self._folder, now):
            told = self._bus.ask("renew", {"key": self._folder.pair.public}, timeout_s=ASK_S)
            if told.get("state") == "admitted":
                self._folder.keep_token(str(told.get("token")), now)
                self._bus.renew()
