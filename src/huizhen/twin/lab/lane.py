"""One direction of a line: when bytes that are handed to it arrive, by a token bucket, a delay, losses and TCP's window.

It is handed times and owns no clock; the same seed and the same calls give the same arrivals. `relay` follows it in real time.

>>> lane = Lane(rate=1000.0, delay_s=0.5, windowed=False)
>>> lane.carry(1000, at=0.0), lane.carry(1000, at=0.0)
(1.5, 2.5)
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

__all__ = ["PACKET", "Bucket", "Lane"]

PACKET = 1448  # bytes of payload in a packet on an Ethernet with TCP's timestamps
FIRST_WINDOW = 10 * PACKET  # RFC 6928
SEGMENT = 16 * PACKET  # carried as one: a few milliseconds of a slow line
SMALLEST_WAIT_S = 0.2  # before a sender that rests forgets its window; Linux's least retransmission timeout
SHRINKS = 0.7  # CUBIC's window after a loss, RFC 9438 section 4.6
LARGEST_WINDOW = 4 * 1024 * 1024  # bytes; Linux's usual limit of a socket's buffer


class Bucket:
    """Tokens of bytes at a rate; 0 is no limit. At most `burst` bytes pass at once after a rest."""

    def __init__(self, rate: float, burst: float = 0.0) -> None:
        self.rate, self._burst = rate, burst
        self._full_at = -math.inf  # when all that was let through has been earned

    def through(self, size: int, at: float) -> float:
        """When the last of these bytes, ready at a time, is through."""
        if self.rate == 0:
            return at
        self._full_at = max(at, self._full_at) + size / self.rate
        return max(at, self._full_at - self._burst / self.rate)


class Lane:
    """A direction.

    Args:
        rate: bytes a second, 0 for no limit.
        delay_s: one way.
        loss: share of packets that is sent a second time, a round trip later; what is behind waits for it.
        shared: a bucket that other lanes pass, too: the hub's line.
        windowed: whether at most TCP's window is under way: slow start, growth, losses, rest.
    """

    def __init__(
        self,
        *,
        rate: float = 0.0,
        delay_s: float = 0.0,
        loss: float = 0.0,
        shared: Bucket | None = None,
        windowed: bool = True,
        seed: int = 0,
    ) -> None:
        self._own, self._shared = Bucket(rate), shared or Bucket(0.0)
        self._delay_s, self._loss = delay_s, loss
        self._draw = np.random.default_rng(seed)
        self._is_windowed = windowed and delay_s > 0
        self._window, self._grows_fast = float(FIRST_WINDOW), True
        self._under_way: deque[tuple[float, int]] = deque()  # (when acknowledged, bytes)
        self._bytes_under_way = 0
        self._last_arrival = self._last_sent = self._last_start = -math.inf

    def carry(self, size: int, at: float) -> float:
        """When the last of these bytes arrives; never before what was handed over earlier."""
        while size > 0:
            piece = min(size, SEGMENT)
            self._carry_piece(piece, at)
            size -= piece
        return self._last_arrival

    def _carry_piece(self, size: int, at: float) -> None:
        starts = self._when_open(size, at) if self._is_windowed else at
        through = self._shared.through(size, self._own.through(size, starts))
        lost = self._lost(size)
        arrives = through + self._delay_s + (2 * self._delay_s if lost else 0.0)
        self._last_arrival = max(self._last_arrival, arrives)
        if self._is_windowed:
            self._under_way.append((self._last_arrival + self._delay_s, size))
            self._bytes_under_way += size
            self._last_sent = through
            if lost:
                self._window, self._grows_fast = max(self._window * SHRINKS, 2.0 * PACKET), False

    def _lost(self, size: int) -> bool:
        packets = math.ceil(size / PACKET)
        return self._loss > 0 and self._draw.random() < 1 - (1 - self._loss) ** packets

    def _when_open(self, size: int, at: float) -> float:
        """When the window has room: acknowledgements make it, and widen it; a rest narrows it again."""
        at = max(at, self._last_start)
        while self._under_way and self._under_way[0][0] <= at:
            self._acknowledged()
        self._rest(at)
        while self._under_way and self._bytes_under_way + size > self._window:
            at = max(at, self._acknowledged())
        self._last_start = at
        return at

    def _acknowledged(self) -> float:
        when, freed = self._under_way.popleft()
        self._bytes_under_way -= freed
        more = freed if self._grows_fast else PACKET * freed / self._window
        self._window = min(self._window + more, LARGEST_WINDOW)
        return when

    def _rest(self, at: float) -> None:
        """A sender that rested begins with a smaller window: halved for every timeout, RFC 2861."""
        rested = (at - self._last_sent) / max(SMALLEST_WAIT_S, 4 * self._delay_s)
        if rested > 1 and math.isfinite(rested):
            self._window = max(float(FIRST_WINDOW), self._window / 2 ** min(rested, 30.0))
