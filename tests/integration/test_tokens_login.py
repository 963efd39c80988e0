"""A connection in token mode stays when one of its events makes a new credential."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.sites import HeldLoad, Site, site, until
from tests.support.tokens import (
    ask,
    bearer,
    enter,
    heard,
    id_of,
    token_of,
    whoami,
)

CREDENTIALS = "token"  # of `a`, the application


# A new credential from an event


@pytest.mark.parametrize("what", ["login", "regenerate"])
async def test_a_login_in_an_event_moves_the_connection(a: Site, transport: str, what: str) -> None:
    """gotToken brings the new token before the acknowledgement; the rooms are the new ones
    (W11).
    """
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await enter(client, token)
        await client.connect("/chat")
        old = await a.manager.room(id_of(a, token))
        assert await client.emit("rotate", what) == "rotated"
        new = (await client.wait_for("gotToken", namespace="/"))["token"]
        assert await client.wait_for("gotToken", namespace="/chat") == {"token": new, "errors": ""}
        assert new != token
        assert id_of(a, new) == id_of(a, token) == a.connection.id
        await a.sio.emit("old", room=old)
        await a.sio.emit("new", room=await a.manager.room(a.connection.id), namespace="/chat")
        await client.wait_for("new")
        assert not heard(client, "old")
        user = {"login": "mallory"}.get(what)
        assert (await client.emit("whoami"))["user"] == user
        assert (await whoami(a, new))["user"] == user
        assert (await whoami(a, token))["data"] == {}
        assert await ask(client) == (new, "")
        assert await ask(client, {"token": token}) == (new, "")
        if user:
            await a.sio.emit("yours", room=a.manager.user_room(user), namespace="/chat")
            await client.wait_for("yours")
    await a.empty()


async def test_a_login_in_an_event_closes_the_other_connections(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Those of the replaced token, in every process, to come back; its own stays (W11)."""
    settings: dict[str, Any] = {"redis": redis_url, "prefix": prefix, "credentials": "token"}
    async with site(**settings) as a, site(**settings) as b:
        token = await token_of(a)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(a.client(transport))
            await enter(client, token)
            others = [one.client(transport, headers=bearer(token)) for one in (a, b)]
            for other in others:
                await stack.enter_async_context(other)
                await other.connect()
            await until(lambda: b.watcher.health()["notices"])
            assert await client.emit("rotate", "login") == "rotated"
            for other in others:
                assert await other.wait_for("session_ended") == {"reason": "rotated"}
                await other.wait_transport_closed(3)
            assert (await client.emit("whoami"))["user"] == "mallory"


async def test_a_header_from_before_a_login_in_an_event_keeps_its_connection(a: Site) -> None:
    """The client goes on polling with the header of its handshake, and upgrades with it."""
    token = await token_of(a)
    async with a.client("polling", headers=bearer(token)) as client:
        await client.connect()
        assert await client.emit("rotate", "login") == "rotated"
        assert (await client.emit("whoami"))["user"] == "mallory"
        await client.upgrade()
        assert (await client.emit("whoami"))["user"] == "mallory"


async def test_an_event_beside_a_login_waits_for_it(a: Site) -> None:
    """It would find the new generation before the connection is told of it."""
    token = await token_of(a, note="mine")
    commit, go, begun = a.manager.store.commit, asyncio.Event(), asyncio.Event()

    async def held(delta: Any) -> Any:
        committed = await commit(delta)
        if delta.meta is not None:
            begun.set()
            await go.wait()
        return committed

    async with a.client("websocket") as client:
        await enter(client, token)
        a.manager.store.commit = held  # type: ignore[method-assign]  # replaced for the test
        login = asyncio.ensure_future(client.emit("rotate", "login"))
        await asyncio.wait_for(begun.wait(), 3)
        load = HeldLoad(a.manager)
        beside = asyncio.ensure_future(client.emit("whoami"))
        await load.reached()
        load.go.set()
        a.watcher._ask_all()
        await a.manager.health()
        assert not a.connection.reason
        go.set()
        assert await login == "rotated"
        assert (await beside)["user"] == "mallory"
        assert not client.closed


async def test_a_login_over_http_brings_the_sockets_back_with_the_new_token(
    a: Site, transport: str
) -> None:
    """They are closed, and auth with the new token is a valid one (S6)."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await enter(client, token)
        response = await a.http().post("/login", {"user": "ann"}, headers=bearer(token))
        new = response.headers["Session-Token"]
        assert await client.wait_for("session_ended") == {"reason": "rotated"}
        await client.wait_transport_closed(3)
    async with a.client(transport) as client:
        await client.connect(auth={"token": new})
        assert await client.wait_for("gotToken") == {"token": new, "errors": ""}
        assert (await client.emit("whoami"))["user"] == "ann"


async def test_destroy_in_an_event_ends_it(a: Site, transport: str) -> None:
    """As in cookie mode: told why, for good, and the token is worth nothing."""

    @a.sio.on("leave")
    async def leave(sid: str) -> None:
        await (await a.sio.get_session(sid)).destroy()

    token = await token_of(a)
    async with a.client(transport) as client:
        await enter(client, token)
        await client.emit("leave", ack=False)
        assert await client.wait_for("session_ended") == {"reason": "logged_out"}
        assert (await whoami(a, token))["id"] is None
    await a.empty()
