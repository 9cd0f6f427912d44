"""What a site has spent of its privacy budget: reserved before a study starts, charged at every release, kept in its ledger.

States of a reservation: reserved -> charged, any number of times -> settled. Rules of order, each with what it stops:
- What is reserved counts as spent, whole, until it is settled: two studies at once cannot both be given the last of it.
- A reservation is on the ledger before its study starts, a charge before its release leaves: a crash in between leaves it spent.
- A charge takes from what was reserved, event by event: a study cannot release more often, or with less noise, than it reserved.
- A charge names the draw of its noise, and one draw is charged once: what is sent again after a crash is the very same answer.
- Settling counts what was charged, from the ledger, not from what anyone says: never less than was released.
- What was spent is read from the ledger, at opening and again before every judgement; the earlier entry goes first: two purses on
  one ledger cannot overspend.
- No time is read but to date an entry: a clock set back or forward changes nothing.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from huizhen.clock import Clock
from huizhen.errors import LedgerError, MachineError
from huizhen.ledger.chain import Entry, linked
from huizhen.ledger.store import LedgerStore
from huizhen.policy.budget import Budget, judge_spending
from huizhen.policy.decision import ALLOWED, Decision
from huizhen.privacy.accounting.events import Leaf, PrivacyEvent, SelfComposedEvent
from huizhen.privacy.accounting.facts import described, leaves, recorded

__all__ = ["CHARGED", "KINDS", "RESERVED", "SETTLED", "Purse"]

RESERVED, CHARGED, SETTLED = "budget_reserved", "budget_charged", "budget_settled"
KINDS = (RESERVED, CHARGED, SETTLED)
TOO_MUCH = "this release exceeds what the study reserved, in noise or in number; nothing leaves"


@dataclass(slots=True)
class _Reservation:
    """What the ledger tells of one reservation."""

    number: int  # of its entry
    study: str
    reserved: Counter[Leaf]
    charged: Counter[Leaf] = field(default_factory=Counter)
    is_open: bool = True

    @property
    def spent(self) -> Counter[Leaf]:
        return self.reserved | self.charged if self.is_open else self.charged


class Purse:
    """The privacy budget of one data set.

    Args:
        ledger: where reservations, charges and settlements are kept.
        clock: dates the entries; nothing is decided by it.
        budget: what may be spent, and of whose patients.

    Raises:
        LedgerError: the ledger does not verify, or an entry about privacy cannot be understood.
    """

    def __init__(self, ledger: LedgerStore, clock: Clock, budget: Budget) -> None:
        self.budget = budget
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._reservations: dict[int, _Reservation] = {}
        self._granted: dict[str, int] = {}  # studies that may charge, judged in this purse's own life
        self._draws: dict[tuple[str, str], tuple[int, Counter[Leaf]]] = {}  # by study and draw: the reservation, what was charged
        self._read = 0
        for entry in linked(ledger.entries()):
            self._take(entry)

    @property
    def spent(self) -> Counter[Leaf]:
        """Every event that counts as spent: released, or reserved by a study that is not settled."""
        with self._lock:
            self._catch_up()
            return self._spent()

    def reserve(self, study: str, events: Iterable[PrivacyEvent], *, draws: Iterable[str] = ()) -> Decision:
        """Set aside what a study will spend, before it starts.

        A study that was interrupted reserves the same again and goes on with its reservation, and what it charged before is gone.

        Args:
            study: digest of the study, or whatever else names its execution.
            events: all that it releases.
            draws: names of draws of noise that the study has kept and releases again; what was charged for them in a reservation
                that is settled is not set aside anew.

        Returns:
            Allowed, or refused with the clause ``budget`` (it would overspend, and what would fit) or ``ledger``.

        Raises:
            MachineError: the package dp-accounting is not installed.
        """
        everything = leaves(events)
        with self._lock:
            self._catch_up()
            wanted = everything - self._settled(study, draws)
            facts = described(_events(wanted))
            held = next((one for one in self._reservations.values() if one.is_open and one.study == study), None)
            if held is not None and held.reserved != wanted:
                return _refuse("this study has reserved other noise before; settle it first, or go on with the same noise")
            before = self._spent(but=held)
            judged = judge_spending(self.budget, before, _events(wanted))
            if not judged.allowed:
                return judged
            if held is None:
                entry = self._append(RESERVED, study, {"events": facts})
                if isinstance(entry, Decision):
                    return entry
                self._catch_up()
                held = self._reservations[entry.sequence]
                now = self._spent(until=held.number)
                if now != before and not (judged := judge_spending(self.budget, now, _events(wanted))).allowed:
                    self._append(SETTLED, study, {"reservation": held.number})  # another was first
                    return judged
            self._granted[study] = held.number
            return ALLOWED

    def charge(self, study: str, event: PrivacyEvent, *, draw: str = "") -> Decision:
        """Take one release from what a study reserved; the release may leave only if this allows it.

        Args:
            draw: names the draw of the noise, at random; the same noisy answer, released again, is not charged again. "": unnamed.

        Returns:
            Allowed, or refused with the clause ``budget`` (nothing is reserved, or not this) or ``ledger``.
        """
        wanted = leaves([event])
        with self._lock:
            self._catch_up()
            if draw and (study, draw) in self._draws and self._draws[study, draw][1] == wanted:
                return ALLOWED
            held = self._reservations.get(self._granted.get(study, -1))
            if held is None or not held.is_open:
                return _refuse("this study has nothing reserved; reserve what it will spend before it starts")
            if not held.charged + wanted <= held.reserved:
                return _refuse(TOO_MUCH)
            fact = {"reservation": held.number, "events": described(_events(wanted))} | ({"draw": draw} if draw else {})
            entry = self._append(CHARGED, study, fact)
            if isinstance(entry, Decision):
                return entry
            self._catch_up()
            return ALLOWED if held.charged <= held.reserved else _refuse(TOO_MUCH)  # another purse charged at the same time

    def settle(self, study: str) -> Decision:
        """End a study's reservation: what it did not charge is free again, what it charged stays spent for good."""
        with self._lock:
            self._catch_up()
            open_ones = [one for one in self._reservations.values() if one.is_open and one.study == study]
            for one in open_ones:
                entry = self._append(SETTLED, study, {"reservation": one.number})
                if isinstance(entry, Decision):
                    return entry
            self._granted.pop(study, None)
            return ALLOWED

    def _settled(self, study: str, draws: Iterable[str]) -> Counter[Leaf]:
        """What was charged for these draws in reservations that are settled."""
        before: Counter[Leaf] = Counter()
        for draw in set(draws):
            number, charged = self._draws.get((study, draw), (-1, before))
            if number >= 0 and not self._reservations[number].is_open:
                before.update(charged)
        return before

    def _spent(self, *, but: _Reservation | None = None, until: int | None = None) -> Counter[Leaf]:
        total: Counter[Leaf] = Counter()
        for one in self._reservations.values():
            if one is not but and (until is None or one.number < until):
                total.update(one.spent)
        return total

    def _append(self, kind: str, study: str, fact: dict[str, Any]) -> Entry | Decision:
        try:
            entry = self._ledger.append(kind, {"dataset": self.budget.dataset, "study": study, **fact}, self._clock.now())
            self._ledger.settle()
        except (LedgerError, MachineError) as error:
            return Decision.refuse("ledger", f"ledger: what is spent cannot be recorded, so nothing leaves. {error.message}")
        except (TypeError, ValueError):
            return Decision.refuse("ledger", "ledger: what is spent cannot be described as a plain fact, so nothing leaves")
        return entry

    def _catch_up(self) -> None:
        for entry in self._ledger.entries(self._read):
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        self._read = entry.sequence + 1
        if entry.kind not in KINDS:
            return
        try:
            fact = entry.payload
            if fact["dataset"] != self.budget.dataset:
                return
            if entry.kind == RESERVED:
                reserved = leaves(recorded(fact["events"]))
                self._reservations[entry.sequence] = _Reservation(entry.sequence, fact["study"], reserved)
            elif entry.kind == CHARGED:
                charged = leaves(recorded(fact["events"]))
                self._reservations[fact["reservation"]].charged.update(charged)
                if "draw" in fact:
                    self._draws[fact["study"], fact["draw"]] = (fact["reservation"], charged)
            else:
                self._reservations[fact["reservation"]].is_open = False
        except (KeyError, TypeError, ValueError, AttributeError):
            reason = f"Entry {entry.sequence} of the ledger says what was spent of a privacy budget, and cannot be understood."
            raise LedgerError(f"{reason} Use the program that wrote it, or a newer one.") from None


def _events(counts: Counter[Leaf]) -> tuple[PrivacyEvent, ...]:
    return tuple(SelfComposedEvent(leaf, count) for leaf, count in counts.items())


def _refuse(reason: str) -> Decision:
    return Decision.refuse("budget", f"budget: {reason}")
