"""A WebSocket that opens after its session has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.sites import Site, session_id, until
from tornado_shared_session.connections import Phase
from tornado_shared_session.testing.wire import WebSocketWire


@asynccontextmanager
async def opened_after_its_end(
    a: Site, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[WebSocketWire, Any]]:
    """Give a Socket.IO WebSocket whose session ended once it was judged, before it opened.

    Both ends of it: the client's, and the server's handler.
    """
    admit, judged, go = a.sio.open_connection, list[Any](), asyncio.Event()

    async def held(handler: Any) -> Any:
        connection = await admit(handler)
        judged.append(handler)
        await go.wait()
        return connection

    monkeypatch.setattr(a.sio, "open_connection", held)
    jar = await a.visitor()
    async with await WebSocketWire.open(a.url) as wire:
        target = "/socket.io/?EIO=4&transport=websocket"
        opening = asyncio.ensure_future(wire.upgrade(target, {"Cookie": jar.header()}))
        await until(lambda: judged)
        assert a.connection.phase is Phase.OPEN
        await a.manager.destroy(session_id(jar))
        go.set()
        assert (await opening).status == 101
        yield wire, judged[0]
