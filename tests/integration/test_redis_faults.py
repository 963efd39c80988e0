"""What a failing Redis, or a failing wire to it, does to those who ask."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.proxy import FaultProxy
from tornado_shared_session import RedisStore, StoreError
from tornado_shared_session.record import Delta, Record, generate_id
from tornado_shared_session.testing import RedisServer
from tornado_shared_session.testing.store_contract import stored

pytestmark = pytest.mark.redis


@pytest.fixture
async def store(redis_url: str, prefix: str) -> AsyncIterator[RedisStore]:
    """A store under a prefix of its own."""
    store = RedisStore(redis_url, prefix=prefix)
    yield store
    await store.close()


@pytest.mark.parametrize("mode", ["black hole", "frozen", "refused", "reset"])
async def test_nobody_waits_longer_than_the_bound(own_redis: RedisServer, mode: str) -> None:
    """Fifty callers at once, readers and writers: all are told in 2 s, none hangs (F10, R1, R3)."""
    async with FaultProxy(own_redis.port) as proxy:
        store = RedisStore(proxy.url)
        ids = [await stored(store) for _ in range(25)]
        if mode == "black hole":
            proxy.black_hole()
        elif mode == "frozen":
            own_redis.pause()
        elif mode == "refused":
            await proxy.refuse()
        else:
            proxy.lose_replies()
        works = [store.load(id) for id in ids]
        works += [store.commit(Delta(id, 1, 0, set={b"a": b"1"})) for id in ids]  # type: ignore[misc]  # a list of both kinds
        async with asyncio.timeout(2):
            results = await asyncio.gather(*works, return_exceptions=True)
        assert [type(result) for result in results] == [StoreError] * 50
        assert all(str(own_redis.port) not in str(result) for result in results)
        if mode == "frozen":
            own_redis.resume()
        await proxy.normal()
        assert all(await asyncio.gather(*map(store.load, ids)))
        await store.close()


async def test_a_lost_reply_is_an_error_and_no_second_try(
    redis_server: RedisServer, prefix: str
) -> None:
    """The commit was applied, once; whoever asked is told that nothing is known (F10, R10)."""
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url, prefix=prefix)
        id = await stored(store)
        await store.commit(Delta(id, 1, 0, set={b"a": b"1"}))
        proxy.lose_replies(b"EVALSHA", count=1)
        with pytest.raises(StoreError):
            await store.commit(Delta(id, 1, 0, set={b"a": b"2"}))
        record = await store.load(id)
        assert record is not None
        assert (record.version, record.values) == (3, {b"a": b"2"})
        await store.close()


async def test_a_load_whose_reply_was_lost_is_asked_again(
    redis_server: RedisServer, prefix: str
) -> None:
    """It changes nothing, so the caller need not know."""
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url, prefix=prefix)
        id = await stored(store)
        proxy.lose_replies(b"HGETALL", count=1)
        assert await store.load(id) is not None
        await store.close()


async def test_cancelled_callers_behind_a_slow_wire(redis_server: RedisServer, prefix: str) -> None:
    """Replies in slices of one byte, loads cancelled midway: each answer is its own (C1)."""
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url, prefix=prefix)
        ids = [await stored(store) for _ in range(8)]
        proxy.slice_replies(1)
        for _ in range(5):
            loads = [asyncio.ensure_future(store.load(id)) for id in ids]
            held = proxy.hold_replies()
            await asyncio.wait_for(held.reached.wait(), 5)
            for load in loads[::2]:
                load.cancel()
            held.release()
            answers = await asyncio.gather(*loads, return_exceptions=True)
            assert [type(answer) for answer in answers[::2]] == [asyncio.CancelledError] * 4
            assert [a.meta.id for a in answers[1::2]] == ids[1::2]  # type: ignore[union-attr]  # none was cancelled
        await store.close()


async def test_what_cannot_be_sent_fails_its_own_caller_only(store: RedisStore) -> None:
    """A name that a client chose may contain a lone surrogate."""
    id = await stored(store, a=b"1")
    results = await asyncio.gather(
        store.load(id),
        store.index_list("\ud800"),
        store.delete(id, user_id="\udfff"),
        store.load(id),
        return_exceptions=True,
    )
    assert isinstance(results[1], UnicodeEncodeError)
    assert isinstance(results[2], UnicodeEncodeError)
    assert isinstance(results[0], Record)
    assert isinstance(results[3], Record)
    assert results[0].values == results[3].values == {b"a": b"1"}


async def test_a_refused_write_is_one_error_and_changes_nothing(prefix: str) -> None:
    """Redis is out of memory; reading goes on, and deleting makes room (R8)."""
    binary = RedisServer.find_binary()
    with RedisServer(binary, ["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]) as server:
        store = RedisStore(server.url, prefix=prefix)
        id = await stored(store, a=b"x" * 100_000)
        with pytest.raises(StoreError, match=r"OutOfMemory|OOM"):
            for number in range(100):
                await store.commit(Delta(id, 1, 0, set={b"%d" % number: b"x" * 100_000}))
        record = await store.load(id)
        assert record is not None
        assert len(record.values) == record.version
        await store.commit(Delta(id, 1, 0, delete=(b"a",)))
        await store.commit(Delta(id, 1, 0, clear=True))
        await store.commit(Delta(id, 1, 0, set={b"a": b"1"}))
        await store.close()


async def test_a_server_that_wants_a_password_is_a_store_error() -> None:
    """Not an error of redis-py, and without the address (R8, S47, R7)."""
    with RedisServer(RedisServer.find_binary(), ["--requirepass", "sesame"]) as server:
        store = RedisStore(server.url)
        with pytest.raises(StoreError) as caught:
            await store.load(generate_id())
        assert str(server.port) not in str(caught.value)
        await store.close()
        store = RedisStore(server.url.replace("//", "//:sesame@"))
        assert await store.load(generate_id()) is None
        await store.close()


async def test_thousands_of_loads_need_one_or_two_connections(
    redis_server: RedisServer, prefix: str
) -> None:
    """Redis-py's default pool would raise beyond a hundred (F10, T30, R17)."""
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url, prefix=prefix)
        id = await stored(store)
        await asyncio.gather(*(store.load(id) for _ in range(3000)))
        assert proxy.accepted <= 2
        await store.close()


