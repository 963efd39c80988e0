"""Who is cancelled leaves nobody else his answer (CVE-2023-28858), and no connection behind.

The wire to Redis is slow and hands over replies byte by byte. Each record
holds its own name, and has a time to live that no other has, so that every
answer tells whose it is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import tornado.web
from redis.asyncio import BlockingConnectionPool, Redis
from tornado.web import create_signed_value

from tests.support.core import visit
from tests.support.proofs import measured, scale
from tests.support.proxy import FaultProxy
from tests.support.sites import eventually, raw_redis, until
from tests.support.web import COOKIE, SECRET
from tornado_shared_session import (
    RedisStore,
    Session,
    SessionManager,
    SessionMixin,
    StoreError,
)
from tornado_shared_session.record import Delta
from tornado_shared_session.testing import HTTPTestClient, RedisServer, serve
from tornado_shared_session.testing.store_contract import make_record

pytestmark = pytest.mark.redis
OPERATIONS = scale(3_000, long=100_500) // 3  # with each pool
REQUESTS = scale(120, long=10_200) // 3
PER_REQUEST, CANCELLED = 10, 0.42  # a few are done before they are cancelled
RECORDS, AT_ONCE = 40, 50
APART, LONGEST = 1000.0, 100_000.0  # seconds between two records' times to live

pools = pytest.mark.parametrize("size", [1, 8, 50])


@asynccontextmanager
async def pooled(proxy: FaultProxy, size: int) -> AsyncIterator[Redis]:
    """Return a user's client with so many connections, and see that none is left."""
    pool = BlockingConnectionPool.from_url(proxy.url, max_connections=size, timeout=30)
    client = Redis.from_pool(pool)
    try:
        yield client
        await until(lambda: not pool._in_use_connections)
        assert proxy.connections <= size
    finally:
        await client.aclose()
    await until(lambda: proxy.connections == 0)


async def connected(redis: Redis) -> int:
    """Return how many clients the server has."""
    return len(await redis.client_list())


async def back_to(count: int, redis: Redis) -> None:
    """Wait until the server has seen the last of our connections go."""

    async def gone() -> bool:
        return await connected(redis) <= count

    await eventually(gone)


async def own_answer(store: RedisStore, client: Redis, ids: list[str], n: int, kind: int) -> None:
    """Ask something about one record, and see that the answer is its own."""
    id, ttl = ids[n], LONGEST + n * APART
    if kind == 0:
        # An application's own command on the same pool.
        assert await client.get(f"own:{n}") == b"%d" % n
    elif kind == 1:
        committed = await store.commit(Delta(id, 1, 1.0, set={b"at": b"%f" % time.time()}))
        assert committed.ttl is not None
        assert abs(committed.ttl - ttl) < APART / 2
    elif kind == 2:
        other = (n + 1) % len(ids)
        for place, peek in zip((n, other), await store.peek([id, ids[other]]), strict=True):
            assert peek is not None
            assert abs(peek.ttl - LONGEST - place * APART) < APART / 2
    else:
        record = await store.load(id)
        assert record is not None
        assert record.values[b"name"] == id.encode()
        assert abs(record.ttl - ttl) < APART / 2


async def named(store: RedisStore) -> list[str]:
    """Create records that hold their own names."""
    ids = []
    for n in range(RECORDS):
        record = make_record(ttl=LONGEST + n * APART)
        record.values[b"name"] = record.meta.id.encode()
        assert await store.create(record, 10 * LONGEST)
        ids.append(record.meta.id)
    return ids


