"""The frames of a Socket.IO client's WebSocket: in their order, and each in its turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio
from socketio.packet import CONNECT, Packet
from tornado.websocket import WebSocketClosedError, WebSocketProtocol13

from tests.support.sites import Site, until
from tornado_shared_session import socketio_wire
from tornado_shared_session.connections import Phase
from tornado_shared_session.frames import Frames
from tornado_shared_session.testing.wire import WebSocketWire

PONG = b"\x81\x81\x00\x00\x00\x003"  # a text frame of one character, masked with zeros
TARGET = "/socket.io/?EIO=4&transport=websocket"


async def handler_of(a: Site) -> Any:
    """Return the class of the handler behind `/socket.io/`."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        connection: Any = a.connection
        found = type(connection.handlers[0])
    await a.empty()
    return found


async def test_tornado_makes_no_task_of_a_packet(a: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engine.IO waits for none of those that it sends, so what waits for each is for nobody."""
    by_tornado: list[Any] = []
    write = WebSocketProtocol13.write_message

    def written(self: Any, message: Any, binary: bool = False) -> Any:
        by_tornado.append(message)
        return write(self, message, binary)

    monkeypatch.setattr(WebSocketProtocol13, "write_message", written)
    async with a.client("websocket", await a.visitor()) as client:
        sid = await client.connect()
        await a.sio.emit("text", "news", to=sid)
        await a.sio.emit("bytes", b"\x00\xff", to=sid)
        await client.wait_for("text")
        assert await client.wait_for("bytes") == b"\x00\xff"
    assert by_tornado == []


async def test_a_packet_for_a_websocket_that_is_closed_is_an_error(a: Site) -> None:
    """By which Engine.IO learns that nobody is there any more."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        connection: Any = a.connection
        handler = connection.handlers[0]
        handler.ws_connection.stream.close()
        with pytest.raises(WebSocketClosedError):
            handler.write_message("3")
        await a.empty()
        with pytest.raises(WebSocketClosedError):
            handler.write_message("3")


async def test_others_have_a_turn_between_two_frames_of_one_read(
    a: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many small ones have come at once, the loop goes round between each two."""
    loop = asyncio.get_running_loop()
    turn, counts, seen = 0, True, list[int]()
    on_message = Frames.on_message

    def count() -> None:
        nonlocal turn
        turn += 1
        if counts:
            loop.call_soon(count)

    def noted(self: Any, message: Any) -> Any:
        seen.append(turn)
        return on_message(self, message)

    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        monkeypatch.setattr(Frames, "on_message", noted)
        wire = client.engine._socket
        assert wire is not None
        count()
        wire.writer.write(50 * PONG)
        await until(lambda: len(seen) == 50)
        counts = False
    assert len(set(seen)) == 50


@pytest.mark.parametrize("waits", [True, False])
async def test_the_answer_to_a_connect_comes_after_that_to_the_handshake(
    a: Site, waits: bool
) -> None:
    """Also if the client did not wait, and before what the connect handler emits."""
    jar = await a.visitor()
    async with await WebSocketWire.open(a.url) as wire:
        assert (await wire.upgrade(TARGET, {"Cookie": jar.header()})).status == 101
        first = [await wire.receive()] if waits else []
        await wire.send('40"greet"')
        answers = first + [await wire.receive() for _ in range(3 - len(first))]
        assert [str(one)[:2] for one in answers] == ["0{", "40", "42"]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("how", ["plain", "logged"])
async def test_a_connect_is_answered_by_the_short_way(
    a: Site, transport: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Past the queue, the writer and its timer, unless somebody listens there."""
    written: list[str] = []
    write = socketio_wire.write

    def noted(eio: Any, connection: Any, text: str) -> bool:
        if done := write(eio, connection, text):
            written.append(text)
        return done

    monkeypatch.setattr(socketio_wire, "write", noted)
    if how == "logged":
        monkeypatch.setattr(a.sio.eio.logger, "isEnabledFor", lambda level: True)
    async with a.client(transport, await a.visitor()) as client:
        sids = [await client.connect(), await client.connect("/chat")]
    answers = [f'40{{"sid":"{sids[0]}"}}', f'40/chat,{{"sid":"{sids[1]}"}}']
    assert written == (answers if (how, transport) == ("plain", "websocket") else [])


@pytest.mark.parametrize("where", ["server", "websocket"])
async def test_who_listens_to_what_is_said_hears_it_all(
    a: Site, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A tracing tool in python-socketio's place, or a subclass of the handler."""
    heard: list[str] = []
    if where == "server":
        send = socketio.AsyncServer._send_packet

        async def sent(self: Any, eio_sid: str, pkt: Any) -> None:
            heard.append(f"4{pkt.packet_type}")
            await send(self, eio_sid, pkt)

        monkeypatch.setattr(socketio.AsyncServer, "_send_packet", sent)
    else:
        handler = await handler_of(a)

        def written(self: Any, message: Any, binary: bool = False) -> Any:
            heard.append(message[:2])
            return super(handler, self).write_message(message, binary)

        monkeypatch.setattr(handler, "write_message", written)
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        assert await client.emit("get") == ""
    assert [one for one in heard if one != "0{"] == ["40", "43"]


async def test_who_has_ended_is_not_answered(a: Site) -> None:
    """Though the WebSocket is still open, for its end has to wait for others."""
    async with a.client("websocket", await a.visitor()) as client:
        sid = await client.connect()
        connection: Any = a.connection
        connection.phase = Phase.ENDED
        await a.sio._send_packet(connection.eio_sid, Packet(CONNECT, {"sid": sid}, "/chat"))
        connection.phase = Phase.OPEN
        assert await client.emit("get") == ""
        assert [str(one)[:2] for one in client.packets].count("40") == 1


async def test_a_subclass_may_have_its_websockets_compressed(
    a: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the reference says; what Engine.IO sends is then compressed by Tornado."""
    monkeypatch.setattr(await handler_of(a), "get_compression_options", lambda self: {})
    headers = {
        "Cookie": (await a.visitor()).header(),
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    }
    async with await WebSocketWire.open(a.url) as wire:
        answer = await wire.upgrade(TARGET, headers)
        assert "permessage-deflate" in answer.headers["Sec-WebSocket-Extensions"]
        (head,) = await wire.reader.readexactly(1)
        assert head == 0xC1  # a whole text message, RSV1: RFC 7692, section 6


async def test_a_subclass_may_say_something_itself(a: Site) -> None:
    """And wait until it is sent, as in any handler of Tornado's."""
    async with await WebSocketWire.open(a.url) as wire:
        await wire.upgrade(TARGET, {"Cookie": (await a.visitor()).header()})
        await wire.receive()
        connection: Any = a.connection
        (handler,) = connection.handlers
        for said, binary, heard in (
            ("text", False, "text"),
            (b"text", False, "text"),
            ("bytes", True, b"bytes"),
            (b"bytes", True, b"bytes"),
            ({"a": 1}, False, '{"a": 1}'),
        ):
            await handler.write_message(said, binary=binary)
            assert await wire.receive() == heard
