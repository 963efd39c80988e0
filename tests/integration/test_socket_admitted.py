"""Who is let in without a session, and what needs a login."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio

from tests.apps.shared_events import Shared
from tests.support.proxy import FaultProxy
from tests.support.sites import (
    Site,
    between_polls,
    raw_redis,
    session_id,
    site,
    status_of,
    until,
)
from tornado_shared_session import SessionError, authenticated
from tornado_shared_session.testing import ConnectionLost, CookieJar, RedisServer

PASS = {"on_session_error": "pass"}


def telling(shared: Shared) -> None:
    """Replace the connect handler by one that tells what get_session says."""
    sio = shared.sio

    async def ask(sid: str) -> str:
        try:
            return str((await sio.get_session(sid)).id)
        except SessionError as error:
            return type(error).__name__

    @sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        shared.tell(got=await ask(sid))

    @sio.on("ask")
    async def ask_again(sid: str) -> str:
        return await ask(sid)

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        shared.tell(left=await ask(sid))


async def test_redis_down_at_the_handshake_is_passed_on(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """The client is in, without a session, and get_session raises what went wrong."""
    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix, server=PASS, edit=telling) as a:
        jar = await a.visitor()
        await proxy.refuse()
        async with a.client(transport, jar) as client:
            await client.connect()
            assert a.shared.heard("got") == ["StoreError"]
            await proxy.normal()
            # Whose session it would be was never found out, and is not now.
            assert await client.emit("ask") == "StoreError"
            assert await a.sio.online() == []
            await a.sio.emit("news", "for all")
            assert await client.wait_for("news") == "for all"
        await a.empty()
        assert a.shared.heard("left") == ["StoreError"]


async def test_redis_down_at_connect_is_passed_on(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """A session that the handshake found is asked for again, once Redis is back."""
    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix, server=PASS, edit=telling) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.open()
            if transport == "upgrade":
                await client.upgrade()
            await proxy.refuse()
            await client.connect()
            assert a.shared.heard("got") == ["StoreError"]
            await proxy.normal()
            assert await client.emit("ask") == session_id(jar)


async def test_a_superseded_credential_is_passed_on(
    redis_url: str, prefix: str, transport: str
) -> None:
    """As SessionEnded; and nothing of the session is to be had."""
    async with site(redis=redis_url, prefix=prefix, server=PASS, edit=telling) as a:
        jar = await a.visitor(note="secret")
        old = CookieJar(jar)
        await a.http(jar).post("/login", {"user": "ann"})
        async with a.client(transport, old) as client:
            await client.connect()
            assert await client.emit("ask") == "SessionEnded"
            await a.sio.emit("private", "for ann", room=await a.manager.room(session_id(jar)))
            await a.sio.emit("news", "for all")
            assert await client.wait_for("news") == "for all"
            assert "private" not in [event.name for event in client.events]
        await a.empty()


async def test_a_closing_manager_ends_those_without_a_session_too(
    redis_url: str, prefix: str, transport: str
) -> None:
    """They are in the registry, though under no session's id."""
    async with site(redis=redis_url, prefix=prefix, server=PASS, edit=telling) as a:
        jar = await a.visitor()
        old = CookieJar(jar)
        await a.http(jar).post("/login", {"user": "ann"})
        async with a.client(transport, old) as client:
            await client.connect()
            assert a.manager.connections.ids() == []
            await a.manager.close()
            assert await client.wait_for("session_ended") == {"reason": "shutdown"}
            await client.wait_transport_closed()
        await a.empty()


async def test_a_handler_that_lets_the_error_through_refuses(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """get_session in a connect handler that does not care about errors is a refusal."""

    def edit(shared: Shared) -> None:
        @shared.sio.event
        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            await shared.sio.get_session(sid)

    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix, server=PASS, edit=edit) as a:
        jar = await a.visitor()
        await proxy.refuse()
        async with a.client(transport, jar) as client:
            with pytest.raises(ConnectionLost):
                await client.connect()
        await a.empty()


@pytest.mark.expects_log("503")
async def test_the_default_refuses(redis_server: RedisServer, prefix: str, transport: str) -> None:
    """No session, no connection."""
    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix) as a:
        jar = await a.visitor()
        await proxy.refuse()
        kind = "polling" if transport == "upgrade" else transport
        assert await status_of(a.client(kind, jar)) == 503


