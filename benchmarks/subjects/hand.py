"""The way people write it by hand: a signed id, and one blob in Redis.

A read does not extend the session's life and nothing is checked, so
this is the least that a hand-written session can cost.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import redis.asyncio
import tornado.web
from tornado.httputil import parse_cookie

from ..content import COOKIE_SECRET, IDLE_TIMEOUT, POOL, SEED_COUNT, seed
from .common import COOKIE, application, plain_socketio


async def load(client: Any, key: str) -> dict[str, Any]:
    """Read a session."""
    blob = await client.get(key)
    data: dict[str, Any] = msgpack.unpackb(blob) if blob else {}
    return data


async def save(client: Any, key: str, session: dict[str, Any]) -> None:
    """Write a session whole."""
    await client.set(key, msgpack.packb(session), ex=IDLE_TIMEOUT)


class Handler(tornado.web.RequestHandler):
    def initialize(self) -> None:
        self.client = self.settings["redis"]

    def key(self) -> str:
        signed = self.get_signed_cookie(COOKIE)
        if signed is None:
            raise tornado.web.HTTPError(403)
        return "session:" + signed.decode()


class Read(Handler):
    async def get(self) -> None:
        session = await load(self.client, self.key())
        self.write(str(session.get("count", 0)))


class Write(Handler):
    async def post(self) -> None:
        key = self.key()
        session = await load(self.client, key)
        session["count"] = session.get("count", 0) + 1
        await save(self.client, key, session)
        self.write(str(session["count"]))


class Plain(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(str(SEED_COUNT))


class Seed(Handler):
    async def post(self, size: str) -> None:
        session_id = secrets.token_urlsafe(32)
        await save(self.client, "session:" + session_id, dict(seed(size)))
        self.set_signed_cookie(COOKIE, session_id)


@asynccontextmanager
async def http(redis_url: str) -> AsyncIterator[tornado.web.Application]:
    """Serve pages with a session in Redis."""
    async with redis.asyncio.from_url(redis_url, max_connections=POOL) as client:
        yield application(Read, Write, Plain, Seed, redis=client)


@asynccontextmanager
async def socketio(redis_url: str) -> AsyncIterator[tornado.web.Application]:
    """Serve events with a session in Redis, loaded and saved in each."""
    sio, handler = plain_socketio()
    keys: dict[str, str] = {}

    @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def connect(sid: str, environ: dict[str, Any]) -> bool:
        signed = tornado.web.decode_signed_value(
            COOKIE_SECRET, COOKIE, parse_cookie(environ["HTTP_COOKIE"])[COOKIE]
        )
        if signed is None:
            return False
        keys[sid] = "session:" + signed.decode()
        return True

    @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def disconnect(sid: str, reason: str) -> None:
        keys.pop(sid, None)

    @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def read(sid: str) -> int:
        return int((await load(client, keys[sid]))["count"])

    @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def incr(sid: str) -> int:
        session = await load(client, keys[sid])
        session["count"] = session.get("count", 0) + 1
        await save(client, keys[sid], session)
        return int(session["count"])

    async with redis.asyncio.from_url(redis_url, max_connections=POOL) as client:
        yield application(Read, Write, Plain, Seed, handler, redis=client)
