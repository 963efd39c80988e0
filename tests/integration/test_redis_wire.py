"""How commands travel to Redis: in whose batch, on whose connection, and back."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import redis.asyncio

from tests.support.sites import eventually, raw_redis, until
from tornado_shared_session import RedisStore, SessionEnded, StoreError
from tornado_shared_session.record import Delta
from tornado_shared_session.stores.redis_pipe import Pipe
from tornado_shared_session.stores.redis_requests import pack
from tornado_shared_session.stores.redis_scripts import Script
from tornado_shared_session.testing import RedisServer
from tornado_shared_session.testing.store_contract import stored

pytestmark = pytest.mark.redis


@asynccontextmanager
async def piped(url: str, *, timeout: float = 1.0, **options: Any) -> AsyncIterator[Pipe]:
    """A pipe on a pool of its own, both of which are closed whatever happens."""
    async with redis.asyncio.Redis.from_url(url, **options) as client:
        pipe = Pipe(client.connection_pool, timeout)
        try:
            yield pipe
        finally:
            await pipe.close()


async def ids_of_clients(pipe: Pipe, count: int) -> list[int]:
    """Return on which connection each of some commands was asked, one after the other."""
    return [(await pipe.ask("CLIENT", "ID"))[0] for _ in range(count)]


async def test_what_the_wire_uses_of_redis_py_is_still_there(redis_url: str) -> None:
    """Its private names, of a connection that was just made."""
    async with raw_redis(redis_url) as client:
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py hides its types
        try:
            assert isinstance(connection._reader, asyncio.StreamReader)
            assert isinstance(connection._writer, asyncio.StreamWriter)
            assert callable(connection._parser.parse_error)
            assert hasattr(client.connection_pool, "_available_connections")
            assert hasattr(client.connection_pool, "_in_use_connections")
        finally:
            await client.connection_pool.release(connection)


async def test_what_is_asked_in_one_turn_travels_together(redis_url: str) -> None:
    """And what is asked while it is under way travels with the next; each gets its own reply."""
    async with piped(redis_url) as pipe:
        sent: list[int] = []
        await pipe.ask("PING")
        wire: Any = pipe._wire
        ask = wire.ask

        def counted(data: bytes, count: int) -> None:
            sent.append(count)
            ask(data, count)

        wire.ask = counted
        first = asyncio.gather(*(pipe.ask("ECHO", f"a{n}") for n in range(20)))
        await until(lambda: sent)
        second = asyncio.gather(*(pipe.ask("ECHO", f"b{n}") for n in range(20)))
        assert await first == [[b"a%d" % n] for n in range(20)]
        assert await second == [[b"b%d" % n] for n in range(20)]
        assert sum(sent) == 40
        assert len(sent) <= 3


async def test_a_lonely_command_is_sent_at_once(redis_url: str) -> None:
    """It waits for no end of the turn, once the one before was lonely too."""
    async with piped(redis_url) as pipe:
        await pipe.ask("PING")
        await pipe.ask("PING")
        asked = pipe.ask("PING")
        assert pipe._sent
        assert not pipe._queue
        assert await asked in ([b"PONG"], ["PONG"])


async def test_a_script_that_redis_does_not_know_is_spelled_out(redis_url: str) -> None:
    """Among others of its batch, and only then."""
    script = Script(f"return {{KEYS[1], ARGV[1], '{id(redis_url)}'}}")
    async with piped(redis_url) as pipe:
        asked = [pipe.ask("ECHO", "before"), pipe.run(script, 1, "key", "one")]
        asked += [pipe.run(script, 1, "key", "two"), pipe.ask("ECHO", "after")]
        replies = [reply for (reply,) in await asyncio.gather(*asked)]
        assert replies[0] == b"before"
        assert [reply[:2] for reply in replies[1:3]] == [[b"key", b"one"], [b"key", b"two"]]
        assert replies[3] == b"after"
        asked = [pipe.run(script, 1, "key", "three")]
        assert not asked[0].done()
        assert (await asked[0])[0][1] == b"three"


async def test_replies_larger_than_a_read_come_whole(redis_url: str, prefix: str) -> None:
    """Redis sends three megabytes; they are read in many pieces."""
    async with piped(redis_url) as pipe:
        large = b"x" * 3_000_000
        await pipe.ask("SET", prefix + "large", large, "EX", 60)
        replies = await asyncio.gather(*(pipe.ask("GET", prefix + "large") for _ in range(3)))
        assert replies == [[large]] * 3


async def test_a_reply_that_nobody_asked_for_ends_the_connection(redis_url: str) -> None:
    """Whose it is cannot be told, so nobody gets it, and no later one either (C1)."""
    async with piped(redis_url) as pipe:
        (before,) = await ids_of_clients(pipe, 1)
        wire: Any = pipe._wire
        wire._transport.write(pack(("ECHO", "nobody's")))
        await until(lambda: pipe._wire is not wire)
        (after,) = await ids_of_clients(pipe, 1)
        assert after != before


async def test_garbage_is_no_reply(redis_url: str) -> None:
    """Those who wait are told, and the next is answered on another connection (R8)."""
    async with piped(redis_url) as pipe:
        await pipe.ask("PING")
        wire: Any = pipe._wire
        asked = pipe.ask("PING")
        wire._view[:3] = b"?!?"
        wire.buffer_updated(3)
        with pytest.raises(StoreError):
            await asked
        assert await pipe.ask("ECHO", "fine") == [b"fine"]
        assert pipe._wire is not wire


@pytest.mark.parametrize("protocol", [2, 3])
async def test_messages_that_answer_nothing_are_passed_over(redis_url: str, protocol: int) -> None:
    """RESP3's pushes, which an application's own client may have asked for."""
    async with piped(redis_url, protocol=protocol) as pipe, raw_redis(redis_url) as other:
        key = f"pushed:{protocol}"
        if protocol == 3:
            await pipe.ask("CLIENT", "TRACKING", "ON")
        await pipe.ask("GET", key)
        wire = pipe._wire
        await other.set(key, "changed", ex=60)
        assert await pipe.ask("ECHO", "mine") == [b"mine"]
        assert await pipe.ask("GET", key) == [b"changed"]
        assert pipe._wire is wire


async def test_a_connection_that_redis_closes_is_noticed_at_once(redis_url: str) -> None:
    """While nothing is under way; so not even a write that comes next fails."""
    async with piped(redis_url) as pipe, raw_redis(redis_url) as other:
        (id,) = await ids_of_clients(pipe, 1)
        await other.client_kill_filter(_id=id)  # type: ignore[arg-type]  # redis-py says str
        await until(lambda: pipe._wire is None)
        assert (await ids_of_clients(pipe, 1)) != [id]


async def test_a_pool_that_others_use_gets_its_connection_back_at_once(
    redis_url: str, prefix: str
) -> None:
    """With room for one only, the application and two stores take turns."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=1, timeout=5)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(redis.asyncio.Redis.from_pool(pool))
        stores = [RedisStore(client, prefix=prefix) for _ in range(2)]
        for store in stores:
            stack.push_async_callback(store.close)
        id = await stored(stores[0])

        async def work(store: RedisStore, key: bytes) -> None:
            for _ in range(20):
                assert await store.load(id) is not None
                await store.commit(Delta(id, 1, 0, set={key: b"1"}))
                assert await client.echo("mine") == b"mine"

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for n, store in enumerate(stores):
                group.create_task(work(store, b"%d" % n))


