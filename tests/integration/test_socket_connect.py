"""Connecting a namespace: nothing is heard before admission, nothing stays after a refusal."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import Site, session_id, site, until
from tornado_shared_session.testing import (
    ConnectionLost,
    ConnectRefused,
    RedisServer,
    SocketIOTestClient,
)
from tornado_shared_session.testing.wire import Wire

LOAD = b"HGETALL"


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    """A proxy in front of Redis, as a barrier at the load."""
    async with FaultProxy(redis_server.port) as running:
        yield running


def heard(client: SocketIOTestClient, name: str) -> list[Any]:
    """Return the events of a name that a client has received."""
    return [event.args for event in client.events if event.name == name]


async def post(client: SocketIOTestClient, body: bytes) -> None:
    """Send a polling POST beside the one that is under way."""
    target, headers = client.engine._target("polling"), client.engine._headers()
    async with await Wire.open(client.engine.url) as wire:
        assert (await wire.request("POST", target, headers, body)).status == 200


@pytest.mark.expects_log("a connect handler raised")
async def test_a_connect_handler_that_raises_refuses(a: Site, transport: str) -> None:
    """The client is told, hears no broadcast, is in no room, and its transport closes soon
    (F1, T15).
    """
    async with a.client(transport, await a.visitor()) as client:
        with pytest.raises(ConnectRefused) as refused:
            await client.connect(auth="raise")
        assert refused.value.data == {"message": "Unable to connect"}
        assert not a.sio.manager.rooms
        assert not a.sio._by_sid
        await a.sio.emit("news", "for members")
        await client.wait_transport_closed(3)
        assert not heard(client, "news")
    await a.empty()
    assert not a.shared.heard("disconnect")


async def test_a_connect_handler_that_refuses_tells_why(a: Site, transport: str) -> None:
    """ConnectionRefusedError arrives with its data, as in python-socketio."""
    async with a.client(transport, await a.visitor()) as client:
        with pytest.raises(ConnectRefused) as refused:
            await client.connect(auth="refuse")
        assert refused.value.data == {"message": "not you", "data": {"why": "told"}}
        assert not a.sio.manager.rooms
        # Within the second that is left, another namespace may connect.
        await client.connect("/chat")
        assert await client.emit("get", namespace="/chat") == ""


async def test_nothing_is_heard_while_the_session_is_checked(
    proxy: FaultProxy, prefix: str, transport: str
) -> None:
    """A broadcast during the load of a CONNECT does not reach the client (F2)."""
    async with site(redis=proxy.url, prefix=prefix) as a:
        kind = "polling" if transport == "upgrade" else transport
        async with a.client(kind, await a.visitor()) as client:
            await client.open()
            hold = proxy.hold(LOAD)
            connecting = asyncio.ensure_future(client.connect())
            await asyncio.wait_for(hold.reached.wait(), 3)
            await a.sio.emit("news", "for members")
            hold.release()
            await connecting
            assert await client.emit("get") == ""
            assert not heard(client, "news")


async def test_nothing_is_heard_while_the_connect_handler_decides(a: Site, transport: str) -> None:
    """A broadcast during a handler that then refuses is lost on the client (F2)."""
    decide = asyncio.Event()

    @a.sio.on("connect", namespace="/club")
    async def connect(sid: str, environ: Any, auth: Any) -> bool:
        a.shared.tell(deciding=sid)
        await decide.wait()
        return False

    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        connecting = asyncio.ensure_future(client.connect("/club"))
        await until(lambda: a.shared.heard("deciding"))
        (sid,) = a.shared.heard("deciding")
        room = a.sio.manager.get_rooms(sid, "/club")
        await a.sio.emit("news", "for members", namespace="/club")
        await a.sio.emit("news", b"binary", room=room[-1], namespace="/club")
        # These are on their way, in tasks, when the refusal comes.
        decide.set()
        await a.sio.emit("news", "a last one", namespace="/club")
        await a.sio.emit("news", b"and more", namespace="/club")
        with pytest.raises(ConnectRefused):
            await connecting
        assert await client.emit("get") == ""
        assert not heard(client, "news")


async def test_what_the_connect_handler_emits_arrives_after_admission(
    a: Site, transport: str
) -> None:
    """To its own sid and rooms, binary too, in order, and after the CONNECT."""

    @a.sio.on("connect", namespace="/club")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        session = await a.sio.get_session(sid, "/club")
        await a.sio.emit("one", "own sid", to=sid, namespace="/club")
        await a.sio.emit("two", b"binary", room=session.room, namespace="/club")
        await a.sio.enter_room(sid, "lobby", "/club")
        await a.sio.emit("three", "room", room="lobby", namespace="/club")

    async with a.client(transport, await a.visitor()) as client:
        await client.connect("/club")
        assert await client.wait_for("three") == "room"
        names = [(event.name, event.args) for event in client.events]
        assert names == [("one", ("own sid",)), ("two", (b"binary",)), ("three", ("room",))]
        texts = [packet for packet in client.packets if isinstance(packet, str)]
        connected = next(n for n, packet in enumerate(texts) if packet.startswith("40/club"))
        assert connected < next(n for n, packet in enumerate(texts) if "own sid" in packet)


async def test_redis_down_during_connect_refuses_for_now(
    proxy: FaultProxy, prefix: str, transport: str
) -> None:
    """The transport closes, so that the client tries again, and nothing of it stays."""
    async with site(redis=proxy.url, prefix=prefix) as a:
        kind = "polling" if transport == "upgrade" else transport
        jar = await a.visitor()
        async with a.client(kind, jar) as client:
            await client.open()
            await proxy.refuse()
            with pytest.raises(ConnectionLost):
                await client.connect()
            assert not client.sids
            await a.empty()
        await proxy.normal()
        async with a.client(transport, jar) as client:
            await client.connect()


async def test_redis_down_in_the_connect_handler_refuses_for_now(
    proxy: FaultProxy, prefix: str, transport: str
) -> None:
    """The handler's own StoreError is no bug of the handler; other namespaces stay connected."""
    async with site(redis=proxy.url, prefix=prefix) as a:

        @a.sio.on("connect", namespace="/club")
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            session = await a.sio.get_session(sid, "/club")
            await proxy.refuse()
            await session.transact(lambda session: None)
            await session.reload()

        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            with pytest.raises(ConnectRefused):
                await client.connect("/club")
            await proxy.normal()
            assert await client.emit("get") == ""
        async with a.client(transport, jar) as client:
            with pytest.raises(ConnectionLost):
                await client.connect("/club")
            await proxy.normal()
        await a.empty()


