"""One stage as discrete events, in one lane: sites work beside each other, the hub does one thing after another.

Events come in order of time; of the same time, in the order in which they were put on the agenda.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np

from huizhen.federation.wire.engine import AHEAD
from huizhen.twin.simulate.batch import NOTE, PARTS, Given, StageTimes
from huizhen.twin.simulate.models import Array, Transfers
from huizhen.twin.simulate.sheet import StageSheet

__all__ = ["enact_stage"]


def enact_stage(sheet: StageSheet, given: Given, transfers: Transfers) -> StageTimes:
    """What `batch.play_stage` says of the first lane, by following each event; parts are read off the events, too."""
    return _Stage(sheet, given, transfers).enacted()


@dataclass(slots=True)
class _Agenda:
    """What is still to happen."""

    events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    places: count[int] = field(default_factory=count)

    def at(self, time_s: float, act: Callable[[float], None]) -> None:
        if np.isfinite(time_s):
            heapq.heappush(self.events, (time_s, next(self.places), act))

    def run(self) -> None:
        while self.events:
            time_s, _, act = heapq.heappop(self.events)
            act(time_s)


class _Stage:
    """Sites, lines and the hub in one stage."""

    def __init__(self, sheet: StageSheet, given: Given, transfers: Transfers) -> None:
        self.sheet, self.given, self.transfers = sheet, given, transfers
        self.agenda, self.sites = _Agenda(), given.present.shape[1]
        self.roster = [k for k in range(self.sites) if given.present[0, k]]
        self.limit = given.deadline_s or np.inf
        never = np.full(self.sites, np.inf)
        self.asked, self.worked, self.ready, self.announced, self.came = (never.copy() for _ in range(5))
        self.missing = np.zeros(self.sites, bool)
        self.turn, self.hub_waits, self.fetching = 0, False, set[int]()
        self.room, self.seal_s, self.ends_s = float(AHEAD), float(given.sealing[0, 0]), float(given.sealing[0, 0])
        self.critical, self.taken_s = -1, self.seal_s  # the site that the hub waited for last; when it took the last reply
        self.fresh = set[int]()  # whose fetching began as soon as it could

    def enacted(self) -> StageTimes:
        given, one = self.given, slice(0, 1)
        begins = np.where(given.present[one], self.seal_s, np.inf)
        self.asked = self.transfers.together("down", begins, given.down[one])[0]
        for k in self.roster:
            self.agenda.at(self.asked[k], partial(self._asked, k))
        self.agenda.run()  # until every site is through with its own work
        self._send()
        self.hub_waits = True
        self._look(self.seal_s)
        self.agenda.run()
        parts = self._parts()
        times = [each[None, :] for each in (self.missing, self.asked, self.worked, self.ready, self.came)]
        return StageTimes(np.array([self.ends_s]), parts[None, :], *times)

    # --- at the sites ----------------------------------------------------------------------------------------------------

    def _asked(self, k: int, now: float) -> None:
        self.agenda.at(now + self.given.compute[0, k], partial(self._worked, k))

    def _worked(self, k: int, now: float) -> None:
        self.worked[k] = now
        self.agenda.at(now + self.given.protect[0, k], partial(self._ready, k))

    def _ready(self, k: int, now: float) -> None:
        self.ready[k] = now

    def _send(self) -> None:
        """All replies go out; lines are shared, so it takes all of them to know when each comes."""
        speaks = np.where(self.given.silent[0], np.inf, self.ready)
        if not self.sheet.pulled:
            came = self.transfers.together("up", speaks[None, :], self.given.up[:1])[0]
            for k in self.roster:
                self._expect(k, came[k])
            return
        note = self.transfers.alone("up", np.full((1, self.sites), NOTE))[0]
        wish = self.transfers.alone("down", np.full((1, self.sites), NOTE))[0]
        begins = np.full((1, self.sites), np.inf)
        for k in sorted(self.roster, key=lambda k: speaks[k] + note[k]):
            self.announced[k] = speaks[k] + note[k]
            if self.announced[k] <= self.limit:
                self.room -= self.given.up[0, k]
                if self.room >= 0:
                    begins[0, k] = self.announced[k] + wish[k]
                self.agenda.at(self.announced[k], self._look)
            else:
                self._give_up(k, self.limit)
        brought = self.transfers.together("up", begins, self.given.up[:1])[0]
        for k in self.roster:
            if np.isfinite(begins[0, k]):
                self.fetching.add(k)
                self.fresh.add(k)
                self._expect(k, brought[k], until=self.announced[k] + self.limit)

    def _expect(self, k: int, time_s: float, *, until: float | None = None) -> None:
        last = self.limit if until is None else until
        if time_s <= last:
            self.agenda.at(time_s, partial(self._came, k))
        else:
            self._give_up(k, last)

    def _give_up(self, k: int, time_s: float) -> None:
        self.missing[k] = True
        self.agenda.at(time_s, partial(self._came, k))

    def _came(self, k: int, now: float) -> None:
        self.came[k] = now
        self._look(now)

    # --- at the hub ------------------------------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """Whether the reply whose turn it is is here; if not, it is fetched as soon as it is announced."""
        if not self.hub_waits or self.turn >= len(self.roster):
            return
        k = self.roster[self.turn]
        if self.came[k] <= now:
            self._take(k, now)
        elif self.sheet.pulled:
            self._fetch(k, now)

    def _fetch(self, k: int, now: float) -> None:
        if k in self.fetching or self.missing[k] or not self.announced[k] <= now:
            return
        self.fetching.add(k)
        if self.announced[k] == now or self.critical < 0:
            self.fresh.add(k)
        took = (
            self.transfers.alone("down", np.full((1, self.sites), NOTE))[0, k] + self.transfers.alone("up", self.given.up[:1])[0, k]
        )
        self._expect(k, now + took, until=now + self.limit)

    def _take(self, k: int, now: float) -> None:
        """One reply is added up; the next one is fetched meanwhile, if it has been announced."""
        self.hub_waits = False
        waited = self.came[k] == now and (not self.sheet.pulled or k in self.fresh or not self.announced[k] <= self.limit)
        if waited and (now > self.ends_s or self.critical < 0):
            self.critical, self.taken_s = k, now
        if self.sheet.pulled:
            self.taken_s = now
        if self.sheet.pulled and self.turn + 1 < len(self.roster):
            self._fetch(self.roster[self.turn + 1], now)
        add = 0.0 if self.missing[k] else float(self.given.add[0, 0])
        self.agenda.at(now + add, self._added)

    def _added(self, now: float) -> None:
        self.turn, self.ends_s, self.hub_waits = self.turn + 1, now, True
        self._look(now)

    def _parts(self) -> Array:
        """Where the time went, along the site that the hub waited for last."""
        k, parts = self.critical, dict.fromkeys(PARTS, 0.0)
        if k >= 0 and self.missing[k]:
            parts["wait"] = self.taken_s
        elif k >= 0:
            parts["download"] = self.asked[k] - self.seal_s
            parts["compute"] = self.worked[k] - self.asked[k]
            parts["protect"] = self.ready[k] - self.worked[k] + self.seal_s
            parts["upload"] = self.taken_s - self.ready[k]
        else:
            parts["protect"] = self.seal_s
        parts["aggregate"] = self.ends_s - sum(parts.values())
        return np.array([parts[name] for name in PARTS])