async def test_online_reads_sessions_in_one_batch(redis_server: RedisServer, prefix: str) -> None:
    """Fifty clients with their sessions cost a few writes to Redis's socket."""
    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix) as a:
        clients = [a.client("websocket", await a.visitor(note=str(n))) for n in range(50)]
        await asyncio.gather(*(client.connect("/chat") for client in clients))
        try:
            chunks = proxy.chunks
            found = await a.sio.online("/chat")
            assert proxy.chunks - chunks <= 3
            assert {sid for sid, _ in found} == {client.sids["/chat"] for client in clients}
            assert sorted(int(session["note"]) for _, session in found) == list(range(50))
            assert await a.sio.online("/") == []
        finally:
            await asyncio.gather(*(client.close() for client in clients))


async def test_who_is_online(a: Site, transport: str) -> None:
    """A user is from the first connect to the last disconnect, in the namespace asked for."""
    jar = await a.visitor()
    await a.http(jar).post("/login", {"user": "ann"})
    assert not a.sio.is_online("ann")
    async with a.client(transport, jar) as one, a.client("websocket", jar) as two:
        await one.connect()
        assert a.sio.is_online("ann")
        assert not a.sio.is_online("ann", "/chat")
        assert not a.sio.is_online("bob")
        await two.connect()
        await one.close()
        assert a.sio.is_online("ann")
    await until(lambda: not a.sio.is_online("ann"))


async def test_nobody_is_online_who_has_logged_out(a: Site) -> None:
    """Nor does it matter how long the client takes to hear of it."""
    jar = await a.visitor()
    await a.http(jar).post("/login", {"user": "ann"})
    async with between_polls(a, jar) as client:
        assert a.sio.is_online("ann")
        await a.http(jar).post("/logout", {})
        assert not a.sio.is_online("ann")
        client.resume_reading()


# @authenticated


def with_login(shared: Shared) -> None:
    """Add handlers that need a login."""
    sio = shared.sio

    @sio.on("mine")
    @authenticated
    async def mine(sid: str, item: str) -> str:
        return f"{item} for {(await sio.get_session(sid)).user_id}"

    @sio.on("plain")
    @authenticated
    def plain(sid: str) -> str:
        return "ran"

    class Members(socketio.AsyncNamespace):  # type: ignore[misc]  # untyped
        @authenticated
        async def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
            pass

        @authenticated
        async def on_mine(self, sid: str) -> str:
            return "ran"

    sio.register_namespace(Members("/members"))


@pytest.mark.parametrize("reload", ["event", "interval"])
async def test_authenticated_handlers_run_for_users_only(
    redis_url: str, prefix: str, transport: str, reload: str
) -> None:
    """A visitor is told so; a logged-in one is served; namespaces' methods likewise (W12)."""
    async with site(redis=redis_url, prefix=prefix, edit=with_login, reload=reload) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            assert await client.emit("mine", "tea") == {"error": "login required"}
            assert await client.emit("plain") == {"error": "login required"}
            with pytest.raises(Exception, match="login required"):
                await client.connect("/members")
        await a.http(jar).post("/login", {"user": "ann"})
        async with a.client(transport, jar) as client:
            await client.connect()
            assert await client.emit("mine", "tea") == "tea for ann"
            assert await client.emit("plain") == "ran"
            await client.connect("/members")
            assert await client.emit("mine", namespace="/members") == "ran"


async def test_an_authenticated_handler_is_nothing_to_call(a: Site) -> None:
    """Outside an event nobody can be asked who it is."""

    @authenticated
    async def mine(sid: str) -> None: ...

    with pytest.raises(SessionError, match="mine is @authenticated"):
        await mine("sid")


async def test_a_session_that_cannot_be_stored_refuses_its_connect(
    redis_server: RedisServer, prefix: str
) -> None:
    """With autosave, Redis gone between a connect handler and its save is Redis down at CONNECT."""

    def edit(shared: Shared) -> None:
        @shared.sio.event
        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            (await shared.sio.get_session(sid))["note"] = "new"
            await proxy.refuse()

    proxy = FaultProxy(redis_server.port)
    server = {"autosave": True}
    async with proxy, site(redis=proxy.url, prefix=prefix, server=server, edit=edit) as a:
        jar = await a.visitor(note="old")
        async with a.client("websocket", jar) as client:
            with pytest.raises(ConnectionLost):
                await client.connect()
        await proxy.normal()
        await a.empty()
        async with raw_redis(redis_server.url) as redis:
            assert await redis.hget(f"{prefix}s:{session_id(jar)}", "note") == b"\xa3old"
