"""After everything, nothing is left: 100,000 connects to a real server process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.processes import AppProcess
from tests.support.proofs import measured, scale
from tests.support.sites import raw_redis, visitor
from tests.support.vitals import settled
from tornado_shared_session.testing import (
    CookieJar,
    RedisServer,
    SocketIOTestClient,
)

ROUNDS = scale(3, long=10)
CONNECTS = scale(1_000, long=10_000)  # in each round; one more warms up
AT_ONCE = 30
MOST_GROWTH = 1.05  # of the memory it holds after the warm-up


async def visit(url: str, jar: CookieJar, number: int) -> None:
    """Connect and leave: each transport, with and without a session, in each way to leave."""
    transport: Any = ("websocket", "polling", "websocket", "upgrade")[number % 4]
    cookies = CookieJar(jar) if number % 7 else None
    client = SocketIOTestClient(url, transport=transport, cookies=cookies, timeout=30)
    try:
        await client.connect()
        if number % 5 == 0:
            await client.connect("/chat")
        if number % 3 == 0:
            await client.emit("set", "note", number)
        if number % 11 == 0:
            await client.disconnect()
    finally:
        if number % 2 and transport != "polling":
            await client.abort()
        else:
            await client.close()


async def churn(url: str, jar: CookieJar, numbers: Iterator[int]) -> None:
    """Visit until the numbers are used up, many at once."""

    async def work() -> None:
        for number in numbers:
            await visit(url, jar, number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


@pytest.mark.slow
async def test_a_hundred_thousand_connects_leave_nothing(
    own_redis: RedisServer, prefix: str
) -> None:
    """Tasks, descriptors, registry, pool and rooms are as before, memory within 5 % (R18, I8)."""
    args = ("--redis", own_redis.url, "--prefix", prefix, "--ping-interval", "0.5")
    async with AppProcess("tests.apps.measured", *args) as app, raw_redis(own_redis.url) as redis:
        jar = await visitor(app.url)
        await churn(app.url, jar, iter(range(CONNECTS)))
        before = await settled(app)
        clients = len(await redis.client_list())
        started, memory = time.monotonic(), [before["resident"]]
        for _ in range(ROUNDS):
            await churn(app.url, jar, iter(range(CONNECTS)))
            after = await settled(app)
            memory.append(after["resident"])
            assert after["counts"] == dict.fromkeys(after["counts"], 0)
            assert after["tasks"] == before["tasks"]
            assert after["descriptors"] == before["descriptors"]
            assert after["in_use"] == before["in_use"] <= 2
            assert len(await redis.client_list()) == clients
        rate = ROUNDS * CONNECTS / (time.monotonic() - started)
        measured(
            f"{ROUNDS * CONNECTS} connects at {rate:.0f}/s: memory in MB",
            " ".join(f"{size / 2**20:.1f}" for size in memory),
        )
        measured("  objects", f"{before['objects']}, then {after['objects']}")
        assert max(memory[1:]) <= MOST_GROWTH * memory[0]
