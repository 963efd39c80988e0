"""The wire to Redis: what one turn of the event loop asks travels together.

Commands are queued; a task of the pipe's own sends all that are queued
in one write and reads all replies, then looks again. So a busy server
pays for one round trip per batch rather than per command, and a handler
that is cancelled can never leave its reply to somebody else: nobody but
the task touches the connection (CVE-2023-28858).

redis-py makes, authenticates, checks and parses the connection. Its
retries are not used: a command is sent again only if it was certainly
not applied, or changes nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import NoScriptError, RedisError, ResponseError

from ..errors import StoreError
from ..events import logger
from ..forks import CLOSED, tell_of_forks, used_elsewhere
from .redis_scripts import Script

Command = tuple[str | bytes | int, ...]

#: Seconds beyond the timeout in which replies that are there already are read.
_LAST_LOOK = 0.02
#: A replica says these to what only a primary may do.
_DEMOTED = frozenset({"ReadOnlyError", "READONLY", "MasterDownError", "MASTERDOWN"})
_IN_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z]+)")


class _Request:
    """Commands whose replies belong together, and who waits for them."""

    __slots__ = ("commands", "data", "future", "repeatable")

    def __init__(
        self, commands: tuple[Command, ...], future: asyncio.Future[list[Any]], repeatable: bool
    ) -> None:
        self.commands = commands
        # Packed here, in the caller's task: what cannot be packed, such as
        # a lone surrogate, must not fail the others of the batch.
        self.data = _pack(commands)
        self.future = future
        self.repeatable = repeatable


class Pipe:
    """Sends commands through a connection pool, one batch at a time.

    Args:
        pool: redis-py's pool; one of its connections is used at a time.
        timeout: seconds within which a batch is answered, connecting
            included. Late: the connection is dropped, and everybody who
            waits is told.
    """

    def __init__(self, pool: ConnectionPool, timeout: float) -> None:
        self._timeout = timeout
        self._queue: list[_Request] = []
        self._task: asyncio.Task[None] | None = None
        self._pool = pool
        self._loop: object = None  # what it is used in; else CLOSED, or what spoilt it
        tell_of_forks(self)
        self._scripts: dict[str, str] = {}

    def renew(self, pool: ConnectionPool) -> None:
        """Go on with a pool that no event loop has used, but not before `open()`."""
        self._pool, self._loop = pool, CLOSED

    def open(self) -> None:
        """Take questions again after `renew()`."""
        if self._loop is CLOSED:
            self._loop = None

    def forked(self) -> None:
        """See `forks.py`: every connection that there is, is the parent's."""
        held = ("_available_connections", "_in_use_connections")
        used = self._loop not in (None, CLOSED)
        if used or any(getattr(self._pool, name, None) for name in held):
            self._loop, self._task, self._queue = "forked", None, []

    def bind(self, script: Script) -> str:
        """Remember a script's source, in case the server does not; return its SHA-1."""
        self._scripts[script.sha] = script.source
        return script.sha

    async def ask(self, *commands: Command, repeatable: bool = False) -> list[Any]:
        """Send commands and return their replies, in order.

        An error that Redis replies with is in the list, not raised.

        Args:
            repeatable: they change nothing, so they may be sent again if
                the connection breaks.

        Raises:
            StoreError: no connection, no answer in time, or it broke.
                Commands that change something may have been applied.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._check_loop(loop)
        future: asyncio.Future[list[Any]] = loop.create_future()
        self._queue.append(_Request(commands, future, repeatable))
        if self._task is None:
            self._task = loop.create_task(self._work())
        return await future

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is CLOSED:
            raise StoreError("the session store is closed")
        if self._loop is not None:
            raise used_elsewhere("RedisStore")
        self._loop = loop

    async def _work(self) -> None:
        """Send batch after batch until nobody waits any more."""
        # The pool's checks cost as much as two commands, so a connection
        # is kept from batch to batch; after a failure there is another.
        connection: AbstractConnection | None = None
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                held, connection = connection, None
                try:
                    async with asyncio.timeout(None) as limit:
                        due = loop.time() + self._timeout
                        timer = loop.call_at(due, self._last_look, limit, due)
                        try:
                            connection = await self._serve(held, batch)
                        finally:
                            timer.cancel()
                except TimeoutError:
                    # What queued up behind a dead server has waited long
                    # enough too.
                    batch += self._queue
                    self._queue = []
                    _fail(batch, "the session store did not answer in time", None)
                except (RedisError, OSError) as error:
                    _fail(batch, "the session store cannot be reached", error)
                except Exception as error:
                    # Whatever it was, those who wait must not wait forever.
                    logger.exception("the Redis client failed")
                    _fail(batch, "the session store cannot be used", error)
                    await self.drop()
                except asyncio.CancelledError:
                    _fail(batch + self._queue, "the session store was closed", None)
                    self._queue = []
                    raise
        finally:
            self._task = None
            if connection is not None:
                await self._pool.release(connection)

    def _last_look(self, limit: asyncio.Timeout, due: float) -> None:
        """Time is up, but a loop that was busy may not have read what has come."""
        now = asyncio.get_running_loop().time()
        limit.reschedule(now + _LAST_LOOK + min(now - due, self._timeout))

    async def _serve(
        self, connection: AbstractConnection | None, batch: list[_Request]
    ) -> AbstractConnection:
        """Serve a batch and return the connection that did; one that fails is let go."""
        if connection is None:
            # redis-py's decorator hides its types; so does that of aclose().
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py hides its types
        try:
            await self._try(connection, batch)
        except BaseException:
            await self._pool.release(connection)
            raise
        return connection

    async def _try(self, connection: AbstractConnection, batch: list[_Request]) -> None:
        try:
            await self._exchange(connection, batch)
        except (RedisError, OSError) as error:
            # It broke under us. What changes nothing is asked once more,
            # on a new connection; the rest may have been applied.
            _fail([r for r in batch if not r.repeatable], "the session store hung up", error)
            await connection.disconnect()
            again = [request for request in batch if request.repeatable]
            if again:
                await self._exchange(connection, again)

    async def _exchange(self, connection: AbstractConnection, batch: list[_Request]) -> None:
        """Write every command, read every reply, hand them out."""
        commands = [command for request in batch for command in request.commands]
        data = b"".join([request.data for request in batch])
        replies = await self._round_trip(connection, data, len(commands))
        errors = [i for i, reply in enumerate(replies) if isinstance(reply, ResponseError)]
        missing = [i for i in errors if isinstance(replies[i], NoScriptError)]
        if missing:
            # Nothing was applied, so these may be sent again, in full.
            sources = [
                ("EVAL", self._scripts[str(commands[i][1])], *commands[i][2:]) for i in missing
            ]
            answers = await self._round_trip(connection, _pack(sources), len(sources))
            for i, answer in zip(missing, answers, strict=True):
                replies[i] = answer
        start = 0
        for request in batch:
            end = start + len(request.commands)
            if not request.future.done():
                request.future.set_result(replies[start:end])
            start = end
        if errors and any(_code(replies[i]) in _DEMOTED for i in errors):
            # It was the primary once. Where the address leads now, we learn
            # by connecting again.
            await connection.disconnect()

    async def _round_trip(
        self, connection: AbstractConnection, data: bytes, count: int
    ) -> list[Any]:
        writer = connection._writer
        if writer is not None and writer.is_closing():
            # It was reset a moment ago. In Python 3.12 and its next releases
            # a write would now leave the file's number registered with the
            # event loop, and the next socket that gets it hangs (gh-136234).
            await connection.disconnect()
            raise ConnectionError("the connection was reset")
        await connection.send_packed_command(data)
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(await connection.read_response())
            except ResponseError as error:
                replies.append(error)
        return replies

    async def drop(self) -> None:
        """Close every connection of the pool; they can no longer be trusted."""
        await self._pool.disconnect(inuse_connections=True)

    async def close(self) -> None:
        """Finish the batch under way and stop."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._timeout)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def raise_error(reply: Any) -> Any:
    """Return a reply; raise StoreError if it is an error, with its code only."""
    if isinstance(reply, ResponseError):
        raise StoreError(f"the session store refused a command ({_code(reply)})") from reply
    return reply


def _code(error: ResponseError) -> str:
    """Return the first word of what Redis said, or the name of redis-py's class for it."""
    # redis-py takes the code off the errors that it has a class for;
    # Redis before 7 hides that of an error inside a script.
    inside = _IN_SCRIPT.search(str(error))
    if inside is not None:
        return inside[1]
    return str(error).split(" ")[0] if type(error) is ResponseError else type(error).__name__


def _pack(commands: Iterable[Command]) -> bytes:
    # hiredis takes bytes too, but its stub does not say so.
    return b"".join([pack_command(command) for command in commands])  # type: ignore[arg-type]  # bytes too, as said above


def _fail(batch: list[_Request], message: str, cause: BaseException | None) -> None:
    for request in batch:
        if not request.future.done():
            error = StoreError(message)
            error.__cause__ = cause
            request.future.set_exception(error)
