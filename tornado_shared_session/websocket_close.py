"""One plain WebSocket, and how it is really made to go.

Tornado waits five seconds for a client to answer a close; here it is less
than one.
"""

from __future__ import annotations

import asyncio

from tornado.iostream import IOStream
from tornado.websocket import WebSocketHandler

from .connections import Connection
from .events import REASONS
from .limits import TOO_SLOW, unsent
from .manager import SessionManager

_GRACE = 0.8  # seconds for a client to answer a close; all in all it is a second
_POLICY_VIOLATION, _GOING_AWAY = 1008, 1001  # RFC 6455, section 7.4.1


class WebSocketConnection(Connection):
    """One WebSocket with its handler.

    Attributes:
        left: set when its TCP connection is gone.
        stream: the TCP connection, once it is a WebSocket.
    """

    __slots__ = ("_handler", "_manager", "left", "stream")

    def __init__(self, manager: SessionManager, handler: WebSocketHandler, id: str) -> None:
        super().__init__(id)
        self._handler: WebSocketHandler | None = handler
        self._manager = manager
        self.left = asyncio.Event()
        self.stream: IOStream | None = None

    def leave(self) -> None:
        """Its TCP connection is gone, or it got no further than the handshake."""
        self._handler = None  # what holds each other waits for the garbage collector
        self.left.set()

    def _close(self, reason: str, *, final: bool) -> None:
        if self.session is not None and reason in REASONS and reason != "shutdown":
            self.session._end(reason)
        if self.stream is not None and reason == TOO_SLOW:
            self.stream.close()  # with what waits; a close frame would only wait behind it
        elif self.stream is not None:  # else it closes as it opens
            self.say_why()

    def check_waiting(self, most: int) -> bool:
        """Whether the client reads; one for which more bytes wait is dropped."""
        waiting = 0 if self.stream is None else unsent(self.stream)
        if waiting > most:
            self._manager.connections.drop(self, TOO_SLOW, f"{waiting} bytes wait")
        return waiting <= most

    def say_why(self) -> None:
        """Close the WebSocket with the reason; the stream of a mute client soon after."""
        code = _GOING_AWAY if self.reason == "shutdown" else _POLICY_VIOLATION
        if self._handler is not None:
            self._handler.close(code, self.reason)
        self._manager.spawn(self._cut())

    async def _cut(self) -> None:
        try:
            async with asyncio.timeout(_GRACE):
                await self.left.wait()
        except TimeoutError:
            pass
        finally:
            if self.stream is not None:
                self.stream.close()
