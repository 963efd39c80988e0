"""What is special about Redis: its keys, its scripts, its connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgpack
import pytest
import redis.asyncio

from tests.support.proxy import FaultProxy
from tornado_shared_session import RedisStore, StoreError
from tornado_shared_session.record import CorruptRecord, Delta, NewerFormat, generate_id
from tornado_shared_session.stores.base import ForeignRecord
from tornado_shared_session.testing import RedisServer
from tornado_shared_session.testing.store_contract import make_record, stored
from tornado_shared_session.testing.store_messages import listening

pytestmark = pytest.mark.redis


@pytest.fixture
async def store(redis_url: str, prefix: str) -> AsyncIterator[RedisStore]:
    """A store under a prefix of its own."""
    store = RedisStore(redis_url, prefix=prefix)
    yield store
    await store.close()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client beside the store, to look and to spoil."""
    client = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()


Spoil = Callable[[redis.asyncio.Redis, str], Any]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda client, key: client.set(key, "text"),
        lambda client, key: client.rpush(key, "list"),
    ],
    ids=["string", "list"],
)
async def test_a_key_of_another_type_is_a_corrupt_record(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str, spoil: Spoil
) -> None:
    """It is no session, it takes no id away, and it does not spoil the others' answers
    (R8, S44).
    """
    id, good = generate_id(), await stored(store)
    await spoil(client, f"{prefix}s:{id}")
    with pytest.raises(CorruptRecord):
        await store.load(id)
    peeks = await store.peek([good, id, good])
    assert [peek is not None for peek in peeks] == [True, False, True]
    for work in (store.commit(Delta(id, 1, 60, set={b"a": b"1"})), store.delete(id)):
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await work
    record = make_record()
    object.__setattr__(record.meta, "id", id)
    assert not await store.create(record, 60)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"\xffm", b"\xc1"),
        (b"\xffm", None),
        (b"\xffg", b"one"),
        (b"\xffg", None),
        (b"\xffv", b""),
        (b"\xffv", None),
    ],
)
async def test_unreadable_bookkeeping_is_a_corrupt_record(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str, field: bytes, value: bytes | None
) -> None:
    """Whichever part of it; looking at it among others goes on."""
    id, good = await stored(store), await stored(store)
    if value is None:
        await client.hdel(f"{prefix}s:{id}", field.decode("latin-1").encode("latin-1"))
    else:
        await client.hset(f"{prefix}s:{id}", field, value)
    with pytest.raises(CorruptRecord):
        await store.load(id)
    assert (await store.peek([id, good]))[1] is not None


async def test_large_numbers_are_peeked_as_they_are(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str
) -> None:
    """Beyond 32 bits; and one that has no version, or none of ours, cannot tell it."""
    id = await stored(store)
    numbers = {b"\xffg": 123_456_789_012_345, b"\xffv": 2**32 + 7}
    await client.hset(f"{prefix}s:{id}", mapping=numbers)  # type: ignore[arg-type]  # bytes are keys, too
    (peek,) = await store.peek([id])
    assert peek is not None
    assert (peek.generation, peek.version) == tuple(numbers.values())
    assert peek.ttl > 0
    await client.hset(f"{prefix}s:{id}", b"\xffv", b"one")
    (peek,) = await store.peek([id])
    assert peek is not None
    assert peek.version == 0


async def test_a_newer_format_is_told_apart(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str
) -> None:
    """It must not be taken for a record that is not there."""
    id = await stored(store)
    await client.hset(f"{prefix}s:{id}", b"\xffm", msgpack.packb([2, "whatever"]))
    with pytest.raises(NewerFormat):
        await store.load(id)


async def test_a_record_that_names_another_id_is_refused(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str
) -> None:
    """It came from a connection that lost count; the connections are dropped (C2)."""
    mine, other = await stored(store), await stored(store, a=b"not mine")
    await client.copy(f"{prefix}s:{other}", f"{prefix}s:{mine}", replace=True)
    with pytest.raises(ForeignRecord):
        await store.load(mine)
    assert await store.load(other) is not None


async def test_a_key_without_time_to_live_counts_as_due(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str
) -> None:
    """Somebody ran PERSIST; the next touch gives it a deadline again."""
    id = await stored(store)
    await client.persist(f"{prefix}s:{id}")
    record = await store.load(id)
    assert record is not None
    assert record.ttl == 0
    assert (await store.commit(Delta(id, 1, 100))).ttl == 100
    assert 99_000 < await client.pttl(f"{prefix}s:{id}") <= 100_000


async def test_a_key_without_time_to_live_ends_at_its_absolute_deadline(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str
) -> None:
    """That stands in the record, and no PERSIST moves it."""
    id, key = await stored(store), f"{prefix}s:{{}}"
    await client.persist(key.format(id))
    await client.hset(key.format(id), b"\xffa", int(time.time() * 1000) - 1000)
    assert await store.load(id) is None
    assert await store.peek([id]) == [None]
    await store.commit(Delta(id, 1, 100))  # of who had loaded it before
    assert not await client.exists(key.format(id))


