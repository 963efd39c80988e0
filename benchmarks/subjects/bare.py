"""The framework alone: the counter is a number in the process."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import tornado.web

from ..content import SEED_COUNT
from .common import COOKIE, application, plain_socketio


class Counter:
    """The one counter of the process."""

    value = SEED_COUNT


class Read(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(str(Counter.value))


class Write(tornado.web.RequestHandler):
    def post(self) -> None:
        Counter.value += 1
        self.write(str(Counter.value))


class Plain(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(str(SEED_COUNT))


class Seed(tornado.web.RequestHandler):
    def post(self, size: str) -> None:
        Counter.value = SEED_COUNT
        # Nobody reads it, but every subject is sent the same request.
        self.set_signed_cookie(COOKIE, secrets.token_urlsafe(48))


@asynccontextmanager
async def http(redis_url: str) -> AsyncIterator[tornado.web.Application]:
    """Serve pages without a session."""
    yield application(Read, Write, Plain, Seed)


@asynccontextmanager
async def socketio(redis_url: str) -> AsyncIterator[tornado.web.Application]:
    """Serve events without a session."""
    sio, handler = plain_socketio()

    @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def read(sid: str) -> int:
        return Counter.value

    @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def incr(sid: str) -> int:
        Counter.value += 1
        return Counter.value

    yield application(Read, Write, Plain, Seed, handler)
