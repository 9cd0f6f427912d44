"""Transfers that share lines, as fluids: weighted max-min rates between events, solved exactly.

    start -> sending a window -> (the window was sent within a round trip: wait for its end, the window doubles) -> ... -> ended

The weight of a transfer is 1 / (round trip + the queue it stands in): windows of long-lived connections that lose packets at one
queue come to be alike, so rates go as one over the loaded round trip (Altman, Barakat, Laborde, Brown, Collange, 2000). Where the
sending machine shapes the line, its connections take turns: weights are alike. When others end, a window that losses held down
grows as CUBIC's does, and the line may idle meanwhile. Of one transfer alone it is `huizhen.twin.network.analytic`, to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from huizhen.twin.network.analytic import Moving, alone
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.lines import Line
from huizhen.twin.network.sharing import shares
from huizhen.twin.network.windows import FIRST_WINDOW, Congestion

__all__ = ["Shared", "fluid", "shared_lines"]

STANDING = 0.5  # share of a drop-tail queue that is full on average while several connections fill it
ACKNOWLEDGED = 4  # times that rates are found again beside their acknowledgements, which are some 2 % of the bytes
TWO_WAY = (
    0.8  # of a full line whose acknowledgements come back over another full one, in bursts (Zhang, Shenker, Clark, SIGCOMM 1991)
)
GROWTH_S = 0.02  # how often windows that grow are looked at again
NOTHING = 1e-9  # bytes, and of a second


@dataclass(frozen=True, slots=True)
class Shared:
    """Transfers and lines as arrays; lines that one transfer alone uses are in its cap.

    Attributes:
        cap: bytes of stream a second, (transfer,); weight: (transfer,); burst: bytes of stream, (transfer,); rtt, delay: seconds.
        use: bytes on a line for each byte of stream, (line, transfer).
        acknowledging: likewise, of acknowledgements that go back over it.
        capacity: bytes a second, (line,); queue: seconds that a byte stands in each line's queue, (line,).
    """

    cap: np.ndarray
    weight: np.ndarray
    burst: np.ndarray
    rtt: np.ndarray
    delay: np.ndarray
    use: np.ndarray
    acknowledging: np.ndarray
    capacity: np.ndarray
    queue: np.ndarray


def shared_lines(moving: Sequence[Moving], framing: Framing, congestion: Congestion = "cubic") -> Shared:
    """What the transfers share."""
    lone = [alone(one.route, framing, congestion) for one in moving]
    lines = _used(moving)
    ways = [way for way, users in lines.items() if len(users) > 1]
    use, acknowledging = np.zeros((2, len(ways), len(moving)))
    some = [lines[way][0] for way in ways]
    for i, one in enumerate(moving):
        for row, line in enumerate(some):
            use[row, i] = framing.per_byte(line.overhead) * any(each.way == line.way for each in one.route.ahead)
            acknowledging[row, i] = framing.acknowledging(line.overhead) * any(each.way == line.way for each in one.route.back)
    rtt = np.array([one.rtt for one in lone])
    ahead = np.count_nonzero(use, axis=1)
    queue = np.array([STANDING * line.queue / line.rate * (line.drops and n > 0) for line, n in zip(some, ahead, strict=True)])
    turns = np.array([not line.drops and n > 1 for line, n in zip(some, ahead, strict=True)], dtype=bool)
    loaded = rtt + queue @ ((use + acknowledging) > 0)
    users = (ahead[:, None] * (use > 0)).max(axis=0, initial=1)
    return Shared(
        np.array([one.rate for one in lone]),
        np.where(turns @ (use > 0), 1.0 / max(loaded.mean(), NOTHING), 1.0 / np.maximum(loaded, NOTHING)),
        np.array([one.burst for one in lone]) / users,
        rtt,
        np.array([one.delay for one in lone]),
        use,
        acknowledging,
        np.array([line.rate for line in some]),
        queue,
    )


def _used(moving: Sequence[Moving]) -> dict[tuple[str, bool], list[Line]]:
    """Each shared direction of a link, once for each transfer that uses it for its bytes or for acknowledgements."""
    found: dict[tuple[str, bool], list[Line]] = {}
    for one in moving:
        for line in one.route.ahead + one.route.back:
            if line.shared:
                found.setdefault(line.way, []).append(line)
    return found


def fluid(
    moving: Sequence[Moving],
    framing: Framing,
    *,
    congestion: Congestion = "cubic",
    favour: np.ndarray | None = None,
    growth_s: float | None = GROWTH_S,
) -> np.ndarray:
    """When the last byte of each transfer arrives, in seconds of the same clock as their starts.

    Args:
        favour: times its weight, for chance in who gets how much, (transfer,).
        growth_s: how often windows that losses held down are looked at while they grow; None: they grow at once into what others
            leave.
    """
    if not moving:
        return np.zeros(0)
    here = shared_lines(moving, framing, congestion)
    return np.asarray(_Filling(moving, here, float(FIRST_WINDOW * framing.segment), favour, growth_s).run() + here.delay)


class _Filling:
    """Rates from event to event; the only place of the twin's network that goes on in time."""

    def __init__(
        self, moving: Sequence[Moving], here: Shared, first: float, favour: np.ndarray | None, growth_s: float | None
    ) -> None:
        self.growth_s = growth_s
        self.here = here
        self.segment = first / FIRST_WINDOW
        self.weight = here.weight if favour is None else here.weight * favour
        self.left = np.array([one.stream for one in moving], dtype=float)
        self.wakes = np.array([one.start + one.opens * rtt for one, rtt in zip(moving, here.rtt, strict=True)])
        self.window = np.full(len(moving), first)
        self.chunk = np.zeros(len(moving))  # what is left of the window; inf when slow start is over
        self.round_ends = np.zeros(len(moving))
        self.sending = np.zeros(len(moving), dtype=bool)
        self.ended = np.full(len(moving), np.nan)
        self.now = 0.0
        # where a full line that drops was shared: bytes under way when it last held the transfer back, and until when
        self.held = np.full(len(moving), np.inf)
        self.until = np.zeros(len(moving))
        self.growing = False

    def run(self) -> np.ndarray:
        at_once = ~np.isfinite(self.here.cap) | (self.left <= 0)  # a path of no lines, or nothing to send
        self.ended[at_once] = self.wakes[at_once]
        self.wakes[at_once] = np.inf
        loaded = np.zeros(len(self.here.capacity), dtype=bool)
        while np.isnan(self.ended).any():
            rate, loaded = self._rates(loaded)
            next_sent = np.full(len(rate), np.inf)
            np.divide(np.minimum(self.left, self.chunk), rate, out=next_sent, where=rate > 0)
            grows = self.growth_s if self.growing and self.growth_s else np.inf
            step = max(min(next_sent.min(), self.wakes.min() - self.now, grows), 0.0)
            self.now += step
            self._sent(rate * step, loaded)
            self._wake(loaded)
        return self.ended

    def _rates(self, loaded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rate = np.zeros(len(self.left))
        if not self.sending.any():
            self.growing = False
            return rate, np.zeros(len(loaded), dtype=bool)
        here, on = self.here, self.sending
        grown = self._grown()
        cap = np.minimum(here.cap, grown)
        whole = here.capacity * np.where(self._opposed(loaded), TWO_WAY, 1.0)
        for _ in range(ACKNOWLEDGED):
            capacity = np.maximum(whole - here.acknowledging @ rate, whole / 2)
            rate[on], loaded = shares(self.weight[on], cap[on], here.use[:, on], capacity)
            if not here.acknowledging.any():
                break
        self._hold(rate, grown, loaded)
        return rate, loaded

    def _opposed(self, loaded: np.ndarray) -> np.ndarray:
        """Lines whose transfers' acknowledgements come back over a full one that drops."""
        lossy = loaded & (self.here.queue > 0)
        return np.asarray(((self.here.use[:, self.sending] > 0) @ (self.here.acknowledging[:, self.sending] > 0).T) @ lossy > 0)

    def _grown(self) -> np.ndarray:
        """Bytes of stream a second that windows allow which losses had held down (RFC 9438, sections 4.2 and 4.3)."""
        if self.growth_s is None:
            return np.full(len(self.left), np.inf)
        since = self.now - self.until
        more = np.maximum(0.4 * since**3, 3 * 0.3 / 1.7 * since / np.maximum(self.here.rtt, NOTHING))
        return np.asarray((self.held + self.segment * more) / np.maximum(self.here.rtt, NOTHING))

    def _hold(self, rate: np.ndarray, grown: np.ndarray, loaded: np.ndarray) -> None:
        """Remembers the windows of those that a full line holds back; whether others still grow."""
        lossy = loaded & (self.here.queue > 0)
        standing = (self.here.queue * lossy) @ (self.here.use > 0)
        over = self.sending & np.isinf(self.chunk)
        pressed = over & (lossy @ (self.here.use > 0)) & (rate < grown * (1 - 1e-9))
        self.held[pressed] = (rate * (self.here.rtt + standing))[pressed]
        self.until[pressed] = self.now
        self.growing = bool((over & (rate >= grown * (1 - 1e-9))).any())

    def _sent(self, amount: np.ndarray, loaded: np.ndarray) -> None:
        """Takes what was sent off; ends transfers, and the windows that are used up."""
        self.left -= amount
        self.chunk -= amount
        done = self.sending & (self.left <= NOTHING)
        self.ended[done] = self.now
        self.sending &= ~done
        used_up = self.sending & (self.chunk <= NOTHING)
        full = used_up & (self.round_ends <= self.now * (1 + 1e-12))
        self.chunk[full] = np.inf
        waits = used_up & ~full
        self.wakes[waits] = self.round_ends[waits]
        self.window[waits] *= 2.0
        self.sending &= ~waits

    def _wake(self, loaded: np.ndarray) -> None:
        """Begins the next window of those whose time has come; what a bucket lets pass at once is gone at once."""
        up = self.wakes <= self.now * (1 + 1e-15)
        if not up.any():
            return
        standing = (self.here.queue * loaded) @ ((self.here.use + self.here.acknowledging)[:, up] > 0)
        self.round_ends[up] = self.wakes[up] + self.here.rtt[up] + standing
        at_once = np.minimum(self.here.burst[up], self.window[up])
        self.chunk[up] = self.window[up] - at_once
        self.left[up] -= at_once
        self.sending[up] = True
        self.wakes[up] = np.inf
        self._sent(np.zeros(len(self.left)), loaded)
