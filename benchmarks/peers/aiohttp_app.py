"""aiohttp's own server, bare and with aiohttp-session in Redis.

Its RedisStorage decodes what it reads as UTF-8, so JSON, its default, is
what it can hold, and it does not sign the key in its cookie. A read
extends no deadline.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp_session
import redis.asyncio
from aiohttp import web
from aiohttp_session.redis_storage import RedisStorage

from ..content import IDLE_TIMEOUT, POOL, SEED_COUNT, seed


async def _plain(request: web.Request) -> web.Response:
    return web.Response(text=str(SEED_COUNT))


def bare(redis_url: str) -> web.Application:
    """Return the framework alone: the counter is a number in the process."""
    counter = SEED_COUNT

    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str(counter))

    async def write(request: web.Request) -> web.Response:
        nonlocal counter
        counter += 1
        return web.Response(text=str(counter))

    async def begin(request: web.Request) -> web.Response:
        nonlocal counter
        counter = SEED_COUNT
        response = web.Response()
        response.set_cookie("session", secrets.token_urlsafe(48))
        return response

    return _application(read, write, begin)


def session(redis_url: str) -> web.Application:
    """Return it with aiohttp-session."""

    async def read(request: web.Request) -> web.Response:
        session = await aiohttp_session.get_session(request)
        return web.Response(text=str(session.get("count", 0)))

    async def write(request: web.Request) -> web.Response:
        session = await aiohttp_session.get_session(request)
        session["count"] = session.get("count", 0) + 1
        return web.Response(text=str(session["count"]))

    async def begin(request: web.Request) -> web.Response:
        session = await aiohttp_session.new_session(request)
        session.update(seed(request.match_info["size"]))
        return web.Response()

    app = _application(read, write, begin)
    client = redis.asyncio.Redis.from_url(redis_url, max_connections=POOL)
    aiohttp_session.setup(app, RedisStorage(client, max_age=IDLE_TIMEOUT))
    return app


def _application(read: Any, write: Any, begin: Any) -> web.Application:
    app = web.Application()
    app.add_routes(
        [
            web.get("/read", read),
            web.post("/write", write),
            web.get("/plain", _plain),
            web.post("/seed/{size}", begin),
        ]
    )
    return app


@contextlib.asynccontextmanager
async def running(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Serve with aiohttp's own runner."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        yield
    finally:
        await runner.cleanup()
