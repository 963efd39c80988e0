"""An ended session's transports are really closed, whatever the client does."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.apps.shared_events import Shared
from tests.support.sites import Site, between_polls, session_id, site, until
from tornado_shared_session.connections import Connection, Phase
from tornado_shared_session.testing import ConnectionLost, CookieJar, SocketIOTestClient
from tornado_shared_session.testing.wire import Wire
from tornado_shared_session.transport import SocketConnection


async def poll(client: SocketIOTestClient, cookies: CookieJar | None) -> tuple[int, str]:
    """Poll once, showing these cookies; return status and body."""
    headers = {"Cookie": cookies.header()} if cookies else {}
    async with await Wire.open(client.engine.url) as wire:
        response = await wire.request("GET", client.engine._target("polling"), headers, b"")
    return response.status, response.body.decode()


async def test_a_mute_client_is_cut_off_and_cannot_connect_again(a: Site, transport: str) -> None:
    """It ignores every packet and sends another CONNECT: nothing happens, the transport closes
    (F3, F4, T11).
    """
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        client.mute = True
        started = time.monotonic()
        assert await a.manager.destroy(session_id(jar))
        assert await client.wait_for("session_ended") == {"reason": "revoked"}
        assert "server disconnect packet" in client.closings
        with pytest.raises((ConnectionLost, TimeoutError)):
            await client.connect()
        await a.empty()
        if transport != "polling":
            await until(lambda: a.shared.heard("transport_closed"))
            (closed,) = a.shared.heard("transport_closed")[-1:]
            assert closed - started < 2.5  # a drained farewell, and one second of grace
        assert len(a.shared.heard("connect")) == 1
        assert len(a.shared.heard("disconnect")) == 1


async def test_what_was_said_before_the_end_is_heard_before_it(a: Site, transport: str) -> None:
    """And before the farewell, which takes a shorter way where nothing waits."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        connection = a.connection
        assert isinstance(connection, SocketConnection)
        for number in range(3):
            connection.put(f'2["news",{number}]')
        connection.end("revoked")  # before Engine.IO has a turn
        await client.wait_for("session_ended")
        assert [event.name for event in client.events] == ["news"] * 3 + ["session_ended"]


async def test_a_polling_client_between_two_polls_hears_why(a: Site) -> None:
    """It fetches the farewell with its next poll, and CLOSE comes in a payload of its own."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        await a.manager.destroy(session_id(jar))
        await until(lambda: a.connection.phase is Phase.ENDED)
        client.resume_reading()
        assert await client.wait_for("session_ended") == {"reason": "revoked"}
        assert await client.wait_transport_closed() == "engine close"
        bodies = [response.body for response in client.responses]
        said = [n for n, body in enumerate(bodies) if b"session_ended" in body]
        closed = [n for n, body in enumerate(bodies) if body.endswith(b"\x1e1") or body == b"1"]
        assert len(said) == len(closed) == 1
        assert said < closed
    await a.empty()


async def test_a_client_that_stops_polling_is_forgotten(a: Site) -> None:
    """Nobody fetches the farewell: after a second the connection is gone all the same (F5)."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        started = time.monotonic()
        await a.manager.destroy(session_id(jar))
        await a.empty()
        assert time.monotonic() - started < 2
        assert (await poll(client, jar))[0] == 400


async def test_all_steps_of_a_closing_share_one_second(a: Site) -> None:
    """One that fetches the farewell late has not as long again for CLOSE (I4)."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        started = time.monotonic()
        await a.manager.destroy(session_id(jar))
        await asyncio.sleep(0.6)  # time itself is under test
        assert "session_ended" in (await poll(client, jar))[1]
        await a.empty()
        assert time.monotonic() - started < 1.2


async def test_a_connection_in_the_middle_of_its_upgrade_is_closed(a: Site) -> None:
    """The probe was answered, UPGRADE never came: both transports end."""
    jar = await a.visitor()
    async with a.client("polling", jar) as client:
        await client.connect()
        socket = await client.engine._web_socket()
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await a.manager.destroy(session_id(jar))
        async with asyncio.timeout(3):
            while await socket.receive() is not None:
                pass
        await socket.close()
        await a.empty()


async def test_an_upgrade_that_is_given_up_leaves_polling_as_it_was(a: Site) -> None:
    """A WebSocket that closes before its probe must not silence the connection."""
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        socket = await client.engine._web_socket()
        await until(lambda: a.connection.handlers)  # type: ignore[attr-defined]  # a SocketConnection
        await socket.close()
        await until(lambda: not a.connection.handlers)  # type: ignore[attr-defined]  # a SocketConnection
        for _ in range(3):  # the first answer comes with the poll that was pending
            assert await client.emit("get") == ""


async def test_an_upgrade_that_comes_late_finds_the_door_closed(a: Site) -> None:
    """A connection that is being closed is not upgraded any more (I5)."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        await a.manager.destroy(session_id(jar))
        await until(lambda: a.connection.phase is Phase.ENDED)
        with pytest.raises(Exception, match="HTTP 401"):
            await client.upgrade()


