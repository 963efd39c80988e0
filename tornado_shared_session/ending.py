"""How the transport of one Socket.IO client is really made to go.

`sio.disconnect()` leaves the transport open, and Engine.IO's own close
leaves a WebSocket open until the client's ping runs out, so a closing
takes several steps: farewell, drain, CLOSE, drain, Engine.IO's close,
the WebSocket's close, and at last the stream of a client that does not
answer. All of them together are done within a second, whatever the
client does. One that does not fetch its farewell is not told CLOSE either.

Mostly there is a WebSocket, and nothing waits before the farewell. Then
the first steps are one write, and what follows is left for later, see
`closings.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from engineio.packet import CLOSE, Packet
from tornado.iostream import IOStream

from . import websocket_line
from .closings import Patience
from .events import logger
from .limits import BROKEN_LIMITS, TOO_SLOW, unsent
from .transport import SocketConnection

#: Seconds for a client to fetch its farewell and to answer the close, all
#: in all: what is promised is a second from the end of the session.
CLOSING = 0.8
_CLOSE = Packet(CLOSE)


class Ending:
    """One connection on its way out; what it does is asked for by `Closings`, but for `left`.

    Args:
        reason: why; the client is told if it is one of its session's.
        final: it should not come back.

    Attributes:
        said: all is said, a close frame last: what the client still says is for nobody.
    """

    __slots__ = (
        "_connection",
        "_final",
        "_host",
        "_left",
        "_reason",
        "_socket",
        "_streams",
        "_unheard",
        "_until",
        "said",
    )

    def __init__(self, connection: SocketConnection, reason: str, final: bool) -> None:
        self.said = False
        self._connection, self._host = connection, connection.host
        self._reason, self._final = reason, final
        self._until = 0.0  # in the event loop's time
        self._socket: Any = None  # Engine.IO's
        # Not what Tornado calls its connection: a WebSocket that is closing has none.
        self._streams: list[IOStream] = [one.session_stream for one in connection.handlers]
        self._unheard: list[Callable[[], None]] | None = None  # until it is finished
        self._left: Callable[[], None] | None = None

    def begin(self) -> None:
        """Tell the client: in one write, or in a task that takes its time."""
        connection, host = self._connection, self._host
        connection.ending = self
        self._until = asyncio.get_running_loop().time() + CLOSING
        socket = self._socket = host.eio.sockets.get(connection.eio_sid)
        try:
            if socket is not None and not socket.closed and self._reason not in BROKEN_LIMITS:
                connection.farewell = host.farewell(connection, self._reason, self._final)
                self.said = self._say_at_once()
        except Exception:  # it is only a courtesy
            logger.exception("a farewell failed; the transport is closed all the same")
        if self.said:
            self._unheard = []
            host.closings.then(self)
        else:
            host.spawn(self._run())

    def finish(self) -> None:
        """Free what was its; a client that has not answered yet has its time."""
        self._free()
        if self._connection.handlers:
            self._host.spawn(self._run())
        else:
            self._forget()

    def give_up(self) -> None:
        """Let go of everything, at once."""
        self._forget()

    def left(self) -> None:
        """No WebSocket of the connection is open any more."""
        if self._left is not None:
            self._left()

    def defers(self, tell: Callable[[], None]) -> bool:
        """Whether it will tell Engine.IO itself of a closed WebSocket, which takes four tasks."""
        if self._unheard is None:
            return False
        self._unheard.append(tell)
        return True

    def _say_at_once(self) -> bool:
        connection, socket = self._connection, self._socket
        if len(connection.handlers) != 1 or not socket.upgraded or socket.queue.undone:
            return False
        # Nothing waits before it, so it may pass the queue by, with all that follows.
        said = [packet.encode() for packet in (*connection.farewell, _CLOSE)]
        return websocket_line.send(connection.handlers[0], said, last=True) is not None

    async def _run(self) -> None:
        patience = Patience(self._until - asyncio.get_running_loop().time())
        connection = self._connection
        try:
            if not self.said:
                await self._say(patience)
                self._free()
            for handler in list(connection.handlers):
                handler.close()
            if connection.handlers:
                await patience.wait(self._when_left)
        finally:
            patience.cancel()
            self._forget()

    async def _say(self, patience: Patience) -> None:
        # Put, not sent: Engine.IO's send() closes and raises where a ping
        # is overdue. The farewell and CLOSE never share a polling payload:
        # the JavaScript client handles CLOSE first and would not hear why.
        # A WebSocket has no payloads.
        socket = self._socket
        if self._reason in BROKEN_LIMITS:
            self._discard()
        elif socket is not None and not socket.closed:
            for packet in self._connection.farewell:
                socket.queue.put_nowait(packet)
            if socket.upgraded or await patience.wait(socket.queue.when_drained):
                # Ours, before Engine.IO forgets the socket, so that a client
                # whose poll is not pending fetches it with the next one.
                socket.queue.put_nowait(_CLOSE)
                await patience.wait(socket.queue.when_drained)

    def _discard(self) -> None:
        """Free what waits for a client that kept to no limit; it is told nothing."""
        self._connection.keep_farewell()
        if self._reason == TOO_SLOW:
            for stream in (*self._streams, self._connection.polled):
                if stream is not None:
                    stream.close()

    def _free(self) -> None:
        eio = self._host.eio
        if self._socket is not None:
            # This awaits the application's disconnect handlers, which may
            # take their time, so nobody waits for it. abort: CLOSE is sent.
            told = eio.reason.SERVER_DISCONNECT
            self._host.spawn(self._socket.close(wait=False, abort=True, reason=told))
            release(eio, self._socket)
        unheard, self._unheard = self._unheard, None
        for tell in unheard or ():
            tell()

    def _when_left(self, call: Callable[[], None]) -> None:
        self._left = call

    def _forget(self) -> None:
        polled = self._connection.polled
        if polled is not None and unsent(polled):
            self._streams.append(polled)  # the answer to a client that does not read
        for stream in self._streams:
            stream.close()
        self._connection.ending = _OVER  # what holds each other waits for the garbage collector
        self._host.forget(self._connection)


class _Over:
    """What is left of any ending: a stream that was cut may have frames that were read before."""

    said = True

    def left(self) -> None:
        """Nobody waits for it."""

    def defers(self, tell: Callable[[], None]) -> bool:
        """Engine.IO is free to hear it."""
        return False


_OVER = _Over()


def release(eio: Any, socket: Any) -> None:
    """Take a socket out of Engine.IO; all polls and the writer that wait on it end.

    A task of Engine.IO's sleeps on with it for a ping interval. What the
    connection had, its session with it, does not wait for that.
    """
    socket.queue.overflow = None
    if eio.sockets.pop(socket.sid, None) is not None:
        socket.queue.end()