async def test_what_somebody_else_wrote_spoils_nothing(
    store: RedisStore, client: redis.asyncio.Redis, prefix: str
) -> None:
    """Bytes that are no text, where there should be an id, a user or a time."""
    id, later = await stored(store), time.time() + 100
    await store.index_add("ann", id, 100)
    await client.zadd(f"{prefix}u:ann", {b"\xff\xfe": later * 1000})
    assert id in await store.index_list("ann")
    await client.hset(f"{prefix}s:{id}", mapping={b"\xffa": b"soon", b"\xffu": b"\xff"})
    assert (await store.commit(Delta(id, 1, 100, set={b"a": b"1"}))).version == 2
    assert await store.delete(id) is not None


async def test_scripts_that_redis_forgot_are_sent_again(
    store: RedisStore, client: redis.asyncio.Redis
) -> None:
    """Every one of them, also many at once, each applied once."""
    for _ in range(2):
        await client.script_flush()
        id = await stored(store)
        await client.script_flush()
        commits = [store.commit(Delta(id, 1, 0, set={b"%d" % i: b"1"})) for i in range(10)]
        versions = [committed.version for committed in await asyncio.gather(*commits)]
        assert sorted(versions) == list(range(2, 12))
        await client.script_flush()
        assert (await store.peek([id]))[0] is not None
        await client.script_flush()
        await store.index_add("ann", id, 10)
        await client.script_flush()
        assert await store.delete(id) is not None


@pytest.mark.parametrize("owner", ["ours", "the user's own", "a blocking pool"])
async def test_connections_that_were_killed_do_not_count(
    redis_url: str, prefix: str, client: redis.asyncio.Redis, owner: str
) -> None:
    """After CLIENT KILL, five of five loads work (C3, C4)."""
    given: Any = redis_url
    if owner != "ours":
        given = redis.asyncio.Redis.from_url(redis_url)
    if owner == "a blocking pool":
        pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=2)
        given = redis.asyncio.Redis.from_pool(pool)
    store = RedisStore(given, prefix=prefix)
    id = await stored(store)
    for _ in range(3):
        await client.client_kill_filter(_type="normal", skipme=True)
        for _ in range(5):
            assert await store.load(id) is not None
    await store.close()
    if owner != "ours":
        assert await given.ping()
        await given.aclose()


async def test_a_server_that_restarts_is_used_again_at_once(own_redis: RedisServer) -> None:
    """What it lost is gone; nothing else remains of it (R4)."""
    store = RedisStore(own_redis.url)
    id = await stored(store)
    own_redis.restart()
    assert await store.load(id) is None
    again = await stored(store)
    own_redis.stop()
    with pytest.raises(StoreError):
        await store.load(again)
    own_redis.start()
    assert await store.load(again) is None
    await store.close()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("defaults", [True, False])
async def test_a_users_own_client_is_accepted_and_stays_theirs(
    redis_url: str, prefix: str, protocol: int, defaults: bool
) -> None:
    """With redis-py's defaults or without; closing the store leaves it open."""
    options: dict[str, Any] = {} if defaults else {"socket_timeout": 1, "max_connections": 1}
    client = redis.asyncio.Redis.from_url(redis_url, protocol=protocol, **options)
    store = RedisStore(client, prefix=prefix)
    ids = await asyncio.gather(*(stored(store, a=b"1") for _ in range(150)))
    records = await asyncio.gather(*(store.load(id) for id in ids))
    assert [record and record.meta.id for record in records] == ids
    await store.close()
    assert await client.ping()
    await client.aclose()


async def test_prefixes_and_databases_are_worlds_apart(redis_server: RedisServer) -> None:
    """Neither records nor users nor messages pass between them."""
    url = redis_server.url.removesuffix("0")
    places = [("0", "one:"), ("0", "two:"), ("1", "one:")]
    stores = [RedisStore(url + db, prefix=prefix) for db, prefix in places]
    id = await stored(stores[0])
    await stores[0].index_add("ann", id, 10)
    async with listening(stores[1]) as other_prefix, listening(stores[2]) as other_db:
        await stores[0].publish(b"for the first")
        for store in stores[1:]:
            assert await store.load(id) is None
            assert await store.index_list("ann") == []
            await store.publish(b"own")
        assert await other_prefix.message() == await other_db.message() == b"own"
    for store in stores:
        await store.close()


async def test_a_listener_hears_again_after_its_connection_broke(
    redis_server: RedisServer, prefix: str
) -> None:
    """And is told that it may have missed something."""
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url, prefix=prefix)
        async with listening(store) as heard:
            for message in (b"one", b"two"):
                proxy.reset()
                await heard.gap()
                # This one finds the other connection broken, and mends it.
                await store.load(generate_id())
                await store.publish(message)
                assert await heard.message() == message
        await store.close()
