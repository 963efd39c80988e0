"""`tests.apps.shared`, and it tells when a connection is ended, and when it is gone.

Gone: its WebSockets' TCP connections are closed, and nothing is kept of it.
"""

from __future__ import annotations

import argparse
import time
from contextlib import AsyncExitStack

import tornado.web
from tornado.websocket import WebSocketHandler

from tests.apps.runner import run, say
from tests.apps.shared import add_arguments, build
from tornado_shared_session.connections import Connection, Phase
from tornado_shared_session.transport import SocketConnection


async def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application, with an eye on what it ends and forgets."""
    shared = build(args)
    connections, sio = shared.manager.connections, shared.sio
    end_one, forget, leave = connections.end_one, sio.forget, SocketConnection.leave
    gone: set[str] = set()

    def ended(connection: Connection, reason: str) -> None:
        if connection.phase is not Phase.ENDED and isinstance(connection, SocketConnection):
            say(ended=connection.eio_sid, at=time.monotonic(), reason=reason)
        end_one(connection, reason)

    def look(connection: SocketConnection) -> None:
        eio_sid = connection.eio_sid
        if not (connection.handlers or eio_sid in sio._by_eio or eio_sid in gone):
            gone.add(eio_sid)
            say(gone=eio_sid, at=time.monotonic())

    def forgotten(connection: SocketConnection) -> None:
        forget(connection)
        look(connection)

    def left(connection: SocketConnection, handler: WebSocketHandler) -> None:
        leave(connection, handler)
        look(connection)

    def listen(**facts: object) -> None:
        if "connect" in facts:
            say(connect=facts["connect"])

    connections.end_one = ended  # type: ignore[method-assign]  # to listen
    sio.forget = forgotten  # type: ignore[method-assign]  # to listen
    SocketConnection.leave = left  # type: ignore[method-assign,assignment]  # to listen
    shared.listener = listen
    await stack.enter_async_context(shared.manager)
    return shared.app


if __name__ == "__main__":
    run(make_app, add_arguments)
