"""How a sender's window grows and shrinks: Reno and CUBIC, with slow start left early where the queue begins to grow.

Sources: RFC 5681 (Reno), RFC 9438 (CUBIC: C = 0.4, beta = 0.7, Reno-friendly region, fast convergence), Ha and Rhee, "Taming the
elephants: new TCP slow start", Computer Networks 55 (2011) 2092-2110 (HyStart: trains of acknowledgements, and rising delay).
"""

from __future__ import annotations

import math

from huizhen.twin.network.windows import FIRST_WINDOW, Congestion

__all__ = ["Window"]

C, BETA = 0.4, 0.7
TRAIN_GAP_S, RISE_LEAST_S, RISE_MOST_S = 0.002, 0.004, 0.016
SAMPLES, LOW_WINDOW = 8, 16


class Window:
    """A sender's congestion window, in segments.

    Attributes:
        size: segments that may be under way.
        threshold: at and above it, slow start is over.
    """

    __slots__ = (
        "_began", "_congestion", "_friendly", "_last_ack", "_least_rtt", "_most", "_origin",
        "_round_began", "_round_ends", "_round_rtt", "_samples", "_until", "size", "threshold",
    )  # fmt: skip

    def __init__(self, congestion: Congestion) -> None:
        self.size = float(FIRST_WINDOW)
        self.threshold = math.inf
        self._congestion = congestion
        self._most = self._origin = self._until = self._friendly = 0.0
        self._began = -1.0  # of the time since the last loss; below 0: not yet
        self._least_rtt = math.inf
        self._round_ends, self._round_began, self._round_rtt, self._samples, self._last_ack = -1, 0.0, math.inf, 0, 0.0

    def acknowledged(self, segments: int, rtt: float, now: float, *, serial: int, following: int) -> None:
        """Grows for acknowledged segments; `serial` was sent as, `following` will be sent next."""
        self._least_rtt = min(self._least_rtt, rtt)
        if self.size < self.threshold:
            if self._congestion == "cubic":
                self._leave_early(rtt, now, serial, following)
            self.size += segments
        elif self._congestion == "reno":
            self.size += segments / self.size
        else:
            self._cubic(segments, now)

    def lost(self, *, following: int) -> None:
        """Shrinks, once for all losses of one window."""
        if self._congestion == "reno":
            self.size = max(self.size / 2, 2.0)
        else:
            self._most = self.size * (1 + BETA) / 2 if self.size < self._most else self.size
            self.size = max(self.size * BETA, 2.0)
            self._began = -1.0
        self.threshold = self.size

    def timed_out(self) -> None:
        """Begins again with one segment."""
        self.lost(following=0)
        self.size = 1.0

    def _cubic(self, segments: int, now: float) -> None:
        if self._began < 0:
            self._began = now
            self._friendly = self.size
            self._origin = max(self._most, self.size)
            self._until = ((self._origin - self.size) / C) ** (1 / 3)
        aim = self._origin + C * (now - self._began + self._least_rtt - self._until) ** 3
        self._friendly += 3 * (1 - BETA) / (1 + BETA) * segments / self.size
        aim = min(max(aim, self._friendly), 1.5 * self.size)
        if aim > self.size:
            self.size += segments * (aim - self.size) / self.size
        else:
            self.size += segments * 0.01 / self.size

    def _leave_early(self, rtt: float, now: float, serial: int, following: int) -> None:
        if serial > self._round_ends:
            self._round_ends, self._round_began, self._round_rtt, self._samples = following, now, math.inf, 0
            self._last_ack = now
        if self.size < LOW_WINDOW:
            return
        if now - self._last_ack <= TRAIN_GAP_S:
            self._last_ack = now
            if now - self._round_began > self._least_rtt / 2:
                self.threshold = self.size
        if self._samples < SAMPLES:
            self._round_rtt = min(self._round_rtt, rtt)
            self._samples += 1
        elif self._round_rtt > self._least_rtt + min(max(self._least_rtt / 8, RISE_LEAST_S), RISE_MOST_S):
            self.threshold = self.size
