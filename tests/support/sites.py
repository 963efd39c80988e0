"""The application of `tests.apps.shared` in this process, ready to visit.

async with site(redis=redis_url, prefix=prefix) as a:
    jar = await a.visitor(note="hello")
    async with a.client("polling", jar) as client: ...
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import redis.asyncio

from tests.apps.shared import build, options
from tests.apps.shared_events import Shared
from tornado_shared_session import SessionManager, Store, drain
from tornado_shared_session.connections import Connection
from tornado_shared_session.draining import Drained
from tornado_shared_session.record import Peek, Record
from tornado_shared_session.testing import (
    CookieJar,
    HandshakeRefused,
    HTTPTestClient,
    RunningServer,
    SocketIOTestClient,
    serve,
)
from tornado_shared_session.token_state import Away
from tornado_shared_session.watcher import Watcher, watch

NOTHING: Mapping[str, Any] = {}


async def until(check: Callable[[], Any], seconds: float = 3.0) -> None:
    """Wait until something is true; for what announces itself nowhere."""
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)  # see above: nothing announces it


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float = 3.0) -> None:
    """Wait until something is true that has to be asked for."""
    over = time.monotonic() + seconds
    async with asyncio.timeout(seconds):
        while not await check():
            if time.monotonic() > over:
                raise TimeoutError  # who was asked has taken the cancellation for an answer
            await asyncio.sleep(0.005)  # it has to be asked for: nothing announces it


async def until_subscribers(redis: redis.asyncio.Redis, channel: str, count: int) -> None:
    """Wait until so many listen on a channel."""

    async def so_many() -> bool:
        return bool((await redis.pubsub_numsub(channel))[0][1] == count)

    await eventually(so_many)


async def visitor(url: str, **values: Any) -> CookieJar:
    """Return the cookies of a visitor whose session holds some values."""
    jar = CookieJar()
    http = HTTPTestClient(url, cookies=jar)
    for key, value in (values or {"note": ""}).items():
        response = await http.post("/note", {"key": key, "value": json.dumps(value)})
        assert response.code == 200
    return jar


def session_id(jar: CookieJar) -> str:
    """Return the session id in a cookie."""
    signed = jar["session"].strip('"').split("|")[4].split(":")[1]
    return base64.b64decode(signed).decode().split(".")[0]


def kind_of(transport: str) -> str:
    """Return how this transport's handshake begins."""
    return "polling" if transport == "upgrade" else transport


async def status_of(client: SocketIOTestClient) -> int:
    """Try to open a transport; return the status, 101 or 200 if it worked."""
    try:
        await client.open()
    except HandshakeRefused as error:
        return error.status
    finally:
        await client.abort()
    return client.handshake_status or 0


def requests() -> list[asyncio.Task[object]]:
    """Return the tasks of the requests that are not answered yet."""
    return [task for task in asyncio.all_tasks() if "_execute" in repr(task.get_coro())]


def draining(a: Any, **options: Any) -> asyncio.Task[Drained]:
    """Start to drain a site; it goes on beside the test."""
    return asyncio.create_task(drain(a.server.http_server, a.manager, **options))


async def not_polling(a: Site, client: SocketIOTestClient) -> None:
    """Bring a polling client to where it has no poll pending."""
    client.pause_reading()
    await a.sio.emit("pause")
    await client.wait_for("pause")


@asynccontextmanager
async def between_polls(a: Site, jar: Mapping[str, str]) -> AsyncIterator[SocketIOTestClient]:
    """Connect a polling client, and bring it to where it has no poll pending."""
    async with a.client("polling", jar) as client:
        await client.connect()
        await not_polling(a, client)
        yield client


class HeldPeek:
    """The store's peeks from here on, whose answers wait until `go` is set.

    Args:
        before: wait before the store is asked, rather than with its answer.
    """

    def __init__(self, manager: SessionManager, *, before: bool = False) -> None:
        self.go = asyncio.Event()
        self._begun = asyncio.Event()
        self._peek, self._before = manager.store.peek, before
        manager.store.peek = self._held  # type: ignore[method-assign]  # this is the barrier

    async def reached(self, seconds: float = 3) -> None:
        """Wait until a peek waits."""
        await asyncio.wait_for(self._begun.wait(), seconds)

    async def _held(self, ids: Sequence[str]) -> list[Peek | None]:
        found = None if self._before else await self._peek(ids)
        self._begun.set()
        await self.go.wait()
        return await self._peek(ids) if found is None else found


