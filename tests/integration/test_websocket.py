"""Plain WebSockets: their session, and how they end with it."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import Any

import pytest

from tests.apps.streams import Chat
from tests.support.processes import start_apps
from tests.support.sites import HeldLoad, raw_redis, session_id, ttl, until, visitor
from tests.support.streams import Socket, site
from tornado_shared_session.testing import CookieJar, HTTPTestClient, RedisServer

APP = "tests.apps.streams"
RELOAD_ALONE: dict[str, Any] = {"no_notices": True, "no_deadlines": True}


# How it ends ----------------------------------------------------------------------


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as an error."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", ["/ws", "/reloading"])
@pytest.mark.parametrize(
    ("what", "reason"),
    [("logout", "logged_out"), ("login", "rotated"), ("regenerate", "rotated")],
)
async def test_it_is_closed_with_1008_and_the_reason_in_every_process(
    redis_url: str, prefix: str, what: str, reason: str, path: str
) -> None:
    """Within a second, by a request to another process (I4, W9)."""
    async with start_apps(APP, "--redis", redis_url, "--prefix", prefix) as (a, b):
        jar = await visitor(a.url)
        old = CookieJar(jar)
        async with (
            await Socket.connect(a.url, path, old) as one,
            await Socket.connect(b.url, path, old) as two,
        ):
            await asyncio.gather(one.ask("get note"), two.ask("get note"))
            started = time.monotonic()
            await HTTPTestClient(a.url, cookies=jar).post(f"/do/{what}")
            ends = await asyncio.gather(one.ended(), two.ended())
            assert list(ends) == [(1008, reason)] * 2
            assert time.monotonic() - started < 1
        for app in (a, b):
            line = await app.wait_line("closed")
            assert reason in line["state"] or reason == "rotated"


async def test_a_silent_socket_is_closed_at_its_expiry(redis_url: str, prefix: str) -> None:
    """At most a second after."""
    async with site(redis=redis_url, prefix=prefix, idle=1) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, "/ws", jar) as socket:
            expiry = time.monotonic() + await ttl(redis_url, prefix, session_id(jar))
            assert await socket.ended() == (1008, "expired")
            assert -0.02 < time.monotonic() - expiry < 1
        await a.empty()


async def test_the_reload_alone_closes_it(redis_url: str, prefix: str) -> None:
    """Without notices and deadlines: within one reload_interval and a second (I4)."""
    async with site(redis=redis_url, prefix=prefix, reload_interval=1, **RELOAD_ALONE) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, "/ws", jar) as socket:
            started = time.monotonic()
            async with raw_redis(redis_url) as redis:
                await redis.delete(f"{prefix}s:{session_id(jar)}")
            assert await socket.ended() == (1008, "expired")
            assert time.monotonic() - started < 2


async def test_messages_are_activity(redis_url: str, prefix: str) -> None:
    """They keep a session alive that silence would have ended."""
    async with site(redis=redis_url, prefix=prefix, idle=1, touch_interval=0.1) as a:
        async with await Socket.connect(a.url, "/ws", await a.visitor()) as socket:
            until_then = time.monotonic() + 2
            while time.monotonic() < until_then:
                assert await socket.ask("get note") == '""'
                await asyncio.sleep(0.15)  # time itself is under test
            assert await socket.ended(3) == (1008, "expired")


async def test_a_mute_client_is_cut_off(redis_url: str, prefix: str) -> None:
    """It does not answer the close: its stream is closed a second later."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, "/ws", jar) as socket:
            socket.silent = True
            started = time.monotonic()
            await a.manager.destroy(session_id(jar))
            assert await socket.ended() == (1008, "revoked")
            assert await a.heard("closed") - started < 2
        await a.empty()


