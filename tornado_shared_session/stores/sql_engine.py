"""The wire to a SQL database: one connection per operation, each bounded.

Every statement is a transaction of its own (AUTOCOMMIT), so there is
never one left open: neither a caller that is cancelled nor a connection
that is killed leaves half a change behind, or a lock. An operation runs
in a task of ours; its caller may go away, and the connection is given
back or, when it was interrupted, closed.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InvalidRequestError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

from ..errors import ConfigurationError, SessionError, StoreError
from ..events import logger
from .sql_errors import Failure, classify, explain
from .sql_schema import DRIVERS

_T = TypeVar("_T")

_CONNECTIONS = 10  # per process; whoever finds all of them in use waits
_RECYCLE = 1800  # seconds; proxies and servers drop what is idle for hours
_UNDONE_MOST = 6  # times that what a database rolled back is sent again
LATE = "the session database did not answer in time"
_LOST_MOST = 2  # times that a connection may break before anything was changed


class Attempt:
    """How an operation goes.

    Attributes:
        unsafe: what has been sent may not be sent again, unless the
            database says that it was rolled back.
        repeated: something was sent before and its answer was lost.
    """

    __slots__ = ("repeated", "unsafe")

    def __init__(self) -> None:
        self.unsafe = False
        self.repeated = False


Work = Callable[[AsyncConnection, Attempt], Awaitable[_T]]


class Database:
    """Runs operations on a database, each within a time.

    Args:
        url_or_engine: as `SQLStore` takes it.
        timeout: seconds for an operation, connecting and retries included.

    Raises:
        ConfigurationError: the URL, its driver or the engine cannot be used.
    """

    def __init__(self, url_or_engine: Any, timeout: float) -> None:
        self.timeout = timeout
        self._owned = not isinstance(url_or_engine, AsyncEngine)
        if self._owned:
            self.engine = _connect(url_or_engine, timeout)
        else:
            self.engine = _borrow(url_or_engine)
        self.backend = self.engine.dialect.name
        #: How to create what is missing; set by the store.
        self.remedy = ""
        self._loop: asyncio.AbstractEventLoop | None = None
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
        task = loop.create_task(self._repeat(work) if turn is None else self._queue(turn, work))
        self._tasks.add(task)
        end = loop.call_later(seconds, task.cancel)
        task.add_done_callback(lambda done: self._finished(done, end))
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

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            raise ConfigurationError(
                "this SQLStore was used in another event loop or process; create one store"
                " (and one SessionManager) per event loop, after forking"
            )
        self._loop = loop

    def _finished(self, task: asyncio.Task[Any], end: asyncio.TimerHandle) -> None:
        end.cancel()
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: its caller may be gone

    async def _queue(self, turn: asyncio.Lock, work: Work[_T]) -> _T:
        async with turn:
            return await self._repeat(work)

    async def _repeat(self, work: Work[_T]) -> _T:
        attempt, undone, lost = Attempt(), 0, 0
        while True:
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

    async def _once(self, work: Work[_T], attempt: Attempt) -> _T:
        async with self.engine.connect() as connection:
            try:
                return await work(connection, attempt)
            except (SessionError, DBAPIError):
                raise
            except BaseException:
                # Interrupted, or who knows: a reply may still be under way.
                await connection.invalidate()
                raise

    async def pause(self, times: int) -> None:
        """Wait a moment, longer each time, so that rivals do not meet again."""
        most = 0.01 * 2 ** min(times, 5)
        await asyncio.sleep(random.uniform(0, most))  # noqa: S311  # jitter

    async def drop(self) -> None:
        """Close every connection that is not in use; they cannot be trusted."""
        await self.engine.dispose()

    async def close(self) -> None:
        """Finish what is under way and let go of the connections."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._owned:
            await self.engine.dispose()


def _connect(url: Any, timeout: float) -> AsyncEngine:
    """Make an engine for a URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their messages may quote the URL, password and all.
        raise ConfigurationError(
            "SQLStore takes the URL of a database, such as mysql+aiomysql://user@host/name,"
            " or a sqlalchemy.ext.asyncio.AsyncEngine"
        ) from None
    driver = _driver(parsed.get_backend_name())
    memory = _is_memory(parsed)
    try:
        return create_async_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,  # one round trip less
            hide_parameters=True,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1 if memory else _CONNECTIONS,
            max_overflow=0,
            pool_timeout=timeout,
            pool_recycle=-1 if memory else _RECYCLE,
            pool_use_lifo=True,
            connect_args=_connect_args(parsed, timeout),
        )
    except ImportError as error:
        raise ConfigurationError(
            f"the driver of {parsed.drivername}:// is not installed; write {driver}:// and"
            " install it with: pip install tornado_shared_session[sql]"
        ) from error
    except (ArgumentError, InvalidRequestError, NoSuchModuleError):
        raise ConfigurationError(
            f"{parsed.drivername}:// has no asyncio driver; write {driver}:// and install it"
            " with: pip install tornado_shared_session[sql]"
        ) from None


def _connect_args(url: URL, timeout: float) -> dict[str, Any]:
    """Bound what the driver itself waits for, as each spells it."""
    driver = url.drivername.partition("+")[2]
    if driver == "aiosqlite":
        return {"timeout": timeout / 2}  # for the lock; then it is asked again
    if driver == "asyncpg":
        return {"timeout": timeout}
    if driver in ("aiomysql", "asyncmy"):
        # What nobody waits for any more should not wait for a lock.
        lock = f"SET SESSION innodb_lock_wait_timeout = {math.ceil(timeout)}"
        args = {"connect_timeout": math.ceil(timeout), "init_command": lock}
        return {name: value for name, value in args.items() if name not in url.query}
    return {}


def _borrow(engine: AsyncEngine) -> AsyncEngine:
    """Take an engine that stays its owner's."""
    _driver(engine.dialect.name)
    if not isinstance(engine.sync_engine.pool, QueuePool | NullPool):
        raise ConfigurationError(
            "the engine shares one connection among all (a SQLite database in memory does);"
            " give SQLStore an engine with a pool, or a URL"
        )
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _driver(backend: str) -> str:
    """Return the driver that we install for a kind of database."""
    if backend not in DRIVERS:
        raise ConfigurationError(
            f"SQLStore knows MySQL, MariaDB, PostgreSQL and SQLite, not {backend}://"
        )
    return DRIVERS[backend]


def _is_memory(url: URL) -> bool:
    """Tell whether a second connection would find another database."""
    if url.get_backend_name() != "sqlite":
        return False
    name = url.database or ":memory:"
    return ":memory:" in name or "mode=memory" in name or url.query.get("mode") == "memory"
