"""Clients without cookies: whom a token lets in, and what happens while that is decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import HeldLoad, Site, kind_of, raw_redis, site, status_of, until
from tests.support.tokens import (
    EXPIRED,
    NOT_FOUND,
    REPLACED,
    ask,
    bearer,
    heard,
    id_of,
    logged_in,
    token_of,
)
from tornado_shared_session import StoreError
from tornado_shared_session.testing import ConnectionLost, RedisServer, SocketIOTestClient
from tornado_shared_session.token_state import NO_STORE

CREDENTIALS = "token"  # of `a`, the application


@asynccontextmanager
async def behind_a_proxy(
    redis_server: RedisServer, prefix: str, **settings: Any
) -> AsyncIterator[tuple[FaultProxy, Site]]:
    """Serve the application in token mode, with a proxy before Redis."""
    async with FaultProxy(redis_server.port) as proxy:
        async with site(redis=proxy.url, prefix=prefix, credentials="token", **settings) as a:
            yield proxy, a


async def admitted_once_it_answers(
    proxy: FaultProxy, client: SocketIOTestClient, token: str
) -> None:
    """The client asks again when Redis is back, and has its session."""
    await proxy.normal()
    assert await ask(client, {"token": token}) == (token, "")
    assert await client.emit("get") == "mine"


# Register, then load, then admit


async def test_a_logout_meets_a_token_that_is_loading(a: Site, transport: str) -> None:
    """Registered before the load: the load's old answer admits nobody."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect()
        load = HeldLoad(a.manager)
        asking = asyncio.ensure_future(client.emit("getToken", {"token": token}, ack=False))
        await load.reached()
        await a.manager.destroy(id_of(a, token))
        await until(lambda: not a.sio._by_eio or a.connection.reason)
        load.go.set()
        await client.wait_transport_closed(3)
        await asyncio.gather(asking, return_exceptions=True)
        assert not heard(client, "gotToken")
    await a.empty()
    assert not a.shared.heard("connect")


async def test_a_login_meets_a_token_that_is_loading(a: Site, transport: str) -> None:
    """The notice leaves a minimum: the token from before the login is a replaced one."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect()
        load = HeldLoad(a.manager)
        asking = asyncio.ensure_future(ask(client, {"token": token}))
        await load.reached()
        await a.http().post("/login", {"user": "ann"}, headers=bearer(token))
        await until(lambda: a.connection.minimum == 2)
        load.go.set()
        assert await asking == ("", REPLACED)
        assert a.connection.id == ""


async def test_a_connect_handler_that_waited_may_refuse(a: Site, transport: str) -> None:
    """Its namespace is disconnected and hears nothing; another one goes on."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect(auth="refuse")
        await client.connect("/chat")
        await ask(client, {"token": token})
        assert await client.wait_closed() == "server disconnect packet"
        await a.sio.emit("news", "for members")
        assert await client.emit("get", namespace="/chat") == "mine"
        assert not heard(client, "news")
        assert len(a.sio._by_sid) == 1
    await a.empty()
    assert len(a.shared.heard("disconnect")) == 1


async def test_nothing_is_heard_while_a_handler_that_waited_decides(
    a: Site, transport: str
) -> None:
    """gotToken, and no broadcast until the handler has agreed; then what was withheld."""
    token = await token_of(a, note="mine")
    async with a.client(kind_of(transport)) as client:
        await client.connect(auth="slow")
        await client.connect("/chat", auth="slow")
        asking = asyncio.ensure_future(client.emit("getToken", {"token": token}, ack=False))
        assert (await client.wait_for("gotToken"))["errors"] == ""
        await until(lambda: a.shared.heard("connect"))
        await a.sio.emit("news", "root")
        await a.sio.emit("news", "chat", namespace="/chat")
        assert not heard(client, "news")
        a.shared.go.set()
        await asking
        assert await client.emit("get", namespace="/chat") == "mine"
        assert heard(client, "news") == [("root",), ("chat",)]


async def test_a_client_that_leaves_during_a_late_connect_leaks_nothing(
    a: Site, transport: str
) -> None:
    """One connect, one disconnect, and no room keeps it."""
    token = await token_of(a)
    client = a.client(kind_of(transport))
    await client.connect(auth="slow")
    asking = asyncio.ensure_future(client.emit("getToken", {"token": token}, ack=False))
    await until(lambda: a.shared.heard("connect"))
    if transport == "websocket":
        await asking
    (eio_sid,) = a.sio._by_eio
    await client.abort()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await a.sio.eio.disconnect(eio_sid)
    a.shared.go.set()
    await until(lambda: a.shared.heard("disconnect"))
    await a.empty()
    assert a.shared.heard("disconnect") == a.shared.heard("connect")


# Who gets no session


