"""One Socket.IO client's transport, and what is known of it. Its end is in `ending.py`.

It knows Engine.IO and Tornado's WebSocket; the Socket.IO server it is
given only as a `Host`. Only it, `ending.py` and `socketio_wire.py` look
into Engine.IO's sockets; `tests/integration/test_closing.py` fails when
those change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from engineio.packet import MESSAGE, Packet
from tornado.iostream import IOStream
from tornado.websocket import WebSocketHandler

from .closings import Closings
from .connections import Connection, Phase
from .limits import TOO_SLOW
from .queues import OutQueue
from .record import Credential
from .token_state import TokenState


class Leaving(Protocol):
    """What a connection and its handlers need of its end."""

    @property
    def said(self) -> bool:
        """All is said, a close frame last: what the client still says is for nobody."""

    def left(self) -> None:
        """No WebSocket of the connection is open any more."""

    def defers(self, tell: Callable[[], None]) -> bool:
        """Whether it will tell Engine.IO itself that a WebSocket is closed."""


class Host(Protocol):
    """What a connection needs of the Socket.IO server."""

    eio: Any
    max_queued: int
    sessions: Any
    closings: Closings

    def close_transport(self, connection: SocketConnection, reason: str, final: bool) -> None:
        """Begin its end, soon."""

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
        ending: its end, from when the client is told.
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
        "attached",
        "eio_sid",
        "ending",
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
        self.handlers: list[Any] = []  # `Frames`
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
        self.ending: Leaving | None = None

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
        if self.ending is not None:
            self.ending.left()
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
        self.host.close_transport(self, reason, final)


def prepare(host: Host) -> None:
    """Give a Socket.IO server what its connections need."""
    host.closings = Closings(host)
    host.eio.create_queue = _queue


def _queue(*args: Any, **kwargs: Any) -> Any:
    """Return a queue; asyncio's own for who wants something special of it."""
    return asyncio.Queue(*args, **kwargs) if args or kwargs else OutQueue()
