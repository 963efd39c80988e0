"""Promise 1 over HTTP: no response head leaves before its session is stored."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
import redis.asyncio

from tests.support.logs import LogWatch
from tests.support.proxy import FaultProxy
from tests.support.ways import FULL, SETTINGS, WAYS, Saving
from tests.support.web import ProbeStore, Timed, cookie_of, site
from tornado_shared_session import RedisStore, StoreError
from tornado_shared_session.testing import RedisServer
from tornado_shared_session.testing.wire import Response

HANDLERS = [(r"/(.*)", Saving)]
DELAY = 0.2


async def ask(wire: Timed, way: str, cookie: str = "") -> Response:
    """Ask for a response that leaves in this way."""
    headers = {"If_None_Match": "*"} if way == "304" else {}
    return await wire.ask("HEAD" if way == "HEAD" else "GET", "/" + quote(way), cookie, **headers)


def check(response: Response, way: str) -> None:
    """Fail unless it is the response that the handler sent."""
    assert response.status == WAYS[way][1]
    if response.status == 200 and way != "HEAD":
        assert response.body == FULL.encode()
    assert response.headers.get("Location") == ("/elsewhere" if response.status == 302 else None)


def expect(expect_log: LogWatch, way: str) -> None:
    """Expect what the handler itself does wrong."""
    if way == "redirect and raise":
        expect_log("too late to matter")


@pytest.mark.parametrize("way", WAYS)
async def test_response_waits_for_a_slow_commit(way: str, expect_log: LogWatch) -> None:
    """The first byte leaves after a commit of 200 ms, however the handler sends it (T1)."""
    expect(expect_log, way)
    store = ProbeStore()
    store.delay = DELAY
    async with site(HANDLERS, store, SETTINGS) as served, await Timed.open(served.url) as wire:
        created = await ask(wire, way)
        check(created, way)
        assert len(store.applied) == 1
        assert wire.first_byte >= store.applied[0]
        cookie = cookie_of(created)
        assert cookie
        changed = await ask(wire, way, cookie)
        check(changed, way)
        assert cookie_of(changed) == ""
        assert len(store.applied) == 2
        assert wire.first_byte >= store.applied[1]


@pytest.mark.parametrize("way", WAYS)
async def test_response_waits_for_a_delayed_redis(
    way: str, redis_server: RedisServer, prefix: str, expect_log: LogWatch
) -> None:
    """While Redis has not seen the commit, no byte of the response leaves (T1, I2)."""
    expect(expect_log, way)
    async with FaultProxy(redis_server.port) as proxy, RedisProbe(redis_server, prefix) as probe:
        store = RedisStore(proxy.url, prefix=prefix)
        async with site(HANDLERS, store, SETTINGS) as served, await Timed.open(served.url) as wire:
            proxy.delay(b"EVAL", DELAY)
            created = await ask(wire, way)
            check(created, way)
            assert await probe.stored() == [b"\x01"]
            held = proxy.hold(b"EVAL")
            answer = asyncio.create_task(ask(wire, way, cookie_of(created)))
            await asyncio.wait_for(held.reached.wait(), 5)
            # Time is what is tested: the response had the time to leave.
            await asyncio.wait([answer], timeout=0.1)
            assert not answer.done()
            assert wire.reader._buffer == b""  # type: ignore[attr-defined]  # asyncio's own, to see what came
            held.release()
            check(await asyncio.wait_for(answer, 5), way)
            assert await probe.stored() == [b"\x02"]


class RedisProbe:
    """Looks into Redis beside the store under test."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self._client = redis.asyncio.Redis.from_url(server.url)
        self._prefix = prefix

    async def stored(self) -> list[Any]:
        """Return the value of "seen" in every session."""
        keys = await self._client.keys(self._prefix + "s:*")
        return [await self._client.hget(key, "seen") for key in keys]

    async def __aenter__(self) -> RedisProbe:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.expects_log("503")
async def test_failed_commit_is_a_503(way: str, expect_log: LogWatch) -> None:
    """A commit that fails is a 503 with Retry-After; the connection goes on working (T3, T5)."""
    expect(expect_log, way)
    store = ProbeStore()
    async with site(HANDLERS, store, SETTINGS) as served, await Timed.open(served.url) as wire:
        for cookie in ("", cookie_of(await ask(wire, way))):
            store.failures = [StoreError("the store is out")]
            failed = await ask(wire, way, cookie)
            assert failed.status == 503
            assert failed.headers["Retry-After"] == "1"
            assert "Location" not in failed.headers
            assert cookie_of(failed) == ""
            check(await ask(wire, way, cookie), way)


@pytest.mark.parametrize("way", WAYS)
async def test_commit_to_an_ended_session_is_a_409(way: str, expect_log: LogWatch) -> None:
    """A change of a session that ended meanwhile is refused, not answered with success."""
    expect(expect_log, way)
    store = ProbeStore()
    async with site(HANDLERS, store, SETTINGS) as served, await Timed.open(served.url) as wire:
        cookie = cookie_of(await ask(wire, way))
        store.hold()
        answer = asyncio.create_task(ask(wire, way, cookie))
        await asyncio.wait_for(store.reached.wait(), 5)
        (id,) = [event.id for event in served.events if event.kind == "created"]
        assert id is not None
        assert await served.sessions.destroy(id)
        store.release()
        refused = await asyncio.wait_for(answer, 5)
        assert refused.status == 409
        assert cookie_of(refused) == ""
        assert await store.peek([id]) == [None]


@pytest.mark.expects_log("503")
async def test_pipelined_request_after_a_failed_save_is_answered() -> None:
    """Two requests in one packet: the first fails to save, the second works."""
    store = ProbeStore()
    store.hold()
    async with site(HANDLERS, store, SETTINGS) as served, await Timed.open(served.url) as wire:
        store.failures = [StoreError("the store is out")]
        line = b"GET /finish HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        wire.writer.write(line + line)
        await asyncio.wait_for(store.reached.wait(), 5)
        store.release()
        assert (await asyncio.wait_for(wire._response(), 5)).status == 503
        second = await asyncio.wait_for(wire._response(), 5)
        assert (second.status, second.body) == (200, FULL.encode())


@pytest.mark.expects_log("Stream is closed", "Cannot send error response")
async def test_client_that_leaves_during_a_save_does_no_harm() -> None:
    """The save goes on, nothing is left over, and the next visitor is served (T6)."""
    store = ProbeStore()
    store.hold()
    async with site(HANDLERS, store, SETTINGS) as served:
        for way in ("finish", "awaited finish", "awaited flush", "unawaited flush"):
            store.reached.clear()
            wire = await Timed.open(served.url)
            wire.writer.write(f"GET /{quote(way)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await asyncio.wait_for(store.reached.wait(), 5)
            await wire.close()
        store.release()
        async with await Timed.open(served.url) as wire:
            check(await ask(wire, "finish"), "finish")
        assert store.calls["create"] == len(store.applied) == 5
