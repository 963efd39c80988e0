"""What the Redis store does with a client that misbehaves; no server is needed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio

from tornado_shared_session import RedisStore, StoreError
from tornado_shared_session.stores.redis_pipe import Pipe


async def test_the_timeout_may_be_a_timedelta() -> None:
    """Like every other duration, and the client's own wait is bounded by it too."""
    store = RedisStore("redis://localhost", timeout=timedelta(milliseconds=500))
    assert store._timeout == 0.5
    assert store._client.connection_pool.connection_kwargs["socket_connect_timeout"] == 0.5
    await store.close()


class Odd:
    """A pool whose connections fail in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.dropping = asyncio.Event()
        self.gate = asyncio.Event()

    async def get_connection(self) -> object:
        """Fail."""
        raise ValueError("unforeseen")

    async def disconnect(self, inuse_connections: bool) -> None:
        """Take as long as the test wants."""
        self.dropping.set()
        await self.gate.wait()


@pytest.mark.expects_log("the Redis client failed")
async def test_those_who_wait_are_told_before_the_connections_are_dropped() -> None:
    """Closing them may take long, or fail."""
    pool: Any = Odd()
    pipe = Pipe(pool, 5)
    asked = asyncio.ensure_future(pipe.ask("PING"))
    await asyncio.wait_for(pool.dropping.wait(), 5)
    try:
        with pytest.raises(StoreError, match="cannot be used"):
            await asyncio.wait_for(asked, 5)
    finally:
        pool.gate.set()
        await pipe.close()


class Channel:
    """A subscription that breaks, and whose end fails as well."""

    made = 0

    def __init__(self, again: asyncio.Event) -> None:
        Channel.made += 1
        if Channel.made == 2:
            again.set()

    async def subscribe(self, channel: str) -> None:
        """Break."""
        raise redis.asyncio.ConnectionError("broken")

    async def aclose(self) -> None:
        """Fail."""
        raise OSError("broken as well")


async def test_a_subscription_whose_end_fails_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or this process would not hear a notice again."""
    store = RedisStore("redis://localhost")
    again = asyncio.Event()
    monkeypatch.setattr(Channel, "made", 0)
    monkeypatch.setattr(store._client, "pubsub", lambda: Channel(again))
    listening = asyncio.ensure_future(store.listen(lambda message: None, lambda: None))
    waiting = asyncio.ensure_future(again.wait())
    await asyncio.wait([listening, waiting], timeout=5, return_when=asyncio.FIRST_COMPLETED)
    ended = listening.done()
    for task in (listening, waiting):
        task.cancel()
    await asyncio.gather(listening, waiting, return_exceptions=True)
    await store.close()
    assert not ended
    assert again.is_set()
