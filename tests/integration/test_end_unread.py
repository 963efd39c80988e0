"""An ended session's transport is closed though its client reads not a byte more."""

from __future__ import annotations

import time
from typing import Any

from tornado.iostream import IOStream

from tests.support.sites import Site, not_polling, session_id, site, until
from tornado_shared_session.limits import unsent
from tornado_shared_session.testing import CookieJar, SocketIOTestClient
from tornado_shared_session.testing.wire import Wire

MUCH = "x" * 16_000_000  # more than what the kernel holds for somebody


async def stop_reading(
    a: Site, client: SocketIOTestClient, jar: CookieJar
) -> tuple[IOStream, Wire]:
    """Fill everything on the way to the client; return both ends of it."""
    connection: Any = a.connection
    if client.transport == "polling":
        await not_polling(a, client)
        wire: Wire = await Wire.open(a.url)
    else:
        assert client.engine._socket is not None
        wire = client.engine._socket
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
    if client.transport == "polling":
        head = f"GET {client.engine._target('polling')} HTTP/1.1\r\nHost: {wire.host}\r\n"
        wire.writer.write(f"{head}Cookie: {jar.header()}\r\n\r\n".encode())
        await until(lambda: connection.polled is not None)
        stream: IOStream = connection.polled
    else:
        stream = connection.handlers[-1].session_stream
    await a.sio.emit("news", MUCH)
    await until(lambda: unsent(stream) > 0)
    return stream, wire


async def test_a_client_that_reads_nothing_is_cut_off(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Its farewell cannot even be sent: the TCP connection is closed within a second (F4, I4)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            stream, wire = await stop_reading(a, client, jar)
            started = time.monotonic()
            await a.manager.destroy(session_id(jar))
            await until(stream.closed, 5)
            assert time.monotonic() - started < 1.5
            await a.empty()
            await wire.close()
            await client.abort()


async def test_a_poll_that_was_fetched_leaves_its_tcp_connection_to_others(a: Site) -> None:
    """A proxy may use that one for somebody else's request by now, so nobody closes it."""
    jar = await a.visitor()
    async with a.client("polling", jar) as client:
        await client.connect()
        connection: Any = a.connection
        await until(lambda: connection.polled is not None)
        await not_polling(a, client)
        await until(lambda: connection.polled is None)
