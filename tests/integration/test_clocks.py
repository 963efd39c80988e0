"""Wall clocks that are wrong: the store's time decides about sessions, timers are monotonic."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from tests.support.processes import AppProcess
from tests.support.sites import raw_redis, session_id, site, ttl, visitor
from tornado_shared_session.connections import Connection
from tornado_shared_session.testing import CookieJar, HTTPTestClient, SocketIOTestClient

HOUR = 3600
IDLE = 2


async def closed_late(client: SocketIOTestClient, expiry: float) -> float:
    """Wait until a socket is closed; return how long after its expiry (monotonic) that was."""
    await client.wait_transport_closed(IDLE + 4)
    late = time.monotonic() - expiry
    assert await client.wait_for("session_ended") == {"reason": "expired"}
    return late


async def test_processes_two_hours_apart_agree(redis_url: str, prefix: str, transport: str) -> None:
    """One is an hour fast, one an hour slow: logins, activity and expiry are the store's (R15)."""
    options = ["--redis", redis_url, "--prefix", prefix, "--idle", str(IDLE)]
    options += ["--touch-interval", "0.1"]
    async with AsyncExitStack() as stack:
        apps = [
            AppProcess("tests.apps.measured", *options, "--clock", str(s)) for s in (HOUR, -HOUR)
        ]
        await asyncio.gather(*map(stack.enter_async_context, apps))
        for here, there in (apps, apps[::-1]):
            jar = await visitor(here.url, note="told")
            old = CookieJar(jar)
            await HTTPTestClient(there.url, cookies=jar).post("/login", {"user": "ann"})
            refused = await HTTPTestClient(here.url, cookies=old).get("/whoami")
            assert json.loads(refused.body)["user"] is None
            assert "Set-Cookie" not in refused.headers  # it is known as the one before
            clients = [
                SocketIOTestClient(app.url, transport=cast(Any, transport), cookies=jar)
                for app in apps
            ]
            for client in clients:
                stack.push_async_callback(client.abort)
                await client.connect()
            until_then = time.monotonic() + 1.5 * IDLE
            while time.monotonic() < until_then:  # events and requests keep it alive in both
                for app, client in zip(apps, clients, strict=True):
                    assert (await client.emit("whoami"))["user"] == "ann"
                    answer = await HTTPTestClient(app.url, cookies=jar).get("/note")
                    assert answer.body == b'"told"'
                await asyncio.sleep(0.1)  # time itself is under test
            expiry = time.monotonic() + await ttl(redis_url, prefix, session_id(jar))
            for late in await asyncio.gather(*(closed_late(one, expiry) for one in clients)):
                assert -0.05 < late < 1


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
async def test_a_clock_that_is_set_while_sockets_are_open(
    redis_url: str, prefix: str, shift: int
) -> None:
    """It closes nothing, stops no reload, and moves no expiry (R15)."""
    options = ["--redis", redis_url, "--prefix", prefix, "--idle", str(IDLE)]
    options += ["--reload-interval", "0.5", "--no-notices"]
    async with AppProcess("tests.apps.measured", *options) as app, AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            client = SocketIOTestClient(app.url, cookies=await visitor(app.url))
            stack.push_async_callback(client.abort)
            await client.connect()
            clients.append(client)
        stays, goes = clients
        await HTTPTestClient(app.url).post("/clock", {"shift": shift})
        assert await stays.emit("set", "note", "kept") == "saved"
        assert await goes.emit("get") == ""
        expiry = time.monotonic() + await ttl(
            redis_url, prefix, session_id(CookieJar(stays.cookies or {}))
        )
        async with raw_redis(redis_url) as redis:
            assert goes.cookies is not None
            await redis.delete(f"{prefix}s:{session_id(goes.cookies)}")  # nobody is told
        await goes.wait_transport_closed(0.5 * 1.25 + 1)  # the reload found it
        assert not stays.closings
        assert -0.05 < await closed_late(stays, expiry) < 1


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
async def test_a_clock_that_is_set_during_an_event_moves_no_deadline(
    redis_url: str, prefix: str, shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket's deadline stays what the store said, to the length of the event (R15)."""
    async with site(redis=redis_url, prefix=prefix, reload_interval=600) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            real, deadlines = time.time, [a.connection.deadline]
            verified = Connection.verified

            def noted(connection: Connection, ttl: float, provisional: bool) -> None:
                verified(connection, ttl, provisional)
                deadlines.append(connection.deadline)

            monkeypatch.setattr(Connection, "verified", noted)

            @a.sio.on("wait")
            async def wait(sid: str) -> str:
                await a.sio.get_session(sid)
                monkeypatch.setattr(time, "time", lambda: real() + shift)
                return "waited"

            assert await client.emit("wait") == "waited"
            assert await client.emit("get") == ""
            assert len(deadlines) >= 3
            assert max(deadlines) - min(deadlines) < 5
