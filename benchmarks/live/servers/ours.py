"""This library with python-socketio, the way its README shows."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
import tornado.web

from tornado_shared_session import (
    RedisStore,
    SessionManager,
    SessionMixin,
    SessionServer,
    get_tornado_handler,
)

from .entries import Entries
from .meter import Meter, Periods
from .program import CONTENT, application, main
from .records import Records

PREFIX = "live:"
_AT_ONCE = 1_000  # sessions that are ended together
#: Seconds until it answers that a session ended: who asked is not to work
#: while others, on the same cores, close the socket.
_QUIET = 0.005


class Seed(SessionMixin, tornado.web.RequestHandler):
    """Begin a session; answer its id."""

    async def post(self) -> None:
        self.session.update(CONTENT)
        user = self.get_query_argument("user", "")
        if user:
            await self.session.login(user)
        self.write(self.session.id)


class Commands(Meter):
    """What the benchmark asks of it."""

    def __init__(self, manager: SessionManager, redis_url: str) -> None:
        self._manager = manager
        self._redis_url = redis_url
        self._periods = Periods(manager.policy.reload_interval)
        self._entries = Entries(manager)
        self._records = Records(manager)
        store = manager.store
        publish = store.publish

        async def noted(message: bytes) -> None:
            self._periods.beat()
            await publish(message)

        store.publish = noted  # type: ignore[method-assign]  # to know when a reload begins

    async def connections(self) -> int:
        """Return how many sockets are open here."""
        return len(self._manager.connections)

    async def stored(self, ids: list[str]) -> int:
        """Return how many of some sessions are still stored."""
        return sum(peek is not None for peek in await self._manager.store.peek(ids))

    async def destroy(self, id: str) -> float:
        """End a session; return when that began (monotonic seconds)."""
        began = time.monotonic()
        if not await self._manager.destroy(id):
            raise RuntimeError("there was no session to end")
        await asyncio.sleep(_QUIET)
        return began

    async def destroy_all(self, ids: list[str]) -> float:
        """End sessions all at once; return when that began."""
        began = time.monotonic()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            if not all(await asyncio.gather(*map(self._manager.destroy, some))):
                raise RuntimeError("there was no session to end")
        return began

    async def destroy_user(self, user: str, sessions: int) -> float:
        """End every session of a user; return when that began."""
        began = time.monotonic()
        ended = await self._manager.destroy_user(user)
        if ended.sessions != sessions:
            raise RuntimeError(f"{ended.sessions} sessions ended, not {sessions}")
        return began

    async def periods(self, count: int, turns: bool) -> list[dict[str, float]]:
        """Measure from reload to reload; see `meter.Periods`."""
        return await self._periods.measure(count, turns)

    async def get_each(self, count: int) -> dict[str, float]:
        """Ask for that many keys, one GET each, as it is written by hand."""
        async with redis.asyncio.from_url(self._redis_url) as client:
            await client.get("nothing")
            wall, cpu = time.perf_counter(), time.process_time()
            for number in range(count):
                await client.get(f"session:{number}")
            return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}

    async def enter(self, count: int) -> list[str]:
        """Put so many sessions, each with a connection, into store and registry."""
        return await self._entries.enter(count)

    async def entered_closed(self, ids: list[str]) -> list[float]:
        """Wait until those are closed; return when they were (monotonic seconds)."""
        return await self._entries.closed(ids)

    async def fill(self, count: int, keys: int) -> None:
        """Store so many sessions of so many keys, without connections."""
        await self._records.fill(count, keys)

    async def read(self, number: int) -> float:
        """Return the CPU seconds of a load and a look at one key."""
        return await self._records.read(number)

    async def change(self, number: int) -> float:
        """Return the CPU seconds of a load, the change of a key and its save."""
        return await self._records.change(number)


@asynccontextmanager
async def serve(
    arguments: argparse.Namespace,
) -> AsyncIterator[tuple[tornado.web.Application, Meter]]:
    """Serve sockets that have a session."""
    manager = SessionManager(
        RedisStore(arguments.redis, prefix=PREFIX),
        idle_timeout=arguments.idle,
        reload_interval=arguments.reload,
    )
    sio = SessionServer(manager, ping_interval=arguments.ping)
    rules = ((r"/seed", Seed), (r"/socket.io/", get_tornado_handler(sio)))
    async with manager:
        app = application(*rules, session_manager=manager)
        yield app, Commands(manager, arguments.redis)


if __name__ == "__main__":
    main(serve)
