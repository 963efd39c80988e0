"""What requests cost in Redis: keys, writes, commands on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from tests.apps.web_app import HANDLERS
from tests.support.proxy import FaultProxy
from tests.support.web import Site, site
from tornado_shared_session import RedisStore
from tornado_shared_session.testing import RedisServer


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    """What is sent to Redis, countable."""
    async with FaultProxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def served(proxy: FaultProxy, prefix: str) -> AsyncIterator[Site]:
    """The handlers on a real Redis."""
    async with site(HANDLERS, RedisStore(proxy.url, prefix=prefix)) as served:
        yield served


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A client beside the store."""
    client = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def test_visitor_makes_a_key_only_by_writing(
    served: Site, proxy: FaultProxy, client: Any, prefix: str
) -> None:
    """Not touching: nothing; reading or logging out: nothing; writing: one cookie and one key
    (S46).
    """
    visitor = served.visitor()
    for path in ("/untouched", "/unused", "/", "/cart"):
        assert "Set-Cookie" not in (await visitor.get(path)).headers
    assert "Set-Cookie" not in (await visitor.post("/logout")).headers
    assert await client.keys(prefix + "*") == []
    assert proxy.accepted == 0
    first = await visitor.post("/", {"note": "x"})
    assert len(first.headers.get_list("Set-Cookie")) == 1
    assert "Set-Cookie" not in (await visitor.post("/", {"note": "y"})).headers
    assert len(await client.keys(prefix + "*")) == 1


async def test_mere_read_never_writes(served: Site, proxy: FaultProxy) -> None:
    """A read, also of a nested value, is one question to Redis and no script."""
    visitor = served.visitor()
    await visitor.post("/cart", {"item": "tea"})
    await visitor.post("/cart", {"item": "milk"})
    proxy.forget()
    for _ in range(5):
        assert json.loads((await visitor.get("/cart")).body) == {"items": ["tea", "milk"]}
        await visitor.get("/")
        await visitor.post("/cart")
    assert proxy.count(b"EVAL") == 0
    assert proxy.count(b"HGETALL") == 15
    assert proxy.count(b"\r\n$7\r\nHGETALL") + proxy.count(b"\r\n$4\r\nPTTL") == 30


async def test_read_in_flight_does_not_overwrite_a_newer_value(served: Site, client: Any) -> None:
    """Of two overlapping changes in place of different keys both stay; a reader changes nothing."""
    visitor = served.visitor()
    await visitor.post("/cart", {"item": "tea"})
    await asyncio.gather(
        *(visitor.post("/", {f"k{n}": "v"}) for n in range(10)),
        *(visitor.get("/cart") for n in range(10)),
        visitor.post("/cart", {"item": "milk"}),
    )
    data = json.loads((await visitor.get("/")).body)["data"]
    assert data.pop("cart") == {"items": ["tea", "milk"]}
    assert set(data) == {f"k{n}" for n in range(10)}


async def test_logout_removes_the_key(served: Site, client: Any, prefix: str) -> None:
    """destroy() deletes the record and the entry in the user's index (S18)."""
    visitor = served.visitor()
    await visitor.post("/login", {"user": "ann"})
    assert len(await client.keys(prefix + "*")) == 2
    await visitor.post("/logout")
    assert await client.keys(prefix + "*") == []
