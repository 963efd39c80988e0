"""A SQL database for a test: where it is, and what stands in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from tornado_shared_session.stores.sql import SQLStore


@asynccontextmanager
async def no_threads_left() -> AsyncIterator[None]:
    """Wait at the end until aiosqlite's new threads are gone: they still speak to the loop."""
    before = set(threading.enumerate())
    yield
    async with asyncio.timeout(3):
        while any("_worker_" in thread.name for thread in {*threading.enumerate()} - before):
            await asyncio.sleep(0.005)  # a thread that ends tells no event loop


@asynccontextmanager
async def tables(url: str, prefix: str, **options: Any) -> AsyncIterator[SQLStore]:
    """Return a store with tables of its own, open."""
    async with no_threads_left():
        store = SQLStore(url, prefix=prefix, **options)
        await store.create_tables()
        await store.open()
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[AsyncConnection]:
    """Return a connection beside the store's, to look and to meddle."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def sql(connection: AsyncConnection, statement: str, **values: Any) -> Any:
    """Run a statement; return its first value, if it has rows."""
    result = await connection.execute(text(statement), values)
    return result.scalar() if result.returns_rows else None
