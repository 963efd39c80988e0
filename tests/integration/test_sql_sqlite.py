"""What is special about SQLite: a statement runs in a thread, and locks the whole file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.sites import until
from tests.support.sql import no_threads_left
from tornado_shared_session import StoreError
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing.store_contract import stored


@pytest.mark.usefixtures("no_collector")
async def test_a_read_that_came_too_late_locks_nobody_out(tmp_path: Path) -> None:
    """Its thread goes on after the caller has been told; what it finds is read to its end.

    The lock of a read that was interrupted would stay until the garbage
    collector comes by, and lock out the writers of every process.
    """
    path = tmp_path / "sessions.db"
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": 5})
    async with no_threads_left():
        store = SQLStore(engine, timeout=0.2)
        await store.create_tables()
        id = await stored(store)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0.05)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match="in time"):
                await store.load(id)
            other.execute("ROLLBACK")

            def is_free() -> bool:
                try:
                    other.execute("BEGIN EXCLUSIVE")
                except sqlite3.OperationalError:
                    return False
                other.execute("ROLLBACK")
                return not store._database._tasks

            await until(is_free)
        assert await store.load(id) is not None
        await store.close()
        await engine.dispose()
