"""The proxy that misbehaves on demand, tested."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
import redis.exceptions

from tests.support.proxy import FaultProxy
from tornado_shared_session.testing import RedisServer


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the private Redis."""
    async with FaultProxy(redis_server.port) as running:
        yield running


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[redis.asyncio.Redis]:
    """A Redis client behind the proxy that never retries."""
    retry = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
    made = redis.asyncio.Redis.from_url(proxy.url, socket_timeout=0.3, retry=retry)
    yield made
    await made.aclose()


async def test_the_proxy_forwards_and_counts(
    proxy: FaultProxy, client: redis.asyncio.Redis, prefix: str
) -> None:
    """Without a fault nobody notices it."""
    await client.set(prefix + "a", "x" * 100_000)
    assert await client.get(prefix + "a") == b"x" * 100_000
    assert proxy.count(b"GET") >= 1
    assert proxy.accepted == proxy.connections == 1


async def test_the_proxy_delays_and_slices_replies(
    proxy: FaultProxy, client: redis.asyncio.Redis, prefix: str
) -> None:
    """Slow and in single bytes, but complete."""
    await client.set(prefix + "a", "hello")
    proxy.slice_replies(1)
    proxy.latency(to_server=0.05, to_client=0.05)
    started = time.monotonic()
    assert await client.get(prefix + "a") == b"hello"
    assert time.monotonic() - started >= 0.1


async def test_the_proxy_can_be_a_black_hole(
    proxy: FaultProxy, client: redis.asyncio.Redis
) -> None:
    """Connections succeed, answers never come; until it is normal again."""
    await client.ping()
    proxy.black_hole()
    with pytest.raises(redis.exceptions.TimeoutError):
        await client.ping()
    await proxy.normal()
    assert await client.ping()


async def test_the_proxy_can_refuse_and_come_back(
    proxy: FaultProxy, client: redis.asyncio.Redis
) -> None:
    """The port is closed and later open again."""
    await client.ping()
    await proxy.refuse()
    for _ in range(2):
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.ping()
    await proxy.normal()
    assert await client.ping()


async def test_the_proxy_loses_a_reply_after_the_command(
    proxy: FaultProxy, client: redis.asyncio.Redis, prefix: str
) -> None:
    """The command was applied; the client never hears of it."""
    await client.ping()
    proxy.lose_replies(b"INCR", count=1)
    with pytest.raises(redis.exceptions.ConnectionError):
        await client.incr(prefix + "n")
    assert await client.incr(prefix + "n") == 2


async def test_the_proxy_holds_a_command_at_a_barrier(
    proxy: FaultProxy, client: redis.asyncio.Redis, prefix: str
) -> None:
    """A test knows that the command is on its way, and lets it go."""
    await client.ping()
    hold = proxy.hold(b"INCR")
    incr = asyncio.ensure_future(client.incr(prefix + "n"))
    await asyncio.wait_for(hold.reached.wait(), 1)
    assert not incr.done()
    assert await client.get(prefix + "n") is None
    hold.release()
    assert await incr == 1


async def test_the_proxy_delays_only_what_matches(
    proxy: FaultProxy, client: redis.asyncio.Redis, prefix: str
) -> None:
    """Other commands pass at once."""
    await client.ping()
    proxy.delay(b"INCR", 0.1)
    started = time.monotonic()
    await client.get(prefix + "n")
    assert time.monotonic() - started < 0.1
    await client.incr(prefix + "n")
    assert time.monotonic() - started >= 0.1


async def test_the_proxy_resets_connections(proxy: FaultProxy, client: redis.asyncio.Redis) -> None:
    """The client finds out and connects again."""
    await client.ping()
    proxy.black_hole()
    ping = asyncio.ensure_future(client.ping())
    while proxy.count(b"PING") < 2:
        await asyncio.sleep(0)
    proxy.reset()
    with pytest.raises(redis.exceptions.ConnectionError):
        await ping
    proxy.heal()
    assert await client.ping()
    assert proxy.accepted == 2
