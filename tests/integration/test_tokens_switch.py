"""A connection in token mode changes its session."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import HeldLoad, Site, eventually, raw_redis, site, until
from tests.support.tokens import (
    EXPIRED,
    NOT_FOUND,
    ask,
    bearer,
    enter,
    heard,
    id_of,
    logged_in,
    token_of,
    whoami,
)
from tornado_shared_session.testing import HTTPTestClient, RedisServer

CREDENTIALS = "token"  # of `a`, the application


async def room_of(a: Site, id: str) -> str:
    """Return the room of a session."""
    return await a.manager.room(id)


# getToken sent again


async def test_an_empty_gettoken_returns_the_token_it_has(
    redis_url: str, prefix: str, transport: str
) -> None:
    """However often, and in whatever form of empty: the store holds one session."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        async with a.client(transport) as client, raw_redis(redis_url) as redis:
            await client.connect()
            token, errors = await ask(client)
            assert errors == NOT_FOUND
            empty: list[list[Any]] = [[], [{}], [None], [{"token": ""}], [{"token": None}]]
            for payload in (*empty, [{"token": token}]):
                assert await ask(client, *payload) == (token, "")
            await client.emit("merge", {})  # stores nothing, so that it stays provisional
            (key,) = await redis.keys(f"{prefix}s:*")
            assert await redis.ttl(key) <= 60
            await client.emit("merge", {"note": 1})
            assert await redis.ttl(key) > 1000


async def test_another_token_switches_the_connection(a: Site, transport: str) -> None:
    """In every namespace: session, rooms and registry; connect handlers are not run again."""
    first, second = await logged_in(a, "ann", note=1), await logged_in(a, "bob", note=2)
    async with a.client(transport) as client:
        sid = await enter(client, first)
        await client.connect("/chat")
        await a.sio.enter_room(sid, "for ann")
        assert await ask(client, {"token": second}, namespace="/chat") == (second, "")
        assert await client.emit("get") == 2
        assert (await client.emit("whoami", namespace="/chat"))["user"] == "bob"
        assert a.connection.id == id_of(a, second)
        assert not a.manager.connections.of(id_of(a, first))
        for namespace in ("/", "/chat"):
            old = (await room_of(a, id_of(a, first)), a.manager.user_room("ann"), "for ann")
            for room in old:
                await a.sio.emit("old", room, room=room, namespace=namespace)
            for room in (await room_of(a, id_of(a, second)), a.manager.user_room("bob")):
                await a.sio.emit("new", room, room=room, namespace=namespace)
        assert await client.emit("get") == 2
        assert len(heard(client, "new")) == 4
        assert not heard(client, "old")
        assert len(a.shared.heard("connect")) == 2
        # It ends with the new session, and no more with the old one.
        await a.manager.destroy(id_of(a, first))
        assert await client.emit("get") == 2
        await a.manager.destroy(id_of(a, second))
        assert await client.wait_for("session_ended") == {"reason": "revoked"}
    await a.empty()


async def test_a_bad_token_switches_to_a_new_session(a: Site, transport: str) -> None:
    """None of the data of the session before, which lives on without this socket."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await enter(client, token)
        new, errors = await ask(client, {"token": "bad"})
        assert errors == NOT_FOUND
        assert (await client.emit("whoami"))["data"] == {}
        assert (await whoami(a, token))["data"] == {"note": "mine"}
        assert id_of(a, new) == a.connection.id


async def test_a_dead_token_in_auth_costs_no_session(a: Site, transport: str) -> None:
    """Clients send the same auth with each CONNECT; only a live session's token switches."""
    dead, other = await token_of(a), await token_of(a, note="other")
    await a.manager.destroy(id_of(a, dead))
    async with a.client(transport) as client:
        await client.connect(auth={"token": dead})
        first = await client.wait_for("gotToken", namespace="/")
        assert first["errors"] == EXPIRED
        await client.connect("/chat", auth={"token": dead})
        again = await client.wait_for("gotToken", namespace="/chat")
        assert again == {"token": first["token"], "errors": ""}
        await client.disconnect("/chat")
        await until(lambda: len(a.sio._by_sid) == 1)
        await client.connect("/chat", auth={"token": other})
        assert await client.emit("get") == "other"


