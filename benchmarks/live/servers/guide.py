"""python-socketio the way the express-session guide has it: a timer per socket.

Each socket looks for its session every ``--reload`` seconds, and closes
when it is gone. Nobody tells it sooner.
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
import socketio
import tornado.web
from tornado.httputil import parse_cookie

from .meter import Meter
from .program import COOKIE, application, main


class Seed(tornado.web.RequestHandler):
    """Begin a session; answer its id."""

    async def post(self) -> None:
        id = secrets.token_urlsafe(16)
        await self.settings["redis"].set("session:" + id, b"{}", ex=1800)
        self.set_cookie(COOKIE, id)
        self.write(id)


class Commands(Meter):
    """What the benchmark asks of it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def destroy(self, id: str) -> float:
        """End a session; return when that began (monotonic seconds)."""
        began = time.monotonic()
        await self._client.delete("session:" + id)
        return began


@asynccontextmanager
async def serve(
    arguments: argparse.Namespace,
) -> AsyncIterator[tuple[tornado.web.Application, Meter]]:
    """Serve sockets that look for their session by themselves."""
    sio = socketio.AsyncServer(async_mode="tornado", ping_interval=arguments.ping)
    client = redis.asyncio.from_url(arguments.redis)

    async def watch(sid: str, key: str) -> None:
        while True:
            await sio.sleep(arguments.reload)
            if not await client.exists(key):
                await sio.disconnect(sid)
                return

    @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        id = parse_cookie(environ["HTTP_COOKIE"])[COOKIE]
        sio.start_background_task(watch, sid, "session:" + id)

    rules = ((r"/seed", Seed), (r"/socket.io/", socketio.get_tornado_handler(sio)))
    async with client:
        yield application(*rules, redis=client), Commands(client)


if __name__ == "__main__":
    main(serve)
