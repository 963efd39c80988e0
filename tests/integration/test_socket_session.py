"""The shared session inside socket handlers: read, write, keep apart."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.apps.shared_events import Shared
from tests.support.proxy import FaultProxy
from tests.support.sites import Site, session_id, site, until
from tornado_shared_session import SessionEnded, SessionError
from tornado_shared_session.testing import RedisServer

LOAD = b"HGETALL"


async def test_a_nested_change_is_saved(a: Site, transport: str) -> None:
    """session["cart"].append(x) in a block of sio.session(sid) needs no flag."""
    jar = await a.visitor(cart=["a"])
    async with a.client(transport, jar) as client:
        await client.connect()
        await client.emit("append", "cart", "b")
        assert json.loads((await a.http(jar).get("/note?key=cart")).body) == ["a", "b"]


async def test_a_mere_read_writes_nothing(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """Reading, even of a list, sends no script that could write."""
    async with FaultProxy(redis_server.port) as proxy, site(redis=proxy.url, prefix=prefix) as a:
        async with a.client(transport, await a.visitor(cart=[1, {"n": 2}])) as client:
            await client.connect()
            proxy.forget()
            for _ in range(5):
                assert await client.emit("get", "cart") == [1, {"n": 2}]
            assert proxy.count(LOAD) == 5  # one load per event, the handler's included
            assert proxy.count(b"EVAL") == 0


async def test_save_session_merges_a_mapping(a: Site, transport: str) -> None:
    """Other keys stay as they are."""
    jar = await a.visitor(note="kept", count=1)
    async with a.client(transport, jar) as client:
        await client.connect()
        await client.emit("merge", {"count": 2, "new": 3})
        answer = json.loads((await a.http(jar).get("/whoami")).body)
        assert answer["data"] == {"note": "kept", "count": 2, "new": 3}


async def test_a_failing_block_saves_nothing(a: Site, transport: str, expect_log: Any) -> None:
    """An exception inside `async with sio.session(sid)` drops the changes."""
    expect_log("boom")

    @a.sio.on("fail")
    async def fail(sid: str) -> None:
        try:
            async with a.sio.session(sid) as session:
                session["note"] = "half"
                raise ValueError("boom")
        finally:
            a.shared.tell(failed=True)

    async with a.client(transport, await a.visitor(note="whole")) as client:
        await client.connect()
        await client.emit("fail", ack=False)
        await until(lambda: a.shared.heard("failed"))
        assert await client.emit("get") == "whole"


async def test_concurrent_increments_are_exact(a: Site, transport: str) -> None:
    """transact() in events and in requests, all at once, loses nothing."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        posts = [a.http(jar).post("/count") for _ in range(10)]
        if transport == "polling":
            for _ in range(10):
                await client.emit("incr")
            await asyncio.gather(*posts)
        else:
            await asyncio.gather(*posts, *(client.emit("incr") for _ in range(10)))
        assert (await a.http(jar).get("/count")).body == b"20"


async def test_events_of_one_socket_run_side_by_side(a: Site, transport: str) -> None:
    """A slow event holds no other back, and each writes its own key (T25)."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        await client.emit("slow", "slow", 1, ack=False)
        await until(lambda: a.shared.heard("slow"))
        assert await client.emit("set", "quick", 2) == "saved"
        a.shared.go.set()
        async with asyncio.timeout(3):
            while await client.emit("get", "slow") is None:
                pass
        assert await client.emit("get", "quick") == 2


async def test_a_socket_cannot_rotate(a: Site, transport: str) -> None:
    """login() and regenerate() in an event raise SessionError and change nothing."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        assert await client.emit("rotate", "login") == "SessionError"
        assert await client.emit("rotate", "regenerate") == "SessionError"
        assert (await client.emit("whoami"))["user"] is None
        assert json.loads((await a.http(jar).get("/whoami")).body)["user"] is None


