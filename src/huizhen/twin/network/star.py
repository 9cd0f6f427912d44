"""Rounds of very many sites around a hub's line, shared out in time as arrays: the fluid of `huizhen.twin.network.fluid`, in steps.

    star(Star(rate, rtt, hub_rate), stream, start)      # (round, site) each

A step ends when one in `FINENESS` of the transfers that are there has ended or begun; within a step rates stand still. What of the
hub's line was left over in it (transfers that ended) or used beforehand (that began) is made up for in the next, so no byte is
lost or carried twice. Windows grow at once into what others leave: with very many connections, a slow one leaves nothing idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from huizhen.twin.network.framing import Framing
from huizhen.twin.network.windows import FIRST_WINDOW, starting_rounds

__all__ = ["FINENESS", "Star", "star"]

FINENESS = 32  # 16 doubles the error and halves the time
AT_ONCE = 262_144  # transfers that are held in fast memory together
FAR = np.inf


@dataclass(frozen=True, slots=True)
class Star:
    """Sites' own lines and the one that they share, in one direction, as bytes of stream.

    Attributes:
        rate: bytes of stream a second of each site's own line, (site,) or (round, site).
        rtt: seconds, likewise; delay: seconds of the last packet's way, likewise.
        hub_rate: bytes of stream a second, a number or (round,).
        queue_s: seconds that a byte stands in the hub's queue while it is full.
        burst: bytes that pass at once, of each site's own line, (site,) or a number.
        turns: whether the hub's own machine shapes what it sends.
    """

    rate: np.ndarray
    rtt: np.ndarray
    delay: np.ndarray
    hub_rate: float | np.ndarray
    queue_s: float = 0.0
    burst: float | np.ndarray = 0.0
    turns: bool = False

    @property
    def weight(self) -> np.ndarray:
        """One over the loaded round trip, or alike where connections take turns."""
        return np.ones_like(self.rtt) if self.turns else np.asarray(1.0 / np.maximum(self.rtt + self.queue_s, 1e-9))


def star(
    here: Star, stream: np.ndarray, start: np.ndarray | float = 0.0, *, framing: Framing | None = None, fineness: int = FINENESS
) -> np.ndarray:
    """When the last byte of each transfer arrives, in seconds of the same clock as the starts; of shape (round, site).

    Args:
        stream: bytes, 0 where a site does not take part, (round, site); start: seconds, of any shape that fits it.
    """
    stream = np.asarray(stream, dtype=float)
    shape = stream.shape
    first = float(FIRST_WINDOW * (framing or Framing()).segment)
    given = {"stream": stream, "rate": here.rate, "weight": here.weight, "rtt": here.rtt, "burst": here.burst, "start": start}
    spread = {name: np.broadcast_to(one, shape) for name, one in given.items()}
    hub = np.broadcast_to(np.asarray(here.hub_rate, dtype=float), shape[:1])
    ended = np.empty(shape)
    rows = max(AT_ONCE // max(shape[1], 1), 1)
    for begin in range(0, shape[0], rows):
        part = slice(begin, begin + rows)
        ended[part] = _Steps({name: one[part] for name, one in spread.items()}, hub[part], first, fineness).run()
    return np.asarray(ended + here.delay)


NAMES = ("column", "left", "wakes", "cap", "weight", "rtt", "burst", "open", "ramped", "entered")


class _Steps:
    """Rounds side by side. Columns come in as their transfers begin, and are left out again when half of them have ended."""

    def __init__(self, numbers: Mapping[str, np.ndarray], hub: np.ndarray, first: float, fineness: int) -> None:
        stream, start = numbers["stream"], numbers["start"]
        rows = stream.shape[0]
        self.ended = np.array(start, dtype=float)
        wakes = np.where(stream > 0, start, FAR)
        order = np.argsort(wakes, axis=1, kind="stable")
        no = np.zeros(stream.shape, dtype=bool)
        lines = (numbers[name] for name in ("rate", "weight", "rtt", "burst"))
        together = (stream, wakes, *lines, stream > 0, no, no)
        later = (order, *(np.take_along_axis(one, order, axis=1) for one in together))
        self.later = dict(zip(NAMES, later, strict=True))
        self.at_a_time = max(stream.shape[1] // 16, 64)
        self.column, self.left, self.wakes = np.zeros((rows, 0), dtype=int), np.zeros((rows, 0)), np.zeros((rows, 0))
        self.cap = self.weight = self.rtt = self.burst = np.zeros((rows, 0))
        self.open = self.ramped = self.entered = np.zeros((rows, 0), dtype=bool)
        self.hub, self.first, self.fineness = hub[:, None], first, fineness
        self.carried = np.zeros_like(self.hub)  # bytes of the hub's line left over; below 0: used beforehand
        self.lasted = np.full_like(self.hub, FAR)
        self.level = np.zeros_like(self.hub)

    def run(self) -> np.ndarray:
        now = self.later["wakes"][:, :1]
        now = np.where(np.isfinite(now), now, 0.0)
        while True:
            self._take_in(now)
            if not self.open.any():
                return np.asarray(self.ended)
            rate = self._enter(now)
            ends = np.full(rate.shape, FAR)
            np.divide(self.left, rate, out=ends, where=rate > 0)
            ends += now
            events = np.where(self.entered, ends, self.wakes)
            until = np.minimum(self._next(events), self._first_later())
            until = np.where(np.isfinite(until), np.maximum(until, now), now)
            self._pass(until - now, until, rate, ends)
            now = until
            self._narrow()

    def _take_in(self, now: np.ndarray) -> None:
        """The columns whose transfers may begin now."""
        while self.later["wakes"].shape[1] and ((self._first_later() <= now).any() or not self.open.any()):
            for name in NAMES:
                block, self.later[name] = np.split(self.later[name], [self.at_a_time], axis=1)
                setattr(self, name, np.concatenate([getattr(self, name), block], axis=1))

    def _first_later(self) -> np.ndarray:
        wakes = self.later["wakes"]
        return np.asarray(wakes[:, :1] if wakes.shape[1] else np.full_like(self.hub, FAR))

    def _next(self, events: np.ndarray) -> np.ndarray:
        """When one in `fineness` of what is there has happened, row by row; all rows go on by the same count."""
        counts = np.count_nonzero(events < FAR, axis=1)
        place = int(counts[counts > 0].min(initial=events.shape[1])) // self.fineness - 1
        if place <= 0:
            return np.asarray(events.min(axis=1, keepdims=True))
        return np.partition(events, place, axis=1)[:, place : place + 1]

    def _enter(self, now: np.ndarray) -> np.ndarray:
        """Rates from now on; who has begun since the last step has had what the rates now allow."""
        active = self.open & (self.wakes <= now)
        entering = active & ~self.entered
        rate = self._rates(active)
        if not entering.any():
            return rate
        fresh = entering & ~self.ramped
        if fresh.any() and self._ramp(fresh, rate):
            put_off = entering & (self.wakes > now)
            entering &= ~put_off
            left = np.where(put_off, rate, 0.0).sum(axis=1, keepdims=True)
            rate = np.where(put_off, 0.0, rate)
            if (left * self.fineness > self.hub).any():  # else what they leave of the line is made up for in the next step
                rate = self._rates(active & ~put_off)
        had = np.zeros_like(rate)
        np.multiply(rate, now - np.where(entering, self.wakes, 0.0), out=had, where=entering)
        self.left -= had
        over = entering & (self.left <= 0)
        if over.any():
            self._end(over, now + np.divide(self.left, rate, out=np.zeros_like(rate), where=over))
            np.maximum(self.left, 0.0, out=self.left)
            rate[over] = 0.0
        self.carried -= np.where(self.level < FAR, had.sum(axis=1, keepdims=True), 0.0)
        self.entered |= entering
        return rate

    def _ramp(self, fresh: np.ndarray, rate: np.ndarray) -> bool:
        """Puts off the beginning by as long as slow start leaves the line idle at this rate; whether any was."""
        self.ramped |= fresh
        stream, rtt, burst, at = self.left[fresh], self.rtt[fresh], self.burst[fresh], rate[fresh]
        rounds = starting_rounds(stream, rtt, at, burst, self.first)
        sent = self.first * (np.exp2(rounds) - 1.0)
        idle = rounds * rtt + np.maximum(stream - sent - burst, 0.0) / at - stream / at
        self.wakes[fresh] += idle
        return bool((idle > 0).any())

    def _rates(self, active: np.ndarray) -> np.ndarray:
        """Each at its own line's rate, or at the hub's level times its weight (Newton's method on a concave sum)."""
        cap = self.cap * active
        hub = np.clip(self.hub + self.carried / self.lasted, self.hub / 2, self.hub * 2)
        bound = cap.sum(axis=1, keepdims=True) > hub
        if not bound.any():
            self.level = np.full_like(hub, FAR)
            return np.asarray(cap)
        weight = self.weight * active
        all_free = weight.sum(axis=1, keepdims=True)
        level = np.divide(hub, all_free, out=np.zeros_like(hub), where=all_free > 0)
        level = np.where((self.level < FAR) & (self.level > level), self.level, level)
        for _ in range(60):
            held = cap < weight * level
            free = all_free - (weight * held).sum(axis=1, keepdims=True)
            taken = (cap * held).sum(axis=1, keepdims=True)
            found = level / 2  # where all are held although the line is full, the level was too high
            np.divide(hub - taken, free, out=found, where=free > 1e-9 * all_free)
            settled = np.abs(found - level) <= 1e-6 * level
            level = np.maximum(found, 0.0)
            if (settled | ~bound).all():
                break
        self.level = np.where(bound, level, FAR)
        weight *= np.where(bound, level, 1.0)
        return np.asarray(np.minimum(cap, np.where(bound, weight, cap)))

    def _pass(self, lasts: np.ndarray, until: np.ndarray, rate: np.ndarray, ends: np.ndarray) -> None:
        over = self.open & (ends <= until)
        self._end(over, ends)
        sent = np.minimum(rate * lasts, self.left)
        self.left -= sent
        self.carried += np.where(self.level < FAR, self.hub * lasts - sent.sum(axis=1, keepdims=True), -self.carried)
        self.lasted = np.where(lasts > 0, lasts, self.lasted)

    def _end(self, over: np.ndarray, when: np.ndarray) -> None:
        rows, columns = np.nonzero(over)
        self.ended[rows, self.column[rows, columns]] = when[rows, columns]
        self.open[rows, columns] = False
        self.wakes[rows, columns] = FAR

    def _narrow(self) -> None:
        """Leaves out columns once half of them are of transfers that have ended."""
        width = self.open.shape[1]
        most = int(np.count_nonzero(self.open, axis=1).max(initial=0))
        if most * 2 > width or width <= 64:
            return
        kept = np.argsort(~self.open, axis=1, kind="stable")[:, :most]
        for name in NAMES:
            setattr(self, name, np.take_along_axis(getattr(self, name), kept, axis=1))
