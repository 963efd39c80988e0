"""One of redis-py's connections, read by callbacks.

redis-py makes, authenticates and checks the connection, and gets it back
as it was. In between, its transport calls this protocol: replies are
parsed and handed on in the turn of the event loop in which they come,
without a task, a timeout and a stream buffer for each of them, which cost
more than all the rest of a load.

The only file that looks into redis-py's connections;
`tests/integration/test_redis_wire.py` fails when that goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

from ..events import logger

_MORE = object()  # there is no whole reply yet
_BUFFER = 32768  # bytes read at once; hiredis moves what is left of them after each reply
_PLAIN = frozenset({dict, int, bytes, list, type(None), str, float, bool, set})
#: RESP3's messages that answer nothing; redis-py asks for them in some settings.
_PUSH: tuple[type, ...] = tuple(filter(None, [getattr(hiredis, "PushNotification", None)]))

Replied = Callable[[list[Any], bool], None]
Broke = Callable[["Wire", BaseException], None]


class Wire(asyncio.BufferedProtocol):
    """A connection while it is ours.

    Args:
        connection: redis-py's, connected, with nothing under way.
        buffer: what is read into.
        replied: called with the replies to what was asked, in order, and
            with whether an error is among them. An error is an object.
        broke: called once with this wire and what happened, if it ends.

    Raises:
        ConnectionError: of redis-py; it has been closed already.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        buffer: memoryview,
        replied: Replied,
        broke: Broke,
    ) -> None:
        reader, writer = connection._reader, connection._writer
        if reader is None or writer is None or writer.is_closing() or reader.at_eof():
            raise RedisConnectionError("the connection was reset")
        self.connection = connection
        self._replied, self._broke = replied, broke
        self._transport = cast(asyncio.Transport, writer.transport)
        self._before = cast(asyncio.Protocol, self._transport.get_protocol())
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=connection._parser.parse_error,
            notEnoughData=_MORE,
        )
        self._view = buffer
        self._replies: list[Any] = []
        self._expected = 0
        self._errors = False
        self._transport.set_protocol(self)

    @property
    def closing(self) -> bool:
        """Whether what is asked now would not be sent."""
        return self._transport.is_closing()

    def ask(self, data: bytes, count: int) -> None:
        """Send commands, when those before have been answered.

        Args:
            count: how many there are in `data`.
        """
        self._expected = count
        self._transport.write(data)

    @property
    def unclear(self) -> bool:
        """Whether a part of a message has come, which redis-py's parser would miss."""
        return bool(self._parser.has_data())

    def release(self) -> None:
        """Give the connection back to redis-py's streams; nothing is under way."""
        self._transport.set_protocol(self._before)

    def abandon(self) -> None:
        """Close it, so that no reply can come any more."""
        self.release()
        self._transport.abort()

    # What the transport calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        parser = self._parser
        parser.feed(self._view, 0, nbytes)  # type: ignore[arg-type]  # any buffer will do
        replies, gets = self._replies, parser.gets
        try:
            while (reply := gets()) is not _MORE:
                if type(reply) not in _PLAIN:
                    if isinstance(reply, RedisConnectionError):
                        raise reply  # such as LOADING: it answers nothing now
                    if isinstance(reply, _PUSH):
                        continue
                    self._errors = True
                replies.append(reply)
            if len(replies) > self._expected:
                raise InvalidResponse("a reply that nobody asked for")
        except Exception as error:
            self.abandon()
            self._broke(self, error)
            return
        if replies and len(replies) == self._expected:
            errors, self._errors = self._errors, False
            self._replies, self._expected = [], 0
            self._replied(replies, errors)

    def eof_received(self) -> None:
        self._before.eof_received()  # a half-closed connection is of no use: it is closed

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)  # whoever closes it waits for that
        self._broke(self, exc or RedisConnectionError("the connection was closed"))

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()


class Lease:
    """What is ours of a connection pool: a connection at a time.

    Args:
        pool: redis-py's.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool
        self._buffer = memoryview(bytearray(_BUFFER))

    @property
    def used(self) -> bool:
        """Whether the pool has connections, ours or others'."""
        held = ("_available_connections", "_in_use_connections")
        return any(getattr(self.pool, name, None) for name in held)

    async def take(self, replied: Replied, broke: Broke) -> Wire:
        """Get a connection, as the pool has checked it.

        Raises:
            RedisError, OSError: of redis-py: there is none to be had.
        """
        while True:
            # redis-py's decorator hides its types.
            connection = await self.pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py hides its types
            try:
                # The pool's own look for leftovers is off in some settings.
                has_come = getattr(connection, "can_read", None) or connection.can_read_destructive
                if not await has_come():
                    return Wire(connection, self._buffer, replied, broke)
            except (RedisError, OSError) as error:
                logger.debug("a connection was closed meanwhile: %s", type(error).__name__)
            except BaseException:
                await self._closed(connection)
                raise
            await self._closed(connection)  # nothing was sent

    async def give_back(self, wire: Wire) -> None:
        """Let others use a connection on which nothing is under way."""
        if wire.unclear or wire.closing:
            await self.abandon(wire)
        else:
            wire.release()
            await self.pool.release(wire.connection)

    def abandon(self, wire: Wire) -> Coroutine[Any, Any, None]:
        """Close a connection that cannot be trusted, at once; await that it is given back."""
        wire.abandon()
        return self._closed(wire.connection)

    async def _closed(self, connection: AbstractConnection) -> None:
        try:
            await connection.disconnect()
        finally:
            await self.pool.release(connection)