async def test_anonymous_clients_may_be_refused(
    redis_url: str, prefix: str, transport: str
) -> None:
    """No session is made; the socket goes on waiting, and a good token is good."""
    async with site(redis=redis_url, prefix=prefix, credentials="token", anonymous="refuse") as a:
        gone, token = await token_of(a), await token_of(a, note="mine")
        await a.manager.destroy(id_of(a, gone))
        async with a.client(transport) as client, raw_redis(redis_url) as redis:
            await client.connect()
            assert await ask(client) == ("", NOT_FOUND)
            assert await ask(client, {"token": gone}) == ("", EXPIRED)
            assert len(await redis.keys(f"{prefix}s:*")) == 1
            assert not a.shared.heard("connect")
            assert await ask(client, {"token": token}) == (token, "")
            assert await ask(client, {"token": "bad"}) == ("", NOT_FOUND)
            assert await client.emit("get") == "mine"


async def test_a_login_may_be_required(redis_url: str, prefix: str, transport: str) -> None:
    """A session that nobody is logged in to does not do; another token may follow."""
    async with site(redis=redis_url, prefix=prefix, credentials="token", login_required=True) as a:
        anonymous, token = await token_of(a), await logged_in(a, note="mine")
        assert await status_of(a.client(kind_of(transport), headers=bearer(anonymous))) == 401
        async with a.client(transport) as client:
            await client.connect()
            assert await ask(client, {"token": anonymous}) == ("", "login required")
            assert await ask(client, {"token": "bad"}) == ("", NOT_FOUND)
            assert not a.shared.heard("connect")
            assert await ask(client, {"token": token}) == (token, "")
            assert (await client.emit("whoami"))["user"] == "ann"


@pytest.mark.expects_log("503")
async def test_an_outage_is_said_in_a_sentence(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """No address, no trace, no token; the socket stays as it was, and may ask again (S47)."""
    async with behind_a_proxy(redis_server, prefix) as (proxy, a):
        token = await token_of(a, note="mine")
        async with a.client(transport) as client:
            await client.connect()
            await proxy.refuse()
            for payload in ({"token": token}, {}):
                new, errors = await ask(client, payload)
                assert new == ""
                assert errors == "The session store cannot be asked; try again later."
            assert await status_of(a.client(kind_of(transport), headers=bearer(token))) == 503
            assert not a.shared.heard("connect")
            await admitted_once_it_answers(proxy, client, token)
        await a.empty()


async def test_a_session_that_ends_closes_a_socket_that_came_by_token(
    a: Site, transport: str
) -> None:
    """Logged out over HTTP with the token: told why, for good."""
    token = await token_of(a)
    async with a.client(transport) as client:
        await client.connect()
        await ask(client, {"token": token})
        await a.http().post("/logout", headers=bearer(token))
        assert await client.wait_for("session_ended") == {"reason": "logged_out"}
        await client.wait_transport_closed(3)
    with pytest.raises(ConnectionLost):
        await client.emit("get")
    await a.empty()


async def test_an_application_may_admit_whom_the_store_could_not_be_asked_about(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """With on_session_error="pass" a token in the header that cannot be loaded is no refusal."""
    passing = {"on_session_error": "pass"}
    async with FaultProxy(redis_server.port) as proxy:
        async with site(redis=proxy.url, prefix=prefix, credentials="token", server=passing) as a:
            token = await token_of(a, note="mine")
            await proxy.refuse()
            async with a.client(transport, headers=bearer(token)) as client:
                await client.connect()
                assert len(a.shared.heard("connect")) == 1
                await admitted_once_it_answers(proxy, client, token)
            await a.empty()


async def test_a_token_at_connect_that_cannot_be_loaded_is_passed_on(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """With on_session_error="pass" it waits no longer, and get_session raises StoreError (R1)."""
    passing = {"on_session_error": "pass"}
    async with behind_a_proxy(redis_server, prefix, server=passing) as (proxy, a):
        got: list[str] = []

        @a.sio.on("ask")  # type: ignore[untyped-decorator]  # python-socketio is untyped
        async def asked(sid: str) -> str:
            try:
                await a.sio.get_session(sid)
            except StoreError as error:
                got.append(type(error).__name__)
            return got[-1]

        token = await token_of(a, note="mine")
        async with a.client(transport) as client:
            await client.connect("/chat")  # it shows no token yet, so its handler waits
            await proxy.refuse()
            await client.connect(auth={"token": token})
            said = await client.wait_for("gotToken")
            assert said == {"token": "", "errors": NO_STORE}
            assert await client.emit("ask") == "StoreError"
            await until(lambda: len(a.shared.heard("connect")) == 2)
            await admitted_once_it_answers(proxy, client, token)
        await a.empty()


async def test_a_token_at_connect_that_cannot_be_loaded_waits_otherwise(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """By default no connect handler runs before a session is known (R1, S48)."""
    async with behind_a_proxy(redis_server, prefix) as (proxy, a):
        token = await token_of(a, note="mine")
        async with a.client(transport) as client:
            await client.open()
            await proxy.refuse()
            await client.connect(auth={"token": token})
            said = await client.wait_for("gotToken")
            assert said == {"token": "", "errors": NO_STORE}
            assert not a.shared.heard("connect")
            await admitted_once_it_answers(proxy, client, token)
        await a.empty()
