"""What the kernel knows of a TCP connection (``TCP_INFO``): round trip, loss, rate. No packet is sent for it.

Layout: ``struct tcp_info`` of linux/tcp.h, which only ever grows at its end; what an older kernel does not tell is left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime

from huizhen.twin.warehouse.readings import Point, Series

__all__ = ["LENGTH", "Connection", "connection", "points_of"]

LENGTH = 232  # bytes to ask the kernel for
SOURCE = "agent"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection at one moment.

    Attributes:
        rtt_s, rtt_spread_s: smoothed round trip and its mean deviation.
        least_rtt_s: the smallest seen; None on kernels that do not tell.
        sent, resent: bytes since it was opened; None likewise.
        rate: bytes a second, as lately delivered; None likewise, and where too little was sent for it to tell of the line.
    """

    rtt_s: float
    rtt_spread_s: float
    least_rtt_s: float | None = None
    sent: int | None = None
    resent: int | None = None
    rate: float | None = None


def connection(told: bytes) -> Connection:
    """The connection of which the kernel told this, in the machine's byte order.

    Raises:
        ValueError: it is too short to tell anything.
    """
    if len(told) < 104:
        raise ValueError("not the kernel's words of a connection")
    rtt, spread = struct.unpack_from("=II", told, 68)
    least = struct.unpack_from("=I", told, 148)[0] if len(told) >= 152 else None
    rate = struct.unpack_from("=Q", told, 160)[0] if len(told) >= 168 else None
    sent, resent = struct.unpack_from("=QQ", told, 200) if len(told) >= 216 else (None, None)
    starved = bool(told[7] & 1)  # tcpi_delivery_rate_app_limited, the lowest bit of its byte
    known = least if least not in (None, 0xFFFFFFFF) else None
    return Connection(
        rtt / 1e6, spread / 1e6, None if known is None else known / 1e6, sent, resent, float(rate) if rate and not starved else None
    )


def points_of(one: Connection, *, site: str, path: str, at: datetime) -> tuple[Point, ...]:
    """Its points; `path` from the site to the hub."""
    found: list[tuple[str, str, float | None]] = [
        ("rtt", "s", one.rtt_s),
        ("rtt_spread", "s", one.rtt_spread_s),
        ("rate_up", "byte/s", one.rate),
    ]
    if one.sent and one.resent is not None:
        found.append(("retransmitted", "1", min(one.resent / one.sent, 1.0)))
    return tuple(Point(Series(site, path, metric, unit, SOURCE), at, value) for metric, unit, value in found if value is not None)
