"""With `autosave=True` an event handler's changes are stored when it returns."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.apps.shared_events import Shared
from tests.support.proxy import FaultProxy
from tests.support.sites import Site, site, until
from tornado_shared_session import SessionError
from tornado_shared_session.socketio_admission import current
from tornado_shared_session.testing import CookieJar, RedisServer

AUTOSAVE = {"autosave": True}


@asynccontextmanager
async def saving(redis_url: str, prefix: str, **options: Any) -> AsyncIterator[Site]:
    """Serve the application with handlers that only change what they were given."""

    def edit(shared: Shared) -> None:
        sio = shared.sio

        @sio.on("put")
        async def put(sid: str, key: str, value: Any) -> str:
            session = await sio.get_session(sid)
            await asyncio.sleep(0)  # also what is changed after an await counts
            session[key] = value
            return "put"

        @sio.on("push")
        async def push(sid: str, key: str, value: Any) -> None:
            (await sio.get_session(sid))[key].append(value)

        @sio.on("twice")
        async def twice(sid: str) -> None:
            one = await sio.get_session(sid)
            two = await sio.get_session(sid)
            one["one"], two["two"] = 1, 2

        @sio.on("fail")
        async def fail(sid: str) -> None:
            (await sio.get_session(sid))["note"] = "lost"
            raise ValueError("boom")

        @sio.on("give up")
        async def give_up(sid: str) -> None:
            try:
                async with sio.session(sid) as session:
                    session["note"] = "lost"
                    raise KeyError("inside the block")
            except KeyError:
                pass

        @sio.on("leave")
        async def leave(sid: str) -> None:
            session = await sio.get_session(sid)
            session["note"] = "late"
            await session.destroy()

        @sio.event
        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            (await sio.get_session(sid))["connected"] = True

        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            try:
                (await sio.get_session(sid))["disconnected"] = reason
            except SessionError as error:
                shared.tell(refused=type(error).__name__)
                raise
            finally:
                shared.tell(disconnected=reason)

    async with site(
        server=AUTOSAVE, edit=edit, redis=redis_url, prefix=prefix, **options
    ) as running:
        yield running


async def data(a: Site, jar: CookieJar) -> dict[str, Any]:
    """Return what the session holds, over HTTP."""
    found: dict[str, Any] = json.loads((await a.http(jar).get("/whoami")).body)["data"]
    return found


async def test_a_change_after_an_await_is_stored_before_its_acknowledgement(
    redis_url: str, prefix: str, transport: str
) -> None:
    """So is a nested one, and what two objects of one session hold."""
    async with saving(redis_url, prefix) as a:
        jar = await a.visitor(cart=[])
        async with a.client(transport, jar) as client:
            await client.connect()
            assert await client.emit("put", "note", "kept") == "put"
            assert (await data(a, jar))["note"] == "kept"
            await client.emit("push", "cart", "x")
            await client.emit("twice")
            found = await data(a, jar)
            assert (found["cart"], found["one"], found["two"]) == (["x"], 1, 2)


async def test_the_acknowledgement_waits_for_the_commit(
    redis_server: RedisServer, prefix: str
) -> None:
    """Held at the wire, the commit holds the acknowledgement."""
    proxy = FaultProxy(redis_server.port)
    async with proxy, saving(proxy.url, prefix) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            held = proxy.hold(b"EVALSHA")
            asking = asyncio.ensure_future(client.emit("put", "note", "kept"))
            await asyncio.wait_for(held.reached.wait(), 3)
            await a.sio.emit("tick", "later")  # what is sent to the client arrives
            assert await client.wait_for("tick") == "later"
            assert not asking.done()
            held.release()
            assert await asking == "put"


async def test_connect_and_disconnect_handlers_are_saved_too(
    redis_url: str, prefix: str, transport: str
) -> None:
    """What they change is there afterwards."""
    async with saving(redis_url, prefix) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            assert (await data(a, jar))["connected"] is True
            await client.disconnect()
        await a.empty()
        assert "disconnect" in (await data(a, jar))["disconnected"]


@pytest.mark.expects_log("boom")
async def test_a_handler_that_raises_stores_nothing(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Nor does a block of sio.session(sid) whose exception the handler catches."""
    async with saving(redis_url, prefix) as a:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            await client.send_raw('42["fail"]')
            await client.emit("give up")
            assert (await data(a, jar))["note"] == "old"


async def test_an_event_that_changes_nothing_writes_nothing(
    redis_server: RedisServer, prefix: str
) -> None:
    """Not even a touch, before touch_interval has passed."""
    proxy = FaultProxy(redis_server.port)
    async with proxy, saving(proxy.url, prefix) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            proxy.forget()
            for _ in range(5):
                assert await client.emit("get") == ""
            assert proxy.count(b"EVAL") == 0


async def test_an_ended_session_is_not_brought_back(
    redis_url: str, prefix: str, transport: str
) -> None:
    """destroy() in the handler wins, and the disconnect handler's change is refused."""
    async with saving(redis_url, prefix) as a:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            await client.send_raw('42["leave"]')
            assert await client.wait_for("session_ended") == {"reason": "logged_out"}
            await client.wait_transport_closed()
        await a.empty()
        assert a.shared.heard("refused") == ["SessionEnded"]
        assert await data(a, jar) == {}


async def test_without_autosave_a_change_needs_a_save(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The default stores nothing that nobody asked for."""

    def edit(shared: Shared) -> None:
        @shared.sio.on("put")
        async def put(sid: str) -> str:
            (await shared.sio.get_session(sid))["note"] = "not saved"
            return "put"

    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            assert await client.emit("put") == "put"
            assert (await data(a, jar))["note"] == "old"


@pytest.mark.parametrize("where", ["connect", "event", "disconnect"])
async def test_a_task_that_outlives_its_handler_keeps_nothing(
    redis_url: str, prefix: str, where: str
) -> None:
    """It may ask for sessions forever: none is kept for a save that does not come."""
    begun: list[str] = []
    kept: list[object] = []
    other = ""

    def edit(shared: Shared) -> None:
        async def later() -> None:
            await shared.go.wait()
            await shared.sio.get_session(other)
            handled = current.get()
            assert handled is not None
            kept.append(handled.handed)

        async def start(sid: str, *args: Any) -> None:
            if sid != other:
                begun.append(sid)
                shared.manager.spawn(later())

        shared.sio.on(where, start)

    async with site(server=AUTOSAVE, edit=edit, redis=redis_url, prefix=prefix) as a:
        async with a.client("websocket") as client, a.client("websocket") as second:
            other = await second.connect()
            async with client:
                await client.connect()
                await client.emit("event", ack=where == "event")
            await until(lambda: len(a.manager.connections) == 1)
            a.shared.go.set()
            await until(lambda: len(kept) == len(begun))
    assert begun
    assert not any(kept)
