"""A replaced credential is cut off, at whatever await it is met."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.sites import HeldLoad, kind_of, session_id, site, status_of, until
from tornado_shared_session.testing import ConnectionLost, CookieJar, HandshakeRefused


async def test_a_rotation_notice_leaves_a_minimum(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The watcher does not close a connection that loads, which may be the new one: it marks it."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        old = CookieJar(jar)
        load = HeldLoad(a.manager)
        opening = asyncio.ensure_future(status_of(a.client(kind_of(transport), old)))
        await load.reached()
        await a.http(jar).post("/login", {"user": "ann"})
        await until(lambda: a.connection.minimum == 2)
        load.go.set()
        assert await opening == 401
        await a.empty()


async def test_a_logout_meets_a_connection_that_is_loading(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Registered before the load: the load's old answer admits nobody."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        load = HeldLoad(a.manager)
        opening = asyncio.ensure_future(status_of(a.client(kind_of(transport), jar)))
        await load.reached()
        await a.manager.destroy(session_id(jar))
        assert not a.manager.connections  # before the load returns
        load.go.set()
        assert await opening == 401
        await a.empty()


async def test_an_upgrade_asks_the_store(redis_url: str, prefix: str) -> None:
    """A polling connection of the old credential is not upgraded, though no notice came (S5)."""
    settings: dict[str, Any] = {"no_notices": True, "no_deadlines": True}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        async with site(redis=redis_url, prefix=prefix) as b:
            jar = await a.visitor()
            async with a.client("polling", dict(jar)) as client:
                await client.connect()
                await b.http(jar).post("/login", {"user": "ann"})
                with pytest.raises(HandshakeRefused) as refused:
                    await client.upgrade()
                assert refused.value.status == 401
                await client.wait_transport_closed()


async def test_a_namespace_connect_asks_the_store(
    redis_url: str, prefix: str, transport: str
) -> None:
    """A transport of the old credential connects no namespace, though no notice came (F3, S5)."""
    settings: dict[str, Any] = {"no_notices": True, "no_deadlines": True}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        async with site(redis=redis_url, prefix=prefix) as b:
            jar = await a.visitor()
            async with a.client(transport, dict(jar)) as client:
                await client.connect()
                await b.http(jar).post("/regenerate")
                with pytest.raises(ConnectionLost):
                    await client.connect("/chat")
                assert "/chat" not in client.sids
                assert len(a.shared.heard("connect")) == 1
            await a.empty()


async def test_the_room_of_the_new_generation_is_another(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Though nobody closes the old socket, an emit inside the login handler passes it by."""
    settings: dict[str, Any] = {"no_notices": True, "no_deadlines": True}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        jar = await a.visitor()
        async with a.client(transport, dict(jar)) as planted:
            await planted.connect()
            await a.http(jar).post("/emit", {"event": "before"})
            await planted.wait_for("before")
            # From here on even the local notice is lost.
            a.watcher.notice = lambda notice: None  # type: ignore[method-assign]  # replaced for the test
            await a.http(jar).post("/login", {"user": "ann", "emit": "after"})
            async with a.client(transport, jar) as own:
                await own.connect()
                await a.http(jar).post("/emit", {"event": "own", "to": "user"})
                await own.wait_for("own")
            assert not planted.closed
            assert [event.name for event in planted.events] == ["before"]


async def test_a_superseded_handshake_says_401_and_touches_no_cookie(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The client tries again with the cookie that it has by then; no record is made."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        old = CookieJar(jar)
        await a.http(jar).post("/login", {"user": "ann"})
        client = a.client(kind_of(transport), old)
        assert await status_of(client) == 401
        assert "Set-Cookie" not in client.handshake_headers
        answer = await a.http(jar).get("/whoami")
        assert json.loads(answer.body)["user"] == "ann"
