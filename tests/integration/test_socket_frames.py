"""The frames of a Socket.IO client's WebSocket: in their order, and each in its turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.websocket import WebSocketClosedError, WebSocketProtocol13

from tests.support.sites import Site, until
from tornado_shared_session.frames import Frames

PONG = b"\x81\x81\x00\x00\x00\x003"  # a text frame of one character, masked with zeros


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
