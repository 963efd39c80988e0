"""A namespace, or a transport, that goes while an event or a CONNECT of it is under way."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.sites import HeldLoad, Site, until
from tornado_shared_session.testing import SocketIOTestClient


async def test_an_event_whose_namespace_was_left_while_it_loaded_is_not_handled(
    a: Site, transport: str
) -> None:
    """Its handler would find no client; the log has no error, and no acknowledgement comes."""
    async with a.client(transport, await a.visitor(note="kept")) as client:
        await client.connect()
        load = HeldLoad(a.manager)
        await client.send_raw('427["set","note","late"]')
        await load.reached()
        await client.disconnect()
        await until(lambda: a.shared.heard("disconnect") and not a.sio._by_sid)
        load.go.set()
        await asyncio.wait_for(client.connect(), 3)  # the same transport, and it still works
        assert await client.emit("get") == "kept"
        assert not a.shared.heard("set")


async def test_another_namespace_of_the_client_goes_on(a: Site, transport: str) -> None:
    """Only the one that was left drops its event."""
    a.sio.on("say", lambda sid: a.shared.tell(said=sid), namespace="/chat")
    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        await client.connect("/chat")
        load = HeldLoad(a.manager)
        await client.send_raw('42/chat,["say"]')
        await load.reached()
        await client.disconnect("/")
        await until(lambda: len(a.sio._by_sid) == 1)
        load.go.set()
        await until(lambda: a.shared.heard("said"))


@asynccontextmanager
async def going(a: Site, client: SocketIOTestClient) -> AsyncIterator[None]:
    """Lose a client's transport; inside, the disconnect handler of its namespace / runs."""
    begun, go = asyncio.Event(), asyncio.Event()

    @a.sio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        begun.set()
        await go.wait()
        a.shared.tell(disconnect=sid)

    socket = a.sio.eio.sockets[client.eio_sid]
    # What Engine.IO does with a client that does not answer its pings.
    closing = asyncio.create_task(socket.close(wait=False, abort=True))
    await asyncio.wait_for(begun.wait(), 3)
    yield
    go.set()
    await closing


async def test_a_namespace_is_not_connected_once_its_transport_has_gone(
    a: Site, transport: str
) -> None:
    """The check of its CONNECT comes through while the other disconnect handlers run: its connect
    handler does not, for python-socketio is already telling the namespaces that there were.
    """
    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        load = HeldLoad(a.manager)
        connecting = asyncio.create_task(client.send_raw("40/chat,"))
        await load.reached()
        (connection,) = a.sio._by_eio.values()
        async with going(a, client):
            load.go.set()
            await until(lambda: not connection.withheld)
            assert len(a.shared.heard("connect")) == 1
        await asyncio.gather(connecting, return_exceptions=True)
    await a.empty()
    assert a.shared.heard("disconnect") == a.shared.heard("connect")


async def test_a_namespace_whose_connect_handler_outlives_its_transport_is_disconnected(
    a: Site, transport: str
) -> None:
    """At once, though its turn to be told has passed while the handler ran."""
    jar = await a.visitor()
    async with a.client(transport, jar) as other, a.client(transport, jar) as client:
        await other.connect("/chat")  # so that its turn comes first
        await client.connect()
        connecting = asyncio.create_task(client.send_raw('40/chat,"slow"'))
        await until(lambda: len(a.shared.heard("connect")) == 3)
        late = a.shared.heard("connect")[2]
        async with going(a, client):
            a.shared.go.set()
            await until(lambda: a.shared.heard("disconnect") == [late])
        await asyncio.gather(connecting, return_exceptions=True)
    await a.empty()
    assert sorted(a.shared.heard("disconnect")) == sorted(a.shared.heard("connect"))


@pytest.mark.expects_log("a disconnect handler raised")
@pytest.mark.parametrize("leaves", ["the transport", "the namespace"])
async def test_a_disconnect_handler_that_raises_leaves_nothing(
    a: Site, transport: str, leaves: str
) -> None:
    """It is one traceback; the other namespaces' handlers run, and no room keeps the client."""

    @a.sio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        raise ValueError("a bug")

    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        sid = await client.connect("/chat")
        if leaves == "the namespace":
            await client.disconnect("/")
            await until(lambda: list(a.sio.manager.rooms) == ["/chat"])
            assert await client.emit("get", namespace="/chat") == ""
    await a.empty()
    assert a.shared.heard("disconnect") == [sid]


async def test_of_two_upgrades_the_one_that_goes_is_no_error(a: Site) -> None:
    """Engine.IO waits for its last packet with other rules than once a transport is upgraded; the
    client goes on with the other (T24).
    """
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        client.engine._upgrading = True  # it polls no more
        first, second = [await client.engine._web_socket() for _ in range(2)]
        for socket in (first, second):
            await socket.send("2probe")
            assert await asyncio.wait_for(socket.receive(), 3) == "3probe"
            if socket is first:
                await socket.send("5")
                (one,) = a.sio.eio.sockets.values()
                while one.upgrading or not one.upgraded:
                    await asyncio.sleep(0)
        tasks = [task for task in a.manager._tasks if "_session_run" in repr(task.get_coro())]
        assert len(tasks) == 2
        await second.close()
        done, _ = await asyncio.wait(tasks, timeout=3, return_when=asyncio.FIRST_COMPLETED)
        assert [task.cancelled() for task in done] == [False]
        await first.send('427["get"]')
        said = [await asyncio.wait_for(first.receive(), 3) for _ in range(2)]
        assert said == ["6", '437[""]']
        await first.close()
    await a.empty()
