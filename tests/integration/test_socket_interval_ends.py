"""reload="interval" when the session ends, its credential is replaced, or Redis is gone."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.apps.shared_events import Shared
from tests.support.interval import INTERVAL, SEEN_SOON, note, watched
from tests.support.sites import end_silently, eventually, session_id, site
from tests.support.tokens import enter, token_of
from tornado_shared_session import authenticated
from tornado_shared_session.testing import RedisServer


async def test_a_session_that_has_ended_is_not_written(
    redis_url: str, prefix: str, transport: str
) -> None:
    """What is known may be read until the notice comes; a save is refused, and the socket goes."""
    settings: dict[str, Any] = {"no_deadlines": True, "edit": note, "reload": INTERVAL}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            await end_silently(redis_url, prefix, session_id(jar))
            assert await client.emit("get") == "old"
            assert await client.emit("save") == "SessionEnded"
            with pytest.raises(Exception, match=r"close|http 400"):
                await client.emit("get")  # it was loaded, and is gone
            assert await client.wait_for("session_ended") == {"reason": "expired"}
        await a.empty()
        assert not a.manager.connections.known


async def test_what_a_request_finds_gone_no_event_goes_by(
    redis_url: str, prefix: str, transport: str
) -> None:
    """No notice came, but this process has seen that there is no such session any more."""
    settings: dict[str, Any] = {"no_deadlines": True, "reload": INTERVAL}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            await end_silently(redis_url, prefix, session_id(jar))
            assert (await a.http(jar).get("/note")).body == b"null"
            with pytest.raises(Exception, match=r"close|http 400"):
                await client.emit("get")
            assert await client.wait_for("session_ended") == {"reason": "expired"}


async def test_a_replaced_credential_ends_what_is_known(
    redis_url: str, prefix: str, transport: str
) -> None:
    """No event of a socket from before the login is handled once that is noticed (S6)."""
    async with site(redis=redis_url, prefix=prefix, reload=INTERVAL) as a:
        jar = await a.visitor(note="old")
        async with a.client(transport, dict(jar)) as client:
            await client.connect()
            await a.http(jar).post("/login", {"user": "ann"})
            with pytest.raises(Exception, match=r"close|http 400"):
                await client.emit("whoami")
            assert await client.wait_for("session_ended") == {"reason": "rotated"}
        async with a.client(transport, jar) as client:
            await client.connect()
            assert (await client.emit("whoami"))["user"] == "ann"


async def test_a_login_in_an_event_is_seen_by_the_next(
    redis_url: str, prefix: str, transport: str
) -> None:
    """In token mode the connection stays, with the session as it is then."""
    settings: dict[str, Any] = {"credentials": "token", "reload": INTERVAL}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        token, other = await token_of(a, note="mine"), await token_of(a, note="other")
        async with a.client(transport) as client:
            await enter(client, token)
            assert (await client.emit("whoami"))["user"] is None
            assert await client.emit("rotate", "login") == "rotated"
            described = await client.emit("whoami")
            assert (described["user"], described["data"]) == ("mallory", {"note": "mine"})
            await client.emit("getToken", {"token": other})
            assert (await client.emit("whoami"))["data"] == {"note": "other"}
            assert len(a.manager.connections.known) == 1


async def test_authenticated_knows_of_a_login_in_an_event(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Also where the session was asked for again before it, so that another object is the last."""

    def edit(shared: Shared) -> None:
        @shared.sio.on("enter")
        async def enter_as(sid: str, user: str) -> None:
            session = await shared.sio.get_session(sid)
            await shared.sio.get_session(sid)
            await session.login(user)

        @shared.sio.on("mine")
        @authenticated
        async def mine(sid: str) -> str:
            return "ran"

    settings: dict[str, Any] = {"credentials": "token", "reload": INTERVAL, "edit": edit}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        async with a.client(transport) as client:
            await enter(client, await token_of(a))
            assert await client.emit("mine") == {"error": "login required"}
            await client.emit("enter", "ann")
            assert await client.emit("mine") == "ran"
            await client.emit("getToken", {"token": await token_of(a)})
            assert await client.emit("mine") == {"error": "login required"}


async def test_a_failed_commit_leaves_nothing_known(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """It was applied, and its answer was lost: the next event loads what there is."""
    async with watched(redis_server, prefix, no_notices=True, edit=note) as (a, proxy):
        async with a.client(transport, await a.visitor(note="old")) as client:
            await client.connect()
            lost = proxy.lose_replies(count=1)
            assert await client.emit("save") == "StoreError"
            await asyncio.wait_for(lost.reached.wait(), 3)
            proxy.heal()
            assert await client.emit("get") == "saved"


async def test_nothing_is_believed_for_longer_than_the_interval(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """When the reload gets no answer, events ask for themselves, and get none either."""
    settings: dict[str, Any] = {"reload_interval": SEEN_SOON, "no_notices": True}
    async with watched(redis_server, prefix, **settings) as (a, proxy):
        async with a.client(transport, await a.visitor(note="old")) as client:
            await client.connect()
            await proxy.refuse()

            async def refused() -> bool:
                try:
                    return bool(await client.emit("get", timeout=1) != "old")
                except TimeoutError:
                    return True

            await eventually(refused, 5)
            await proxy.normal()
