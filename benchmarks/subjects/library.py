"""This library, used the way its README shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

import tornado.web

from tornado_shared_session import (
    RedisStore,
    SessionManager,
    SessionMixin,
    SessionServer,
    get_tornado_handler,
)

from ..content import IDLE_TIMEOUT, SEED_COUNT, seed
from .common import application


class Read(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(str(self.session.get("count", 0)))


class Write(SessionMixin, tornado.web.RequestHandler):
    def post(self) -> None:
        self.session["count"] = self.session.get("count", 0) + 1
        self.write(str(self.session["count"]))


class Plain(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(str(SEED_COUNT))


class Seed(SessionMixin, tornado.web.RequestHandler):
    def post(self, size: str) -> None:
        self.session.update(seed(size))


def _manager(redis_url: str) -> SessionManager:
    store = RedisStore(redis_url, prefix="benchmarks:")
    return SessionManager(store, idle_timeout=IDLE_TIMEOUT)


@asynccontextmanager
async def http(redis_url: str) -> AsyncIterator[tornado.web.Application]:
    """Serve pages with a shared session."""
    async with _manager(redis_url) as manager:
        yield application(Read, Write, Plain, Seed, session_manager=manager)


@asynccontextmanager
async def _socketio(
    redis_url: str, reload: Literal["event", "interval"]
) -> AsyncIterator[tornado.web.Application]:
    async with _manager(redis_url) as manager:
        sio = SessionServer(manager, reload=reload)

        @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
        async def read(sid: str) -> int:
            return int((await sio.get_session(sid))["count"])

        @sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
        async def incr(sid: str) -> int:
            async with sio.session(sid) as session:
                session["count"] = session.get("count", 0) + 1
                return int(session["count"])

        yield application(
            Read, Write, Plain, Seed, get_tornado_handler(sio), session_manager=manager
        )


def event(redis_url: str) -> AbstractAsyncContextManager[tornado.web.Application]:
    """Serve events; each begins by asking the store."""
    return _socketio(redis_url, "event")


def interval(redis_url: str) -> AbstractAsyncContextManager[tornado.web.Application]:
    """Serve events from the session that the connection already holds."""
    return _socketio(redis_url, "interval")
