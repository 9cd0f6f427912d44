"""What goes between a site's agent and its worker: one message of the federation's format at a time, its length first.

    length of the message u64, little-endian | the message of [kind, body], see `huizhen.federation.wire.message`

Arrays are handed to the kernel and read from it where they lie: none is copied in between, and none is parsed. Nothing is ever
executed, and nothing is allocated that was not announced and allowed.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen.errors import FederationError
from huizhen.federation.wire.message import pack, unpack

__all__ = ["Ended", "Frame", "NotAFrame", "decoded", "encoded", "receive", "send"]

LENGTH = struct.Struct("<Q")
AT_ONCE = 512  # buffers in one call; the kernel takes 1024
Left = Callable[[], float | None]  # seconds that are left for the whole frame; None: as long as it takes


class Ended(ConnectionError):
    """The other side is gone."""


class NotAFrame(ValueError):
    """The bytes are no frame, or a larger one than is allowed; they are not gone on with."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing said: a kind, and canonical values."""

    kind: str
    body: Mapping[str, Any]


def endless() -> None:
    """No limit of time."""


def encoded(frame: Frame) -> list[memoryview]:
    """The frame as buffers, large arrays as views of their own memory.

    Raises:
        TypeError: a part of the body has no canonical encoding.
    """
    try:
        packed = pack({"kind": frame.kind, "body": frame.body})
    except RecursionError:
        raise TypeError("a frame's body is nested too deep") from None
    return [memoryview(LENGTH.pack(packed.size)), *packed.buffers]


def decoded(content: bytes | memoryview) -> Frame:
    """The frame in `content`, without its length; arrays are read-only views of it.

    Raises:
        NotAFrame: it is none.
    """
    try:
        said = unpack(content)
    except FederationError as error:
        raise NotAFrame(str(error)) from None
    if said.keys() != {"kind", "body"} or not isinstance(said["kind"], str) or not isinstance(said["body"], dict):
        raise NotAFrame("a message that is no frame")
    return Frame(said["kind"], said["body"])


def send(line: socket.socket, frame: Frame, left: Left = endless) -> None:
    """Sends a frame.

    Raises:
        TimeoutError, Ended: the other side does not take it in time, or is gone.
        TypeError: see `encoded`; nothing is sent then.
    """
    buffers = encoded(frame)
    while buffers:
        line.settimeout(_positive(left()))
        try:
            sent = line.sendmsg(buffers[:AT_ONCE])
        except ConnectionError:
            raise Ended("the other side is gone") from None
        while buffers and sent >= len(buffers[0]):
            sent -= len(buffers.pop(0))
        if buffers:
            buffers[0] = buffers[0][sent:]


def receive(line: socket.socket, *, most: int, left: Left = endless) -> Frame:
    """The next frame.

    Args:
        most: bytes of the whole frame.

    Raises:
        TimeoutError, Ended: it does not come in time, or the other side is gone.
        NotAFrame: what came is none, or larger than is allowed.
    """
    opening = bytearray(LENGTH.size)
    _fill(line, memoryview(opening), left)
    (length,) = LENGTH.unpack(opening)
    if length > most:
        raise NotAFrame("a frame is larger than is allowed")
    content = np.empty(length, np.uint8)  # not cleared: the kernel writes over all of it
    _fill(line, content.data, left)
    return decoded(content.data)


def _fill(line: socket.socket, buffer: memoryview, left: Left) -> None:
    while len(buffer):
        line.settimeout(_positive(left()))
        try:
            came = line.recv_into(buffer)
        except ConnectionError:
            came = 0
        if came == 0:
            raise Ended("the other side is gone")
        buffer = buffer[came:]


def _positive(left: float | None) -> float | None:
    if left is not None and left <= 0:
        raise TimeoutError
    return left
