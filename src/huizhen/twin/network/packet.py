"""Transfers packet by packet: windows, acknowledgements, drop-tail queues and losses, for few transfers of some megabytes.

    sender --(packet)--> line -> line -> receiver --(acknowledgement of every second packet)--> line -> line -> sender

A line is a first-in-first-out queue before a token bucket; when a packet leaves follows from when the line is free, so a packet is
one event for each line. Receivers tell exactly what arrived (RFC 2018); a packet is lost when three sent later have arrived (RFC
6675), or when nothing comes for the retransmission timeout (RFC 6298). Ties break by the order in which events were made: the same
seed gives the same run.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np

from huizhen.errors import CallerError, Problem
from huizhen.twin.network.analytic import Moving
from huizhen.twin.network.control import Window
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.lines import Line
from huizhen.twin.network.windows import RTO_LEAST_S, Congestion

__all__ = ["MOST_PACKETS", "packets"]

JITTER_S = 0.0003
MOST_PACKETS = 2_000_000  # some 20 s of computing
DELAYED_S = 0.04  # an acknowledgement waits no longer for the next packet (Linux; RFC 9293 allows 0.5 s)
LATER = 3  # packets sent later that arrive before one is given up (RFC 6675)
TURNS = 3  # packets of a connection that wait at once on a machine that shapes its own line (Linux: TCP small queues)
AHEAD, BACK, GO, ACK_DUE, TIMEOUT, TURN = range(6)

Event = tuple[float, int, int, int, tuple[int, ...], int]  # time, order, what, transfer, serials, place on the path


def packets(
    moving: Sequence[Moving], framing: Framing, *, congestion: Congestion = "cubic", jitter_s: float = JITTER_S, seed: int = 0
) -> np.ndarray:
    """When the last byte of each transfer arrives, in seconds of the same clock as their starts.

    Args:
        jitter_s: mean of what machines on the way add to each packet, by chance; without it, who gets through a full queue is
            decided by phases that no real line keeps (Floyd and Jacobson, 1992).

    Raises:
        CallerError: there are too many packets for this level.
    """
    count = sum(-(-int(one.stream) // framing.segment) for one in moving)
    if count > MOST_PACKETS:
        raise CallerError(
            "The transfers are too large to be followed packet by packet.",
            [Problem("packets", str(count), f"up to {MOST_PACKETS}", "Ask for the level fluid")],
        )
    return _Simulation(moving, framing, congestion, jitter_s, np.random.default_rng(seed)).run()


class _Queue:
    """A line: `free` is when it will have sent what it was given, at its rate."""

    __slots__ = ("burst_s", "delay", "drops", "free", "jitter_s", "limit_s", "loss", "overhead", "rate")

    def __init__(self, line: Line, jitter_s: float) -> None:
        self.rate, self.delay, self.loss, self.overhead, self.drops = line.rate, line.delay, line.loss, line.overhead, line.drops
        self.limit_s, self.burst_s = line.queue / line.rate, line.burst / line.rate
        self.jitter_s = min(jitter_s, line.delay)  # is in what was measured as the line's delay
        self.delay -= self.jitter_s
        self.free = float("-inf")

    def arrives(self, now: float, size: float) -> float:
        """When a packet is at the other end; below 0: the queue is full."""
        takes = (size + self.overhead) / self.rate
        if self.drops and self.free - now + takes > self.limit_s and self.free > now:
            return -1.0
        self.free = max(self.free, now - self.burst_s) + takes
        return max(now, self.free) + self.delay


class _Sender:
    """One transfer's sender and receiver."""

    __slots__ = (
        "ack_due", "again", "ahead", "back", "came", "count", "ended", "following", "highest", "last_size", "leaving", "new",
        "progress", "recovery", "rto", "seen", "sent_at", "srtt", "to_tell", "turn_due", "under_way", "variation", "window",
    )  # fmt: skip

    def __init__(
        self,
        moving: Moving,
        queues: dict[tuple[int, str, bool], _Queue],
        place: int,
        framing: Framing,
        how: Congestion,
        jitter_s: float,
    ) -> None:
        def of(line: Line) -> _Queue:
            return queues.setdefault((-1 if line.shared else place, *line.way), _Queue(line, jitter_s))

        self.ahead, self.back = [of(line) for line in moving.route.ahead], [of(line) for line in moving.route.back]
        self.count = -(-int(moving.stream) // framing.segment)
        self.last_size = int(moving.stream) - (self.count - 1) * framing.segment + framing.headers
        self.window = Window(how)
        self.new = self.following = 0  # the next packet, the next serial
        self.under_way: OrderedDict[int, int] = OrderedDict()  # serial -> packet
        self.sent_at: dict[int, float] = {}
        self.again: deque[int] = deque()
        self.highest = self.recovery = -1
        self.seen: set[int] = set()
        self.to_tell: list[int] = []
        self.ack_due = self.turn_due = False
        self.came = [0.0] * (len(self.ahead) + len(self.back))
        self.leaving: deque[float] = deque()  # when packets leave the machine that shapes its own line
        self.ended = float("nan")
        self.srtt = self.variation = 0.0
        self.rto, self.progress = 1.0, 0.0


class _Simulation:
    """Events in the order of their time."""

    def __init__(
        self, moving: Sequence[Moving], framing: Framing, congestion: Congestion, jitter_s: float, rng: np.random.Generator
    ) -> None:
        queues: dict[tuple[int, str, bool], _Queue] = {}
        self.framing, self.rng = framing, rng
        self.chance, self.used = rng.exponential(1.0, 4096).tolist(), 0
        self.senders = [_Sender(one, queues, i, framing, congestion, jitter_s) for i, one in enumerate(moving)]
        self.events: list[Event] = []
        self.made = 0
        for i, one in enumerate(moving):
            begins = one.start + one.opens * one.route.rtt
            if one.stream <= 0 or not one.route.ahead:
                self.senders[i].ended = begins + (one.route.delay if one.route.ahead else 0.0)
            else:
                self._at(begins, GO, i)

    def run(self) -> np.ndarray:
        does = (self._ahead, self._back, self._go, self._tell, self._timeout, self._turn)
        missing = sum(one.ended != one.ended for one in self.senders)
        while missing:
            now, _, what, i, serials, place = heapq.heappop(self.events)
            sender = self.senders[i]
            before = sender.ended
            if before == before and what in (AHEAD, TIMEOUT, ACK_DUE, TURN):
                continue
            does[what](now, i, sender, serials, place)
            missing -= sender.ended == sender.ended and before != before
        return np.array([one.ended for one in self.senders])

    def _at(self, time: float, what: int, i: int, serials: tuple[int, ...] = (), place: int = 0) -> None:
        self.made += 1
        heapq.heappush(self.events, (time, self.made, what, i, serials, place))

    def _go(self, now: float, i: int, sender: _Sender, serials: tuple[int, ...], place: int) -> None:
        sender.progress = now
        self._send(now, i, sender)
        self._at(now + sender.rto, TIMEOUT, i)

    def _send(self, now: float, i: int, sender: _Sender) -> None:
        """As many packets as the window allows, those given up first."""
        line = sender.ahead[0]
        while len(sender.under_way) < int(sender.window.size):
            if not line.drops and self._must_wait(now, i, sender):
                return
            if sender.again:
                packet = sender.again.popleft()
                if packet in sender.seen:
                    continue
            elif sender.new < sender.count:
                packet = sender.new
                sender.new += 1
            else:
                return
            serial = sender.following
            sender.following += 1
            sender.under_way[serial] = packet
            sender.sent_at[serial] = now
            self._ahead(now, i, sender, (serial, packet), 0)
            if not line.drops:
                sender.leaving.append(line.free)

    def _must_wait(self, now: float, i: int, sender: _Sender) -> bool:
        """Whether enough of its packets wait on the machine already; then it is called when the first has left."""
        while sender.leaving and sender.leaving[0] <= now:
            sender.leaving.popleft()
        if len(sender.leaving) < TURNS:
            return False
        if not sender.turn_due:
            sender.turn_due = True
            self._at(sender.leaving[0], TURN, i)
        return True

    def _turn(self, now: float, i: int, sender: _Sender, serials: tuple[int, ...], place: int) -> None:
        sender.turn_due = False
        self._send(now, i, sender)

    def _ahead(self, now: float, i: int, sender: _Sender, serials: tuple[int, ...], place: int) -> None:
        """A packet comes to a line, or to the receiver."""
        if place == len(sender.ahead):
            self._received(now, i, sender, serials)
            return
        size = sender.last_size if serials[1] == sender.count - 1 else self.framing.mtu
        self._over(sender.ahead[place], now, size, AHEAD, i, serials, place)

    def _over(self, line: _Queue, now: float, size: int, what: int, i: int, serials: tuple[int, ...], place: int) -> None:
        there = line.arrives(now, size)
        if there >= 0 and not (line.loss and self.rng.random() < line.loss):
            came = self.senders[i].came
            lane = place if what == AHEAD else place + len(self.senders[i].ahead)
            came[lane] = max(there + line.jitter_s * self._chance(), came[lane])  # none overtakes another
            self._at(came[lane], what, i, serials, place + 1)

    def _chance(self) -> float:
        if self.used == len(self.chance):
            self.chance, self.used = self.rng.exponential(1.0, 4096).tolist(), 0
        self.used += 1
        return float(self.chance[self.used - 1])

    def _received(self, now: float, i: int, sender: _Sender, serials: tuple[int, ...]) -> None:
        sender.seen.add(serials[1])
        sender.to_tell.append(serials[0])
        if len(sender.seen) == sender.count:
            sender.ended = now
        in_order = len(sender.seen) == serials[1] + 1
        if len(sender.to_tell) >= self.framing.acknowledged or not in_order:
            self._tell(now, i, sender, (), 0)
        elif not sender.ack_due:
            sender.ack_due = True
            self._at(now + DELAYED_S, ACK_DUE, i)

    def _tell(self, now: float, i: int, sender: _Sender, serials: tuple[int, ...], place: int) -> None:
        sender.ack_due = False
        if sender.to_tell:
            told = tuple(sender.to_tell)
            sender.to_tell.clear()
            self._back(now, i, sender, told, 0)

    def _back(self, now: float, i: int, sender: _Sender, serials: tuple[int, ...], place: int) -> None:
        """An acknowledgement comes to a line, or to the sender."""
        if place < len(sender.back):
            self._over(sender.back[place], now, self.framing.headers, BACK, i, serials, place)
            return
        known = [serial for serial in serials if sender.under_way.pop(serial, None) is not None]
        if not known:
            return
        sender.progress = now
        sender.highest = max(sender.highest, *known)
        self._timed(sender, now - sender.sent_at[known[-1]])
        if sender.highest > sender.recovery:
            rtt = now - sender.sent_at[known[-1]]
            sender.window.acknowledged(len(known), rtt, now, serial=known[-1], following=sender.following)
        for serial in known:
            del sender.sent_at[serial]
        self._give_up(sender)
        self._send(now, i, sender)

    def _timed(self, sender: _Sender, rtt: float) -> None:
        """RFC 6298, section 2."""
        if sender.srtt == 0:
            sender.srtt, sender.variation = rtt, rtt / 2
        else:
            sender.variation += (abs(sender.srtt - rtt) - sender.variation) / 4
            sender.srtt += (rtt - sender.srtt) / 8
        sender.rto = sender.srtt + max(4 * sender.variation, RTO_LEAST_S)

    def _give_up(self, sender: _Sender) -> None:
        shrinks = False
        while sender.under_way:
            serial = next(iter(sender.under_way))
            if serial > sender.highest - LATER:
                break
            sender.again.append(sender.under_way.pop(serial))
            sender.sent_at.pop(serial, None)
            shrinks |= serial > sender.recovery
        if shrinks:
            sender.window.lost(following=sender.following)
            sender.recovery = sender.following - 1

    def _timeout(self, now: float, i: int, sender: _Sender, serials: tuple[int, ...], place: int) -> None:
        if now >= sender.progress + sender.rto * (1 - 1e-12):
            sender.again.extend(sender.under_way.values())
            sender.under_way.clear()
            sender.sent_at.clear()
            sender.window.timed_out()
            sender.rto = min(2 * sender.rto, 60.0)
            sender.recovery = sender.following - 1
            sender.progress = now
            self._send(now, i, sender)
        self._at(max(sender.progress + sender.rto, now), TIMEOUT, i)