async def test_a_client_that_does_not_read_is_cut_off(
    redis_url: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handler is stopped in the middle of a write, without an error in the log."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, "/ws", jar) as socket:
            socket.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's sockets have it
            await socket.send("flood")
            await until(lambda: any(stream.writing() for stream in a.server.http_server.streams))
            started = time.monotonic()
            await a.manager.destroy(session_id(jar))
            assert await a.heard("closed") - started < 2
        await a.empty()
    assert not errors(caplog)


async def test_a_write_that_nobody_awaits_is_no_error(
    redis_url: str,
    prefix: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even when the client never reads it, and is cut off."""
    monkeypatch.setattr(Chat, "session_max_queued", 50_000_000)  # another end is tested
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, "/ws", jar) as socket:
            socket.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's sockets have it
            await socket.send("spill")
            await until(lambda: any(stream.writing() for stream in a.server.http_server.streams))
            await a.manager.destroy(session_id(jar))
            await a.heard("closed")
        await a.empty()
    gc.collect()  # a failed task that nobody looked at reports itself then
    assert not errors(caplog)


async def test_a_session_ended_by_its_own_message_closes_it(redis_url: str, prefix: str) -> None:
    """destroy() in on_message; login() has no response to carry a credential."""
    async with site(redis=redis_url, prefix=prefix) as a:
        for jar in (await a.visitor(), CookieJar()):
            async with await Socket.connect(a.url, "/ws", jar) as socket:
                assert await socket.ask("login") == "SessionError"
                await socket.send("destroy")
                assert await socket.ended() == (1008, "logged_out")


async def test_shutdown_says_going_away(redis_url: str, prefix: str) -> None:
    """The session lives on, so the code is another one."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with await Socket.connect(a.url, "/ws", await a.visitor()) as socket:
            closing = asyncio.ensure_future(a.manager.close())
            assert await socket.ended() == (1001, "shutdown")
            await closing


# No message after the end -------------------------------------------------------------


@pytest.mark.parametrize("how", ["logout", "login"])
async def test_no_message_is_handled_after_the_end_though_no_notice_came(
    redis_url: str, prefix: str, how: str
) -> None:
    """session_reload asks the store before each message."""
    async with site(redis=redis_url, prefix=prefix, **RELOAD_ALONE) as a:
        async with site(redis=redis_url, prefix=prefix) as b:
            jar = await a.visitor()
            async with await Socket.connect(a.url, "/reloading", jar) as socket:
                await socket.ask("get note")
                await b.post(f"/do/{how}", CookieJar(jar))
                for number in range(5):
                    await socket.send(f"set late {number}")
                code, reason = await socket.ended()
                assert (code, reason) == (1008, "expired" if how == "logout" else "rotated")
            assert a.streams.heard("message") == ["get note"]


async def test_messages_wait_in_order_while_the_session_is_read(
    redis_url: str, prefix: str
) -> None:
    """What arrives during a reload is handled after it, one at a time."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with await Socket.connect(a.url, "/reloading", await a.visitor()) as socket:
            load = HeldLoad(a.manager)
            for number in range(20):
                await socket.send(f"get {number}")
            await load.reached()
            await HTTPTestClient(a.url).get("/note")  # a turn of the server's loop, and more
            assert a.streams.heard("message") == []
            load.go.set()
            for _ in range(20):
                await asyncio.wait_for(socket.receive(), 5)
            assert a.streams.heard("message") == [f"get {number}" for number in range(20)]


@pytest.mark.parametrize("path", ["/ws", "/reloading"])
async def test_messages_that_wait_at_the_end_are_not_handled(
    redis_url: str, prefix: str, path: str
) -> None:
    """One that is being handled may finish, and saves nothing; those behind it are dropped."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, path, jar) as socket:
            await socket.send("slow")
            await a.heard("message")
            for number in range(5):
                await socket.send(f"set late {number}")
            await a.manager.destroy(session_id(jar))
            assert await socket.ended() == (1008, "revoked")
            a.streams.go.set()
        await a.empty()
        await a.heard("closed")
        assert a.streams.heard("message") == ["slow"]
        assert not await a.manager.destroy(session_id(jar))


async def test_a_logout_meets_a_message_that_is_reloading(redis_url: str, prefix: str) -> None:
    """The load's old answer handles nothing."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, "/reloading", jar) as socket:
            load = HeldLoad(a.manager)
            await socket.send("get note")
            await load.reached()
            await a.manager.destroy(session_id(jar))
            assert await socket.ended() == (1008, "revoked")
            load.go.set()
            await a.heard("closed")
        assert a.streams.heard("message") == []


async def test_a_message_is_dropped_while_the_store_is_down(
    own_redis: RedisServer, prefix: str
) -> None:
    """The socket stays open, and goes on when the store is back."""
    async with site(redis=own_redis.url, prefix=prefix) as a:
        async with await Socket.connect(a.url, "/reloading", await a.visitor()) as socket:
            own_redis.pause()
            await socket.send("get one")
            await until(lambda: any("dropped" in event.detail for event in a.streams.events), 5)
            own_redis.resume()
            assert await socket.ask("get two") == "null"
        assert a.streams.heard("message") == ["get two"]
