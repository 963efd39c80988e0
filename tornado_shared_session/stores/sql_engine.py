"""The wire to a SQL database: one connection per operation, each bounded.

Every statement is a transaction of its own (AUTOCOMMIT), so there is
never one left open: neither a caller that is cancelled nor a connection
that is killed leaves half a change behind, or a lock. An operation runs
in a task of ours; its caller may go away, and the connection is given
back or, when it was interrupted, closed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..errors import ConfigurationError, SessionError, StoreError
from ..events import logger
from ..forks import CLOSED, OneLoop
from .sql_connect import borrow, connect
from .sql_errors import Failure, classify, explain

_T = TypeVar("_T")

_UNDONE_MOST = 6  # times that what a database rolled back is sent again
LATE = "the session database did not answer in time"
_LOST_MOST = 2  # times that a connection may break before anything was changed


class Attempt:
    """How an operation goes.

    Attributes:
        unsafe: what has been sent may not be sent again, unless the
            database says that it was rolled back.
        repeated: something was sent before and its answer was lost.
        connecting: it waits for a connection.
        late: nobody waits for it any more.
    """

    __slots__ = ("connecting", "late", "repeated", "unsafe")

    def __init__(self) -> None:
        self.unsafe = False
        self.repeated = False
        self.connecting = False
        self.late = False


Work = Callable[[AsyncConnection, Attempt], Awaitable[_T]]


class Database(OneLoop):
    """Runs operations on a database, each within a time.

    Args:
        url_or_engine: as `SQLStore` takes it.
        timeout: seconds for an operation, connecting and retries included.

    Raises:
        ConfigurationError: the URL, its driver or the engine cannot be used.
    """

    def __init__(self, url_or_engine: Any, timeout: float) -> None:
        self._owned = not isinstance(url_or_engine, AsyncEngine)
        super().__init__("SQLStore", "" if self._owned else "engine")
        self.timeout = self._grace = timeout
        if self._owned:
            self.engine = connect(url_or_engine, timeout)
        else:
            self.engine = borrow(url_or_engine)
        self.backend = self.engine.dialect.name
        #: How to create what is missing; set by the store.
        self.remedy = ""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(
        self, work: Work[_T], *, within: float | None = None, turn: asyncio.Lock | None = None
    ) -> _T:
        """Run an operation, again where that is safe; return its result.

        `within` are the seconds for it, if they are others than
        `timeout`; `turn` is held while it goes on. Cancelling the caller
        leaves the operation to itself.

        Raises:
            StoreError: no connection, no answer in time, or refused.
            ConfigurationError: a table is missing.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._check_loop(loop)
        seconds = self.timeout if within is None else within
        attempt = Attempt()
        repeat = self._repeat(work, attempt)
        task = loop.create_task(repeat if turn is None else _queue(turn, repeat))
        self._tasks.add(task)
        end = loop.call_later(seconds, self._expire, task, attempt)
        task.add_done_callback(lambda done: self._finished(done, end))
        # Cancelled before its turn came it was never begun.
        task.add_done_callback(lambda _: repeat.close())
        # Closing a connection may take longer than the caller has.
        await asyncio.wait((task,), timeout=seconds)
        if not task.done() or task.cancelled():
            raise StoreError(LATE)
        return task.result()

    async def ask(self, statement: Executable, **values: Any) -> Sequence[Any]:
        """Run what changes nothing; return its rows."""

        async def work(connection: AsyncConnection, attempt: Attempt) -> Sequence[Any]:
            return (await connection.execute(statement, values)).all()

        return await self.run(work)

    async def tell(self, statement: Executable, **values: Any) -> None:
        """Run what may run twice with the same effect as once."""

        async def work(connection: AsyncConnection, attempt: Attempt) -> None:
            await connection.execute(statement, values)

        await self.run(work)

    def _finished(self, task: asyncio.Task[Any], end: asyncio.TimerHandle) -> None:
        end.cancel()
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: its caller may be gone

    def _expire(self, task: asyncio.Task[Any], attempt: Attempt) -> None:
        """End an operation that took too long."""
        attempt.late = True
        if self.backend == "sqlite":
            # Its thread goes on, whoever is cancelled, and a read whose rows
            # nobody fetches any more would keep the file locked. The
            # driver's own timeout ends what waits for a lock.
            return
        if attempt.connecting:
            # asyncpg leaves errors behind when it is cancelled then; it has
            # a timeout of its own. aiomysql's does not cover the greeting.
            asyncio.get_running_loop().call_later(self._grace, task.cancel)
        else:
            task.cancel()

    async def _repeat(self, work: Work[_T], attempt: Attempt) -> _T:
        undone = lost = 0
        while not attempt.late:
            failed: Exception
            try:
                return await self._once(work, attempt)
            except SessionError:
                raise
            except (SQLAlchemyError, OSError) as error:
                failed = error
            except Exception as error:
                logger.error("the SQL client failed: %s", type(error).__name__)
                failed = error
            failure = classify(failed)
            if failure is Failure.UNDONE and undone < _UNDONE_MOST:
                undone += 1
            elif failure is Failure.LOST and not attempt.unsafe and lost < _LOST_MOST:
                lost += 1
                attempt.repeated = True
            elif failure is Failure.MISSING:
                raise ConfigurationError(self.remedy)
            else:
                raise explain(failed)
            attempt.unsafe = False
            await self.pause(undone)
        raise StoreError(LATE)

    async def _once(self, work: Work[_T], attempt: Attempt) -> _T:
        attempt.connecting = True
        try:
            async with self.engine.connect() as connection:
                attempt.connecting = False
                try:
                    if attempt.late:
                        raise StoreError(LATE)
                    return await work(connection, attempt)
                except (SessionError, DBAPIError):
                    raise
                except BaseException:
                    # Interrupted, or who knows: a reply may be under way.
                    await connection.invalidate()
                    raise
        finally:
            attempt.connecting = False

    async def pause(self, times: int) -> None:
        """Wait a moment, longer each time, so that rivals do not meet again."""
        most = 0.01 * 2 ** min(times, 5)
        await asyncio.sleep(random.uniform(0, most))  # noqa: S311  # jitter

    async def drop(self) -> None:
        """Close every connection that is not in use; they cannot be trusted."""
        await self.engine.dispose()

    async def close(self) -> None:
        """Finish what is under way and let go of the connections.

        An engine that is not ours keeps them, so this stays with its event
        loop, and out of a child: there they would be somebody else's.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._owned:
            self._loop = CLOSED
            await self.engine.dispose()

    def forked(self) -> None:
        """See `forks.py`: every connection that there is, is the parent's."""
        if self.used:
            self._loop = "forked"


async def _queue(turn: asyncio.Lock, work: Coroutine[Any, Any, _T]) -> _T:
    async with turn:
        return await work
