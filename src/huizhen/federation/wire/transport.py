"""How bytes reach the server: TLS before the first byte of ours, and an HTTP proxy where a hospital has one.

The server's greeting comes before TLS and can be forged by whoever stands between: a client that believes it would speak in clear
when told that no TLS is needed. This transport sends nothing before TLS stands, whatever the greeting says.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from urllib.parse import ParseResult, urlsplit

from nats.aio.transport import TcpTransport

__all__ = ["InsecureServer", "ProxyRefused", "TlsTransport"]

AT_ONCE = 1 << 20  # bytes that are read in one step, as many as a message has
LONGEST_HEAD = 16_384  # bytes of a proxy's answer


class InsecureServer(ConnectionError):
    """The server offers no TLS."""


class ProxyRefused(ConnectionError):
    """The proxy does not let the connection through."""


class TlsTransport(TcpTransport):
    """TCP, through a proxy's CONNECT (RFC 9110, section 9.3.6) if one is named, that refuses to send before TLS stands.

    Args:
        proxy: ``http://host:port`` of an HTTP proxy; "" for none. The proxy sees the hub's address, and nothing of what is said.
    """

    def __init__(self, proxy: str = "") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._proxy = proxy
        self._secure = False

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        self.close()  # a try that failed halfway: the client does not close it, and one that is refused tries for ever
        self._secure = False
        if not self._proxy:
            await super().connect(uri, buffer_size, connect_timeout)
            return
        opened = _through(self._proxy, uri, buffer_size)
        reader, writer = await asyncio.wait_for(opened, connect_timeout)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        assert self._io_writer is not None
        # A reader of its own: bytes that came before TLS are not read as if they had come within it.
        reader = asyncio.StreamReader(limit=AT_ONCE)
        protocol = _WithinTls(reader)
        loop = asyncio.get_running_loop()
        host = uri if isinstance(uri, str) else uri.hostname
        handshake = loop.start_tls(self._io_writer.transport, protocol, ssl_context, server_hostname=host)
        transport = await asyncio.wait_for(handshake, connect_timeout)
        if transport is None:
            raise ConnectionAbortedError
        self._io_reader, self._io_writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)
        self._secure = True

    async def read(self, buffer_size: int) -> bytes:
        """All that has come; the client's own 32 KiB at a time would cost a large message thousands of steps."""
        assert self._io_reader is not None
        return await self._io_reader.read(AT_ONCE)

    def write(self, payload: bytes) -> Any:
        if not self._secure:
            raise InsecureServer
        return super().write(payload)  # type: ignore[no-untyped-call]

    def writelines(self, payload: list[bytes]) -> Any:
        if self._secure:  # else it is what waits to be sent when a connection that is lost is closed
            super().writelines(payload)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        for writer in (self._io_writer, self._bare_io_writer if not self._secure else None):
            if writer is not None and not writer.is_closing():
                writer.close()

    def __bool__(self) -> bool:
        return True  # the client would take one of its own in place of one that is not connected yet


class _WithinTls(asyncio.StreamReaderProtocol):
    """A stream that is closed when the other side closes: within TLS there is no half-closed connection."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def _through(proxy: str, uri: ParseResult, buffer_size: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(proxy)
    reader, writer = await asyncio.open_connection(place.hostname, place.port or 3128, limit=max(buffer_size, LONGEST_HEAD))
    host = f"[{uri.hostname}]" if uri.hostname and ":" in uri.hostname else uri.hostname
    target = f"{host}:{uri.port}".encode("ascii")
    try:
        writer.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target))
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        if head.split(b" ", 2)[1:2] != [b"200"]:
            raise ProxyRefused
    except asyncio.IncompleteReadError:
        writer.close()
        raise ProxyRefused from None
    except BaseException:
        writer.close()
        raise
    return reader, writer
