"""Starlette under uvicorn, bare and with starsessions.

starsessions writes a session it has loaded at the end of each request,
changed or not, and does not sign the id in its cookie.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import redis.asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starsessions import SessionMiddleware, load_session
from starsessions.serializers import Serializer
from starsessions.stores.redis import RedisStore

from ..content import IDLE_TIMEOUT, POOL, SEED_COUNT, seed


class Msgpack(Serializer):  # type: ignore[misc]  # it is not here when it is checked
    """What everybody here stores."""

    def serialize(self, data: Any) -> bytes:
        packed: bytes = msgpack.packb(data)
        return packed

    def deserialize(self, data: bytes) -> dict[str, Any]:
        return msgpack.unpackb(data) if data else {}


async def _plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(SEED_COUNT))


def bare(redis_url: str) -> Starlette:
    """Return the framework alone: the counter is a number in the process."""
    counter = SEED_COUNT

    async def read(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(counter))

    async def write(request: Request) -> PlainTextResponse:
        nonlocal counter
        counter += 1
        return PlainTextResponse(str(counter))

    async def begin(request: Request) -> PlainTextResponse:
        nonlocal counter
        counter = SEED_COUNT
        response = PlainTextResponse("")
        response.set_cookie("session", secrets.token_urlsafe(48))
        return response

    return Starlette(routes=_routes(read, write, begin))


def session(redis_url: str) -> Starlette:
    """Return it with starsessions, loaded where it is used."""

    async def read(request: Request) -> PlainTextResponse:
        await load_session(request)
        return PlainTextResponse(str(request.session.get("count", 0)))

    async def write(request: Request) -> PlainTextResponse:
        await load_session(request)
        request.session["count"] = request.session.get("count", 0) + 1
        return PlainTextResponse(str(request.session["count"]))

    async def begin(request: Request) -> PlainTextResponse:
        await load_session(request)
        request.session.clear()
        request.session.update(seed(request.path_params["size"]))
        return PlainTextResponse("")

    client = redis.asyncio.Redis.from_url(redis_url, max_connections=POOL)
    sessions = Middleware(
        SessionMiddleware,
        store=RedisStore(connection=client, prefix="starsessions:"),
        lifetime=IDLE_TIMEOUT,
        rolling=True,
        cookie_https_only=False,
        serializer=Msgpack(),
    )
    return Starlette(routes=_routes(read, write, begin), middleware=[sessions])


def _routes(read: Any, write: Any, begin: Any) -> list[Route]:
    return [
        Route("/read", read),
        Route("/write", write, methods=["POST"]),
        Route("/plain", _plain),
        Route("/seed/{size}", begin, methods=["POST"]),
    ]


@contextlib.asynccontextmanager
async def running(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Serve as ``uvicorn --http httptools --no-access-log`` does."""
    server = uvicorn.Server(
        uvicorn.Config(app, http="httptools", log_level="warning", access_log=False)
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        yield
        server.should_exit = True