async def test_an_ended_connection_answers_a_stranger_with_the_farewell_only(a: Site) -> None:
    """Without the cookie, what was queued before the end is not handed out."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        await a.sio.emit("secret", "for the session's eyes")
        assert (await poll(client, None))[0] == 400
        await a.manager.destroy(session_id(jar))
        await until(lambda: a.connection.phase is Phase.ENDED)
        status, body = await poll(client, None)
        assert status == 200
        assert "session_ended" in body
        assert "secret" not in body
    await a.empty()


async def test_an_ended_connection_still_delivers_to_its_own_client(a: Site) -> None:
    """With the cookie, what was emitted before the end arrives before the farewell."""
    jar = await a.visitor()
    async with between_polls(a, jar) as client:
        await a.sio.emit("banned", "for spam")
        await a.manager.destroy(session_id(jar))
        await until(lambda: a.connection.phase is Phase.ENDED)
        client.resume_reading()
        assert await client.wait_for("banned") == "for spam"
        assert await client.wait_for("session_ended") == {"reason": "revoked"}


async def test_a_slow_disconnect_handler_does_not_hold_the_transport(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The transport closes while the application still says goodbye."""
    leave = asyncio.Event()

    def edit(shared: Shared) -> None:
        @shared.sio.on("disconnect")  # type: ignore[untyped-decorator]  # python-socketio is untyped
        async def disconnect(sid: str, reason: str) -> None:
            await leave.wait()
            shared.tell(session=await shared.sio.get_session(sid))

    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        jar = await a.visitor(note="last")
        async with a.client(transport, jar) as client:
            await client.connect()
            await a.manager.destroy(session_id(jar))
            await client.wait_transport_closed()
            assert not a.shared.heard("session")
            leave.set()
            await until(lambda: a.shared.heard("session"))
            assert dict(a.shared.heard("session")[0]) == {"note": "last"}
        await a.empty()


@pytest.mark.expects_log("a farewell failed")
async def test_a_farewell_that_fails_closes_all_the_same(
    a: Site, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong on the way, the transport ends."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()

        def farewell(*args: object) -> None:
            raise ValueError("no words")

        monkeypatch.setattr(a.sio, "farewell", farewell)
        await a.manager.destroy(session_id(jar))
        await client.wait_transport_closed()
        await a.empty()


@pytest.mark.expects_log("could not be closed")
async def test_one_connection_that_fails_to_close_does_not_stop_the_others(
    a: Site, transport: str
) -> None:
    """The rest of the session's connections end, in whatever order they come."""

    class Broken(Connection):
        def _close(self, reason: str, *, final: bool) -> None:
            raise ValueError("cannot close")

    jar = await a.visitor()
    broken = [Broken(session_id(jar)) for _ in range(8)]
    async with a.client(transport, jar) as client:
        await client.connect()
        for connection in broken:
            a.manager.connections.add(connection)
        await a.manager.destroy(session_id(jar))
        await client.wait_transport_closed()
        for connection in broken:
            a.manager.connections.discard(connection)


async def test_a_closing_manager_says_shutdown(redis_url: str, prefix: str, transport: str) -> None:
    """Clients are told to come back, and nothing is left that nobody watches (T19)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            await a.manager.close()
            assert await client.wait_for("session_ended") == {"reason": "shutdown"}
            assert await client.wait_transport_closed() != "server disconnect packet"
            await a.empty()


@pytest.mark.parametrize("frame", ["9what", "not engine.io", ""])
async def test_a_frame_that_is_not_engine_io_closes_at_once(a: Site, frame: str) -> None:
    """The connection is unregistered, rather than kept until its ping runs out (C11)."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        await client.send_raw(frame)
        await client.wait_transport_closed()
        await a.empty()


async def test_a_socket_handler_may_end_its_own_session(
    redis_url: str, prefix: str, transport: str
) -> None:
    """destroy() in an event: the client hears it like any other logout."""

    def edit(shared: Shared) -> None:
        @shared.sio.on("logout")  # type: ignore[untyped-decorator]  # python-socketio is untyped
        async def logout(sid: str) -> None:
            await (await shared.sio.get_session(sid)).destroy()

    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            await client.emit("logout", ack=False)
            assert await client.wait_for("session_ended") == {"reason": "logged_out"}
            await client.wait_transport_closed()
        await a.empty()