async def test_nobody_believes_what_follows_a_foreign_reply(redis_url: str) -> None:
    """A connection that has lost count gave the others their replies from it, too (C1)."""
    async with piped(redis_url) as pipe:
        await pipe.ask("PING")

        def foreign(replies: list[Any]) -> None:
            pipe.distrust()
            raise StoreError(f"this is no answer: {replies}")

        echo = pack(("ECHO", "a"))
        asked = [
            pipe.ask("ECHO", "0"),
            pipe.ask_packed(echo, 1, read=foreign),
            pipe.ask("INCR", "n"),
        ]
        first, *others = await asyncio.gather(*asked, return_exceptions=True)
        assert first == [b"0"]
        assert [str(one) for one in others] == [
            "this is no answer: [b'a']",
            "the session store lost count",
        ]
        assert await pipe.ask("ECHO", "b") == [b"b"]  # on another connection


@pytest.mark.usefixtures("no_collector")
async def test_an_error_keeps_nobody_alive(redis_url: str, prefix: str) -> None:
    """Not until the garbage collector comes: ends and conflicts are everyday matters."""

    class Page:
        pass

    async def fails() -> weakref.ref[Page]:
        page = Page()
        with suppress(SessionEnded):
            await store.commit(Delta("A" * 22, 1, 0, set={b"a": b"1"}))
        return weakref.ref(page)

    store = RedisStore(redis_url, prefix=prefix)
    try:
        page = await fails()
        await asyncio.sleep(0)  # the turn of the loop that its answer began holds it, too
        assert page() is None
    finally:
        await store.close()


async def test_a_pool_of_its_own_gets_its_connection_back_when_nothing_is_asked(
    redis_url: str,
) -> None:
    """Redis-py's streams work on it as before."""
    async with piped(redis_url, timeout=0.3) as pipe:
        client = redis.asyncio.Redis(connection_pool=pipe._lease.pool)
        (id,) = await ids_of_clients(pipe, 1)
        await until(lambda: pipe._wire is None and not pipe._returns)  # it is in the pool again
        assert await client.client_id() == id
        assert await client.echo("x" * 100_000) == b"x" * 100_000
        assert await ids_of_clients(pipe, 1) == [id]


async def test_closing_finishes_what_is_under_way(own_redis: RedisServer) -> None:
    """If it is answered in time; else whoever waits is told."""
    async with piped(own_redis.url) as pipe:
        await pipe.ask("PING")
        asked = [pipe.ask("ECHO", "a"), pipe.ask("ECHO", "b")]
        await pipe.close()
        assert await asyncio.gather(*asked) == [[b"a"], [b"b"]]
        own_redis.pause()
        late = pipe.ask("PING")
        await pipe.close()
        with pytest.raises(StoreError):
            await late
        own_redis.resume()

    async def gone() -> bool:
        async with raw_redis(own_redis.url) as other:
            return len(await other.client_list()) == 1

    await eventually(gone)
