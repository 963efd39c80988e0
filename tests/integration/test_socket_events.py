"""Events and acknowledgements: handled only while the session lives, and with its values."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import Site, end_silently, session_id, site, until
from tornado_shared_session.testing import RedisServer


@pytest.fixture
async def deaf(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The application without notices and deadlines: only events and the reload notice an end."""
    settings: dict[str, Any] = {"no_notices": True, "no_deadlines": True}
    async with site(redis=redis_url, prefix=prefix, **settings) as running:
        yield running


# reload="event" and "interval"


async def test_an_event_after_the_end_runs_no_handler(
    deaf: Site, redis_url: str, prefix: str, transport: str
) -> None:
    """No handler, no acknowledgement, and the transport closes (I5, W8)."""
    jar = await deaf.visitor()
    async with deaf.client(transport, jar) as client:
        await client.connect()
        await end_silently(redis_url, prefix, session_id(jar))
        with pytest.raises(Exception, match=r"close|http 400"):
            await client.emit("set", "note", 1)
        assert not deaf.shared.heard("set")
        assert await client.wait_for("session_ended") == {"reason": "expired"}
    await deaf.empty()


async def test_an_acknowledgement_after_the_end_resolves_nothing(
    deaf: Site, redis_url: str, prefix: str, transport: str
) -> None:
    """The callback of an emit from before the end is not called."""
    jar = await deaf.visitor()
    async with deaf.client(transport, jar) as client:
        await client.connect()
        for ended in (False, True):
            await client.emit("ask", ack=False)
            question = await client.wait_for_event("question")
            if ended:
                await end_silently(redis_url, prefix, session_id(jar))
            await client.acknowledge(question, "answer", ended)
            if not ended:
                await until(lambda: deaf.shared.heard("acknowledged"))
        await client.wait_transport_closed()
        assert deaf.shared.heard("acknowledged") == [("answer", False)]


async def test_an_event_after_a_rotation_runs_no_handler(deaf: Site, transport: str) -> None:
    """The credential it came in with was replaced: closed in reconnect mode (S6, I5)."""
    jar = await deaf.visitor()
    async with deaf.client(transport, dict(jar)) as client:
        await client.connect()
        deaf.watcher.notice = lambda notice: None  # type: ignore[method-assign]  # replaced for the test
        await deaf.http(jar).post("/regenerate")
        with pytest.raises(Exception, match=r"close|http 400"):
            await client.emit("set", "note", 1)
        assert not deaf.shared.heard("set")
        assert await client.wait_for("session_ended") == {"reason": "rotated"}
        assert "server disconnect packet" not in client.closings


async def test_interval_trusts_the_notices(redis_url: str, prefix: str, transport: str) -> None:
    """As documented: an event between the end and its notice is handled; none after it."""
    settings: dict[str, Any] = {"no_deadlines": True, "reload": "interval"}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        jar = await a.visitor()

        @a.sio.on("bare")
        async def bare(sid: str) -> str:
            return "handled"

        async with a.client(transport, jar) as client:
            await client.connect()
            await end_silently(redis_url, prefix, session_id(jar))
            assert await client.emit("bare") == "handled"
            await a.manager.announce("expired", [session_id(jar)])
            await client.wait_transport_closed()
            assert await client.wait_for("session_ended") == {"reason": "expired"}


async def test_a_session_that_ends_while_an_event_loads_runs_no_handler(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """The load's answer says alive, but the connection has ended, and is about to leave."""
    async with FaultProxy(redis_server.port) as proxy, site(redis=proxy.url, prefix=prefix) as a:
        loaded = asyncio.Event()

        @a.sio.on("disconnect")
        async def leaves_later(sid: str, reason: str) -> None:
            await loaded.wait()

        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            hold = proxy.hold_replies(b"note")
            await client.emit("set", "note", 1, ack=False)
            await asyncio.wait_for(hold.reached.wait(), 3)
            connection = a.connection
            a.manager.connections.end(session_id(jar), "revoked")
            hold.release()
            await until(lambda: not connection.running)
            assert not a.shared.heard("set")
            loaded.set()
            await client.wait_transport_closed()


async def test_redis_down_at_an_event_runs_no_handler_and_keeps_the_socket(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """Unknown is not allowed, and not ended: the next event is handled again (I6)."""
    async with FaultProxy(redis_server.port) as proxy, site(redis=proxy.url, prefix=prefix) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            await proxy.refuse()
            with pytest.raises(TimeoutError):
                await client.emit("set", "note", 1, timeout=0.3)
            assert not a.shared.heard("set")
            await proxy.normal()
            assert await client.emit("set", "note", 2) == "saved"


async def test_a_session_that_ends_while_its_event_runs_is_one_log_line(
    redis_url: str, prefix: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler's save is refused; that is a warning, and no acknowledgement."""
    settings: dict[str, Any] = {"no_notices": True, "no_deadlines": True}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        jar = await a.visitor()

        @a.sio.on("late")
        async def late(sid: str) -> str:
            async with a.sio.session(sid) as session:
                session["note"] = "late"
                await end_silently(redis_url, prefix, session_id(jar))
            return "saved"

        async with a.client(transport, jar) as client:
            await client.connect()
            with pytest.raises((TimeoutError, ConnectionError)):
                await client.emit("late", timeout=0.5)
        lines = [
            r
            for r in caplog.records
            if r.name == "tornado_shared_session" and "late" in r.msg % r.args
        ]
        assert [(r.levelname, r.exc_info) for r in lines] == [("WARNING", None)]


async def test_an_event_with_a_number_for_a_name_is_dropped(a: Site, transport: str) -> None:
    """No handler runs, nothing is logged, and the client goes on."""
    names: list[object] = []

    @a.sio.on("*")
    async def anything(name: object, sid: str, *args: object) -> None:
        names.append(name)

    jar = await a.visitor(note="mine")
    async with a.client(transport, jar) as client:
        await client.connect()
        assert await client.send_raw("42[1]") in (101, 200)
        await client.emit("something")
        assert await client.emit("get") == "mine"
    assert names == ["something"]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(["430[]"], id="ack"),
        pytest.param(["4300[]"], id="ack of 00"),
        pytest.param(["460-0[]"], id="binary ack"),
        pytest.param(['461-0[{"_placeholder":true,"num":0}]', b"it"], id="with an attachment"),
    ],
)
async def test_an_acknowledgement_of_what_was_never_asked_drops_its_client(
    a: Site, transport: str, frames: list[str | bytes]
) -> None:
    """python-socketio counts from 1, and keeps its counter where the callback of 0 would be:
    without it nobody in a room with this client could be asked for an acknowledgement.
    """
    answers: list[object] = []
    jar = await a.visitor()
    async with a.client(transport, jar) as bad, a.client(transport, jar) as good:
        for client in (bad, good):
            await a.sio.enter_room(await client.connect(), "feed")
        await a.sio.emit("question", room="feed", callback=answers.append)
        for client in (bad, good):
            await client.acknowledge(await client.wait_for_event("question"), "first")
        await until(lambda: answers == ["first", "first"])
        await bad.engine.send(*frames)
        await bad.wait_transport_closed()
        await a.sio.emit("question", room="feed", callback=answers.append)
        await good.acknowledge(await good.wait_for_event("question"), "second")
        await until(lambda: answers[2:] == ["second"])
    await a.empty()


async def test_an_event_may_be_number_zero(a: Site, transport: str) -> None:
    """The JavaScript client counts its own from there."""
    async with a.client(transport, await a.visitor(note="mine")) as client:
        await client.connect()
        await client.send_raw('420["get"]')
        await until(lambda: '430["mine"]' in client.packets)
