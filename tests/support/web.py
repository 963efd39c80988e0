"""What the tests of request handlers have in common."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tornado.httputil import HTTPHeaders
from tornado.web import Application

from tornado_shared_session import ConfigurationError, MemoryStore, SessionEvent, SessionManager
from tornado_shared_session.record import Delta, Record
from tornado_shared_session.stores.base import Committed
from tornado_shared_session.testing import HTTPTestClient, serve
from tornado_shared_session.testing.wire import Response, Wire

SECRET = "only for tests, and long enough to be a secret"
COOKIE = "session"


class ProbeStore(MemoryStore):
    """A store in memory that can be slow, held and broken, and is counted.

    Attributes:
        delay: seconds that a write takes.
        failures: what the next writes raise, in place of being applied.
        calls: how often each method was called.
        applied: when each write was applied (monotonic).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.delay = 0.0
        self.failures: list[BaseException] = []
        self.calls: Counter[str] = Counter()
        self.applied: list[float] = []
        self.reached = asyncio.Event()
        self._holds = 0
        self._gate = asyncio.Event()

    def hold(self, *, count: int = 1000) -> None:
        """Stop the next writes until `release`; `reached` tells that one is there."""
        self._holds = count
        self._gate.clear()
        self.reached.clear()

    def release(self) -> None:
        """Let them go on."""
        self._holds = 0
        self._gate.set()

    async def load(self, id: str) -> Record | None:
        self.calls["load"] += 1
        return await super().load(id)

    async def create(self, record: Record, absolute: float) -> bool:
        await self._write("create")
        created = await super().create(record, absolute)
        self.applied.append(time.monotonic())
        return created

    async def commit(self, delta: Delta) -> Committed:
        await self._write("commit")
        committed = await super().commit(delta)
        self.applied.append(time.monotonic())
        return committed

    async def _write(self, name: str) -> None:
        self.calls[name] += 1
        self.reached.set()
        if self._holds:
            self._holds -= 1
            await self._gate.wait()
        if self.delay:
            # A slow disk or network is what is tested: it takes time.
            await asyncio.sleep(self.delay)
        if self.failures:
            raise self.failures.pop()


class Site:
    """An application being served: its manager, its events, its visitors."""

    def __init__(self, url: str, sessions: SessionManager, events: list[SessionEvent]) -> None:
        self.url = url
        self.sessions = sessions
        self.events = events
        self._clients: list[HTTPTestClient] = []

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events so far."""
        return [event.kind for event in self.events]

    def visitor(self, cookie: str | None = None, **options: Any) -> HTTPTestClient:
        """Return a browser, with this session cookie or with none."""
        cookies = None if cookie is None else {COOKIE: cookie}
        self._clients.append(HTTPTestClient(self.url, cookies=cookies, **options))
        return self._clients[-1]

    def close(self) -> None:
        """Close the browsers."""
        for client in self._clients:
            client.close()


@asynccontextmanager
async def site(
    handlers: list[Any],
    store: Any = None,
    settings: Any = None,
    manager: type[SessionManager] = SessionManager,
    **policy: Any,
) -> AsyncIterator[Site]:
    """Serve handlers with a manager of their own; the default store is a `ProbeStore`."""
    events: list[SessionEvent] = []
    store = ProbeStore() if store is None else store
    async with manager(store, on_event=events.append, **policy) as sessions:
        given: dict[str, Any] = {"cookie_secret": SECRET, "session_manager": sessions}
        given |= {"login_url": "/login", **(settings or {})}
        application = Application(handlers, **given)
        with suppress(ConfigurationError):  # else the first request finds out
            sessions.bind(application.settings)
        async with serve(application) as server:
            found = Site(server.url, sessions, events)
            try:
                yield found
            finally:
                found.close()


class Timed(Wire):
    """A connection that tells when the first byte of a response came."""

    first_byte = 0.0

    async def ask(self, method: str, target: str, cookie: str = "", **headers: str) -> Response:
        """Send a request; `first_byte` is set as its response begins."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            fields["Cookie"] = f"{COOKIE}={cookie}"
        if method == "HEAD":
            return await self._head(target, fields)
        return await self.request(method, target, fields)

    async def _response(self) -> Response:
        first = await self.reader.readexactly(1)
        self.first_byte = time.monotonic()
        # Put it back, for the parser that follows.
        self.reader._buffer[:0] = first  # type: ignore[attr-defined]  # asyncio's own, to see what came
        return await super()._response()

    async def _head(self, target: str, headers: dict[str, str]) -> Response:
        lines = [f"HEAD {target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self.reader.readexactly(1)
        self.first_byte = time.monotonic()
        head = await self.reader.readuntil(b"\r\n\r\n")
        return Response(int(head.split()[1]), _fields(head), b"")


def _fields(head: bytes) -> HTTPHeaders:
    return HTTPHeaders.parse(head.decode("latin-1").partition("\r\n")[2].rstrip("\r\n"))


def cookie_of(response: Any) -> str:
    """Return the session cookie that a response sets, or ""."""
    for line in response.headers.get_list("Set-Cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        if name == COOKIE:
            return str(value)
    return ""
