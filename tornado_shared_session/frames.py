"""The frames of a `/socket.io/` WebSocket, between Tornado and Engine.IO.

Engine.IO sets no limit to what waits on either side: here a client that
does not read is closed, and one that sends faster than Engine.IO takes
it, as while a connect handler takes its time, is read no further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

from tornado.iostream import IOStream
from tornado.websocket import WebSocketClosedError

from . import websocket_line
from .connections import Phase
from .ending import CLOSING
from .events import logger
from .limits import MALFORMED, unsent
from .payload import is_packet
from .queues import Queue
from .transport import Host, SocketConnection
from .websocket_line import look

_Handler: Any = object  # Engine.IO's Tornado handler, which is untyped


class Taker(Host, Protocol):
    """What a WebSocket needs of the Socket.IO server beyond a `Host`."""

    def listens(self, connection: SocketConnection) -> bool:
        """Whether what comes next on an idle WebSocket may pass Engine.IO by."""

    def take(self, connection: SocketConnection | None, message: str | bytes) -> bool:
        """Handle a message at once, if it may pass Engine.IO by; tell if it did."""


class Frames(_Handler):  # type: ignore[misc]  # see there
    """The part of the endpoint's handler that is a WebSocket.

    Attributes:
        session_host: the Socket.IO server.
        session_connection: whose WebSocket, or handshake, it is.
        session_stream: its TCP connection, once it is open.
        session_room: set when it has taken enough, or takes no more.
        session_over: it takes no more.
        session_idle: Engine.IO's wait for the next message, if that may pass it by.
    """

    session_host: Taker
    session_connection: SocketConnection | None = None
    session_stream: IOStream | None = None
    session_room: asyncio.Event | None = None
    session_over = False
    session_idle: asyncio.Future[Any] | None = None
    receive_queue: Queue  # in the place of Engine.IO's, which is larger

    def session_drop(self, connection: SocketConnection, reason: str, why: str) -> None:
        """End a connection whose client kept to no limit."""
        self.session_host.sessions.connections.drop(connection, reason, why)

    async def open(self, *args: Any, **kwargs: Any) -> None:
        self.set_nodelay(True)  # Nagle held a close notice back for 40 ms
        self.receive_queue = Queue()
        connection = self.session_connection
        if connection is None or connection.phase is Phase.ENDED:
            self.session_over = True  # what may still come is for nobody
            line = self.ws_connection.stream
            self.close()
            asyncio.get_running_loop().call_later(CLOSING, line.close)  # if nobody answers
            return
        self.session_stream = self.ws_connection.stream
        connection.handlers.append(self)
        self.session_host.spawn(self._session_run())

    async def _session_run(self) -> None:
        try:
            await self.session_host.eio.handle_request(self)
        except Exception as error:
            # Engine.IO gives up on what it cannot read, and leaves its
            # socket behind.
            logger.debug("a WebSocket was closed: %s", type(error).__name__)
            connection = self.session_connection
            if connection is not None:
                self.session_host.sessions.connections.end_one(connection, "broken")
        finally:
            self.session_over = True
            if self.session_room is not None:
                self.session_room.set()
            self.close()  # also after a refusal, which Engine.IO cannot send any more

    def write_message(self, message: Any, binary: bool = False) -> asyncio.Future[None]:
        stream, connection = self.session_stream, self.session_connection
        if stream is not None and connection is not None:
            waiting = unsent(stream)
            if waiting > self.session_host.max_queued:
                connection.too_slow(waiting)
                raise WebSocketClosedError
        if self.get_compression_options() is None and type(message) is (bytes if binary else str):
            # Tornado makes a task of each message, and Engine.IO waits for none of them.
            sent = websocket_line.send(self, [message])
            if sent is None:
                raise WebSocketClosedError
            return sent
        written: asyncio.Future[None] = super().write_message(message, binary)
        written.add_done_callback(look)  # Engine.IO does not; asyncio would complain
        return written

    @property
    def session_unread(self) -> int:
        """Bytes that Engine.IO has not taken yet."""
        return self.receive_queue.waiting

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Keep a message for Engine.IO; Tornado reads on when what is returned is done."""
        idle = self.session_idle  # done if Engine.IO has a message, or waits no more
        connection = self.session_connection
        if idle is not None and not idle.done() and self.session_host.take(connection, message):
            return None
        if connection is not None and connection.ending is not None and connection.ending.said:
            return None  # it has left as far as Engine.IO will hear
        if isinstance(message, str) and not is_packet(message):
            if connection is not None:
                self.session_drop(connection, MALFORMED, "a frame")
            self._session_end()
            return None
        self.session_idle = None
        most = self.session_host.max_queued
        if connection is None or self.session_over or self.session_unread > most:
            return None
        self.receive_queue.put_nowait(message)
        if self.session_unread <= most or connection.phase is Phase.ENDED:
            # Others have a turn before its next one is read: Tornado itself
            # would read hundreds of small ones in one. No sleep(0), of which
            # it would make a task.
            loop = asyncio.get_running_loop()
            turn = loop.create_future()
            loop.call_soon(turn.set_result, None)
            return turn
        # From here on the client waits, as long as a connect handler takes
        # its time.
        self.session_room = asyncio.Event()
        return self._session_wait(self.session_room)

    async def _session_wait(self, room: asyncio.Event) -> None:
        await room.wait()

    def get_next_message(self) -> Awaitable[str | bytes | None]:
        """Return a future of the next message for Engine.IO; None is the end."""
        connection, taken = self.session_connection, self.receive_queue.get()
        if connection is not None and not taken.done():
            self.session_idle = taken if self.session_host.listens(connection) else None
        if self.session_room is not None and self.session_unread <= self.session_host.max_queued:
            self.session_room.set()
        return taken

    def _session_end(self) -> None:
        """Let Engine.IO know that no message comes any more.

        It raises an OSError in a task of its own for None, and takes a wait
        that is cancelled for the same. But the traceback of the former is a
        cycle with all that the connection had, 80 objects that only the
        garbage collector finds, for 60 us.
        """
        idle = self.session_idle
        if idle is None or not idle.cancel():
            self.receive_queue.put_nowait(None)

    def on_close(self) -> None:
        connection = self.session_connection
        ending = None if connection is None else connection.ending
        if ending is None or not ending.defers(self._session_end):
            self._session_end()
        if connection is not None:
            connection.leave(self)
            if not connection.eio_sid:
                self.session_host.forget(connection)
