"""A bare transfer over a line, timed at the site: from its first byte until it is all there and that is known.

python -m huizhen.twin.lab.probe serve HOST PORT
python -m huizhen.twin.lab.probe up|down HOST PORT BYTES        prints the seconds
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from huizhen.clock import Clock, WallClock

__all__ = ["main", "serve", "transfer"]

PIECE = 65_536
WAYS = {"up": b"u", "down": b"d"}
PATIENCE_S = 600.0


def serve(listener: socket.socket) -> None:
    """Answers probes one after another, for ever."""
    while True:
        joined, _ = listener.accept()
        with joined:
            joined.settimeout(PATIENCE_S)
            _answer(joined)


def transfer(address: tuple[str, int], way: str, size: int, clock: Clock) -> float:
    """The seconds that a transfer took; the connection stands before."""
    with socket.create_connection(address, timeout=PATIENCE_S) as joined:
        joined.sendall(b"?")
        _take(joined, 1)  # it stands to the other end
        begins = clock.seconds()
        joined.sendall(WAYS[way] + size.to_bytes(8, "big"))
        if way == "up":
            _give(joined, size)
            _take(joined, 1)
        else:
            _take(joined, size)
        return clock.seconds() - begins


def main(words: Sequence[str]) -> None:
    """Follows the command line."""
    what, host, port = words[0], words[1], int(words[2])
    if what == "serve":
        with socket.create_server((host, port)) as listener:
            serve(listener)
    else:
        print(transfer((host, port), what, int(words[3]), WallClock()))


def _answer(joined: socket.socket) -> None:
    try:
        _take(joined, 1)
        joined.sendall(b"!")
        way = joined.recv(1)
        size = int.from_bytes(joined.recv(8, socket.MSG_WAITALL), "big")
        if way == b"u":
            _take(joined, size)
            joined.sendall(b".")
        else:
            _give(joined, size)
            joined.recv(1)  # until the other end has closed
    except OSError:
        return


def _give(joined: socket.socket, size: int) -> None:
    piece = bytes(PIECE)
    while size > 0:
        joined.sendall(piece[: min(size, PIECE)])
        size -= PIECE


def _take(joined: socket.socket, size: int) -> None:
    while size > 0:
        got = len(joined.recv(min(size, PIECE)))
        if got == 0:
            raise ConnectionError
        size -= got


if __name__ == "__main__":
    main(sys.argv[1:])
