"""Two real processes, one Redis: what one does the other sees at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from tests.support.processes import AppProcess, start_apps
from tests.support.sites import raw_redis, session_id, until_subscribers, visitor
from tornado_shared_session.testing import (
    CookieJar,
    HandshakeRefused,
    HTTPTestClient,
    SocketIOTestClient,
)

Apps = list[AppProcess]
APP = "tests.apps.shared"


@pytest.fixture
async def apps(redis_url: str, prefix: str) -> AsyncIterator[Apps]:
    """Processes A and B."""
    async with start_apps(APP, "--redis", redis_url, "--prefix", prefix) as both:
        yield both


def client(app: AppProcess, transport: str, jar: CookieJar, **settings: Any) -> SocketIOTestClient:
    """Return a Socket.IO client of one process."""
    return SocketIOTestClient(app.url, transport=cast(Any, transport), cookies=jar, **settings)


async def test_http_writes_in_one_process_and_a_socket_reads_in_the_other(
    apps: Apps, transport: str
) -> None:
    """A value set over HTTP in A is read by a socket handler in B, and the reverse, at once
    (S34).
    """
    a, b = apps
    jar = await visitor(a.url, note="from A")
    http = HTTPTestClient(a.url, cookies=jar)
    async with client(b, transport, jar) as socket:
        await socket.connect()
        assert await socket.emit("get") == "from A"
        for number in range(20):
            await http.post("/note", {"value": str(number)})
            assert await socket.emit("get") == number
            await socket.emit("set", "note", -number)
            assert (await http.get("/note")).body == str(-number).encode()


async def test_logout_closes_the_sockets_of_both_processes(apps: Apps, transport: str) -> None:
    """destroy() in A: sockets in A and B hear why and that it is final, within a second
    (S18, I4, V7.4.1, W9).
    """
    a, b = apps
    jar = await visitor(a.url)
    async with client(a, transport, jar) as one, client(b, transport, jar) as two:
        await asyncio.gather(one.connect(), two.connect())
        started = time.monotonic()
        await HTTPTestClient(a.url, cookies=jar).post("/logout")
        for socket in (one, two):
            assert await socket.wait_for("session_ended") == {"reason": "logged_out"}
            assert await socket.wait_closed() == "server disconnect packet"
            await socket.wait_transport_closed()
        assert time.monotonic() - started < 1
        for app in apps:
            line = await app.wait_line("disconnect")
            assert line["reason"] == "server disconnect"
            if transport != "polling":
                closed = (await app.wait_line("transport_closed"))["transport_closed"]
                assert closed - started < 1


async def test_overlapping_writers_of_different_keys_lose_nothing(
    apps: Apps, transport: str
) -> None:
    """HTTP in A, HTTP in B and a socket in B load, wait for each other, and save."""
    a, b = apps
    jar = await visitor(a.url, note="before")
    async with client(b, transport, jar) as socket:
        await socket.connect()
        writers = [
            asyncio.ensure_future(
                HTTPTestClient(app.url, cookies=jar).post("/slow", {"key": key, "value": "1"})
            )
            for app, key in ((a, "a"), (b, "b"))
        ]
        await socket.emit("slow", "c", 1, ack=False)
        # All three have loaded before any of them saves.
        await a.wait_line("slow")
        await b.wait_line("slow")
        await b.wait_line("slow")
        for app in apps:
            await HTTPTestClient(app.url).post("/go")
        assert [(await writer).code for writer in writers] == [200, 200]
        await socket.emit("get")  # its slow event came first
        data = json.loads((await HTTPTestClient(a.url, cookies=jar).get("/whoami")).body)["data"]
        while "c" not in data:
            data = (await socket.emit("whoami"))["data"]
        assert data == {"note": "before", "a": 1, "b": 1, "c": 1}


async def test_a_slow_handler_does_not_resurrect(apps: Apps, transport: str) -> None:
    """A request and a socket event that save after a logout elsewhere store nothing (S19)."""
    a, b = apps
    jar = await visitor(a.url)
    async with client(b, transport, jar) as socket:
        await socket.connect()
        http = HTTPTestClient(b.url, cookies=CookieJar(jar))
        slow = asyncio.ensure_future(http.post("/slow", {"key": "late", "value": "1"}))
        await socket.emit("slow", "later", 1, ack=False)
        await b.wait_line("slow")
        await b.wait_line("slow")
        old = CookieJar(jar)
        await HTTPTestClient(a.url, cookies=jar).post("/logout")
        await HTTPTestClient(b.url).post("/go")
        assert (await slow).code == 409
        await socket.wait_transport_closed()
    answer = await HTTPTestClient(a.url, cookies=old).get("/whoami")
    assert json.loads(answer.body)["data"] == {}


async def test_login_refuses_the_old_credential_everywhere_at_once(
    apps: Apps, transport: str
) -> None:
    """After login() the old cookie opens nothing in either process, and no response replaces it
    (S5, I5).
    """
    a, b = apps
    jar = await visitor(a.url)
    old = CookieJar(jar)
    # A transport without a namespace: its CONNECT comes after the login.
    waiting = client(b, transport, old)
    await waiting.open()
    login = await HTTPTestClient(a.url, cookies=jar).post("/login", {"user": "ann"})
    assert login.headers.get_list("Set-Cookie")
    assert session_id(jar) == session_id(old)
    assert jar["session"] != old["session"]
    for app in apps:
        answer = await HTTPTestClient(app.url, cookies=old).get("/whoami")
        assert json.loads(answer.body)["user"] is None
        assert "Set-Cookie" not in answer.headers
        for kind in ("polling", "websocket"):
            refused = client(app, kind, old)
            with pytest.raises(HandshakeRefused) as error:
                await refused.open()
            assert error.value.status == 401
            assert "Set-Cookie" not in error.value.headers
            await refused.abort()
    with pytest.raises(Exception, match=r"close|http 400"):
        await waiting.connect()
    assert not waiting.sids
    await waiting.abort()
    async with client(b, transport, jar) as back:
        await back.connect()
        assert (await back.emit("whoami"))["user"] == "ann"


async def test_sockets_of_the_old_credential_hear_nothing_of_the_new(
    redis_url: str, prefix: str, transport: str
) -> None:
    """An emit to session.room inside the login handler passes them by, and they may reconnect
    (S6).
    """
    args = ("--redis", redis_url, "--prefix", prefix, "--client-manager")
    async with start_apps(APP, *args) as (a, b):
        jar = await visitor(a.url)
        planted = CookieJar(jar)
        async with client(a, transport, planted) as one, client(b, transport, planted) as two:
            await asyncio.gather(one.connect(), two.connect())
            # Both hear the room before the login, across processes.
            async with raw_redis(redis_url) as redis:
                await until_subscribers(redis, "socketio", 2)  # each process's client manager
            await HTTPTestClient(a.url, cookies=jar).post("/emit", {"event": "before"})
            await asyncio.gather(one.wait_for("before"), two.wait_for("before"))
            await HTTPTestClient(a.url, cookies=jar).post(
                "/login", {"user": "ann", "emit": "after"}
            )
            for socket in (one, two):
                assert await socket.wait_for("session_ended") == {"reason": "rotated"}
                assert await socket.wait_transport_closed() != "server disconnect packet"
                assert "server disconnect packet" not in socket.closings
                assert "after" not in [event.name for event in socket.events]


async def test_a_request_of_the_old_generation_cannot_commit(apps: Apps, transport: str) -> None:
    """HTTP and a socket event that loaded before a login elsewhere save nothing after it."""
    a, b = apps
    jar = await visitor(a.url)
    async with client(b, transport, CookieJar(jar)) as socket:
        await socket.connect()
        old = HTTPTestClient(b.url, cookies=CookieJar(jar))
        slow = asyncio.ensure_future(old.post("/slow", {"key": "late", "value": "1"}))
        await socket.emit("slow", "later", 1, ack=False)
        await b.wait_line("slow")
        await b.wait_line("slow")
        http = HTTPTestClient(a.url, cookies=jar)
        await http.post("/login", {"user": "ann"})
        await HTTPTestClient(b.url).post("/go")
        answer = await slow
        assert answer.code == 409
        assert "Set-Cookie" not in answer.headers
        await socket.wait_transport_closed()
        assert json.loads((await http.get("/whoami")).body)["data"] == {"note": ""}
