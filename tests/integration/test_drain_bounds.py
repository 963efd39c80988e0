"""`drain()`: its pace, its timeout, calling it twice or wrongly."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.sites import Site, draining, raw_redis, session_id, until
from tornado_shared_session import ConfigurationError, SessionError, drain
from tornado_shared_session.draining import Drained

SHUTDOWN = {"reason": "shutdown"}


async def test_sockets_are_told_a_few_at_a_time(a: Site) -> None:
    """40 of them at 40 a second take about a second, and end all through it (R17, R21)."""
    clients = [a.client("websocket", await a.visitor()) for _ in range(40)]
    await asyncio.gather(*(client.connect() for client in clients))
    began = time.monotonic()
    ends: list[float] = []

    async def heard(client: Any) -> None:
        await client.wait_for("session_ended")
        ends.append(time.monotonic() - began)

    done = draining(a, pace=40)
    await asyncio.gather(*map(heard, clients))
    assert (await done).sockets == 40
    # Time is what is tested: the jitter moves a batch by half a tick.
    assert 0.8 < max(ends) < 2
    quarters = [sum(n / 4 <= end < (n + 1) / 4 for end in ends) for n in range(4)]
    assert min(quarters) >= 4, quarters
    for client in clients:
        await client.close()


async def test_a_second_call_waits_for_the_first_and_says_the_same(a: Site) -> None:
    """Also afterwards; and the manager may be started again."""
    jar = await a.visitor()
    http = a.http(jar)
    slow = asyncio.create_task(http.post("/slow", {"key": "k", "value": "1"}))
    await until(lambda: a.shared.heard("slow"))
    first, second = draining(a), draining(a)
    impatient = draining(a)
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    a.shared.go.set()
    await slow
    assert await first == await second == await draining(a)
    await a.manager.start()
    assert a.manager.draining is None
    http.close()


async def test_who_waits_for_a_drain_that_is_cancelled_is_told(a: Site) -> None:
    """It does not wait for ever, nor is it told that all went well."""
    slow = asyncio.create_task(a.http(await a.visitor()).post("/slow", {"key": "k", "value": "1"}))
    await until(lambda: a.shared.heard("slow"))
    first, second = draining(a), draining(a)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(SessionError, match="did not end"):
        await second
    a.shared.go.set()
    assert (await slow).code == 200
    assert a.manager.draining is not None  # nobody new gets in


async def test_a_drain_that_was_cancelled_can_be_done_again(a: Site) -> None:
    """Who comes after it did not wait for it, and drains what is left."""
    slow = asyncio.create_task(a.http(await a.visitor()).post("/slow", {"key": "k", "value": "1"}))
    await until(lambda: a.shared.heard("slow"))
    first = draining(a)
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    again = draining(a)
    a.shared.go.set()
    assert (await slow).code == 200
    assert (await asyncio.wait_for(again, 5)).requests == 1
    assert await draining(a) == again.result()


@pytest.mark.expects_log("503 POST /slow")
async def test_what_does_not_end_is_cut_and_counted(
    a: Site, caplog: pytest.LogCaptureFixture, redis_url: str, prefix: str
) -> None:
    """A request and an event that hang: the drain is through within its timeout, and what they
    save after it is refused (R21).
    """
    jar = await a.visitor()
    http = a.http(jar)
    request = asyncio.create_task(http.post("/slow", {"key": "k", "value": "1"}))
    async with a.client("websocket", jar) as client:
        await client.connect()
        event = asyncio.create_task(client.emit("slow", "k", 1))
        await until(lambda: len(a.shared.heard("slow")) == 2)
        began = time.monotonic()
        result = await drain(a.server.http_server, a.manager, timeout=1.5)
        # Time is what is tested.
        assert 0.9 < time.monotonic() - began < 1.6
        assert await client.wait_for("session_ended") == SHUTDOWN
        assert (result.cut, result.requests, result.sockets) == (2, 0, 1)
        outcomes = await asyncio.gather(request, event, return_exceptions=True)
        assert all(isinstance(one, Exception) for one in outcomes)
    a.shared.go.set()
    await until(lambda: not a.manager.connections.ids())
    await until(lambda: "503 POST /slow" in caplog.text)
    async with raw_redis(redis_url) as redis:
        assert await redis.hget(f"{prefix}s:{session_id(jar)}", "k") is None
    http.close()


async def test_a_handler_whose_client_has_left_is_cut_and_counted(a: Site) -> None:
    """As one whose client is still there (R21)."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        await client.emit("slow", "k", 1, ack=False)
        await until(lambda: a.shared.heard("slow"))
    await until(lambda: not len(a.manager.connections))
    result = await drain(a.server.http_server, a.manager, timeout=0.6)
    assert (result.cut, result.sockets) == (1, 0)
    assert result.seconds > 0.35
    a.shared.go.set()
    await until(lambda: not a.manager.connections.running)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda server, manager: drain(server, manager, pace=0), "pace=0"),
        (lambda server, manager: drain(server, manager, pace=True), "pace=True"),
        (lambda server, manager: drain(server, manager, timeout=-1), "timeout"),
        (lambda server, manager: drain([manager], manager), "listen"),
        (lambda server, manager: drain(server, server), "SessionManager"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_stops(
    a: Site, call: Callable[[Any, Any], Awaitable[Drained]], said: str
) -> None:
    """Each is named, and the server goes on."""
    with pytest.raises(ConfigurationError, match=said):
        await call(a.server.http_server, a.manager)
    assert json.loads((await a.http(await a.visitor(note="x")).get("/note")).body) == "x"
