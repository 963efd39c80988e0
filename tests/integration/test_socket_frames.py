"""The frames of a Socket.IO client's WebSocket: in their order, and each in its turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.websocket import WebSocketClosedError, WebSocketProtocol13

from tests.support.sites import Site, until
from tornado_shared_session import socketio_wire
from tornado_shared_session.frames import Frames
from tornado_shared_session.testing.wire import WebSocketWire

PONG = b"\x81\x81\x00\x00\x00\x003"  # a text frame of one character, masked with zeros
TARGET = "/socket.io/?EIO=4&transport=websocket"


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
        sid = await client.connect()
        assert await client.connect("/chat")
    short = how == "plain" and transport == "websocket"
    assert [one[:2] for one in written] == (["40", "40"] if short else [])
    assert (sid in written[0]) if short else True