@pools
async def test_cancelled_operations_leave_nobody_a_foreign_answer(
    redis_server: RedisServer, prefix: str, size: int
) -> None:
    """100,000 of them, 40 % cancelled, in pools of 1, 8 and 50: each answer is its own (C1)."""
    chance, done = random.Random(size), Counter[str]()
    async with FaultProxy(redis_server.port) as proxy, raw_redis(redis_server.url) as server:
        before = await connected(server)
        async with pooled(proxy, size) as client:
            stores = [RedisStore(client, prefix=prefix, timeout=30) for _ in range(max(size, 2))]
            ids = await named(stores[0])
            for n in range(RECORDS):
                await client.set(f"own:{n}", n, ex=600)
            proxy.slice_replies(1)
            proxy.latency(to_client=0.001)

            async def work(operations: int) -> None:
                for _ in range(operations):
                    store, n, kind = chance.choice(stores), chance.randrange(RECORDS), -1
                    cancelled = chance.random() < CANCELLED
                    # What redis-py does with its own cancelled commands is not in question.
                    kind = chance.randrange(1 if cancelled else 0, 6)
                    task = asyncio.ensure_future(own_answer(store, client, ids, n, kind))
                    if cancelled:
                        # Anywhere between the first step and the last byte: a random moment.
                        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.002, 0.004]))
                        task.cancel()
                    await asyncio.wait([task])
                    done["cancelled" if task.cancelled() else "answered"] += 1
                    if not task.cancelled():
                        task.result()

            began = time.monotonic()
            await asyncio.gather(*(work(OPERATIONS // AT_ONCE) for _ in range(AT_ONCE)))
            took = time.monotonic() - began
            assert await connected(server) - before <= size
            for store in stores:
                await store.close()
        await until(lambda: proxy.connections == 0)
        await back_to(before, server)
    total = done.total()
    assert 0.35 * total < done["cancelled"] < 0.5 * total
    measured(f"pool of {size}", f"{done['cancelled']} of {total} cancelled in {took:.0f} s")


async def test_answers_that_come_too_late_are_nobodys(
    redis_server: RedisServer, prefix: str
) -> None:
    """Given up by the store's own timeout, with the reply on its way: an error, never another's
    answer (C1)."""
    chance, late = random.Random(1), 0
    async with FaultProxy(redis_server.port) as proxy:
        async with pooled(proxy, 2) as client:
            patient = RedisStore(client, prefix=prefix, timeout=30)
            ids = await named(patient)
            await patient.close()
            store = RedisStore(client, prefix=prefix, timeout=0.03)
            for _ in range(scale(150, long=2_000)):
                # The store takes a last look 20 ms after its time is up.
                proxy.latency(to_client=chance.choice([0, 0, 0.03, 0.045, 0.05, 0.055]))
                wanted = [chance.randrange(RECORDS) for _ in range(3)]
                asked = (own_answer(store, client, ids, n, 1 + n % 3) for n in wanted)
                for answer in await asyncio.gather(*asked, return_exceptions=True):
                    if isinstance(answer, StoreError):
                        assert "in time" in str(answer)
                        late += 1
                    elif answer is not None:
                        raise answer
            proxy.heal()
            await store.close()
    assert late > 10


@pools
async def test_a_pool_whose_connections_were_killed_fails_nobody(
    own_redis: RedisServer, size: int
) -> None:
    """After CLIENT KILL, each store's next five commands work, in every pool (C3, C4)."""
    async with FaultProxy(own_redis.port) as proxy, raw_redis(own_redis.url) as server:
        async with pooled(proxy, size) as client:
            stores = [RedisStore(client) for _ in range(max(size, 2))]
            ids = await named(stores[0])
            for _ in range(3):
                await server.client_kill_filter(_type="normal", skipme=True)
                for n in range(5):
                    await asyncio.gather(*(own_answer(it, client, ids, n, 3) for it in stores))
            for store in stores:
                await store.close()


class Own(SessionMixin, tornado.web.RequestHandler):
    """Does ten things with its session, gives up some of them, and says whose it is."""

    async def get(self) -> None:
        def bump(session: Session) -> str:
            session["n"] = session.get("n", 0) + 1
            return str(session["name"])

        session, chance, done = self.session, self.settings["chance"], self.settings["done"]
        for _ in range(PER_REQUEST):
            patience = chance.choice([0, 0.001, 0.002]) if chance.random() < CANCELLED else 30
            try:
                async with asyncio.timeout(patience):
                    if chance.random() < 0.3:
                        assert await session.transact(bump) == session["name"]
                    else:
                        await session.reload()
                done["answered"] += 1
            except TimeoutError:
                done["cancelled"] += 1
        self.write(f"{session.id} {session['name']} {session.user_id}")


@pools
async def test_cancelled_handlers_leave_nobody_a_foreign_session(
    redis_server: RedisServer, prefix: str, size: int
) -> None:
    """Over HTTP: 10,000 requests that do ten things each and give up 40 % of them (C1, I3)."""
    done = Counter[str]()
    async with FaultProxy(redis_server.port) as proxy, raw_redis(redis_server.url) as server:
        before = await connected(server)
        async with pooled(proxy, size) as client:
            manager = SessionManager(
                RedisStore(client, prefix=prefix, timeout=30), secret=SECRET, touch_interval=1
            )
            visitors: list[tuple[str, str]] = []
            for n in range(RECORDS):
                session, paper = await visit(manager, name=f"user{n}")
                await session.login(f"user{n}")
                cookie = create_signed_value(SECRET, COOKIE, str(paper.credential)).decode()
                visitors.append((f"{session.id} user{n} user{n}", cookie))
            proxy.slice_replies(1)
            proxy.latency(to_client=0.001)
            app = tornado.web.Application(
                [("/", Own)],
                session_manager=manager,
                cookie_secret=SECRET,
                chance=random.Random(size),
                done=done,
            )
            async with serve(app) as running:

                async def browse(n: int) -> None:
                    expected, cookie = visitors[n]
                    http = HTTPTestClient(running.url, cookies={COOKIE: cookie}, timeout=60)
                    for _ in range(REQUESTS // RECORDS):
                        response = await http.get("/")
                        assert (response.code, response.body.decode()) == (200, expected)
                    http.close()

                began = time.monotonic()
                await asyncio.gather(*map(browse, range(RECORDS)))
                took = time.monotonic() - began
            await manager.close()
        await back_to(before, server)
    total = done.total()
    assert 0.3 * total < done["cancelled"] < 0.55 * total
    measured(f"HTTP, pool of {size}", f"{done['cancelled']} of {total} cancelled in {took:.0f} s")
