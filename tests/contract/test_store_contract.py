"""The store contract, over memory, a real Redis (RESP2 and RESP3) and SQL databases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.sql import tables
from tornado_shared_session import MemoryStore, RedisStore, Store
from tornado_shared_session.testing import FakeClock
from tornado_shared_session.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    """The embedded store, with a clock that is turned by hand."""

    clock: FakeClock

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        """An empty store."""
        self.clock = FakeClock()
        store = MemoryStore(clock=self.clock)
        await store.open()
        yield store
        await store.close()

    async def pass_time(self, store: Store, seconds: float) -> None:
        """Turn the clock."""
        self.clock.advance(seconds)


@pytest.mark.redis
class TestRedisStore(StoreContract):
    """The store for production."""

    @pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
    async def store(
        self, request: pytest.FixtureRequest, redis_url: str, prefix: str
    ) -> AsyncIterator[Store]:
        """A store under a prefix that nobody else uses."""
        store = RedisStore(f"{redis_url}?protocol={request.param}", prefix=prefix)
        await store.open()
        yield store
        await store.close()


class TestSQLStore(StoreContract):
    """The store for those who have a database: SQLite, real MariaDB and PostgreSQL."""

    @pytest.fixture
    async def store(self, sql_url: str, table_prefix: str) -> AsyncIterator[Store]:
        """A store with tables that nobody else uses."""
        async with tables(sql_url, table_prefix) as store:
            yield store
