"""Plain python-socketio on Tornado, without us: what the tools are tested on."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any

import socketio
import tornado.web

from tests.apps.runner import run


class Page(tornado.web.RequestHandler):
    """A page that sets a cookie and says what it got."""

    def get(self) -> None:
        self.set_cookie("page", "seen", path="/")
        self.write(
            f"<title>plain {os.getpid()}</title>cookie: {self.request.headers.get('Cookie')}"
        )


def make_server(**options: Any) -> socketio.AsyncServer:
    """Return a server with the handlers that the tests of the tools use."""
    sio = socketio.AsyncServer(async_mode="tornado", cookie={"name": "io", "path": "/"}, **options)

    @sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        if auth == "bad":
            raise socketio.exceptions.ConnectionRefusedError("go away", {"why": auth})
        await sio.emit("hello", {"cookie": environ.get("HTTP_COOKIE")}, to=sid)

    @sio.on("connect", namespace="/other")
    async def connect_other(sid: str, environ: dict[str, Any]) -> None: ...

    @sio.event
    async def add(sid: str, *numbers: int) -> int:
        return sum(numbers)

    @sio.on("add", namespace="/other")
    async def add_other(sid: str, *numbers: int) -> int:
        return 100 + sum(numbers)

    @sio.event
    async def echo(sid: str, *values: Any) -> tuple[Any, ...]:
        await sio.emit("echo", values, to=sid)
        return values

    @sio.event
    async def ask(sid: str) -> None:
        answer = await sio.call("question", "name?", to=sid, timeout=5)
        await sio.emit("answered", answer, to=sid)

    @sio.event
    async def leave(sid: str) -> None:
        await sio.disconnect(sid)

    @sio.event
    async def leave_engine(sid: str) -> None:
        eio_sid = sio.manager.eio_sid_from_sid(sid, "/")
        asyncio.get_running_loop().create_task(sio.eio.disconnect(eio_sid))

    return sio


def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application that serves it."""
    sio = make_server(cors_allowed_origins=[])
    return app_of(sio)


def app_of(sio: socketio.AsyncServer) -> tornado.web.Application:
    """Serve a Socket.IO server and the page."""
    handler = socketio.get_tornado_handler(sio)
    return tornado.web.Application([(r"/socket.io/", handler), (r"/", Page)])


if __name__ == "__main__":
    run(make_app)