class HeldLoad:
    """The store's next load, which waits until `go` is set, and the time when it does.

    Args:
        before: wait before Redis is asked, rather than with its answer.
        passing: how many loads pass first.
    """

    def __init__(self, manager: SessionManager, *, before: bool = False, passing: int = 0) -> None:
        self._passing = passing
        self.go = asyncio.Event()
        self._begun = asyncio.Event()
        self._error: Exception | None = None
        self._store, self._load, self._before = manager.store, manager.store.load, before
        self._store.load = self._held  # type: ignore[method-assign]  # this is the barrier

    async def reached(self) -> None:
        """Wait until the load waits; those that follow are not held."""
        await asyncio.wait_for(self._begun.wait(), 3)

    def fail(self, error: Exception) -> None:
        """Let it go on, and find that the store has failed."""
        self._error = error
        self.go.set()

    async def _held(self, id: str) -> Record | None:
        if self._passing > 0:
            self._passing -= 1
            return await self._load(id)
        self._store.load = self._load  # type: ignore[method-assign]  # as it was
        record = None if self._before else await self._load(id)
        self._begun.set()
        await self.go.wait()
        if self._error is not None:
            raise self._error
        return await self._load(id) if self._before else record


class Site:
    """The application and where it is served."""

    def __init__(self, shared: Shared, server: RunningServer) -> None:
        self.shared = shared
        self.server = server
        self.url = server.url
        self.sio = shared.sio
        self.manager = shared.manager

    async def visitor(self, **values: Any) -> CookieJar:
        """Return the cookies of a visitor whose session holds some values."""
        return await visitor(self.url, **values)

    def http(self, jar: CookieJar | None = None) -> HTTPTestClient:
        """Return a browser's HTTP half."""
        return HTTPTestClient(self.url, cookies=jar)

    def client(
        self, transport: str, jar: Mapping[str, str] | None = None, **settings: Any
    ) -> SocketIOTestClient:
        """Return a Socket.IO client; without a jar it keeps no cookies."""
        chosen = cast(Any, transport)
        return SocketIOTestClient(self.url, transport=chosen, cookies=jar, **settings)

    @property
    def connection(self) -> Connection:
        """The only connection there is."""
        (found,) = [one for one in self.manager.connections if not isinstance(one, Away)]
        return found

    @property
    def watcher(self) -> Watcher:
        """The watcher of the manager."""
        return watch(self.manager)

    async def empty(self, seconds: float = 3.0) -> None:
        """Wait until nothing is left of any connection."""
        try:
            await until(lambda: not any(self.shared.counts().values()), seconds)
        except TimeoutError:
            raise AssertionError(f"something is left: {self.shared.counts()}") from None


@asynccontextmanager
async def site(
    *,
    server: Mapping[str, Any] = NOTHING,
    edit: Callable[[Shared], None] | None = None,
    store: Store | None = None,
    **changes: Any,
) -> AsyncIterator[Site]:
    """Serve the application; `server` goes to `SessionServer`.

    Without a `store` the options say which. `edit` may add handlers before the first request.
    """
    shared = build(options(**changes), store, **server)
    if edit is not None:
        edit(shared)
    async with shared.manager:
        async with serve(shared.app) as running:
            yield Site(shared, running)


@asynccontextmanager
async def raw_redis(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """Return a plain client, to look and to meddle."""
    client = redis.asyncio.Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


async def end_silently(redis_url: str, prefix: str, id: str) -> None:
    """Delete the record as an expiry does: nobody is told."""
    async with raw_redis(redis_url) as redis:
        assert await redis.delete(f"{prefix}s:{id}") == 1


async def ttl(redis_url: str, prefix: str, id: str) -> float:
    """Return what the store says is left of a session, in seconds."""
    async with raw_redis(redis_url) as redis:
        return float(await redis.pttl(f"{prefix}s:{id}")) / 1000


async def closed_after(
    a: Site, client: SocketIOTestClient, redis_url: str, prefix: str, timeout: float
) -> float:
    """Return how long after its expiry the client's transport was closed."""
    expiry = time.monotonic() + await ttl(redis_url, prefix, a.connection.id)
    await client.wait_transport_closed(timeout)
    client_side = time.monotonic() - expiry
    assert await client.wait_for("session_ended") == {"reason": "expired"}
    assert "server disconnect packet" not in client.closings  # so that it comes back
    server_side: float = a.shared.heard("at")[-1] - expiry
    if a.shared.heard("transport_closed"):
        server_side = max(server_side, a.shared.heard("transport_closed")[-1] - expiry)
    assert server_side > -0.02
    return max(client_side, server_side)
