"""The examples without Socket.IO: server-sent events and a plain WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.support.programs import example
from tornado_shared_session.testing import CookieJar, HTTPTestClient


class Stream:
    """What an EventSource receives."""

    def __init__(self, url: str, jar: CookieJar) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.end = asyncio.ensure_future(
            AsyncHTTPClient(force_instance=True).fetch(
                HTTPRequest(
                    f"{url}/events",
                    headers={"Cookie": jar.header()},
                    streaming_callback=self.lines.put_nowait,
                    request_timeout=30,
                )
            )
        )

    async def data(self) -> str:
        """Return the next event."""
        chunk = await asyncio.wait_for(self.lines.get(), 5)
        assert chunk.startswith(b"data: "), chunk
        return chunk.decode().removeprefix("data: ").rstrip("\n")


async def test_a_stream_of_events_ends_with_its_session() -> None:
    """Both tabs' streams show the count and end at the logout; another visitor's goes on."""
    async with example("sse.py") as url:
        page, stranger = HTTPTestClient(url), HTTPTestClient(url)
        for visitor in (page, stranger):
            assert b'id="count">0<' in (await visitor.get("/")).body
        streams = [Stream(url, visitor.cookies) for visitor in (page, page, stranger)]
        for stream in streams:
            assert await stream.data() == "0"
        assert (await page.post("/incr")).body == b"1"
        for stream in streams[:2]:
            assert await stream.data() == "1"
        assert (await page.post("/logout")).code == 204
        for stream in streams[:2]:
            assert (await asyncio.wait_for(stream.end, 5)).code == 200
        assert (await page.get("/events")).code == 204  # an EventSource then stays away
        assert (await stranger.post("/incr")).body == b"1"
        assert await streams[2].data() == "1"
        assert (await stranger.post("/logout")).code == 204
        assert (await asyncio.wait_for(streams[2].end, 5)).code == 200


@asynccontextmanager
async def opened(url: str, jar: CookieJar) -> AsyncIterator[WebSocketClientConnection]:
    """Open a WebSocket as a browser with this jar does."""
    headers = {"Cookie": jar.header()} if jar else {}
    address = url.replace("http", "ws", 1) + "/socket"
    socket = await websocket_connect(HTTPRequest(address, headers=headers))
    assert socket.headers is not None
    jar.store(socket.headers.get_list("Set-Cookie"))
    try:
        yield socket
    finally:
        socket.close()


async def test_a_plain_websocket_has_the_session_and_ends_with_it() -> None:
    """The page and two sockets count together; the logout closes with 1008 and says why."""
    async with example("websocket.py") as url:
        page = HTTPTestClient(url)
        assert (await page.post("/incr")).body == b"1"
        async with opened(url, page.cookies) as one, opened(url, page.cookies) as two:
            for socket in (one, two):
                assert await socket.read_message() == "1"
            await one.write_message("+1")
            assert await one.read_message() == "2"
            assert (await page.post("/incr")).body == b"3"
            await two.write_message("hello")
            assert await two.read_message() == "3"  # read anew before the message
            assert b'id="count">3<' in (await page.get("/")).body
            assert (await page.post("/logout")).code == 204
            for socket in (one, two):
                assert await asyncio.wait_for(socket.read_message(), 5) is None
                assert (socket.close_code, socket.close_reason) == (1008, "logged_out")


async def test_a_websocket_without_a_cookie_gets_one_on_the_101() -> None:
    """What its session keeps is there for the next request."""
    async with example("websocket.py") as url:
        page = HTTPTestClient(url)
        async with opened(url, page.cookies) as socket:
            assert await socket.read_message() == "0"
            assert list(page.cookies) == ["session"]
            await socket.write_message("+1")
            assert await socket.read_message() == "1"
        assert (await page.post("/incr")).body == b"2"
