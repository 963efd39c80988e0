"""Two managers on one store, and the store's time in the test's hands.

Redis and SQL keep deadlines by their own clock, which nobody can turn. Time
passes for them when all deadlines, also the absolute ones and those of the
users' index, move back by as much, which is done behind the store's back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio import Redis

from tests.support.model import ABSOLUTE, IDLE, PROVISIONAL
from tests.support.sql import beside, sql, tables
from tornado_shared_session import MemoryStore, RedisStore, SessionManager, Store
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing import FakeClock
from tornado_shared_session.watcher import watch

PATIENT = 10.0  # seconds that a store may take on a busy machine
#: Moves the deadlines of the sessions and of the users of a prefix back.
_REDIS = """
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. 's:*')) do
  redis.call('HINCRBY', key, '\\255a', -ARGV[2])
  redis.call('PEXPIRE', key, redis.call('PTTL', key) - ARGV[2])
end
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. 'u:*')) do
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    redis.call('ZINCRBY', key, -ARGV[2], id)
  end
  redis.call('PEXPIRE', key, redis.call('PTTL', key) - ARGV[2])
end
"""


@dataclasses.dataclass
class World:
    """Two managers, as in two processes.

    Attributes:
        pass_time: lets seconds pass for the store.
        forget: lets so much pass that nothing is left of any session.
    """

    managers: list[SessionManager]
    pass_time: Callable[[float], Awaitable[None]]
    forget: Callable[[], Awaitable[None]]


def _managers(*stores: Store) -> list[SessionManager]:
    managers = []
    for store in stores:
        # Any deadline is moved by any activity, and nothing but the test asks the watcher.
        manager = SessionManager(
            store,
            idle_timeout=IDLE,
            absolute_timeout=ABSOLUTE,
            touch_interval=0,
            rotation_grace=ABSOLUTE,
            reload_interval=100_000,
        )
        manager.policy = dataclasses.replace(manager.policy, provisional_timeout=PROVISIONAL)
        watch(manager)
        managers.append(manager)
    return managers


@asynccontextmanager
async def memory_world() -> AsyncIterator[World]:
    """Both on one `MemoryStore`, with a clock that can be turned."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)

    async def pass_time(seconds: float) -> None:
        clock.advance(seconds)

    async def forget() -> None:
        clock.advance(2 * ABSOLUTE)

    async with AsyncExitStack() as stack:
        managers = _managers(store, store)
        for manager in managers:
            await stack.enter_async_context(manager)
        yield World(managers, pass_time, forget)


@asynccontextmanager
async def redis_world(url: str, prefix: str) -> AsyncIterator[World]:
    """Each with a `RedisStore` of its own."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Redis.from_url(url))

        async def pass_time(seconds: float) -> None:
            await client.eval(_REDIS, 0, prefix, round(seconds * 1000))

        async def forget() -> None:
            if keys := await client.keys(prefix + "*"):
                await client.delete(*keys)

        managers = _managers(*(RedisStore(url, prefix=prefix, timeout=PATIENT) for _ in range(2)))
        for manager in managers:
            await stack.enter_async_context(manager)
        yield World(managers, pass_time, forget)


@asynccontextmanager
async def sql_world(url: str, prefix: str) -> AsyncIterator[World]:
    """Each with an `SQLStore` of its own."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(tables(url, prefix, timeout=PATIENT))
        aside = await stack.enter_async_context(beside(url))

        async def pass_time(seconds: float) -> None:
            back = round(seconds * 1000)
            await sql(
                aside,
                f"UPDATE {prefix}sessions SET deadline = deadline - :back, latest = latest - :back",
                back=back,
            )
            await sql(aside, f"UPDATE {prefix}users SET deadline = deadline - :back", back=back)

        async def forget() -> None:
            await sql(aside, f"DELETE FROM {prefix}sessions")
            await sql(aside, f"DELETE FROM {prefix}users")

        managers = _managers(one, SQLStore(url, prefix=prefix, timeout=PATIENT))
        for manager in managers:
            await stack.enter_async_context(manager)
        yield World(managers, pass_time, forget)
