"""Serve a Tornado application to a test, and leave nothing behind.

`HTTPServer.stop()` lets go of WebSockets and python-engineio keeps tasks
for pings and long polls alive; both would outlive the test that made
them. `serve` closes every connection and waits for what they started.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import Application

# Tasks of these packages belong to connections: they may be cancelled once
# the connection is gone. Those waiting in one of these coroutines would
# otherwise sit there for the length of a ping timeout.
_PACKAGES = ("tornado", "engineio", "socketio")
_SLEEPERS = {"_send_ping", "_service_task", "poll"}
_GRACE = 1.0


class RunningServer:
    """A server that accepts connections: where it is, and how to stop it."""

    def __init__(self, app: Application, *, xheaders: bool = False) -> None:
        self.http_server = _TrackingServer(app, xheaders=xheaders)
        sockets = bind_sockets(0, "127.0.0.1")
        self.port: int = sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http_server.add_sockets(sockets)

    def cut_connections(self) -> None:
        """Close the TCP connection of every client, WebSockets included."""
        for stream in list(self.http_server.streams):
            stream.close()

    async def stop(self) -> None:
        """Stop listening, close every connection, end what they started."""
        self.http_server.stop()
        self.cut_connections()
        await asyncio.wait_for(self.http_server.close_all_connections(), _GRACE)
        for task in _connection_tasks():
            if _SLEEPERS.intersection(_waits_in(task)):
                task.cancel()
        await _finish(_connection_tasks())
        for task in _connection_tasks():
            task.cancel()
        await _finish(_connection_tasks())


class _TrackingServer(HTTPServer):
    """Remember each stream: a WebSocket is detached from the HTTPServer."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self.streams: weakref.WeakSet[IOStream] = weakref.WeakSet()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self.streams.add(stream)
        super().handle_stream(stream, address)


@asynccontextmanager
async def serve(app: Application, *, xheaders: bool = False) -> AsyncIterator[RunningServer]:
    """Serve `app` on a free port of 127.0.0.1 for the length of a block.

    async with serve(app) as server:
        await HTTPTestClient(server.url).fetch("/")
    """
    server = RunningServer(app, xheaders=xheaders)
    try:
        yield server
    finally:
        await server.stop()


async def _finish(tasks: list[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=_GRACE)


def _connection_tasks() -> list[asyncio.Task[Any]]:
    roots = tuple(
        str(Path(module.__file__).parent)
        for name in _PACKAGES
        if (module := sys.modules.get(name)) and module.__file__
    )
    current = asyncio.current_task()
    return [
        task
        for task in asyncio.all_tasks()
        if task is not current and _filename(task).startswith(roots)
    ]


def _filename(task: asyncio.Task[Any]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code else ""


def _waits_in(task: asyncio.Task[Any]) -> Iterator[str]:
    """Yield the names of the coroutines that await each other in a task."""
    coroutine: Any = task.get_coro()
    while (code := getattr(coroutine, "cr_code", None)) is not None:
        yield code.co_name
        coroutine = coroutine.cr_await
