"""What travels beside the message: headers of IP and TCP, records of TLS, acknowledgements.

    stream:  the message and TLS's records of it, which TCP carries
    wire:    the stream in packets, each with its headers and what a line adds (Ethernet, a tunnel)

Sources: RFC 791 (IPv4, 20 bytes), RFC 9293 (TCP, 20), RFC 7323 (timestamps, 12 with padding), RFC 8446 section 5 (a TLS record
holds up to 16384 bytes, and adds 5 of header, 1 of type and 16 of tag), RFC 9293 section 3.8.6.3 (an acknowledgement for two
segments).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Framing"]

TLS_RECORD, TLS_ADDS = 16_384, 22


@dataclass(frozen=True, slots=True)
class Framing:
    """How a message is cut up.

    Attributes:
        mtu: bytes of the largest IP packet.
        headers: bytes of IP and TCP in each packet, options included.
        tls: whether the message travels in TLS's records.
        acknowledged: segments for each acknowledgement.
    """

    mtu: int = 1500
    headers: int = 52
    tls: bool = True
    acknowledged: int = 2

    @property
    def segment(self) -> int:
        """Bytes of the stream in a full packet."""
        return self.mtu - self.headers

    def stream(self, size: float) -> float:
        """Bytes of TCP's stream for a message of `size` bytes."""
        return size + math.ceil(size / TLS_RECORD) * TLS_ADDS if self.tls else float(size)

    def segments(self, size: float) -> int:
        return math.ceil(self.stream(size) / self.segment)

    def wire(self, size: float, overhead: float = 0.0) -> float:
        """Bytes on a line that adds `overhead` to each packet, without what is sent again."""
        return self.stream(size) + self.segments(size) * (self.headers + overhead)

    def per_byte(self, overhead: float = 0.0) -> float:
        """Bytes on the line for each byte of the stream."""
        return (self.mtu + overhead) / self.segment

    def acknowledging(self, overhead: float = 0.0) -> float:
        """Bytes on the line back for each byte of the stream."""
        return (self.headers + overhead) / (self.acknowledged * self.segment)
