"""The short way of plain events: the same answers, in the same order, as by the long one."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Callable
from typing import Any

import engineio.json
import pytest
from engineio.async_socket import AsyncSocket
from engineio.packet import PONG
from engineio.packet import Packet as EngineIOPacket
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import EVENT, Packet
from tornado.websocket import WebSocketProtocol13

from tests.apps.shared_events import Shared
from tests.support.sites import Site, site, until
from tornado_shared_session import socketio_wire
from tornado_shared_session.socketio_express import Express

#: What is sent, as it is on the wire; what is answered is `echo`'s arguments.
MESSAGES = [
    '42["echo"]',
    '42101["echo"]',
    '42102["echo",1,"two",[3],{"four":4.5}]',
    '42103["echo","\\u00e9\\n\\ud83d\\ude00", "é😀", " spaced " ]',
    '42104["echo",null,true,false,-0.0,1e400,NaN]',
    '42105["echo",123456789012345678901234567890]',
    '42/chat,106["echo","chat"]',
    '42/chat,["echo","chat"]',
    '42/chat?query=1,107["echo","chat"]',
    '4200000108["echo","leading zeros"]',
    '42999999999999999999["echo","a long id"]',
    '42109["nobody hears this"]',
    '42110["bytes"]',
    '42111["tuple"]',
    '42112["nothing"]',
    '42113["echo","-",1,"-"]',
    '42114["connect"]',
    "42115[1]",
]


def add(shared: Shared) -> None:
    """Add handlers that answer in every form there is."""
    for namespace in ("/", "/chat"):

        @shared.sio.on("echo", namespace=namespace)
        async def echo(sid: str, *values: Any) -> list[Any]:
            shared.tell(echo=values)
            return list(values)

        @shared.sio.on("bytes", namespace=namespace)
        def some_bytes(sid: str) -> bytes:  # not a coroutine
            return b"\x00\xff"

        @shared.sio.on("tuple", namespace=namespace)
        async def some_tuple(sid: str) -> tuple[Any, ...]:
            return 1, [b"\x01"], None

        @shared.sio.on("nothing", namespace=namespace)
        async def nothing(sid: str) -> None: ...


class Counted:
    """How many messages came in and went out by the short way."""

    def __init__(self, a: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = self.written = 0
        take, write = a.sio.take, socketio_wire.write

        def taken(*args: Any) -> bool:
            self.taken += (result := take(*args))
            return result

        def written(*args: Any) -> bool:
            self.written += (result := write(*args))
            return result

        monkeypatch.setattr(a.sio, "take", taken)
        monkeypatch.setattr(socketio_wire, "write", written)


async def answers(a: Site, transport: str) -> tuple[list[Any], list[Any]]:
    """Send all messages, one after the other; return what came back and what was heard."""
    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        await client.connect("/chat")
        for message in MESSAGES:
            await client.send_raw(message)
            assert await client.emit("echo", "done") == ["done"]
        return [one for one in client.packets if str(one)[:2] != "40"], a.shared.heard("echo")


async def test_the_short_way_leads_to_the_same(
    redis_url: str, prefix: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every packet of the answers, and every argument, is that of the long way (T26)."""
    found = []
    for short in (True, False):
        async with site(redis=redis_url, prefix=prefix, edit=add) as a:
            counted = Counted(a, monkeypatch)
            if not short:
                monkeypatch.setattr(a.sio, "_plain", lambda: False)
            found.append(repr(await answers(a, transport)))
            # Four may not pass, and what comes right behind them may have to wait.
            short = short and transport != "polling"
            assert counted.taken >= 2 * len(MESSAGES) - 8 if short else counted.taken == 0
            assert bool(counted.written) is short
    assert found[0] == found[1]


