"""Thousands of sessions end at one moment, and their clients come back at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.apps.measured import sample
from tests.support.processes import AppProcess
from tests.support.proofs import measured, scale
from tests.support.sites import raw_redis, session_id, until, visitor
from tests.support.vitals import pulse
from tornado_shared_session import RedisStore, SessionManager
from tornado_shared_session.connections import Connection
from tornado_shared_session.record import Meta, Peek, Record, generate_id
from tornado_shared_session.testing import (
    CookieJar,
    HandshakeRefused,
    RedisServer,
    SocketIOTestClient,
)
from tornado_shared_session.watcher import watch

SOCKETS = scale(300, long=2_000)
REGISTERED = 10_000
AT_ONCE = 15
#: Milliseconds by which a loop may be late, p99. The usual run shares its
#: processors with others.
MOST_LAG = scale(500, long=50)


class Registered(Connection):
    """A connection that is only in the registry, and notes when it is closed."""

    __slots__ = ("closed_at",)

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.closed_at = 0.0

    def _close(self, reason: str, *, final: bool) -> None:
        self.closed_at = time.monotonic()


@pytest.mark.slow
async def test_ten_thousand_sessions_expire_at_one_moment(redis_url: str, prefix: str) -> None:
    """In registry and store: 500 a question, closed in a second, the loop stays free (R16)."""
    store, asked = RedisStore(redis_url, prefix=prefix), list[int]()
    peek = store.peek

    async def counted(ids: Any) -> list[Peek | None]:
        asked.append(len(ids))
        return await peek(ids)

    store.peek = counted  # type: ignore[method-assign]  # counted for the test
    manager = SessionManager(store, secret="a secret for the test", reload_interval=600)
    watcher, lags = watch(manager), list[float]()
    async with manager:
        await until(lambda: watcher.health()["notices"])
        records = [
            Record(Meta(generate_id(), b"d" * 32, time.time(), None), 1, 1, 60, {}, False)
            for _ in range(REGISTERED)
        ]
        await asyncio.gather(*(store.create(record, 3600) for record in records))
        async with raw_redis(redis_url) as redis, redis.pipeline(transaction=False) as pipe:
            ttl = 3
            now = await redis.time()
            moment = int(now[0]) * 1000 + int(now[1]) // 1000 + ttl * 1000
            deadline = time.monotonic() + ttl
            for record in records:
                pipe.pexpireat(f"{prefix}s:{record.meta.id}", moment)
            await pipe.execute()
        connections = []
        for record in records:
            connection = Registered(record.meta.id)
            manager.connections.add(connection)
            connection.admit(record)
            connection.deadline = deadline
            watcher.expect(connection.id, deadline)
            connections.append(connection)
        asked.clear()
        sampler = asyncio.ensure_future(sample(lags))  # type: ignore[arg-type]  # any list will do
        await until(lambda: all(one.closed_at for one in connections), 20)
        sampler.cancel()
        for one in connections:
            manager.connections.discard(one)
    late = max(one.closed_at for one in connections) - deadline
    lags.sort()
    p99 = lags[len(lags) * 99 // 100] * 1000
    measured(
        f"{REGISTERED} expiries at one moment (registry)",
        f"the last is closed after {late * 1000:.0f} ms, {len(asked)} questions;"
        f" loop lag p99 {p99:.1f} ms, longest {lags[-1] * 1000:.0f} ms",
    )
    assert {one.reason for one in connections} == {"expired"}
    assert max(asked) <= 500
    assert REGISTERED <= sum(asked) <= 2 * REGISTERED  # some may be asked about twice
    assert min(one.closed_at for one in connections) >= deadline - 0.02
    assert late <= scale(10, long=1)
    assert p99 <= MOST_LAG


async def come(url: str, jar: CookieJar) -> SocketIOTestClient:
    """Connect; one in three by polling first."""
    transport: Any = "upgrade" if hash(jar["session"]) % 3 == 0 else "websocket"
    client = SocketIOTestClient(url, transport=transport, cookies=jar, timeout=60)
    await client.connect()
    return client


@pytest.mark.slow
async def test_a_mass_expiry_and_the_herd_that_comes_back(
    own_redis: RedisServer, prefix: str
) -> None:
    """2,000 sockets close at the moment, in batches; all come back, no pool error (R16, R17)."""
    options = ("--redis", own_redis.url, "--prefix", prefix, "--reload-interval", "1")
    async with (
        AppProcess("tests.apps.measured", *options) as app,
        AsyncExitStack() as stack,
        raw_redis(own_redis.url) as redis,
    ):
        gate = asyncio.Semaphore(AT_ONCE)

        async def arrive() -> SocketIOTestClient:
            async with gate:
                jar = await visitor(app.url)
                client = await come(app.url, jar)
                stack.push_async_callback(client.abort)
                return client

        clients = await asyncio.gather(*(arrive() for _ in range(SOCKETS)))
        now = await redis.time()
        ttl = 4
        moment = int(now[0]) * 1000 + int(now[1]) // 1000 + ttl * 1000
        deadline = time.monotonic() + ttl
        async with redis.pipeline(transaction=False) as pipe:
            for client in clients:
                assert client.cookies is not None
                pipe.pexpireat(f"{prefix}s:{session_id(client.cookies)}", moment)
            await pipe.execute()
        late = []
        before = await pulse(app)

        async def leave(client: SocketIOTestClient) -> None:
            assert await client.wait_for("session_ended", 30) == {"reason": "expired"}
            late.append(time.monotonic() - deadline)
            await client.wait_transport_closed(30)

        await asyncio.gather(*(leave(client) for client in clients))
        closing = await pulse(app)
        # The herd: all at once, with cookies that name nothing any more.
        started = time.monotonic()
        back = await asyncio.gather(
            *(come(app.url, CookieJar(client.cookies or {})) for client in clients),
            return_exceptions=True,
        )
        took = time.monotonic() - started
        for one in back:
            if isinstance(one, SocketIOTestClient):
                stack.push_async_callback(one.abort)
        refused = [one for one in back if isinstance(one, BaseException)]
        assert [one.status for one in refused if isinstance(one, HandshakeRefused)] == []
        assert refused == []
        coming = await pulse(app)
        assert coming["health"] == {"store": "ok", "connections": SOCKETS, "notices": True}
        # The pipe, the channel, this test: no pool ran out, for none is needed.
        assert len(await redis.client_list()) <= 4
        late.sort()
        figures = {"closing": closing["lags"], "coming back": coming["lags"]}
        for what, lags in figures.items():
            p99 = lags[len(lags) * 99 // 100] * 1000
            measured(
                f"{SOCKETS} sockets {what}: loop lag",
                f"p99 {p99:.1f} ms, longest {lags[-1] * 1000:.0f} ms",
            )
        measured(
            f"{SOCKETS} sockets told of their expiry",
            f"median {late[SOCKETS // 2] * 1000:.0f} ms, last {late[-1] * 1000:.0f} ms after it;"
            f" all back in {took:.1f} s",
        )
        assert closing["peeks"]["most"] <= 500
        questions = closing["peeks"]["calls"] - before["peeks"]["calls"]
        assert questions <= 2 * (SOCKETS // 500 + 1) * 10  # with those of the reload
        assert late[0] >= -0.05
        assert late[-1] <= 10  # closing them is work for the processor, half of it the clients'
