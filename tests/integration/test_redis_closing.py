"""A Redis store that is closed, or opened again, while somebody asks it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.sites import raw_redis, until
from tornado_shared_session import RedisStore, StoreError
from tornado_shared_session.record import Delta
from tornado_shared_session.stores.redis_requests import pack
from tornado_shared_session.stores.redis_wire import Lease
from tornado_shared_session.testing.store_contract import stored

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("shared", [False, True], ids=["of its own", "of the application"])
async def test_who_asks_while_it_closes_is_answered_or_told(
    redis_url: str, prefix: str, turns: int, shared: bool
) -> None:
    """However far the close is: nobody waits for ever, and it can be opened again."""
    async with raw_redis(redis_url) as client:
        store = RedisStore(client if shared else redis_url, prefix=prefix)
        try:
            id = await stored(store)
            loads = [asyncio.ensure_future(store.load(id)) for _ in range(2)]
            await asyncio.sleep(0)
            closing = asyncio.ensure_future(store.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            late: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(store.load(id)),
                asyncio.ensure_future(store.commit(Delta(id, 1, 0, set={b"a": b"1"}))),
            ]
            async with asyncio.timeout(3):
                await closing
                assert all(await asyncio.gather(*loads))
                for result in await asyncio.gather(*late, return_exceptions=True):
                    assert not isinstance(result, BaseException) or type(result) is StoreError
                await store.open()
                assert await store.load(id) is not None
        finally:
            await asyncio.wait_for(store.close(), 3)
        assert not client.connection_pool._in_use_connections


async def test_half_a_message_is_not_left_to_the_application(redis_url: str) -> None:
    """Its parser would take the other half for a reply; that connection is closed instead (C1)."""
    replies: list[Any] = []
    async with raw_redis(redis_url) as client:
        lease = Lease(client.connection_pool)
        wire: Any = await lease.take(lambda some, _: replies.extend(some), lambda *broken: None)
        wire.ask(pack(("ECHO", "a")), 1)
        await until(lambda: replies == [b"a"])
        begun = b">2\r\n$10\r\ninvali"
        wire._view[: len(begun)] = begun
        wire.buffer_updated(len(begun))
        await lease.give_back(wire)
        assert not wire.connection.is_connected
        assert await client.echo("mine") == b"mine"
