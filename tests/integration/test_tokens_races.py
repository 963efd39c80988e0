"""What meets in token mode: a switch, a failover, a client that goes and comes back."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.apps.shared_events import Shared
from tests.support.sites import HeldLoad, Site, raw_redis, site, until
from tests.support.tokens import bearer, enter, logged_in, token_of


@pytest.fixture
async def a(tokens: Site) -> Site:
    """Token mode in all of these."""
    return tokens


async def test_a_record_from_before_a_rotation_ends_the_connection(
    redis_url: str, prefix: str, transport: str
) -> None:
    """A failover may forget a login: nobody has the older credential, and nobody waits for it."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        token = await token_of(a, note="mine")
        async with a.client(transport) as client, raw_redis(redis_url) as redis:
            await enter(client, token)
            key = f"{prefix}s:{a.connection.id}"
            before = await redis.dump(key)
            assert await client.emit("rotate", "login") == "rotated"
            await redis.restore(key, 600_000, before, replace=True)
            await client.emit("set", "note", "x", ack=False)
            assert await client.wait_for("session_ended") == {"reason": "rotated"}
            assert not a.shared.heard("set")
        await a.empty()


async def test_who_leaves_a_namespace_before_the_token_may_connect_it_again(
    a: Site, transport: str
) -> None:
    """As a client does that puts the token into its auth and connects anew."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect()
        await client.connect("/chat")
        await client.disconnect()
        await client.connect(auth={"token": token})
        assert await client.wait_for("gotToken", namespace="/") == {"token": token, "errors": ""}
        assert await client.emit("get") == "mine"
        assert await client.emit("get", namespace="/chat") == "mine"
        assert len(a.shared.heard("connect")) == 2
    await a.empty()


async def test_who_goes_during_a_switch_was_never_in_the_other_session(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The disconnect handler has the session that there was, whatever token was being judged."""
    found: list[dict[str, Any]] = []

    def edit(shared: Shared) -> None:
        @shared.sio.on("disconnect")
        async def disconnect(sid: str, reason: str) -> None:
            found.append(dict(await shared.sio.get_session(sid)))

    async with site(redis=redis_url, prefix=prefix, credentials="token", edit=edit) as a:
        mine, superseded = await logged_in(a, note="mine"), await token_of(a, note="not mine")
        await a.http().post("/login", {"user": "bob"}, headers=bearer(superseded))
        async with a.client(transport) as client:
            await enter(client, mine)
            load = HeldLoad(a.manager)
            asking = asyncio.ensure_future(client.emit("getToken", {"token": superseded}))
            await load.reached()
            a.manager.connections.end_one(a.connection, "broken")
            await until(lambda: found)
            load.go.set()
            await asyncio.gather(asking, return_exceptions=True)
        await a.empty()
    assert found == [{"note": "mine"}]
