"""`session_expiring`: clients are told before their session ends, if the server was asked to."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.support.sites import HeldPeek, site, ttl, until
from tests.support.tokens import heard
from tornado_shared_session import ConfigurationError, MemoryStore, SessionManager, SessionServer
from tornado_shared_session.testing import SocketIOTestClient

NOTICE: dict[str, Any] = {"server": {"expiring_notice": 1.8}, "idle": 3, "touch_interval": 0.1}


async def told(client: SocketIOTestClient) -> int:
    """Wait for the event; return the seconds in it."""
    said: dict[str, int] = await client.wait_for("session_expiring", timeout=6)
    return said["seconds"]


async def test_a_client_is_told_once_before_the_end(
    redis_url: str, prefix: str, transport: str
) -> None:
    """That much before, in each namespace; then the session ends."""
    async with site(redis=redis_url, prefix=prefix, **NOTICE) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            await client.connect("/chat")
            ends = time.monotonic() + await ttl(redis_url, prefix, a.connection.id)
            assert await told(client) == 2
            assert 1.3 < ends - time.monotonic() <= 1.9
            await client.wait_for("session_expiring", namespace="/chat")
            assert await client.wait_for("session_ended", timeout=4) == {"reason": "expired"}
            assert len(heard(client, "session_expiring")) == 2  # one for each namespace
        await a.empty()


@pytest.mark.parametrize("by", ["event", "http", "another process"])
async def test_activity_moves_it_and_it_is_told_again(redis_url: str, prefix: str, by: str) -> None:
    """An event, a request here, or one in another process, of which this one hears nothing."""
    async with site(redis=redis_url, prefix=prefix, **NOTICE) as a:
        async with site(redis=redis_url, prefix=prefix, **NOTICE) as b:
            jar = await a.visitor()
            async with a.client("websocket", jar) as client:
                await client.connect()

                async def touch() -> None:
                    if by == "event":
                        await client.emit("get")
                    else:
                        await (a if by == "http" else b).http(jar).get("/note")

                begun = time.monotonic()
                await asyncio.sleep(1)  # before it would be told: it is activity that counts
                await touch()
                assert await told(client) == 2
                assert time.monotonic() - begun > 2.1
                await touch()
                moved = time.monotonic()
                assert await told(client) == 2
                assert time.monotonic() - moved > 1.1
                assert not client.closings


async def test_who_comes_late_is_told_too(redis_url: str, prefix: str, transport: str) -> None:
    """A socket that is opened when there is little time left, without being activity."""
    async with site(redis=redis_url, prefix=prefix, **NOTICE) as a:
        jar = await a.visitor()
        async with a.client("websocket", jar) as first:
            await first.connect()
            await told(first)
            async with a.client(transport, jar) as second:
                await second.connect()
                begun = time.monotonic()
                await told(second)
                assert time.monotonic() - begun < 0.7
                assert len(heard(first, "session_expiring")) == 1


async def test_nobody_is_told_while_the_store_cannot_be_asked(redis_url: str, prefix: str) -> None:
    """Perhaps the session was in use elsewhere; once the store answers it is told."""
    async with site(redis=redis_url, prefix=prefix, **NOTICE) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            peek = HeldPeek(a.manager, before=True)
            await peek.reached(4)
            await until(lambda: a.connection.deadline - time.monotonic() < 0.5)
            assert not heard(client, "session_expiring")
            peek.go.set()
            await told(client)


async def test_by_default_nobody_is_told(redis_url: str, prefix: str) -> None:
    """It is for those who ask."""
    async with site(redis=redis_url, prefix=prefix, idle=1) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            assert not a.watcher.followers
            assert await client.wait_for("session_ended", timeout=4) == {"reason": "expired"}
            assert not heard(client, "session_expiring")


async def test_a_visitor_without_a_session_of_his_own_is_not_told(
    redis_url: str, prefix: str
) -> None:
    """A provisional record is renewed while the socket is open."""
    async with site(redis=redis_url, prefix=prefix, **NOTICE, reload_interval=2.5) as a:
        async with a.client("websocket") as client:
            await client.connect()
            await asyncio.sleep(2.5)  # time itself: a deadline that comes nearer and is moved
            assert not heard(client, "session_expiring")
            assert not client.closings


@pytest.mark.parametrize("notice", [1800, 2000, 0, "soon"])
def test_a_notice_must_leave_some_time_before_it(notice: Any) -> None:
    """Else every session would always be about to end."""
    with pytest.raises(ConfigurationError, match="expiring_notice"):
        SessionServer(SessionManager(MemoryStore()), expiring_notice=notice)


def test_with_sockets_that_keep_alive_the_reload_counts() -> None:
    """It is the reload that moves the deadline then."""
    sessions = SessionManager(MemoryStore(), idle_timeout=60, sockets_keep_alive=True)
    with pytest.raises(ConfigurationError, match="sockets_keep_alive"):
        SessionServer(sessions, expiring_notice=50)
    SessionServer(sessions, expiring_notice=30)
