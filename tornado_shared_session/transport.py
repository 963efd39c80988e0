"""One Socket.IO client's transport, and how it is really made to go.

`sio.disconnect()` leaves the transport open, and Engine.IO's own close
leaves a WebSocket open until the client's ping runs out, so a closing
takes several steps, each bounded in time (SECURITY F3, F4, F5):
farewell, drain, CLOSE, drain, Engine.IO's close, the WebSocket's close,
and a second later the stream of a client that does not answer.

It knows Engine.IO and Tornado's WebSocket; the Socket.IO server it is
given only as a `Host`. The only file that looks into Engine.IO's
sockets; `tests/integration/test_closing.py` fails when that goes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from engineio.packet import CLOSE, Packet
from tornado.websocket import WebSocketHandler

from .connections import Connection
from .events import logger
from .record import Credential
from .session import Session

_DRAIN = 1.0  # seconds for a polling client to fetch what is queued
_GRACE = 1.0  # seconds for a client to answer a WebSocket close


class Host(Protocol):
    """What a connection needs of the Socket.IO server."""

    eio: Any

    def farewell(self, connection: SocketConnection, reason: str, final: bool) -> list[Any]:
        """Return the last packets for a client, Engine.IO ones."""

    def forget(self, connection: SocketConnection) -> None:
        """The transport is closed: drop what is kept of the connection."""

    def spawn(self, work: Any) -> None:
        """Run a task that the manager owns."""


class SocketConnection(Connection):
    """One Engine.IO connection, whatever its transport and namespaces.

    Attributes:
        eio_sid: Engine.IO's id of it; "" until that is known.
        presented: session ids that its requests may present; None stands
            for none presented.
        session: as last loaded; what a disconnect handler sees.
        handlers: the live WebSocket handlers; two during an upgrade.
        local: the application's own dict for this connection.
        sids: Socket.IO's ids of it, by namespace.
        withheld: packets per namespace whose connect is under way.
    """

    __slots__ = (
        "eio_sid",
        "handlers",
        "host",
        "last_namespace",
        "local",
        "presented",
        "session",
        "sids",
        "timer",
        "withheld",
    )

    def __init__(self, host: Host, id: str, presented: frozenset[str | None]) -> None:
        super().__init__(id)
        self.host = host
        self.eio_sid = ""
        self.presented = presented
        self.session: Session | None = None
        self.handlers: list[WebSocketHandler] = []
        self.local: dict[str, Any] | None = None
        self.sids: dict[str, str] = {}
        self.withheld: dict[str, list[Any]] | None = None
        self.last_namespace = "/"
        self.timer: asyncio.TimerHandle | None = None

    def may_present(self, credentials: list[Credential]) -> bool:
        """Whether a later request carries what the handshake carried, or
        what the handshake's response set (SECURITY F7)."""
        if not credentials:
            return None in self.presented
        return all(credential.id in self.presented for credential in credentials)

    def close_unless_connected(self, seconds: float) -> None:
        """Close the transport if no namespace is connected by then (T15)."""
        self.cancel_timer()
        self.timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def cancel_timer(self) -> None:
        """It connected, or it is gone."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _on_timer(self) -> None:
        self.timer = None
        if not self.sids:
            self.end("never_connected")  # no namespace, so no client hears it

    def _close(self, reason: str, *, final: bool) -> None:
        self.cancel_timer()
        self.host.spawn(self._really_close(reason, final))

    async def _really_close(self, reason: str, final: bool) -> None:
        streams = [h.ws_connection.stream for h in self.handlers if h.ws_connection is not None]
        try:
            await self._say_goodbye(reason, final)
        except Exception:
            logger.exception("a farewell failed; the transport is closed all the same")
        for handler in list(self.handlers):
            handler.close()
        if streams:
            await asyncio.sleep(_GRACE)
            for stream in streams:
                if stream is not None:
                    stream.close()
        self.host.forget(self)

    async def _say_goodbye(self, reason: str, final: bool) -> None:
        eio = self.host.eio
        socket = eio.sockets.get(self.eio_sid)
        if socket is None or socket.closed:
            return
        # The farewell and CLOSE never share a polling payload: the
        # JavaScript client handles CLOSE first and would not hear why.
        for packet in self.host.farewell(self, reason, final):
            await socket.send(packet)
        await _drained(socket)
        # Ours, before Engine.IO forgets the socket, so that a client whose
        # poll is not pending fetches it with the next one.
        await socket.send(Packet(CLOSE))
        await _drained(socket)
        # This awaits the application's disconnect handlers, which may take
        # their time, so nobody waits for it. abort: CLOSE is sent.
        reason_to_app = eio.reason.SERVER_DISCONNECT
        self.host.spawn(socket.close(wait=False, abort=True, reason=reason_to_app))
        eio.sockets.pop(self.eio_sid, None)


async def _drained(socket: Any) -> None:
    try:
        async with asyncio.timeout(_DRAIN):
            await socket.queue.join()
    except TimeoutError:
        pass
