"""No socket outlives its session by more than a stated bound."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import (
    closed_after,
    raw_redis,
    site,
    ttl,
    until,
)
from tornado_shared_session.record import Peek
from tornado_shared_session.testing import CookieJar, RedisServer


async def test_a_silent_socket_is_closed_at_its_expiry(
    redis_url: str, prefix: str, transport: str
) -> None:
    """At most a second after, at the server's socket and at the client's event (I4, V7.3.1, W8)."""
    async with site(redis=redis_url, prefix=prefix, idle=2) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 4) < 1
        await a.empty()


async def test_the_reload_alone_closes_it(redis_url: str, prefix: str, transport: str) -> None:
    """Without notices and deadlines: within one reload_interval and a second (I4, W8)."""
    settings: dict[str, Any] = {
        "no_notices": True,
        "no_deadlines": True,
        "reload_interval": 1,
        "idle": 2,
    }
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 6) < 2
        await a.empty()


async def test_the_reload_alone_closes_it_while_pub_sub_is_cut(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """The subscription is reset, and so is each attempt at another one (R12, I4)."""
    settings: dict[str, Any] = {"no_deadlines": True, "reload_interval": 1, "idle": 2}
    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix, **settings) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            await until(lambda: a.watcher.health()["notices"])
            cut = proxy.lose_replies(b"SUBSCRIBE")
            proxy.reset()
            assert await closed_after(a, client, redis_server.url, prefix, 6) < 2
            assert cut.reached.is_set()
            assert not a.watcher.health()["notices"]
        await a.empty()


@pytest.mark.slow
async def test_two_hundred_thousand_other_keys_change_nothing(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """Redis may be late to remove an expired key, but it does not say that it lives."""
    async with raw_redis(own_redis.url) as redis:
        await redis.eval(
            "for i = 1, 200000 do redis.call('SET', 'other:' .. i, i, 'EX', 600 + i % 600) end", 0
        )
        assert await redis.dbsize() >= 200_000
    async with site(redis=own_redis.url, prefix=prefix, idle=2) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, own_redis.url, prefix, 4) < 1


async def test_activity_moves_the_deadline(redis_url: str, prefix: str, transport: str) -> None:
    """Events keep a session alive that silence would have ended; the close comes after the last
    (S14).
    """
    async with site(redis=redis_url, prefix=prefix, idle=1, touch_interval=0.1) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            until_then = time.monotonic() + 1.5
            while time.monotonic() < until_then:
                assert await client.emit("get") == ""
                await asyncio.sleep(0.15)  # time itself is under test
            assert await closed_after(a, client, redis_url, prefix, 3) < 1


async def test_events_are_activity_with_interval_too(redis_url: str, prefix: str) -> None:
    """A socket that began as a stranger's, and whose record a request then made a normal one."""
    settings: dict[str, Any] = {"reload": "interval", "idle": 1, "touch_interval": 0.1}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:

        @a.sio.on("bare")
        async def bare(sid: str) -> str:
            return "handled"

        jar = CookieJar()
        async with a.client("websocket", jar) as client:
            await client.connect()
            await a.http(client.cookies).get("/note")  # the cookie comes back
            until_then = time.monotonic() + 2.5
            while time.monotonic() < until_then:
                assert await client.emit("bare") == "handled"
                await asyncio.sleep(0.1)  # time itself is under test
            assert await ttl(redis_url, prefix, a.connection.id) > 0
            assert await closed_after(a, client, redis_url, prefix, 3) < 1


async def test_polls_and_pings_are_no_activity(redis_url: str, prefix: str, transport: str) -> None:
    """A client that only answers pings loses its session like a silent one (S14, W20)."""
    pings = {"ping_interval": 0.2, "ping_timeout": 5}
    async with site(redis=redis_url, prefix=prefix, idle=1, touch_interval=0.1, server=pings) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 3) < 1
            assert sum(packet == "2" for packet in client.packets) >= 2


@pytest.mark.parametrize("server", [{}, {"expiring_notice": 1.7}])
async def test_a_session_without_a_time_to_live_is_not_asked_about_all_the_time(
    redis_url: str, prefix: str, server: dict[str, Any]
) -> None:
    """Somebody ran PERSIST: that is no deadline that has come, and an event sets one."""
    async with site(redis=redis_url, prefix=prefix, idle=2, server=server) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            id, looks, peek = a.connection.id, 0, a.manager.store.peek

            async def counted(ids: Sequence[str]) -> list[Peek | None]:
                nonlocal looks
                looks += 1
                return await peek(ids)

            a.manager.store.peek = counted  # type: ignore[method-assign]  # replaced for the test
            async with raw_redis(redis_url) as redis:
                await redis.persist(f"{prefix}s:{id}")
            await a.watcher.look([id])
            await asyncio.sleep(1)  # time is meant: that next to nothing happens in it
            assert 1 <= looks <= 3
            assert not client.events
            assert await client.emit("get") == ""
            assert await ttl(redis_url, prefix, id) > 1
