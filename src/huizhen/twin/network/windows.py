"""How fast TCP lets bytes go: the first windows of a connection, and what a line that loses packets allows.

A window is what may be under way unacknowledged. The first holds 10 segments (RFC 6928) and doubles every round trip (slow start,
RFC 5681 section 3.1; Linux counts every acknowledged byte) until the line is full: from then on its rate decides.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["FIRST_WINDOW", "Congestion", "loss_cap", "starting_rounds"]

FIRST_WINDOW = 10  # segments
Congestion = Literal["cubic", "reno"]
RTO_LEAST_S = 0.2  # Linux's shortest retransmission timeout; RFC 6298 says 1 s, which no system waits


Numbers = np.ndarray | float


def starting_rounds(stream: Numbers, rtt: Numbers, rate: Numbers, burst: Numbers, first: float) -> np.ndarray:
    """Round trips in which the window, and not the line, holds the stream back.

    Round k (from 0) sends `first` x 2^k bytes, of which `burst` pass at once and the rest at `rate`; the line idles for the
    remainder of the round trip. Slow start is over in the first round that lasts a round trip, or that holds the stream's end.

    Args:
        stream: bytes; rtt: seconds; rate: bytes of stream a second; burst: bytes; numbers or arrays. first: bytes.
    """
    until_full = _doublings((rate * rtt + burst) / first)
    until_sent = _doublings(stream / first + 1.0) - 1.0
    return np.asarray(np.maximum(np.minimum(until_full, until_sent), 0.0))


def _doublings(times: Numbers) -> np.ndarray:
    """The least whole k with 2^k >= times, exactly."""
    mantissa, exponent = np.frexp(times)
    return np.asarray(exponent - (mantissa == 0.5), dtype=float)


def loss_cap(rtt: float, loss: float, segment: int, *, congestion: Congestion = "cubic", acknowledged: int = 2) -> float:
    """Bytes of stream a second that a connection keeps up when this share of packets is lost; inf where none is.

    Reno: Padhye, Firoiu, Towsley, Kurose, SIGCOMM 1998, equation 30, with timeouts. Cubic: RFC 9438, section 5.1 (C = 0.4,
    beta = 0.7), and never less than Reno (section 4.3).
    """
    if loss <= 0:
        return float("inf")
    halving = rtt * np.sqrt(2 * acknowledged * loss / 3)
    waiting = RTO_LEAST_S * min(1.0, 3 * np.sqrt(3 * acknowledged * loss / 8)) * loss * (1 + 32 * loss**2)
    reno = 1.0 / (halving + waiting)
    if congestion == "reno":
        return float(segment * reno)
    window = (0.4 * (3 + 0.7) / (4 * (1 - 0.7))) ** 0.25 * (rtt / loss) ** 0.75
    return float(segment * max(window / rtt, reno))
