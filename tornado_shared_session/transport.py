"""One Socket.IO client's transport, and how it is really made to go.

`sio.disconnect()` leaves the transport open, and Engine.IO's own close
leaves a WebSocket open until the client's ping runs out, so a closing
takes several steps: farewell, drain, CLOSE, drain, Engine.IO's close,
the WebSocket's close, and at last the stream of a client that does not
answer. All of them together are done within a second, whatever the
client does. One that does not fetch its farewell is not told CLOSE either.

It knows Engine.IO and Tornado's WebSocket; the Socket.IO server it is
given only as a `Host`. Only it and `socketio_wire.py` look into Engine.IO's
sockets; `tests/integration/test_closing.py` fails when those change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from engineio.packet import CLOSE, MESSAGE, Packet
from tornado.iostream import IOStream
from tornado.websocket import WebSocketHandler

from . import websocket_line
from .closings import Closings, Patience
from .connections import Connection, Phase
from .events import logger
from .limits import BROKEN_LIMITS, TOO_SLOW, unsent
from .queues import OutQueue
from .record import Credential
from .token_state import TokenState

#: Seconds for a client to fetch its farewell and to answer the close, all
#: in all: what is promised is a second from the end of the session.
_CLOSING = 0.8
_CLOSE = Packet(CLOSE)


class Host(Protocol):
    """What a connection needs of the Socket.IO server."""

    eio: Any
    max_queued: int
    sessions: Any
    closings: Closings

    def farewell(self, connection: SocketConnection, reason: str, final: bool) -> list[Any]:
        """Return the last packets for a client, Engine.IO ones."""

    def forget(self, connection: SocketConnection) -> None:
        """The transport is closed: drop what is kept of the connection."""

    def spawn(self, work: Any) -> None:
        """Run a task that the manager owns."""


class SocketConnection(Connection):
    """One Engine.IO connection, whatever its transport and namespaces.

    Attributes:
        attached: bytes of the packet whose attachments are under way.
        eio_sid: Engine.IO's id of it; "" until that is known.
        polled: the TCP connection of its latest poll, until that is fetched.
        presented: the session ids that the handshake presented, each once.
        handlers: the live WebSocket handlers; two during an upgrade.
        local: the application's own dict for this connection.
        keeps: whether the last packet that might be withheld was kept, not dropped.
        last_namespace: of that packet.
        sids: Socket.IO's ids of it, by namespace.
        taken: how many of its events passed Engine.IO by, and are under way.
        withheld: packets per namespace whose connect is under way.
        farewell: what is said once it has ended.
        tokens: what it showed and was given, in token mode.
        warned: the deadline of which it was told with `session_expiring`.
    """

    __slots__ = (
        "_left",
        "attached",
        "eio_sid",
        "farewell",
        "handlers",
        "host",
        "keeps",
        "last_namespace",
        "local",
        "polled",
        "presented",
        "sids",
        "taken",
        "timer",
        "tokens",
        "warned",
        "withheld",
    )

    def __init__(self, host: Host, id: str, presented: frozenset[str]) -> None:
        super().__init__(id)
        self.host = host
        self.eio_sid = ""
        self.presented = tuple(presented)
        self.handlers: list[WebSocketHandler] = []
        self.local: dict[str, Any] | None = None
        self.sids: dict[str, str] = {}
        self.withheld: dict[str, list[Any]] = {}
        self.farewell: Sequence[Any] = ()
        self.keeps = True
        self.last_namespace = "/"
        self.tokens: TokenState | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.attached = 0
        self.polled: IOStream | None = None
        self.warned = 0.0
        self.taken = 0
        self._left: Callable[[], None] | None = None

    @property
    def live(self) -> bool:
        """Whether it is connected to a namespace; a mere transport is soon closed."""
        return super().live and bool(self.sids)

    @property
    def admits(self) -> bool:
        """Whether a namespace may be connected: no more once its transport has gone.

        Then those there were are being told, for as long as their
        disconnect handlers take, and another one would never be.
        """
        socket = self.host.eio.sockets.get(self.eio_sid)
        return self.phase is Phase.OPEN and socket is not None and not socket.closing

    def shows_another_secret(self, credentials: list[Credential]) -> bool:
        """Whether of its session there is only an older, or a newer, credential."""
        if self.tokens is not None and self.tokens.shown == {one.digest for one in credentials}:
            return False  # the header of the handshake, though it got a newer token since
        own = [credential.digest for credential in credentials if credential.id == self.id]
        return bool(own) and self.digest not in own

    def may_present(self, credentials: list[Credential]) -> bool:
        """Whether a later request carries what the handshake carried, or
        what the handshake's response set."""
        ids, presented = {credential.id for credential in credentials}, set(self.presented)
        if ids == presented:
            return True
        return self.id in ids and ids <= presented | {self.id}

    def close_unless_connected(self, seconds: float) -> None:
        """Close the transport if no namespace is connected by then."""
        loop = asyncio.get_running_loop()
        if self.timer is not None:
            if self.timer.when() <= loop.time() + seconds:
                return  # a deadline only comes nearer, or CONNECTs could push it on forever
            self.timer.cancel()
        self.timer = loop.call_later(seconds, self._on_timer)

    def cancel_timer(self) -> None:
        """It connected, or it is gone."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _on_timer(self) -> None:
        self.timer = None
        if not self.sids:
            self.end("never_connected")  # no namespace, so no client hears it

    def watch_queue(self) -> None:
        """Close the connection when too much waits to be fetched."""
        queue = self.host.eio.sockets[self.eio_sid].queue
        queue.most, queue.overflow = self.host.max_queued, self.too_slow

    def too_slow(self, waiting: int) -> None:
        """So many bytes wait for the client: drop it, and them."""
        self.host.sessions.connections.drop(self, TOO_SLOW, f"{waiting} bytes wait")

    def put(self, packet: str | bytes) -> None:
        """Queue a Socket.IO packet, past everything that holds packets back."""
        socket = self.host.eio.sockets.get(self.eio_sid)
        if socket is not None and not socket.closed:
            socket.queue.put_nowait(Packet(MESSAGE, packet))

    def fetched(self, stream: IOStream) -> None:
        """A poll's answer has left: a proxy may use the TCP connection for others now."""
        if self.polled is stream:
            self.polled = None

    def leave(self, handler: WebSocketHandler) -> None:
        """One of its WebSockets is closed."""
        if handler in self.handlers:
            self.handlers.remove(handler)
        if self.handlers:
            return
        if self._left is not None:
            self._left()
        socket = self.host.eio.sockets.get(self.eio_sid)
        if socket is not None and not socket.upgraded:
            # Engine.IO still waits for the upgrade, and holds back from
            # polling whatever there is to say.
            socket.upgrading = False

    def keep_farewell(self) -> None:
        """Drop every message that waits to be fetched, but for the farewell.

        For a request that does not show the session any more.
        """
        socket = self.host.eio.sockets.get(self.eio_sid)
        if socket is None:
            return
        queue = socket.queue
        for _ in range(queue.qsize()):
            packet = queue.get_nowait()
            if packet is None or packet.packet_type != MESSAGE or packet in self.farewell:
                queue.put_nowait(packet)
            queue.task_done()  # after the put, so that the queue never seems drained

    def _close(self, reason: str, *, final: bool) -> None:
        self.cancel_timer()
        self.host.closings.add(self._really_close(reason, final))

    async def _really_close(self, reason: str, final: bool) -> None:
        eio, patience = self.host.eio, Patience(_CLOSING)
        socket = eio.sockets.get(self.eio_sid)
        streams = [h.ws_connection.stream for h in self.handlers if h.ws_connection is not None]
        try:
            try:
                if reason in BROKEN_LIMITS:
                    self._discard(reason, streams)
                elif socket is not None and not socket.closed:
                    await self._say_goodbye(socket, reason, final, patience)
            except Exception:  # it is only a courtesy
                logger.exception("a farewell failed; the transport is closed all the same")
            if socket is not None:
                # This awaits the application's disconnect handlers, which
                # may take their time, so nobody waits for it. abort: CLOSE
                # is sent.
                told = eio.reason.SERVER_DISCONNECT
                self.host.spawn(socket.close(wait=False, abort=True, reason=told))
                release(eio, self.eio_sid)
            for handler in list(self.handlers):
                handler.close()
            if self.handlers:
                await patience.wait(self._when_left)
        finally:
            patience.cancel()
            if self.polled is not None and unsent(self.polled):
                streams.append(self.polled)  # the answer to a client that does not read
            for stream in streams:
                if stream is not None:
                    stream.close()
            self.host.forget(self)

    def _when_left(self, call: Callable[[], None]) -> None:
        self._left = call

    def _discard(self, reason: str, streams: list[IOStream | None]) -> None:
        """Free what waits for a client that kept to no limit; it is told nothing."""
        self.keep_farewell()
        if reason == TOO_SLOW:
            for stream in (*streams, self.polled):
                if stream is not None:
                    stream.close()

    async def _say_goodbye(self, socket: Any, reason: str, final: bool, patience: Patience) -> None:
        # Put, not sent: Engine.IO's send() closes and raises where a ping
        # is overdue. The farewell and CLOSE never share a polling payload:
        # the JavaScript client handles CLOSE first and would not hear why.
        # A WebSocket has no payloads.
        self.farewell = self.host.farewell(self, reason, final)
        if len(self.handlers) == 1 and socket.upgraded and not socket.queue.undone:
            # Nothing waits before it, so it may pass the queue by, with all that follows.
            said = [packet.encode() for packet in (*self.farewell, _CLOSE)]
            if websocket_line.send(self.handlers[0], said, last=True):
                return
        for packet in self.farewell:
            socket.queue.put_nowait(packet)
        if socket.upgraded or await patience.wait(socket.queue.when_drained):
            # Ours, before Engine.IO forgets the socket, so that a client
            # whose poll is not pending fetches it with the next one.
            socket.queue.put_nowait(_CLOSE)
            await patience.wait(socket.queue.when_drained)


def prepare(host: Host) -> None:
    """Give a Socket.IO server what its connections need."""
    host.closings = Closings(host)
    host.eio.create_queue = _queue


def _queue(*args: Any, **kwargs: Any) -> Any:
    """Return a queue; asyncio's own for who wants something special of it."""
    return asyncio.Queue(*args, **kwargs) if args or kwargs else OutQueue()


def release(eio: Any, eio_sid: str) -> None:
    """Take a socket out of Engine.IO; a poll or writer that waits on it ends."""
    socket = eio.sockets.pop(eio_sid, None)
    if socket is not None:
        socket.queue.put_nowait(None)