async def test_asking_again_and_again_fills_nothing(
    redis_url: str, prefix: str, transport: str
) -> None:
    """What was made for a socket and left unused is deleted; at most one record stays."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        async with a.client(transport) as client, raw_redis(redis_url) as redis:
            await client.connect()
            seen = {(await ask(client, {"token": f"bad {n}"}))[0] for n in range(30)}
            assert len(seen) == 30

            async def one_left() -> bool:
                return len(await redis.keys(f"{prefix}s:*")) == 1

            await eventually(one_left)  # the last deletion follows the answer
            (key,) = await redis.keys(f"{prefix}s:*")
            assert 0 < await redis.ttl(key) <= 60
            # What was written to, or came back, stays.
            await client.emit("set", "note", 1)
            written, _ = await ask(client, {"token": "bad"})
            await a.http().get("/whoami", headers=bearer(written))
            await ask(client, {"token": "bad"})
            await client.emit("get")
            assert len(await redis.keys(f"{prefix}s:*")) == 3


async def test_too_many_questions_at_once_are_answered_at_once(a: Site) -> None:
    """Over polling they may come together: some wait for each other, the rest is told so."""
    token = await token_of(a)
    async with a.client("polling") as client:
        await client.connect()
        load = HeldLoad(a.manager)
        target, headers = client.engine._target("polling"), client.engine._headers()
        url = client.engine.url
        body = '42["getToken",{"token":"' + token + '"}]'
        posts = [
            asyncio.ensure_future(
                HTTPTestClient(url).post(target, body, headers=headers, timeout=5)
            )
            for _ in range(12)
        ]
        await load.reached()
        busy = await client.wait_for("gotToken")
        assert busy == {"token": "", "errors": "Too many requests at once; try again later."}
        await until(lambda: len(heard(client, "gotToken")) == 4)
        load.go.set()
        assert [answer.code for answer in await asyncio.gather(*posts)] == [200] * 12
        await until(lambda: len(heard(client, "gotToken")) == 12)
        answers = [args[0]["token"] for args in heard(client, "gotToken")]
        assert answers.count(token) == 8


# What is under way meanwhile


async def test_an_event_of_the_session_before_is_not_acknowledged(a: Site, transport: str) -> None:
    """What it stores goes where it was loaded from, and reading on in it raises."""
    first, second = await token_of(a, note=1), await token_of(a, note=2)
    errors: list[str] = []

    @a.sio.on("twice")
    async def twice(sid: str) -> None:
        async with a.sio.session(sid) as session:
            a.shared.tell(twice=sid)
            await a.shared.go.wait()
            session["late"] = True
        try:
            await a.sio.get_session(sid)
        except Exception as error:
            errors.append(str(error))
            raise

    async with a.client(transport) as client:
        await enter(client, first)
        event = asyncio.ensure_future(client.emit("twice", timeout=0.6))
        await until(lambda: a.shared.heard("twice"))
        assert await ask(client, {"token": second}) == (second, "")
        a.shared.go.set()
        with pytest.raises(TimeoutError):
            await event  # time is what is meant: no acknowledgement comes
        assert errors == ["the client of this event has switched to another session"]
        assert (await whoami(a, first))["data"] == {"note": 1, "late": True}
        assert (await client.emit("whoami"))["data"] == {"note": 2}


async def test_an_event_that_outlives_its_session_is_not_acknowledged(
    a: Site, transport: str
) -> None:
    """Though its handler has done its work: the client is somebody else by now."""
    first, second = await token_of(a, note=1), await token_of(a, note=2)
    async with a.client(transport) as client:
        await enter(client, first)
        event = asyncio.ensure_future(client.emit("slow", "late", True, timeout=0.6))
        await until(lambda: a.shared.heard("slow"))
        assert await ask(client, {"token": second}) == (second, "")
        a.shared.go.set()
        with pytest.raises(TimeoutError):
            await event  # time is what is meant: no acknowledgement comes
        assert (await whoami(a, first))["data"] == {"note": 1, "late": True}


async def test_nothing_is_heard_or_handled_while_it_switches(a: Site) -> None:
    """Neither as the old session nor as the new one."""
    first, second = await token_of(a, note=1), await token_of(a, note=2)
    async with a.client("polling") as client:
        await enter(client, first)
        load = HeldLoad(a.manager, passing=1)
        asking = asyncio.ensure_future(ask(client, {"token": second}))
        await load.reached()
        assert a.connection.id == id_of(a, second)
        await a.sio.emit("news", "to everybody")
        target, headers = client.engine._target("polling"), client.engine._headers()
        http = HTTPTestClient(client.engine.url)
        assert (await http.post(target, '42["set","note","x"]', headers=headers)).code == 200
        load.go.set()
        assert await asking == (second, "")
        assert await client.emit("get") == 2
        assert not heard(client, "news")
        assert not a.shared.heard("set")


async def test_who_asks_while_it_switches_is_given_the_new_session(a: Site) -> None:
    """From outside of its events, where nothing tells which of the two is meant."""
    first, second = await token_of(a, note=1), await token_of(a, note=2)
    async with a.client("websocket") as client:
        sid = await enter(client, first)
        load = HeldLoad(a.manager, passing=1)
        asking = asyncio.ensure_future(ask(client, {"token": second}))
        await load.reached()
        found = asyncio.ensure_future(a.sio.get_session(sid))
        await a.manager.health()
        assert not found.done()
        load.go.set()
        assert (await found)["note"] == 2
        assert await asking == (second, "")


async def test_an_event_that_loads_while_it_switches_does_not_mix(a: Site) -> None:
    """Its load of the old session ends after the switch: no handler runs with either."""
    first, second = await token_of(a, note=1), await token_of(a, note=2)
    async with a.client("websocket") as client:
        await enter(client, first)
        load = HeldLoad(a.manager)
        await client.emit("set", "note", "x", ack=False)
        await load.reached()
        assert await ask(client, {"token": second}) == (second, "")
        load.go.set()
        assert await client.emit("get") == 2
        assert not a.shared.heard("set")
        assert not client.closed


async def test_an_end_during_a_failed_switch_is_not_missed(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """It goes back to its session when the other cannot be loaded, and looks it up at once."""
    async with FaultProxy(redis_server.port) as proxy:
        # Without notices and deadlines, only that look can tell.
        quiet: dict[str, Any] = {"no_notices": True, "no_deadlines": True}
        async with site(redis=proxy.url, prefix=prefix, credentials="token", **quiet) as a:
            first, second = await token_of(a, note=1), await token_of(a, note=2)
            async with a.client(transport) as client:
                await enter(client, first)
                load = HeldLoad(a.manager, before=True, passing=1)
                asking = asyncio.ensure_future(client.emit("getToken", {"token": second}))
                await load.reached()
                await a.manager.store.delete(id_of(a, first))  # as in another process
                await proxy.refuse()
                load.go.set()
                answer = await client.wait_for("gotToken")
                assert answer["token"] == ""
                assert a.connection.id == id_of(a, first)
                await proxy.normal()
                assert await client.wait_for("session_ended") == {"reason": "expired"}
                await asyncio.gather(asking, return_exceptions=True)
            await a.empty()
