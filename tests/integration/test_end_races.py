"""A revocation meets a handshake, an event, a poll, an upgrade, a login: at the named await."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.apps.shared_events import Shared
from tests.support.openings import opened_after_its_end
from tests.support.proxy import FaultProxy
from tests.support.sites import (
    HeldLoad,
    Site,
    between_polls,
    kind_of,
    raw_redis,
    session_id,
    site,
    status_of,
)
from tornado_shared_session.closings import Closing, Closings
from tornado_shared_session.connections import Phase
from tornado_shared_session.testing import ConnectionLost, CookieJar, HandshakeRefused
from tornado_shared_session.testing.wire import Wire


def never(*args: object) -> asyncio.Future[Any]:
    """Answer nothing, ever."""
    return asyncio.get_running_loop().create_future()


async def test_destroy_returns_when_its_own_process_has_ended_the_sockets(
    a: Site, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said to the session's room right after destroy() reaches nobody (I4, I5)."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        connection, room = a.connection, await a.manager.room(session_id(jar))
        monkeypatch.setattr(a.manager.store, "peek", never)  # nobody asks the store about it
        assert await a.manager.destroy(session_id(jar))
        assert connection.phase is Phase.ENDED
        await a.sio.emit("secret", room=room)
        await a.sio.emit("secret")
        await client.wait_transport_closed()
        assert [event.name for event in client.events] == ["session_ended"]


async def test_a_logout_between_admission_and_engine_io_opens_nothing(
    a: Site, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session was loaded and alive; nothing is kept of a handshake that comes after its end."""
    handle, reached, go = a.sio.eio.handle_request, asyncio.Event(), asyncio.Event()

    async def held(handler: Any) -> Any:
        reached.set()
        await go.wait()
        return await handle(handler)

    monkeypatch.setattr(a.sio.eio, "handle_request", held)
    jar = await a.visitor()
    client = a.client(kind_of(transport), jar)
    opening = asyncio.ensure_future(client.open())
    await asyncio.wait_for(reached.wait(), 3)
    assert a.connection.phase is Phase.OPEN
    await a.manager.destroy(session_id(jar))
    go.set()
    with pytest.raises((HandshakeRefused, ConnectionLost)):
        await opening
    await client.abort()
    await a.empty()
    assert not a.sio.eio.sockets


