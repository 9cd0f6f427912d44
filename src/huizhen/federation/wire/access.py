"""Access: all that an actor needs to reach the hub, and the connection that it gives.

The connection trusts exactly one authority, proves its key by its own NKey code, comes back by itself for ever, and tells of
trouble with a code that holds no secret. What travels over it is the bus's.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from huizhen.errors import CallerError, FederationError, MachineError, Problem
from huizhen.federation.wire.nkeys import KeyPair
from huizhen.federation.wire.transport import InsecureServer, ProxyRefused, TlsTransport

__all__ = ["Access", "Trouble", "connect", "renewed", "settled", "trouble_of"]

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0  # a hub that restarts has all its sites back within it; a site that is shut out asks no oftener
PING_S = 10  # a line that fell silent is noticed within twice that
DIAL_S = 5
AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Access:
    """An actor's way to the hub.

    Attributes:
        addresses: ``tls://host:port``; where there are none of these, ``wss://host:port`` (which takes the package aiohttp).
        authority: the certificate in PEM that a server's certificate must come from.
        pair: the actor's NKey.
        token: proof by the account that this key may connect.
        name: shown to whoever watches the server.
        inbox: prefix of the places where it waits for replies.
        proxy: ``http://host:port`` of an HTTP proxy for ``tls://`` addresses; "" for none.
    """

    addresses: tuple[str, ...]
    authority: bytes
    pair: KeyPair = field(repr=False)
    token: str = field(repr=False)
    name: str
    inbox: str
    proxy: str = ""

    def with_token(self, token: str) -> Access:
        """The same way with a fresh token for the same key."""
        return replace(self, token=token)


Trouble = Callable[[str], None]
Subscribe = Callable[[Client], Awaitable[Any]]


async def connect(
    access: Access, *, trouble: Trouble | None = None, timeout_s: float = 10.0, lost: Callable[[], None] | None = None,
    back: Callable[[], None] | None = None, closed: Callable[[str], None] | None = None,
) -> Client:  # fmt: skip
    """A connection that stands; from then on it comes back by itself, for ever, after waits of 0.05 s that double up to 2 s.

    A connection is closed for good when the server ends it because the token expired or was revoked: connect anew with another
    token.

    Args:
        access: who connects where.
        trouble: is told the code of everything that goes wrong, see `trouble_of`.
        timeout_s: how long the first connection may take.
        lost: is called when the connection breaks.
        back: is called when it stands again; what was asked in between is to be asked again.
        closed: is called with a code when it will not come back: ``revoked``, ``expired``, ``asked`` (by this side) or another one.

    Raises:
        CallerError: the addresses are of no kind that is known, or of none that the proxy carries.
        MachineError: there are ``wss://`` addresses alone, and aiohttp is missing.
        FederationError: the server is not the hub's, refuses this actor, or was not reached in time.
    """
    servers = _servers(access)
    client = Client()
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    last = ["unreachable"]

    async def error(problem: Exception) -> None:
        last[0] = trouble_of(problem)
        if trouble is not None:
            trouble(last[0])
        if last[0] in FINAL and not refused.done():
            refused.set_result(last[0])

    def end() -> None:
        code = trouble_of(client.last_error) if client.last_error is not None else "asked"
        if trouble is not None and code != "asked":
            trouble(code)
        if closed is not None:
            closed(code)

    if servers[0].startswith("tls"):
        client._transport = TlsTransport(access.proxy)
    # nats-py looks whether anything was configured before it asks for a signature; the greeting alone is not believed.
    client._auth_configured = True
    dial = asyncio.ensure_future(
        client.connect(
            servers,
            name=access.name,
            tls=_context(access.authority),
            signature_cb=lambda nonce: b64encode(access.pair.sign(nonce.encode())),
            user_jwt_cb=lambda: access.token.encode("ascii"),
            inbox_prefix=access.inbox,
            error_cb=error,
            disconnected_cb=_told(lost),
            reconnected_cb=_told(back),
            closed_cb=_told(end),
            connect_timeout=DIAL_S,
            max_reconnect_attempts=-1,
            reconnect_time_wait=FIRST_WAIT_S,  # type: ignore[arg-type]
            reconnect_to_server_handler=_next,
            ping_interval=PING_S,
            flush_timeout=DIAL_S,
        )
    )
    either: set[asyncio.Future[Any]] = {dial, refused}
    try:
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if dial.done() and not dial.cancelled() and dial.exception() is None:
            return client
    except BaseException:
        await _abandon(dial, client)
        raise
    if dial.done() and (problem := dial.exception()) is not None:
        last[0] = trouble_of(problem)
    code = refused.result() if refused.done() else last[0]
    await _abandon(dial, client)
    raise _refusal(code, servers)


async def renewed(old: Client, access: Access, subscribe: Subscribe, **options: Any) -> Client:
    """A new connection with a fresh token in place of `old`, without a gap in which a message is lost.

    Until the old one is drained both receive: a message may come twice, as any message may.

    Args:
        old: the connection to be replaced; it is drained and closed.
        access: with the fresh token.
        subscribe: subscribes on the new connection all that the old one has.
        options: as of `connect`.

    Raises:
        FederationError: the new one does not stand; the old one goes on.
    """
    new = await connect(access, **options)
    try:
        await subscribe(new)
        await settled(new)
    except BaseException:
        await new.close()
        raise
    await old.drain()
    return new


async def settled(client: Client) -> None:
    """Wait until the server has acted on all that was subscribed and published before.

    The client's own `flush` sends its ping past what still waits to be sent; a second one comes behind it.
    """
    await client.flush()
    await client.flush()


def trouble_of(error: BaseException) -> str:
    """A code for what went wrong on a connection; the error's own text may hold addresses and names, and stays out of logs.

    ``certificate`` (not our authority's, expired, or for another name), ``insecure`` (no TLS), ``refused`` (key or token unknown),
    ``expired``, ``revoked``, ``forbidden`` (a subject), ``proxy``, ``slow`` (this side reads too slowly), ``oversized``,
    ``unreachable``, or ``protocol`` for all else.
    """
    named = next((code for kind, code in KINDS if isinstance(error, kind)), None)
    if named is not None:
        return named
    told = MARKS.search(str(error))
    if told is not None and told.lastgroup is not None:
        return told.lastgroup
    return "unreachable" if isinstance(error, OSError | TimeoutError) else "protocol"


KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "certificate"),
    (InsecureServer, "insecure"),
    (ProxyRefused, "proxy"),
)
# What a NATS server and nats-py say.
MARKS = re.compile(
    r"(?P<expired>authentication expired)|(?P<revoked>authentication revoked)"
    r"|(?P<refused>authorization (violation|failed))|(?P<forbidden>permissions violation)"
    r"|(?P<slow>slow consumer)|(?P<oversized>maximum payload)|(?P<unreachable>timeout)",
    re.IGNORECASE,
)
FINAL = frozenset({"certificate", "insecure", "refused", "expired", "revoked"})
SAID = {
    "certificate": "a server whose certificate does not come from the hub's authority, has expired, or is for another name",
    "insecure": "a server without TLS",
    "refused": "a hub that does not know this key or refuses its token",
    "expired": "a token that has expired",
    "revoked": "a key that was revoked",
    "proxy": "a proxy that does not let the connection through",
    "unreachable": "no answer",
    "protocol": "an answer that is not of a NATS server",
}
REMEDY = {
    "certificate": "Do not go on. Ask the hub's operator which address and which certificate are right.",
    "insecure": "Do not go on. Somebody may stand between: ask the hub's operator.",
    "refused": "Ask the hub's operator whether this actor is admitted.",
    "expired": "Ask the hub's operator for a new invitation.",
    "revoked": "Ask the hub's operator why; a revoked key never comes back.",
}


def _refusal(code: str, servers: list[str]) -> FederationError:
    found = SAID.get(code, SAID["protocol"])
    remedy = REMEDY.get(code, "Check the address, the network and whether the hub runs.")
    return FederationError("The hub cannot be reached.", [Problem(", ".join(servers), found, "the hub's server", remedy)])


def _servers(access: Access) -> list[str]:
    """The addresses of one kind; TLS carries less around it."""
    if chosen := [address for address in access.addresses if address.startswith("tls://")]:
        return chosen
    if chosen := [address for address in access.addresses if address.startswith("wss://")]:
        if access.proxy:
            problem = Problem("proxy", "WebSocket addresses alone", "a tls:// address", "A proxy's CONNECT carries TLS without it.")
            raise CallerError("There is no address for the proxy.", [problem])
        if find_spec("aiohttp") is None:
            problem = Problem("wss://", "no package aiohttp", "it is installed", "Run: pip install 'huizhen[websocket]'")
            raise MachineError("WebSocket connections need another package.", [problem])
        return chosen
    problem = Problem("addresses", ", ".join(access.addresses) or "none", "tls://host:port or wss://host:port")
    raise CallerError("There is no address to connect to.", [problem])


def _context(authority: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name, and knows no authority but the one given here
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority.decode("ascii"))
    return context


def _next(servers: list[Any], _told: dict[str, Any]) -> tuple[Any, float]:
    """The server that failed least often next, and how long to wait before."""
    chosen = min(servers, key=lambda server: (server.reconnects, random.random()))  # noqa: S311
    wait_s = min(FIRST_WAIT_S * 2 ** min(chosen.reconnects, 10), LONGEST_WAIT_S)
    return chosen, wait_s * random.uniform(0.5, 1.0)  # noqa: S311  so that a hundred sites do not come back in one instant


def _told(callback: Callable[[], None] | None) -> Callable[[], Awaitable[None]]:
    async def tell() -> None:
        if callback is not None:
            callback()

    return tell


async def _abandon(dial: asyncio.Future[None], client: Client) -> None:
    """Ends an attempt to connect, again and again: the library swallows a cancellation while it closes what failed before."""
    while not dial.done():
        dial.cancel()
        await asyncio.wait({dial}, timeout=AGAIN_S)
    if not dial.cancelled():
        dial.exception()  # it was told
    try:
        await asyncio.wait_for(client.close(), DIAL_S)
    except (NatsError, OSError):  # it never stood; or it cannot be closed in time, which is the system's to do then
        return
