"""A transfer that is alone, by formula: opening, slow start, sending, arriving; and many at once as arrays.

    seconds = opens x rtt  +  rounds x rtt  +  (stream - sent in those rounds - burst) / rate  +  delay

Arrays serve rounds of very many sites: a billion transfers take less than a minute. Where they share the hub's line, each is held
to no more than its share of that line, which is coarse: `huizhen.twin.network.star` shares it out in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from huizhen.twin.network.framing import Framing
from huizhen.twin.network.lines import Route
from huizhen.twin.network.windows import FIRST_WINDOW, Congestion, loss_cap, starting_rounds

__all__ = ["Alone", "Moving", "Parts", "alone", "parts_alone", "rounds_alone"]


@dataclass(frozen=True, slots=True)
class Moving:
    """A transfer in numbers.

    Attributes:
        name: of which there is one.
        stream: bytes of TCP's stream; start: seconds; opens: round trips before the first byte (0: the connection stands).
    """

    name: str
    stream: float
    start: float
    opens: float
    route: Route


@dataclass(frozen=True, slots=True)
class Alone:
    """What a route lets one transfer do: bytes of stream a second at most, round trip, seconds of the last packet's way, burst."""

    rate: float
    rtt: float
    delay: float
    burst: float


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds; their sum is the transfer's."""

    opening: float
    starting: float
    sending: float
    arriving: float

    @property
    def seconds(self) -> float:
        return self.opening + self.starting + self.sending + self.arriving


def alone(route: Route, framing: Framing, congestion: Congestion = "cubic") -> Alone:
    """What the route lets a transfer do that has it for itself; a route of no lines takes no time."""
    if not route.ahead:
        return Alone(float("inf"), 0.0, 0.0, 0.0)
    narrowest = route.narrowest(framing)
    cap = loss_cap(route.rtt, route.loss, framing.segment, congestion=congestion, acknowledged=framing.acknowledged)
    storing = sum(line.storing(framing) for line in route.ahead if line is not narrowest)
    burst = narrowest.burst / framing.per_byte(narrowest.overhead)
    return Alone(min(narrowest.goodput(framing), cap), route.rtt, route.delay + storing, burst)


def parts_alone(moving: Moving, framing: Framing, congestion: Congestion = "cubic") -> Parts:
    """Where the time of a transfer goes that has its route for itself."""
    lone = alone(moving.route, framing, congestion)
    first = float(FIRST_WINDOW * framing.segment)
    if not np.isfinite(lone.rate):
        return Parts(0.0, 0.0, 0.0, 0.0)
    rounds = float(starting_rounds(moving.stream, lone.rtt, lone.rate, lone.burst, first))
    rest = moving.stream - first * (2.0**rounds - 1.0)
    sending = max(rest - lone.burst, 0.0) / lone.rate
    return Parts(moving.opens * lone.rtt, rounds * lone.rtt, sending, lone.delay)


def rounds_alone(
    stream: np.ndarray,
    rate: np.ndarray,
    rtt: np.ndarray,
    *,
    hub_rate: float | np.ndarray = np.inf,
    weight: np.ndarray | None = None,
    framing: Framing | None = None,
) -> np.ndarray:
    """Seconds of transfers over standing connections, in rounds of very many sites.

    A transfer lasts as long as it would alone, and not less than its share of the hub's line takes: all that started with it are
    counted as if they stayed, but for what they have to send.

    Args:
        stream: bytes, (..., site); rate: bytes of stream a second of a site's own line, (site,); rtt: seconds, (site,).
        hub_rate: bytes of stream a second of the hub's line. weight: of a site in sharing; by default 1 / rtt.
    """
    first = float(FIRST_WINDOW * (framing or Framing()).segment)
    rounds = starting_rounds(stream, rtt, rate, np.zeros(()), first)
    seconds = np.exp2(rounds)
    seconds -= 1.0
    seconds *= -first
    seconds += stream
    np.maximum(seconds, 0.0, out=seconds)
    seconds /= rate
    rounds += 0.5
    rounds *= rtt
    seconds += rounds
    if np.isfinite(hub_rate).all():
        weights = 1.0 / rtt if weight is None else weight
        shared = stream * (weights.sum() / weights)
        np.minimum(shared, stream.sum(axis=-1, keepdims=True), out=shared)
        shared /= hub_rate
        np.maximum(seconds, shared + rtt / 2, out=seconds)
    return np.asarray(seconds)