async def test_clients_cannot_trigger_connect_and_disconnect(a: Site, transport: str) -> None:
    """Events of those names run no handler, not even a catch-all one."""

    @a.sio.on("*")
    async def anything(event: str, sid: str, *values: Any) -> None:
        a.shared.tell(anything=event)

    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        for name in ("connect", "disconnect"):
            await client.emit(name, "x", ack=False)
        await client.emit("other", ack=False)
        assert await client.emit("get") == ""
        assert a.shared.heard("anything") == ["other"]
        assert len(a.shared.heard("connect")) == 1
        assert not a.shared.heard("disconnect")


async def test_the_rooms_of_sessions_are_reserved(a: Site) -> None:
    """A client that may name a room must not name these: entering, leaving, closing raise."""
    async with a.client("websocket", await a.visitor()) as client:
        sid = await client.connect()
        for room in ("session:x.1", "session-user:ann"):
            for what in (
                a.sio.enter_room(sid, room),
                a.sio.leave_room(sid, room),
                a.sio.close_room(room),
            ):
                with pytest.raises(SessionError, match="belong to sessions"):
                    await what
        await a.sio.enter_room(sid, "lobby")
        assert "lobby" in a.sio.rooms(sid)


@pytest.mark.parametrize("reload", ["event", "interval"])
async def test_a_task_that_outlives_its_event_reads_anew(
    redis_url: str, prefix: str, transport: str, reload: str
) -> None:
    """What was loaded for events serves their handlers, not a task that one left behind."""
    settings: dict[str, Any] = {"redis": redis_url, "prefix": prefix}
    async with site(**settings, reload=reload) as a, site(**settings) as b:
        written = asyncio.Event()

        @a.sio.on("later")
        async def later(sid: str) -> None:
            async def work() -> None:
                await written.wait()
                a.shared.tell(later=(await a.sio.get_session(sid))["note"])

            a.sio.start_background_task(work)

        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            await client.emit("later")
            await b.http(jar).post("/note", {"value": '"new"'})
            written.set()
            await until(lambda: a.shared.heard("later"))
            assert a.shared.heard("later") == ["new"]
            assert await client.emit("get") == "new"  # the event, too, knows it now


async def test_the_disconnect_handler_has_the_session(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Writable when the client has left; read-only, as last loaded, when the session has ended."""

    def edit(shared: Shared) -> None:
        @shared.sio.on("disconnect")
        async def disconnect(sid: str, reason: str) -> None:
            session = await shared.sio.get_session(sid)
            try:
                session["left"] = True
                await session.save()
                shared.tell(left="written", values=dict(session))
            except SessionEnded as error:
                shared.tell(left=error.reason, values=dict(session))

    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        jar = await a.visitor(note=1)
        async with a.client(transport, jar) as client:
            await client.connect()
        await until(lambda: a.shared.heard("left"))
        async with a.client(transport, jar) as client:
            await client.connect()
            await a.manager.destroy(session_id(jar))
            await until(lambda: len(a.shared.heard("left")) == 2)
        assert a.shared.heard("left") == ["written", "revoked"]
        assert a.shared.heard("values")[1] == {"note": 1, "left": True}


async def test_local_and_online(a: Site, transport: str) -> None:
    """local() is the connection's own; online() names the connected clients with their sessions."""
    jar = await a.visitor(note="ann")
    async with a.client(transport, jar) as one, a.client(transport) as two:
        first = await one.connect()
        await one.connect("/chat")
        second = await two.connect()
        a.sio.local(first)["seen"] = 1
        assert a.sio.local(one.sids["/chat"], "/chat") == {"seen": 1}
        assert a.sio.local(second) == {}
        assert {sid: dict(s) for sid, s in await a.sio.online("/")} == {
            first: {"note": "ann"},
            second: {},
        }
        assert [sid for sid, _ in await a.sio.online("/chat")] == [one.sids["/chat"]]
        with pytest.raises(KeyError):
            await a.sio.get_session("nobody")