async def test_a_busy_event_loop_is_no_outage(own_redis: RedisServer, prefix: str) -> None:
    """Redis answers while a handler blocks the loop beyond the timeout: it did answer (R3)."""
    store = RedisStore(own_redis.url, prefix=prefix, timeout=0.3)
    id = await stored(store)
    own_redis.pause()
    load = asyncio.ensure_future(store.load(id))
    await asyncio.sleep(0.05)  # it is sent; nothing tells when, for Redis stands still
    answering = threading.Timer(0.1, own_redis.resume)
    answering.start()
    time.sleep(0.5)  # a handler that blocks is what is under test
    answering.join()
    assert await load is not None
    own_redis.pause()
    with pytest.raises(StoreError, match="in time"):
        await asyncio.wait_for(store.load(id), 0.3 + 0.5)
    own_redis.resume()
    await store.close()


async def test_an_answer_to_a_busy_event_loop_may_be_late(
    own_redis: RedisServer, prefix: str
) -> None:
    """It had no chance to hear in time, so it listens a little longer (R3)."""
    store = RedisStore(own_redis.url, prefix=prefix, timeout=0.3)
    id = await stored(store)
    own_redis.pause()
    load = asyncio.ensure_future(store.load(id))
    await asyncio.sleep(0.05)  # it is sent; nothing tells when, for Redis stands still
    answering = threading.Timer(0.55, own_redis.resume)
    answering.start()
    time.sleep(0.5)  # a handler that blocks is what is under test
    assert await load is not None
    answering.join()
    await store.close()


async def test_a_connection_that_was_reset_while_idle_fails_nobody(
    redis_server: RedisServer, prefix: str
) -> None:
    """As a load balancer does; nor does the next socket pay for it (gh-136234)."""
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url, prefix=prefix)
        id = await stored(store)
        for _ in range(20):
            proxy.reset()
            assert await store.load(id) is not None
        await store.close()
