"""What a client sends faster than it is handled waits, and not in our memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from tests.apps.shared_events import Shared
from tests.support.sites import site, until
from tests.support.streams import Socket
from tornado_shared_session import MemoryStore, SessionManager, SessionWebSocketMixin
from tornado_shared_session.testing import serve

MOST = 500_000
PIECE = 50_000
PIECES = 800  # 40 MB; the kernel takes a few


def counting(shared: Shared) -> None:
    """Add an event that is counted."""

    async def piece(sid: str, number: int, text: str) -> None:
        shared.tell(piece=number)

    shared.sio.on("piece", piece)


@pytest.mark.parametrize("kind", ["websocket", "upgrade"])
async def test_while_a_connect_handler_waits_a_flood_waits_too(
    redis_url: str, prefix: str, kind: str
) -> None:
    """At most `max_queued` bytes and a message are kept; then all are handled in order (F14)."""
    server = {"max_queued": MOST}
    async with site(redis=redis_url, prefix=prefix, server=server, edit=counting) as a:
        async with a.client(kind, await a.visitor()) as client:
            if kind == "upgrade":
                await client.open()
                await client.upgrade()
            connecting = asyncio.create_task(client.connect(auth="slow"))
            await until(lambda: a.shared.heard("connect"))
            handler: Any = a.connection.handlers[0]  # type: ignore[attr-defined]  # of our own handler

            async def flood() -> None:
                for number in range(PIECES):
                    await client.send_raw(f'42["piece",{number},"{"x" * PIECE}"]')

            flooding = asyncio.create_task(flood())
            await until(lambda: handler.session_unread > MOST, 10)
            # Time itself is meant: what would grow has a while to do so.
            done, _ = await asyncio.wait([flooding], timeout=0.5)
            assert not done
            assert MOST < handler.session_unread < MOST + 2 * PIECE
            a.shared.go.set()
            await connecting
            await asyncio.wait_for(flooding, 20)
            await until(lambda: len(a.shared.heard("piece")) == PIECES, 20)
            assert sorted(a.shared.heard("piece")) == list(range(PIECES))
            assert handler.session_unread == 0
        await a.empty()


async def test_a_flood_that_waits_ends_with_its_connection(redis_url: str, prefix: str) -> None:
    """The session ends while the connect handler still waits: nothing is left (I8)."""
    server = {"max_queued": MOST}
    async with site(redis=redis_url, prefix=prefix, server=server, edit=counting) as a:
        async with a.client("websocket", await a.visitor()) as client:
            connecting = asyncio.create_task(client.connect(auth="slow"))
            await until(lambda: a.shared.heard("connect"))
            handler: Any = a.connection.handlers[0]  # type: ignore[attr-defined]  # of our own handler
            id = a.connection.id
            text = f'42["piece",0,"{"x" * PIECE}"]'
            for _ in range(MOST // PIECE + 1):
                await client.send_raw(text)
            await until(lambda: handler.session_unread > MOST)
            await a.manager.destroy(id)
            a.shared.go.set()
            await asyncio.gather(connecting, return_exceptions=True)
        await a.empty()
        assert not a.shared.heard("piece")


@pytest.mark.parametrize("where", ["open", "message"])
async def test_a_plain_websocket_is_not_read_while_its_handler_waits(where: str) -> None:
    """Tornado reads the next message after the last one: less than a message is kept (F14)."""
    streams: list[Any] = []
    go = asyncio.Event()
    heard: list[int] = []

    class Slow(SessionWebSocketMixin, WebSocketHandler):
        async def open(self) -> None:
            assert self._session_connection is not None
            streams.append(self._session_connection.stream)
            if where == "open":
                await go.wait()

        async def on_message(self, message: str | bytes) -> None:
            await go.wait()
            heard.append(len(message))

    async with SessionManager(MemoryStore(), secret="x") as manager:
        app = Application([("/", Slow)], session_manager=manager)
        async with serve(app) as server, await Socket.connect(server.url, "/") as socket:

            async def flood() -> None:
                for _ in range(PIECES):
                    await socket.send("x" * PIECE)

            flooding = asyncio.create_task(flood())
            # Time itself is meant: what would grow has a while to do so.
            done, _ = await asyncio.wait([flooding], timeout=0.5)
            assert not done
            assert streams[0]._read_buffer_size < 2 * PIECE + 65_536
            go.set()
            await asyncio.wait_for(flooding, 20)
            await until(lambda: heard == [PIECE] * PIECES, 20)