async def test_answers_keep_their_order(a: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler emits comes before its acknowledgement, and each before the next one's."""

    @a.sio.on("talk")
    async def talk(sid: str, number: int) -> int:
        a.sio.start_background_task(a.sio.emit, "aside", number, to=sid)
        await a.sio.emit("said", number, to=sid)
        return number

    counted = Counted(a, monkeypatch)
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        for number in range(30):
            await client.send_raw(f'42{100 + number}["talk",{number}]')
        await until(lambda: sum(str(one)[:2] == "43" for one in client.packets) == 30)
        said = [str(one) for one in client.packets if str(one)[:2] in ("42", "43")]
        spoken = [json.loads(one[one.index("[") :]) for one in said]
        for number in range(30):
            assert spoken.index(["said", number]) < spoken.index([number])
        assert [one for one in spoken if len(one) == 1] == [[n] for n in range(30)]
        assert 16 <= counted.taken <= 30  # of many at once the others go the long way


async def test_nothing_overtakes_a_packet_that_waits(a: Site) -> None:
    """Also not while a WebSocket is upgraded, or an attachment follows."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        socket = a.sio.eio.sockets[client.eio_sid]
        connection = a.sio._by_eio[str(client.eio_sid)]
        assert socketio_wire.write(a.sio.eio, connection, '42["a"]')
        for name, value in (
            ("upgrading", True),
            ("upgraded", False),
            ("closing", True),
            ("closed", True),
            ("last_ping", time.time() - 1000),
        ):
            before = getattr(socket, name)
            setattr(socket, name, value)
            assert not socketio_wire.write(a.sio.eio, connection, '42["b"]')
            setattr(socket, name, before)
        socket.queue.put_nowait(EngineIOPacket(PONG))
        assert not socketio_wire.write(a.sio.eio, connection, '42["c"]')
        await client.wait_for("a")
        event = Packet(EVENT, data=["echo", b"1"]).encode()
        await client.engine.send("4" + event[0])
        await until(lambda: a.sio._binary_packet)
        assert not a.sio.take(connection, '42["set","note",1]')
        await client.engine.send(event[1])
        await until(lambda: not a.sio._binary_packet)
        assert a.sio.take(connection, '42["set","note",1]')
        await until(lambda: a.shared.heard("set"))


async def test_who_is_being_disconnected_is_not_heard(a: Site) -> None:
    """As long as the disconnect handler takes, the namespace is neither there nor gone."""
    async with a.client("websocket", await a.visitor()) as client:
        sid = await client.connect()
        connection = a.sio._by_sid[sid]
        a.sio.manager.pre_disconnect(sid, "/")
        assert not a.sio.take(connection, '42["set","note",1]')
        a.sio.manager.pending_disconnect.clear()
        assert not a.sio.take(connection, '42/chat,["set","note",1]')
        assert a.sio.take(connection, '42["set","note",1]')
        await until(lambda: a.shared.heard("set"))


async def test_a_client_that_is_gone_is_not_written_to(a: Site) -> None:
    """The write fails, and the long way closes what there is to close."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        connection = a.sio._by_eio[str(client.eio_sid)]
        connection.handlers[0].ws_connection.stream.close()
        assert not socketio_wire.write(a.sio.eio, connection, "42[]")
    await a.empty()


@pytest.mark.parametrize("who", ["message", "logger", "websocket"])
async def test_who_listens_in_hears_everything(
    a: Site, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """A handler put in place of python-socketio's, its log, or its admin page."""
    heard: list[str] = []
    if who == "message":
        handle = a.sio.eio.handlers["message"]

        async def message(eio_sid: str, data: Any) -> None:
            heard.append(data)
            await handle(eio_sid, data)

        a.sio.eio.on("message", message)
    elif who == "logger":
        monkeypatch.setattr(a.sio.logger, "isEnabledFor", lambda level: True)
    else:
        original = AsyncSocket._websocket_handler

        async def websocket(self: Any, ws: Any) -> Any:
            return await original(self, ws)

        monkeypatch.setattr(AsyncSocket, "_websocket_handler", websocket)
    counted = Counted(a, monkeypatch)
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        assert await client.emit("get") == ""
        assert counted.taken == 0
    assert len(heard) == (2 if who == "message" else 0)


@given(st.text(max_size=40) | st.from_regex(r"42(/\w*,?)?\d{0,20}[\[{].{0,30}", fullmatch=True))
def test_what_is_read_is_what_python_socketio_reads(text: str) -> None:
    """Or nothing, and then python-socketio reads it."""
    found = socketio_wire.read(text)
    if found is not None:
        packet = Packet(encoded_packet=text[1:])
        assert packet.packet_type == EVENT
        assert not packet.attachment_count
        assert repr(found) == repr((packet.namespace or "/", packet.id, packet.data))


async def test_a_flood_takes_the_long_way(a: Site) -> None:
    """So that one client's events do not fill the loop; all are answered."""
    go, most = asyncio.Event(), 0

    @a.sio.on("slow")
    async def slow(sid: str, number: int) -> int:
        nonlocal most
        connection: Any = a.connection
        most = max(most, connection.taken)
        await go.wait()
        return number

    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        for number in range(60):
            await client.send_raw(f'42{100 + number}["slow",{number}]')
        connection: Any = a.connection
        await until(lambda: connection.running == 60)
        assert most == connection.taken == 16
        go.set()
        await until(lambda: sum(str(one)[:2] == "43" for one in client.packets) == 60)
        assert connection.taken == 0


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's parameters."""
    return list(inspect.signature(function).parameters)


def test_the_seams_are_there() -> None:
    """What is private to others, and used in `socketio_wire.py` only."""
    assert asyncio.iscoroutinefunction(AsyncSocket._websocket_handler)
    assert parameters(WebSocketProtocol13._write_frame) == [
        "self",
        "fin",
        "opcode",
        "data",
        "flags",
    ]
    assert engineio.json._safe_int("1") == 1
    assert Express._handle_plain.__name__ not in dir(engineio.AsyncServer)
