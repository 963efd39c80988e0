"""Server-sent events and long polls end with their session: `close_on_end`."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from tests.support.processes import start_apps
from tests.support.sites import raw_redis, session_id, ttl, until, visitor
from tests.support.streams import Stream, site
from tornado_shared_session.testing import CookieJar, HTTPTestClient
from tornado_shared_session.watcher import watch

APP = "tests.apps.streams"
RELOAD_ALONE: dict[str, Any] = {"no_notices": True, "no_deadlines": True, "reload_interval": 1}
HELLO = b"data: hello\n\n"


@pytest.mark.parametrize("what", ["logout", "login", "regenerate"])
async def test_streams_end_in_every_process(redis_url: str, prefix: str, what: str) -> None:
    """A request to another process ends them within a second, and their handlers are told."""
    async with start_apps(APP, "--redis", redis_url, "--prefix", prefix) as (a, b):
        jar = await visitor(a.url)
        old = CookieJar(jar)
        async with (
            await Stream.begin(a.url, "/events?flush=1", old) as one,
            await Stream.begin(b.url, "/events?flush=1", old) as two,
            await Stream.begin(b.url, "/events", old) as poll,
        ):
            for stream in (one, two):
                assert await stream.read_head() == 200
                assert await stream.chunk() == HELLO
            for app in (a, b, b):
                await app.wait_line("streaming")
            started = time.monotonic()
            await HTTPTestClient(a.url, cookies=jar).post(f"/do/{what}")
            assert await one.chunk() == await two.chunk() == b""
            assert await poll.read_head() == 401
            assert b"Set-Cookie" not in poll.head
            assert time.monotonic() - started < 1
            for app in (a, b, b):
                await app.wait_line("gone")
                assert (await app.wait_line("woke"))["woke"]


async def test_a_stream_of_http_1_0_ends_with_its_connection(redis_url: str, prefix: str) -> None:
    """It has no chunks, and is at its end when the connection is, keep-alive or not."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Stream.open(a.url) as stream:
            head = "GET /events?flush=1 HTTP/1.0\r\nConnection: keep-alive\r\n"
            stream.writer.write(f"{head}Cookie: {jar.header()}\r\n\r\n".encode())
            assert await stream.read_head() == 200
            await a.heard("streaming")
            assert await a.post("/do/logout", jar) == 200
            async with asyncio.timeout(3):
                assert await stream.reader.read() == HELLO
        await a.empty()


async def test_a_silent_stream_ends_at_its_expiry(redis_url: str, prefix: str) -> None:
    """At most a second after; a long poll is answered 401."""
    async with site(redis=redis_url, prefix=prefix, idle=1) as a:
        watcher = watch(a.manager)
        await until(lambda: watcher.health()["notices"])  # it looks at everything at first
        jar = await a.visitor()
        async with (
            await Stream.begin(a.url, "/events?flush=1", jar) as stream,
            await Stream.begin(a.url, "/events", jar) as poll,
        ):
            await stream.read_head()
            assert await stream.chunk() == HELLO
            await a.heard("streaming", 2)  # from here on nothing moves the deadline
            expiry = time.monotonic() + await ttl(redis_url, prefix, session_id(jar))
            assert await stream.chunk() == b""
            assert -0.02 < time.monotonic() - expiry < 1
            assert await poll.read_head() == 401
            assert -0.02 < time.monotonic() - expiry < 1
        await a.empty()


async def test_the_reload_alone_ends_it(redis_url: str, prefix: str) -> None:
    """Without notices and deadlines: within one reload_interval and a second."""
    async with site(redis=redis_url, prefix=prefix, **RELOAD_ALONE) as a:
        jar = await a.visitor()
        async with await Stream.begin(a.url, "/events?flush=1", jar) as stream:
            await stream.read_head()
            assert await stream.chunk() == HELLO
            started = time.monotonic()
            async with raw_redis(redis_url) as redis:
                await redis.delete(f"{prefix}s:{session_id(jar)}")
            assert await stream.chunk() == b""
            assert time.monotonic() - started < 2


@pytest.mark.parametrize("query", ["flush=1", "", "flush=1&writes=3", "writes=3"])
async def test_a_handler_that_goes_on_writing_is_a_debug_line(
    redis_url: str, prefix: str, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, its request is logged once, and the connection serves the next one."""
    caplog.set_level(logging.DEBUG, logger="tornado_shared_session")
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Stream.begin(a.url, f"/events?{query}", jar) as stream:
            await a.heard("streaming")
            await a.manager.destroy(session_id(jar))
            await a.heard("left")
            if "flush" in query:
                await stream.read_head()
                assert [await stream.chunk(), await stream.chunk()] == [HELLO, b""]
            else:
                assert await stream.read_head() == 401
                length = int(stream.head.lower().split(b"content-length: ")[1].split()[0])
                await stream.reader.readexactly(length)
            response = await stream.request("GET", "/note", {})
            assert b'"data": {}' in response.body
        assert len(a.streams.heard("gone")) == len(a.streams.heard("finished")) == 1
        assert a.streams.heard("finished") == [200 if "flush" in query else 401]
        assert "written to after its session had ended" in caplog.text


async def test_a_client_that_does_not_read_is_cut_off(redis_url: str, prefix: str) -> None:
    """Its handler, which waits for it in flush(), goes on and ends without an error."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Stream.begin(a.url, "/events?flush=1&flood=1", jar) as stream:
            stream.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's sockets have it
            await until(lambda: any(one.writing() for one in a.server.http_server.streams))
            started = time.monotonic()
            await a.manager.destroy(session_id(jar))
            assert await a.heard("gone") - started < 2
            assert await a.heard("finished") == 200
        await a.empty()
        assert len(a.streams.heard("gone")) == 1


async def test_unsaved_changes_of_an_ended_session_are_dropped(redis_url: str, prefix: str) -> None:
    """Of a long poll, which is a 401, and of a stream, whose head had left."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with (
            await Stream.begin(a.url, "/events?change=x", jar) as poll,
            await Stream.begin(a.url, "/events?flush=1&late=x", jar) as stream,
        ):
            await a.heard("streaming", 2)
            await a.manager.destroy(session_id(jar))
            assert await poll.read_head() == 401
            assert b"Set-Cookie" not in poll.head
            await stream.read_head()
            assert [await stream.chunk(), await stream.chunk()] == [HELLO, b""]
        async with raw_redis(redis_url) as redis:
            assert not await redis.exists(f"{prefix}s:{session_id(jar)}")


@pytest.mark.parametrize("query", ["flush=1", ""])
async def test_it_is_forgotten_when_its_response_is_finished(
    redis_url: str, prefix: str, query: str
) -> None:
    """Nobody is told of an end, and the response is a whole one."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Stream.begin(a.url, f"/events?{query}", jar) as stream:
            await a.heard("streaming")
            assert len(a.manager.connections) == 1
            a.streams.go.set()
            assert await stream.read_head() == 200
            await a.empty()
            await a.heard("finished")
        assert a.streams.heard("gone") == []
        assert a.streams.heard("woke") == [False]


async def test_it_is_forgotten_when_the_client_goes(redis_url: str, prefix: str) -> None:
    """Though the handler overrides on_connection_close() and on_finish() without super()."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Stream.begin(a.url, "/events?flush=1", jar) as stream:
            await a.heard("streaming")
            await stream.read_head()
        await a.heard("gone")
        await a.empty()
        await a.heard("finished")
        await a.manager.destroy(session_id(jar))
        assert len(a.streams.heard("gone")) == 1
