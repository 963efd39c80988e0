"""Nothing is left behind: registries, rooms, tasks, Redis connections are as they were."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import suppress

import pytest

from tests.support.sites import Site, raw_redis, session_id, site, until
from tornado_shared_session.testing import ConnectionLost, CookieJar, RedisServer

CYCLES = 2000
AT_ONCE = 40
#: Engine.IO leaves a task asleep for a ping interval after each client.
PINGS = {"ping_interval": 0.5, "ping_timeout": 5}


async def visit(a: Site, transport: str, jar: CookieJar, number: int) -> None:
    """Connect and leave, each time in another way."""
    client = a.client(transport, CookieJar(jar) if number % 3 else None)
    await client.connect()
    if number % 5 == 0:
        await client.connect("/chat")
    if number % 4 == 0:
        await client.disconnect()
    if number % 2 and transport != "polling":
        await client.abort()
    else:
        await client.close()


@pytest.mark.slow
async def test_two_thousand_connects_leave_nothing(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """In all ways to leave: registry, rooms, environs, tasks, Redis connections are as before
    (I8, R18).
    """
    async with site(redis=own_redis.url, prefix=prefix, server=PINGS) as a:
        async with raw_redis(own_redis.url) as redis:
            jar = await a.visitor()
            await visit(a, transport, jar, 1)
            await a.empty()
            await until(lambda: a.watcher.health()["notices"])
            gc.collect()
            tasks, clients = len(asyncio.all_tasks()), len(await redis.client_list())
            numbers = iter(range(CYCLES))

            async def work() -> None:
                for number in numbers:
                    await visit(a, transport, jar, number)

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            await a.empty(10)
            await until(lambda: len(asyncio.all_tasks()) <= tasks, 10)
            assert len(await redis.client_list()) <= clients
            assert len(a.shared.heard("connect")) == len(a.shared.heard("disconnect"))
            assert len(a.manager._tasks) == 0
            assert not [s for s in a.sio.eio.sockets.values() if not s.closed]


async def test_clients_that_give_up_during_the_handshake_leave_nothing(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """They cut the connection while the store is slow, before the response (I8)."""
    async with site(redis=own_redis.url, prefix=prefix, connect_timeout=0.3, server=PINGS) as a:
        jar = await a.visitor()
        own_redis.pause()
        clients = [a.client(transport, jar if n % 2 else None) for n in range(20)]
        opening = [asyncio.ensure_future(client.open()) for client in clients]
        await until(lambda: len(a.manager.connections) == 10)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for client in clients:
            await client.abort()
        own_redis.resume()
        await a.empty(5)
        await until(lambda: not a.manager._tasks)


async def test_a_transport_that_never_connects_is_closed(
    redis_url: str, prefix: str, transport: str
) -> None:
    """After connect_timeout; one whose only namespace was left, too; one that is in use is not
    (T15).
    """
    async with site(redis=redis_url, prefix=prefix, connect_timeout=0.4) as a:
        jar = await a.visitor()
        kind = "polling" if transport == "upgrade" else transport
        async with a.client(kind, jar) as idle, a.client(transport, jar) as left:
            async with a.client(transport, jar) as busy:
                await asyncio.gather(idle.open(), left.connect(), busy.connect())
                await left.disconnect()
                await asyncio.gather(idle.wait_transport_closed(), left.wait_transport_closed())
                assert await busy.emit("get") == ""
                assert not idle.events
        await a.empty()


async def test_refused_connects_do_not_push_the_deadline_on(redis_url: str, prefix: str) -> None:
    """A client that asks for a namespace that is not there, again and again, is closed in time."""
    async with site(redis=redis_url, prefix=prefix, connect_timeout=1) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.open()
            opened = time.monotonic()
            while not client.closed and time.monotonic() - opened < 3:
                with suppress(ConnectionLost):  # it may be closed in this very moment
                    await client.send_raw("40/nowhere,")
                await asyncio.sleep(0.2)  # more often than a refused transport is given
            await client.wait_transport_closed()
            assert time.monotonic() - opened < 2
        await a.empty()


async def test_each_connect_has_exactly_one_disconnect(
    redis_url: str, prefix: str, transport: str
) -> None:
    """However it ends: by the client, a cut, the server, or the session (T24)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        for ending in ("close", "abort", "namespace", "server", "session"):
            client = a.client(transport, CookieJar(jar))
            sid = await client.connect()
            if ending == "close":
                await client.close()
            elif ending == "namespace":
                await client.disconnect()
            elif ending == "server":
                await a.sio.disconnect(sid)
            elif ending == "session":
                await a.manager.destroy(session_id(jar))
            if ending == "abort" and transport == "polling":
                await a.sio.disconnect(
                    sid
                )  # a polling client that is cut off is not noticed at once
            await client.abort()
            await until(lambda: len(a.shared.heard("disconnect")) == len(a.shared.heard("connect")))
        assert a.shared.heard("disconnect") == a.shared.heard("connect")
