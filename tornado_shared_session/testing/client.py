"""A raw Socket.IO client that shows everything and obeys only the test.

Unlike the JavaScript client it does not reconnect, does not close the
transport after a DISCONNECT and hides no header, so that a test sees
what the server did by itself.
"""

# ruff: noqa: ASYNC109 - a timeout argument is what a test wants to read

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from tornado.httputil import HTTPHeaders

from . import packets
from .cookies import CookieJar
from .engine import ConnectionLost, Engine, HandshakeRefused, Transport
from .inbox import Event, Inbox
from .packets import Packet
from .wire import Response

__all__ = [
    "ConnectRefused",
    "ConnectionLost",
    "Event",
    "HandshakeRefused",
    "SocketIOTestClient",
]

_NOTHING: Mapping[str, str] = {}


class ConnectRefused(Exception):
    """The server answered a namespace CONNECT with CONNECT_ERROR."""

    def __init__(self, data: Any) -> None:
        self.data = data
        super().__init__(str(data))


class SocketIOTestClient:
    """Speak Socket.IO to a server, one packet at a time.

        async with SocketIOTestClient(url, transport="polling") as client:
            await client.connect()
            assert await client.emit("add", 1, 2) == 3

    Args:
        url: where the server is, such as ``http://127.0.0.1:8888``.
        transport: "polling", "websocket", or "upgrade": connect the first
            namespace by polling, then move to a WebSocket.
        cookies: the cookies to start with; a `CookieJar` is shared, None
            never sends a cookie back.
        headers: sent with every request, such as Origin. Change
            `client.headers` to change them later.
        query: added to the query string of every request.
        answer_pings: False lets the server find this client dead.
        mute: do not react to anything: no pong, no answer to a close
            frame, no end of polling after CLOSE. May be set later.
        timeout: how many seconds each method waits; then TimeoutError.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: Transport = "websocket",
        path: str = "/socket.io/",
        cookies: Mapping[str, str] | None = _NOTHING,
        headers: Mapping[str, str] = _NOTHING,
        query: Mapping[str, str] = _NOTHING,
        answer_pings: bool = True,
        mute: bool = False,
        timeout: float = 5.0,
    ) -> None:
        self.transport: Transport = transport
        self.timeout = timeout
        self.cookies = None if cookies is None else CookieJar.of(cookies)
        self.engine = Engine(
            url,
            path=path,
            cookies=self.cookies,
            headers=headers,
            query=query,
            answer_pings=answer_pings,
            mute=mute,
        )
        self.inbox = Inbox(self.engine.closings)
        self.engine.on_packet = self.inbox.receive
        self.engine.on_end = self.inbox.end
        #: The extra request headers.
        self.headers = self.engine.headers
        #: The sid of each connected namespace.
        self.sids = self.inbox.sids
        #: Every event received, in order.
        self.events = self.inbox.events
        #: Every Engine.IO packet received, as it came.
        self.packets = self.inbox.packets
        #: Every HTTP response so far: status, headers and body.
        self.responses: list[Response] = self.engine.responses
        #: Every way in which the connection was ended so far: "server
        #: disconnect packet" (with the namespace if it is not the main one),
        #: "engine close", "http <status>", "transport close", and "client
        #: close" when this side did it.
        self.closings = self.engine.closings
        self._next_id = 0

    @property
    def sid(self) -> str | None:
        """The sid of the main namespace, once connected."""
        return self.sids.get("/")

    @property
    def eio_sid(self) -> str | None:
        """The sid of the Engine.IO connection, once open."""
        return self.engine.sid

    @property
    def mute(self) -> bool:
        """Whether this client reacts to nothing."""
        return self.engine.mute

    @mute.setter
    def mute(self, value: bool) -> None:
        self.engine.mute = value

    @property
    def handshake_headers(self) -> HTTPHeaders:
        """The headers of the handshake response: of the 101, or the 200."""
        return self.responses[0].headers if self.responses else HTTPHeaders()

    @property
    def handshake_status(self) -> int | None:
        """The status of the handshake response, also of a refused one."""
        return self.responses[0].status if self.responses else None

    @property
    def closed(self) -> bool:
        """Whether the transport is gone."""
        return self.engine.closed

    async def open(self) -> None:
        """Open the Engine.IO connection only.

        Raises:
            HandshakeRefused: the server said no; see its `status`.
        """
        transport = "polling" if self.transport == "upgrade" else self.transport
        async with asyncio.timeout(self.timeout):
            await self.engine.open(transport)

    async def upgrade(self) -> None:
        """Move from polling to a WebSocket; `connect` does it for "upgrade"."""
        async with asyncio.timeout(self.timeout):
            await self.engine.upgrade()

    async def connect(self, namespace: str = "/", auth: Any = None) -> str:
        """Connect a namespace, opening the connection first; return its sid.

        Raises:
            HandshakeRefused: the server refused the connection.
            ConnectRefused: the server refused the namespace.
        """
        fresh = self.eio_sid is None
        if fresh:
            await self.open()
        box = self.inbox
        box.sids.pop(namespace, None)
        box.refusals.pop(namespace, None)
        await self._send(Packet(packets.CONNECT, namespace, auth))

        def answered() -> bool | None:
            return (namespace in box.sids or namespace in box.refusals) or None

        await box.until(answered, f"an answer to CONNECT {namespace}", self.timeout)
        if namespace in box.refusals:
            raise ConnectRefused(box.refusals[namespace])
        if fresh and self.transport == "upgrade":
            await self.upgrade()
        return self.sids[namespace]

    async def emit(
        self,
        event: str,
        *args: Any,
        namespace: str = "/",
        ack: bool = True,
        timeout: float | None = None,
    ) -> Any:
        """Send an event; with `ack`, return what the handler returned.

        No argument in the acknowledgement gives None, one gives that
        value, several a tuple.

        Raises:
            TimeoutError: no acknowledgement came.
            ConnectionLost: the connection ended first.
        """
        number = self._next_id if ack else None
        self._next_id += 1
        data = [event, *args]
        await self._send(Packet(packets.EVENT, namespace, data, number))
        if number is None:
            return None
        acks, key = self.inbox.acks, (namespace, number)
        await self.inbox.until(lambda: key in acks or None, f"ack of {event}", self._limit(timeout))
        return _unwrap(acks[key])

    async def acknowledge(self, event: Event, *args: Any) -> None:
        """Answer an event that the server sent with ``call()``."""
        await self._send(Packet(packets.ACK, event.namespace, list(args), event.id))

    async def disconnect(self, namespace: str = "/") -> None:
        """Leave a namespace, keeping the transport open."""
        await self._send(Packet(packets.DISCONNECT, namespace))
        self.sids.pop(namespace, None)

    async def send_raw(self, packet: str | bytes) -> int:
        """Send an Engine.IO packet as it is; return the HTTP status or 101."""
        return await self.engine.send(packet)

    async def wait_for(
        self, event: str, timeout: float | None = None, *, namespace: str | None = None
    ) -> Any:
        """Return the arguments of the next event of that name.

        One that came before counts, but each is returned only once.
        """
        return _unwrap((await self.wait_for_event(event, timeout, namespace=namespace)).args)

    async def wait_for_event(
        self, event: str, timeout: float | None = None, *, namespace: str | None = None
    ) -> Event:
        """Like `wait_for`, but return the whole event."""

        def find() -> Event | None:
            matches = (
                found
                for found in self.inbox.unread
                if found.name == event and namespace in (None, found.namespace)
            )
            return next(matches, None)

        found = await self.inbox.until(find, f"event {event}", self._limit(timeout))
        self.inbox.unread.remove(found)
        return found

    async def wait_closed(self, timeout: float | None = None) -> str:
        """Wait until the server ends the connection; return how it began to."""

        def reason() -> str | None:
            return self.closings[0] if self.closings else None

        return await self.inbox.until(reason, "the end", self._limit(timeout), lost=False)

    async def wait_transport_closed(self, timeout: float | None = None) -> str:
        """Wait until the transport itself is gone; return the last reason."""
        await self.inbox.until(
            lambda: self.closed or None, "a close", self._limit(timeout), lost=False
        )
        return self.closings[-1]

    def pause_reading(self) -> None:
        """Read nothing after what is being received, or poll no more."""
        self.engine.reading.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self.engine.reading.set()

    async def close(self) -> None:
        """Close as a browser tab does: a goodbye, then the connection."""
        await self.engine.close()

    async def abort(self) -> None:
        """Cut the connection without a goodbye."""
        await self.engine.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _send(self, packet: Packet) -> None:
        status = await self.engine.send(*packets.encode(packet))
        if status not in (101, 200):
            raise ConnectionLost(f"http {status}")

    def _limit(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout


def _unwrap(args: Any) -> Any:
    """Return no argument as None, one as itself, several as a tuple."""
    values = tuple(args or ())
    return values[0] if len(values) == 1 else (values or None)