async def test_a_client_that_leaves_during_a_slow_connect_handler_leaks_nothing(
    a: Site, transport: str
) -> None:
    """It gets exactly one disconnect, after the connect, and no room keeps it."""
    kind = "polling" if transport == "upgrade" else transport
    client = a.client(kind, await a.visitor())
    await client.open()
    connecting = asyncio.ensure_future(client.connect(auth="slow"))
    await until(lambda: a.shared.heard("connect"))
    if kind == "polling":  # a browser tab that closes says so beside the pending CONNECT
        await post(client, b"1")
    await client.abort()
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    a.shared.go.set()
    await until(lambda: a.shared.heard("disconnect"))
    await a.empty()
    assert a.shared.heard("disconnect") == a.shared.heard("connect")


async def test_two_connects_at_once_do_not_undo_each_other(a: Site) -> None:
    """Over polling, a second CONNECT while the first one's handler runs is only refused."""
    async with a.client("polling", await a.visitor()) as client:
        connecting = asyncio.ensure_future(client.connect(auth="slow"))
        await until(lambda: a.shared.heard("connect"))
        await post(client, b"40")
        a.shared.go.set()
        await asyncio.gather(connecting, return_exceptions=True)
        await until(lambda: len(a.sio._by_sid) == 1)
        assert await client.emit("get") == ""
    await a.empty()
    assert len(a.shared.heard("disconnect")) == 1


async def test_a_handler_without_auth_is_called_again(a: Site, transport: str) -> None:
    """python-socketio's retry for connect(sid, environ) works, and registers once."""

    @a.sio.on("connect", namespace="/club")
    async def connect(sid: str, environ: Any) -> None:
        a.shared.tell(old_style=(await a.sio.get_session(sid, "/club"))["note"])

    async with a.client(transport, await a.visitor(note="hi")) as client:
        await client.connect("/club")
        assert a.shared.heard("old_style") == ["hi"]
        assert len(a.sio._by_sid) == 1
    await a.empty()


@pytest.mark.expects_log("a connect handler raised")
@pytest.mark.parametrize("auth", [None, {"token": 1}])
async def test_a_type_error_in_a_connect_handler_refuses(a: Site, auth: Any) -> None:
    """A bug is a bug, whatever its type, with auth and without."""

    @a.sio.on("connect", namespace="/club")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        raise TypeError("a bug")

    async with a.client("websocket", await a.visitor()) as client:
        with pytest.raises(ConnectRefused):
            await client.connect("/club", auth=auth)
        await client.wait_transport_closed(3)
    await a.empty()


async def test_a_session_that_ends_during_the_connect_handler_admits_nobody(
    a: Site, transport: str
) -> None:
    """The client is not connected; a connect handler that agreed has its disconnect handler."""
    jar = await a.visitor()
    kind = "polling" if transport == "upgrade" else transport
    async with a.client(kind, jar) as client:
        connecting = asyncio.ensure_future(client.connect(auth="slow"))
        await until(lambda: a.shared.heard("connect"))
        await a.manager.destroy(session_id(jar))
        await client.wait_transport_closed(4)
        a.shared.go.set()
        with pytest.raises(ConnectionLost):
            await connecting
        await a.empty()
        assert a.shared.heard("disconnect") == a.shared.heard("connect")
