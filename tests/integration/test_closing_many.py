"""Of many sockets that end together all are told before one is freed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from engineio.async_socket import AsyncSocket
from engineio.packet import Packet

from tests.support.sites import Site, session_id, until
from tornado_shared_session.closings import Closings
from tornado_shared_session.connections import Connection
from tornado_shared_session.ending import Ending
from tornado_shared_session.transport import SocketConnection

SOCKETS = 50


class Another:
    """A closing that begins in each turn of the loop, as in a flood of ends."""

    def __init__(self, closings: Closings) -> None:
        self._closings = closings
        self.goes_on = True

    def begin(self) -> None:
        """Come again in the next turn."""
        if self.goes_on:
            asyncio.get_running_loop().call_soon(self._closings.add, self)

    def finish(self) -> None:
        """It asks for none."""

    give_up = finish


@asynccontextmanager
async def flood(a: Site) -> AsyncIterator[None]:
    """Keep what is to be finished waiting."""
    other = Another(a.sio.closings)
    other.begin()
    try:
        yield
    finally:
        other.goes_on = False


async def test_all_are_told_before_one_disconnect_handler_runs(a: Site) -> None:
    """The handlers get to know all the same, each once, and nothing is left (F3)."""
    jars = [await a.visitor() for _ in range(SOCKETS)]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(a.client("websocket", jar)) for jar in jars]
        for client in clients:
            await client.connect()
        connections = list(a.manager.connections)
        told: set[Connection] = set()  # also those whose end is over
        untold: list[int] = []

        def listen(**facts: object) -> None:
            if "disconnect" in facts:
                some = [one for one in connections if isinstance(one, SocketConnection)]
                told.update(one for one in some if one.ending is not None and one.ending.said)
                untold.append(SOCKETS - len(told))

        a.shared.listener = listen
        for jar in jars:
            a.manager.connections.end(session_id(jar), "revoked")
        for client in clients:
            assert await client.wait_for("session_ended") == {"reason": "revoked"}
            await client.wait_transport_closed()
        await a.empty()
        assert untold == [0] * SOCKETS


@pytest.mark.parametrize("last", ["1", "41", '42["get"]', "no packet", b"bytes"])
async def test_what_a_client_says_to_its_end_changes_nothing(a: Site, last: str | bytes) -> None:
    """It is told, and answers before its transport is freed: the end is the server's (F3)."""
    jar = await a.visitor()
    async with a.client("websocket", jar) as client:
        await client.connect()
        client.mute = True  # so that it does not answer the close before
        async with flood(a):
            await a.manager.destroy(session_id(jar))
            await client.wait_for("session_ended")
            await client.send_raw(last)
            await client.engine.close()
            await until(lambda: not a.connection.handlers)  # type: ignore[attr-defined]  # a SocketConnection
            assert a.shared.heard("disconnect") == []
        await a.empty()
        assert a.shared.heard("reason") == [a.sio.reason.SERVER_DISCONNECT]


async def test_a_flood_of_ends_keeps_no_socket_open(a: Site, transport: str) -> None:
    """One whose turn to be freed does not come has its second all the same (F5, I4)."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        async with flood(a), asyncio.timeout(1.5):
            await a.manager.destroy(session_id(jar))
            await a.empty()


async def test_one_that_was_not_begun_is_let_go_of(a: Site) -> None:
    """Its TCP connection closes: nobody is there any more to tell it why (T23)."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        client.mute = True  # it answers no close
        connection = a.connection
        assert isinstance(connection, SocketConnection)
        Ending(connection, "shutdown", final=False).give_up()
        await client.wait_transport_closed(1)
        await a.empty()


async def test_a_manager_that_closes_in_a_flood_lets_go_of_all(
    a: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not freed in time is let go of; nothing is left that nobody ends (T23)."""
    monkeypatch.setattr("tornado_shared_session.closings._LONGEST", 60)
    monkeypatch.setattr("tornado_shared_session.lifecycle._FAREWELL", 0.1)
    jar = await a.visitor()
    async with a.client("websocket", jar) as client:
        await client.connect()
        async with flood(a):
            await a.manager.close()
        assert not len(a.manager.connections)
        await client.wait_transport_closed()


async def test_frames_that_were_read_before_the_cut_are_not_heard(
    a: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that floods, and answers no close: Tornado hands on what it has of it (F3)."""
    heard: list[object] = []
    receive, forget = AsyncSocket.receive, a.sio.forget

    async def listen(socket: AsyncSocket, packet: Packet) -> None:
        heard.append(packet)
        await receive(socket, packet)

    def cut(connection: SocketConnection) -> None:
        for handler in connection.handlers:
            for _ in range(5):
                handler.on_message("41")
        floods.append(len(connection.handlers))
        forget(connection)

    floods: list[int] = []
    jar = await a.visitor()
    async with a.client("websocket", jar) as client:
        await client.connect()
        monkeypatch.setattr(AsyncSocket, "receive", listen)
        monkeypatch.setattr(a.sio, "forget", cut)
        client.mute = True
        await a.manager.destroy(session_id(jar))
        await client.wait_transport_closed(2)
        await a.empty()
    assert floods[0] == 1
    assert heard == []