@pytest.mark.parametrize("waits", [False, True])
async def test_a_websocket_that_ends_before_it_opens_hears_nothing(
    a: Site, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """The 101 leaves, and the close with it; what the client sends all the same is not kept, also
    where the turn of its closing has not come, as in a burst of ends.
    """
    waiting: list[Closing] = []
    if waits:
        monkeypatch.setattr(Closings, "add", lambda _, closing: waiting.append(closing))
    async with opened_after_its_end(a, monkeypatch) as (wire, handler):
        for packet in ("40", "no packet", "2"):
            await wire.send(packet)
        assert await wire.receive() is None  # it answers the close, which is read after those
        assert await wire.reader.read() == b""
    assert handler.session_unread == 0
    assert not a.shared.heard("connect")
    assert len(waiting) == waits
    for closing in waiting:
        closing.begin()
    await a.empty()


async def test_a_logout_meets_a_cookie_that_comes_back(redis_url: str, prefix: str) -> None:
    """Admitted, but its record is still to become a normal one: 401, and nothing is kept."""
    async with FaultProxy(int(redis_url.rsplit(":", 1)[1].split("/")[0])) as proxy:
        async with site(redis=proxy.url, prefix=prefix) as a:
            jar = CookieJar()
            async with a.client("websocket", jar) as stranger:
                await stranger.connect()
            await a.empty()
            hold = proxy.hold(b"EVALSHA")
            opening = asyncio.ensure_future(status_of(a.client("websocket", jar)))
            await asyncio.wait_for(hold.reached.wait(), 3)
            async with raw_redis(redis_url) as redis:
                assert await redis.delete(f"{prefix}s:{session_id(jar)}") == 1
            hold.release()
            assert await opening == 401
            await a.empty()


async def test_a_post_whose_body_comes_after_the_end_runs_no_handler(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head was judged while the session lived, and the connection is there still."""
    async with site(redis=redis_url, prefix=prefix, reload="interval") as a:
        ran, judged = [], asyncio.Event()

        @a.sio.on("bare")
        async def bare(sid: str) -> None:
            ran.append(sid)

        jar = await a.visitor()
        async with between_polls(
            a, jar
        ) as client:  # so that the farewell keeps the connection for a while
            connection_of = a.sio.connection_of

            def judging(eio_sid: str) -> Any:
                judged.set()
                return connection_of(eio_sid)

            monkeypatch.setattr(a.sio, "connection_of", judging)
            body = b'42["bare"]'
            async with await Wire.open(a.url) as wire:
                target = client.engine._target("polling")
                head = f"POST {target} HTTP/1.1\r\nHost: {wire.host}\r\nCookie: {jar.header()}\r\n"
                wire.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
                await asyncio.wait_for(judged.wait(), 3)
                assert a.connection.phase is Phase.OPEN
                await a.manager.destroy(session_id(jar))
                wire.writer.write(body)
                assert (await wire._response()).status == 200
            await a.empty()
            assert not ran


async def test_a_poll_after_the_end_fetches_nothing_that_was_said_after_it(a: Site) -> None:
    """To a room, to everybody, or to the one client with a question: it gets its farewell only."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        room = await a.manager.room(session_id(jar))
        sid, connection = client.sid, a.connection
        await a.manager.destroy(session_id(jar))
        assert connection.phase is Phase.ENDED
        assert sid in a.sio._by_sid
        await a.sio.emit("secret", room=room)
        await a.sio.emit("secret", to=sid, callback=lambda *args: None)
        client.resume_reading()
        await client.wait_transport_closed()
        assert [event.name for event in client.events] == ["pause", "session_ended"]
    await a.empty()


async def test_a_logout_meets_an_upgrade_that_is_loading(a: Site) -> None:
    """The load's answer says alive, but the connection has ended meanwhile: no 101."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        load = HeldLoad(a.manager)
        upgrading = asyncio.ensure_future(client.upgrade())
        await load.reached()
        await a.manager.destroy(session_id(jar))
        load.go.set()
        with pytest.raises(HandshakeRefused) as refused:
            await upgrading
        assert refused.value.status == 401
    await a.empty()


@pytest.mark.parametrize("how", ["login", "regenerate"])
async def test_a_logout_meets_a_login_that_is_about_to_commit(
    redis_url: str, prefix: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409: no record comes back, no credential leaves, the user's list names nothing (S19)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        commit, reached, go = a.manager.store.commit, asyncio.Event(), asyncio.Event()

        async def held(delta: Any) -> Any:
            reached.set()
            await go.wait()
            return await commit(delta)

        jar = await a.visitor()
        monkeypatch.setattr(a.manager.store, "commit", held)
        logging_in = asyncio.ensure_future(
            a.http(CookieJar(jar)).post(f"/{how}", {"user": "ann"}, timeout=5)
        )
        await asyncio.wait_for(reached.wait(), 3)
        assert await a.manager.destroy(session_id(jar))
        go.set()
        answer = await logging_in
        assert answer.code == 409
        assert not [one for one in answer.headers.get_list("Set-Cookie") if '"2|' in one]
        assert await a.manager.list_user("ann") == []
        async with raw_redis(redis_url) as redis:
            assert not await redis.exists(f"{prefix}s:{session_id(jar)}")


async def test_a_login_that_was_faster_survives_the_old_credentials_logout(
    redis_url: str, prefix: str
) -> None:
    """The logout was loaded before the login's commit: a replaced credential ends nothing (S5)."""
    held: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]

    def edit(shared: Shared) -> None:
        delete, (reached, go) = shared.manager.store.delete, held

        async def late(*args: Any, **options: Any) -> Any:
            reached.set()
            await go.wait()
            return await delete(*args, **options)

        shared.manager.store.delete = late  # type: ignore[method-assign]  # this is the barrier

    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        jar = await a.visitor()
        leaving = asyncio.ensure_future(a.http(CookieJar(jar)).post("/logout", {}, timeout=5))
        await asyncio.wait_for(held[0].wait(), 3)
        own = CookieJar(jar)
        assert (await a.http(own).post("/login", {"user": "ann"})).code == 200
        held[1].set()
        assert (await leaving).code == 409
        assert [one.id for one in await a.manager.list_user("ann")] == [session_id(own)]


async def test_an_event_whose_turn_comes_after_the_end_runs_no_handler(
    redis_url: str, prefix: str, transport: str
) -> None:
    """It was read while the session lived; with reload="interval" no load stands between."""
    async with site(redis=redis_url, prefix=prefix, reload="interval") as a:
        ran: list[str] = []
        before, reached, go = a.sio._before, asyncio.Event(), asyncio.Event()

        async def held(connection: Any) -> Any:
            reached.set()
            await go.wait()
            return await before(connection)

        @a.sio.on("bare")
        async def bare(sid: str) -> None:
            ran.append(sid)

        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            a.sio._before = held  # type: ignore[method-assign]  # this is the barrier
            await client.emit("bare", ack=False)
            await asyncio.wait_for(reached.wait(), 3)
            # The end and the event's turn, with nothing in between: the
            # transport is not closed yet.
            a.manager.connections.end(session_id(jar), "logged_out")
            go.set()
            await client.wait_transport_closed()
        await a.empty()
        assert not ran
