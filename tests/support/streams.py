"""The application of `tests.apps.streams` in this process, and clients for it.

async with site(redis=redis_url, prefix=prefix) as a:
    jar = await a.visitor()
    async with await Socket.connect(a.url, "/ws", jar) as socket: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from tests.apps.streams import Streams, build, options
from tests.support.sites import until, visitor
from tornado_shared_session.testing import CookieJar, HTTPTestClient, RunningServer, serve
from tornado_shared_session.testing.wire import Response, WebSocketWire, Wire

NOTHING: Mapping[str, str] = {}


class Socket(WebSocketWire):
    """A WebSocket that keeps the reason of its close."""

    close_reason: str | None = None
    response: Response

    @classmethod
    async def connect(
        cls,
        url: str,
        target: str,
        jar: Mapping[str, str] = NOTHING,
        *,
        headers: Mapping[str, str] = NOTHING,
    ) -> Self:
        """Ask for an upgrade; `response` tells what came of it."""
        socket = await cls.open(url)
        cookie = {"Cookie": CookieJar(jar).header()} if jar else {}
        async with asyncio.timeout(5):
            socket.response = await socket.upgrade(target, {**headers, **cookie})
        return socket

    async def ask(self, message: str) -> str | bytes | None:
        """Send a message and return the next one."""
        await self.send(message)
        return await asyncio.wait_for(self.receive(), 5)

    async def ended(self, seconds: float = 5) -> tuple[int | None, str | None]:
        """Wait for the end; return the code and the reason of the close frame."""
        async with asyncio.timeout(seconds):
            while await self.receive() is not None:
                pass
        return self.close_code, self.close_reason

    async def _read_frame(self) -> tuple[bool, int, bytes]:
        final, opcode, data = await super()._read_frame()
        if opcode == 0x8:
            self.close_reason = data[2:].decode()
        return final, opcode, data


class Stream(Wire):
    """A response that is read as it comes."""

    status = 0
    head = b""

    @classmethod
    async def begin(
        cls,
        url: str,
        target: str,
        jar: Mapping[str, str] = NOTHING,
        method: str = "GET",
        *,
        headers: Mapping[str, str] = NOTHING,
    ) -> Self:
        """Send a request; nothing is read yet."""
        stream = await cls.open(url)
        cookie = f"Cookie: {CookieJar(jar).header()}\r\n" if jar else ""
        others = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = "Content-Length: 0\r\n" if method == "POST" else ""
        request = (
            f"{method} {target} HTTP/1.1\r\nHost: {stream.host}\r\n{cookie}{others}{length}\r\n"
        )
        stream.writer.write(request.encode())
        return stream

    async def read_head(self, seconds: float = 5) -> int:
        """Read the head and return the status."""
        async with asyncio.timeout(seconds):
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        self.status = int(self.head.split()[1])
        return self.status

    async def chunk(self, seconds: float = 5) -> bytes:
        """Return the next chunk; b"" is the end of the response.

        Raises:
            OSError, IncompleteReadError: it was cut off.
        """
        async with asyncio.timeout(seconds):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]


class Site:
    """The application and where it is served."""

    def __init__(self, streams: Streams, server: RunningServer) -> None:
        self.streams = streams
        self.manager = streams.manager
        self.server = server
        self.url = server.url

    async def visitor(self, **values: Any) -> CookieJar:
        """Return the cookies of a visitor with a session."""
        return await visitor(self.url, **values)

    async def post(self, path: str, jar: CookieJar) -> int:
        """Post nothing; return the status."""
        http = HTTPTestClient(self.url, cookies=jar)
        code: int = (await http.post(path)).code
        http.close()
        return code

    async def heard(self, key: str, count: int = 1) -> Any:
        """Wait until something was said so often; return what was said last."""
        await until(lambda: len(self.streams.heard(key)) >= count)
        return self.streams.heard(key)[-1]

    async def empty(self) -> None:
        """Wait until nothing is left of any connection."""
        await until(lambda: not len(self.manager.connections))


@asynccontextmanager
async def site(*, settings: Mapping[str, Any] = NOTHING, **changes: Any) -> AsyncIterator[Site]:
    """Serve the application; `settings` are Tornado's."""
    streams = build(options(**changes), **settings)
    async with streams.manager, serve(streams.app) as running:
        yield Site(streams, running)
