"""Clocks that jump and stores that hang: the reload goes on, and nobody lives too long."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import closed_after, end_silently, site, until
from tornado_shared_session.testing import RedisServer

#: The reload is all there is.
ALONE: dict[str, Any] = {"no_notices": True, "no_deadlines": True, "reload_interval": 0.2}


@pytest.mark.parametrize("hours", [-1, 1])
async def test_the_reload_does_not_mind_a_clock_that_jumps(
    redis_url: str, prefix: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an hour, either way, while it runs: an end is noticed as ever, and nothing else is
    (T18, R15).
    """
    async with site(redis=redis_url, prefix=prefix, **ALONE) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            real = time.time
            monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
            assert await client.emit("set", "note", "kept") == "saved"
            # Time itself: several reloads pass, and none of them ends it.
            with pytest.raises(TimeoutError):
                await client.wait_transport_closed(0.7)
            began = time.monotonic()
            await end_silently(redis_url, prefix, a.connection.id)
            await client.wait_transport_closed()
            assert time.monotonic() - began < 2


@pytest.mark.parametrize("hours", [-1, 1])
async def test_an_expiry_is_where_the_store_says(
    redis_url: str, prefix: str, transport: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the process is an hour wrong about the time (R15)."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    async with site(redis=redis_url, prefix=prefix, idle=1) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 4) < 1
        await a.empty()


@pytest.mark.parametrize("how", ["black hole", "lost replies", "frozen"])
async def test_a_store_that_hangs_does_not_hold_the_reload_up_for_good(
    own_redis: RedisServer, prefix: str, how: str
) -> None:
    """What ended meanwhile is noticed once it answers again (T17, R3)."""
    async with FaultProxy(own_redis.port) as proxy:
        async with site(redis=proxy.url, prefix=prefix, **ALONE) as a:
            async with a.client("websocket", await a.visitor()) as client:
                await client.connect()
                await end_silently(own_redis.url, prefix, a.connection.id)
                if how == "black hole":
                    proxy.black_hole()
                elif how == "frozen":
                    own_redis.pause()
                else:
                    proxy.lose_replies()
                peeks: list[BaseException] = []
                peek = a.manager.store.peek

                async def noted(ids: Any) -> Any:
                    try:
                        return await peek(ids)
                    except BaseException as error:
                        peeks.append(error)
                        raise

                a.manager.store.peek = noted  # type: ignore[method-assign]  # to see it fail
                await until(lambda: len(peeks) >= 2, 5)
                assert not client.closed
                if how == "frozen":
                    own_redis.resume()
                await proxy.normal()
                await client.wait_transport_closed(3)
                assert await client.wait_for("session_ended") == {"reason": "expired"}
