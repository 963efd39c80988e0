"""Makes the SQLAlchemy engine of a store, or takes the user's own.

Either way each statement is a transaction of its own (AUTOCOMMIT).
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

from ..errors import ConfigurationError
from .sql_schema import DRIVERS

_CONNECTIONS = 10  # per process; whoever finds all of them in use waits
_RECYCLE = 1800  # seconds; proxies and servers drop what is idle for hours


def connect(url: Any, timeout: float) -> AsyncEngine:
    """Make an engine for a URL, whose every wait is bounded.

    Args:
        url: as `SQLStore` takes it.
        timeout: seconds for a connection, and for one to be free.

    Raises:
        ConfigurationError: the URL or its driver cannot be used.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their messages may quote the URL, password and all.
        raise ConfigurationError(
            "SQLStore takes the URL of a database, such as mysql+aiomysql://user@host/name,"
            " or a sqlalchemy.ext.asyncio.AsyncEngine"
        ) from None
    driver = _driver(parsed.get_backend_name())
    sqlite = parsed.get_backend_name() == "sqlite"
    try:
        return create_async_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,  # one round trip less
            hide_parameters=True,
            poolclass=AsyncAdaptedQueuePool,
            # SQLite has one writer at a time, and its rivals do not queue.
            pool_size=1 if sqlite else _CONNECTIONS,
            max_overflow=0,
            pool_timeout=timeout,
            pool_recycle=-1 if sqlite else _RECYCLE,
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


def borrow(engine: AsyncEngine) -> AsyncEngine:
    """Take an engine that stays its owner's.

    Raises:
        ConfigurationError: another database, or a pool that cannot serve.
    """
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
