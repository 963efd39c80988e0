"""What a Socket.IO client may send, and how much of it; and what it must read."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.support.processes import start_apps
from tests.support.sites import (
    Site,
    between_polls,
    not_polling,
    requests,
    site,
    status_of,
    until,
    visitor,
)
from tornado_shared_session import ConfigurationError, SessionManager, SessionServer
from tornado_shared_session.testing import SocketIOTestClient
from tornado_shared_session.testing.wire import Wire

LOGGER = "tornado_shared_session"


def dropped(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return why clients were dropped, as the log says."""
    return [
        record.getMessage().partition("client_dropped ")[2]
        for record in caplog.records
        if record.name == LOGGER and "client_dropped" in record.getMessage()
    ]


def post_head(client: SocketIOTestClient, wire: Wire) -> bytes:
    """Return a POST's head, but for the length."""
    lines = [f"POST {client.engine._target('polling')} HTTP/1.1", f"Host: {wire.host}"]
    return "\r\n".join([*lines, f"Cookie: {client.engine._headers()['Cookie']}", ""]).encode()


def edit(shared: Any) -> None:
    """Add a handler that says how long its arguments are."""

    async def sizes(sid: str, *args: bytes) -> list[int]:
        return [len(one) for one in args]

    shared.sio.on("sizes", sizes)


@pytest.mark.parametrize("value", [-1, 1.5, "1", None])
@pytest.mark.parametrize("name", ["max_attachments", "max_queued"])
def test_a_limit_is_an_int(name: str, value: Any) -> None:
    """Anything else is refused when the server is made."""
    with pytest.raises(ConfigurationError, match=name):
        SessionServer(SessionManager(), **{name: value})


# Binary packets ------------------------------------------------------------------


async def test_ten_attachments_are_fine(redis_url: str, prefix: str, transport: str) -> None:
    """The limit itself is allowed, and a packet of none that says it is binary too (F13)."""
    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            sent = [bytes(99_000)] * 10 if transport == "websocket" else [bytes(9_000)] * 10
            assert await client.emit("sizes", *sent) == [len(one) for one in sent]
            await client.send_raw('450-["set","note",1]')
            await until(lambda: a.shared.heard("set"))


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        pytest.param(['4511-["sizes"]'], "too_large: 11 attachments", id="count"),
        pytest.param(['45999999999-["sizes"]'], "too_large: 999999999 attachments", id="claim"),
        pytest.param(
            ['4510-["sizes"]', *[bytes(300_000)] * 4], "too_large: 1200013 bytes", id="bytes"
        ),
    ],
)
async def test_an_attachment_pile_up_closes_and_frees(
    a: Site, caplog: pytest.LogCaptureFixture, transport: str, frames: list[Any], why: str
) -> None:
    """More than 10, or more than 1 MB in all: closed, one line, nothing kept (F13)."""
    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        for frame in frames:
            await client.engine.send(frame)
        await client.wait_transport_closed()
        await a.empty()
    (line,) = dropped(caplog)
    assert why in line


async def test_a_client_that_goes_in_the_middle_of_a_packet_leaves_nothing(
    a: Site, transport: str
) -> None:
    """Connected to a namespace or not: what has come of its packet is freed (F13)."""
    for connects in (True, False):
        async with a.client(transport, await a.visitor()) as client:
            await (client.connect() if connects else client.open())
            await client.engine.send('452-["sizes"]', bytes(9_000))
            await until(lambda: a.sio._binary_packet)
        await a.empty()


# What is malformed ---------------------------------------------------------------

MALFORMED = [
    "42",
    "42{}",
    '42{"0":"get"}',
    "42[]",
    "42[[]]",
    "42[null]",
    '42["get"',
    "42" + "[" * 100_000,
    "43[]",
    "431{}",
    "431",
    "44{}",
    "47",
    "49[]",
    "4²[]",
    '451-["a",{"_placeholder":true,"num":7}]',
]


@pytest.mark.parametrize("packet", MALFORMED, ids=lambda text: text[:20])
async def test_a_malformed_packet_closes_with_one_line_and_no_traceback(
    a: Site, caplog: pytest.LogCaptureFixture, transport: str, packet: str
) -> None:
    """However many follow, and Engine.IO and python-socketio log none either (W13)."""
    caplog.set_level(logging.DEBUG, LOGGER)
    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        parcel = [packet, b"attached"] if packet.startswith("45") else [packet] * 3
        await client.engine.send(*parcel)
        await client.wait_transport_closed()
        await a.empty()
    (line,) = dropped(caplog)
    assert line.startswith("(malformed: ")
    assert not [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x1e".join([b'42["set","note",1]'] * 17), id="17"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\x1e", id="empty-packets"),
        pytest.param(b"\xff\xfe", id="not-utf-8"),
        pytest.param(b"x", id="no-type"),
        pytest.param(b"bA", id="no-base64"),
        pytest.param(b"d=4", id="jsonp"),
        pytest.param(b"4" + b"[" * 200_000, id="deep"),
        pytest.param(b"3" + b"[" * 200_000, id="deep-pong"),
    ],
)
@pytest.mark.parametrize("poll_pending", [True, False])
async def test_a_payload_that_engine_io_cannot_read_is_400_and_closes(
    a: Site, caplog: pytest.LogCaptureFixture, body: bytes, poll_pending: bool
) -> None:
    """Engine.IO says 200 and logs a traceback; nothing in it is handled."""
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        if not poll_pending:
            await not_polling(a, client)
        assert (await client.engine._http("POST", body)).status == 400
        await a.empty()
    assert dropped(caplog) == ["(malformed: a POST)"]
    assert not a.shared.heard("set")


async def test_sixteen_packets_in_a_post_are_fine(a: Site) -> None:
    """As many as Engine.IO allows."""
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        assert await client.engine.send(*['42["set","note",1]'] * 16) == 200
        await until(lambda: len(a.shared.heard("set")) == 16)


async def test_a_chunked_post_is_read(a: Site) -> None:
    """Engine.IO goes by Content-Length, which some proxies leave out."""
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        async with await Wire.open(a.url) as wire:
            body = b'42["set","note",1]'
            head = post_head(client, wire) + b"Transfer-Encoding: chunked\r\n\r\n"
            wire.writer.write(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            assert (await asyncio.wait_for(wire._response(), 5)).status == 200
        await until(lambda: a.shared.heard("set"))


# How large -------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["websocket", "upgrade"])
async def test_a_websocket_message_that_is_too_large_closes(a: Site, transport: str) -> None:
    """Python-socketio's `max_http_buffer_size`, 1 MB, not Tornado's 10 (T12, W14)."""
    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        await client.send_raw("42" + "x" * 1_000_001)
        await client.wait_transport_closed()
        await a.empty()


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_post_that_is_too_large_is_400_and_closes(
    a: Site, caplog: pytest.LogCaptureFixture, chunked: bool
) -> None:
    """By its Content-Length before it is read, or by what has come (T13, W14)."""
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        async with await Wire.open(a.url) as wire:
            head = post_head(client, wire)
            if chunked:
                wire.writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
                for _ in range(6):
                    wire.writer.write(b"30000\r\n" + b"4" * 0x30000 + b"\r\n")
            else:
                wire.writer.write(head + b"Content-Length: 50000000\r\n\r\n")
            assert (await asyncio.wait_for(wire._response(), 5)).status == 400
        await a.empty()
    (line,) = dropped(caplog)
    assert line.startswith("(too_large: a POST of ")


def rss(pid: int) -> int:
    """Return the most bytes that a process has had in memory."""
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("which", ["bogus", "ended", "none"])
async def test_a_large_post_to_no_connection_is_not_kept(
    redis_url: str, prefix: str, which: str
) -> None:
    """60 MB to a sid that is not, or not any more: 400, and the memory stays flat (T13, F14)."""
    async with start_apps(
        "tests.apps.shared", "--redis", redis_url, "--prefix", prefix, count=1
    ) as (app,):
        sid = "sid=bogus&"
        if which == "ended":
            async with SocketIOTestClient(app.url, cookies=await visitor(app.url)) as client:
                await client.connect()
                sid = f"sid={client.eio_sid}&"
        before = rss(app.pid)
        async with await Wire.open(app.url) as wire:
            target = f"/socket.io/?{sid if which != 'none' else ''}EIO=4&transport=polling"
            head = (
                f"POST {target} HTTP/1.1\r\nHost: {wire.host}\r\nContent-Length: 60000000\r\n\r\n"
            )
            wire.writer.write(head.encode())
            assert (await asyncio.wait_for(wire._response(), 5)).status == 400
            with pytest.raises(ConnectionError):  # it is not even read
                for _ in range(60):
                    wire.writer.write(b"4" * 1_000_000)
                    await wire.writer.drain()
            wire.writer.transport.abort()
        assert rss(app.pid) - before < 8_000_000


@pytest.mark.parametrize("length", ["-1", "x", "1, 2", "9" * 30])
async def test_a_length_that_is_none_is_400(a: Site, length: str) -> None:
    """No 500, whatever stands there."""
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        async with await Wire.open(a.url) as wire:
            head = post_head(client, wire)
            wire.writer.write(head + f"Content-Length: {length}\r\n\r\n".encode())
            assert (await asyncio.wait_for(wire.reader.readline(), 5)).split()[1] == b"400"


async def test_a_client_that_goes_in_the_middle_of_a_post_leaves_nothing(a: Site) -> None:
    """The request that waits for the rest of its body ends (T6)."""
    async with between_polls(a, await a.visitor()) as client:
        async with await Wire.open(a.url) as wire:
            wire.writer.write(post_head(client, wire) + b"Content-Length: 1000\r\n\r\n42")
            await until(requests)
        await until(lambda: not requests())
        assert len(a.manager.connections) == 1


async def test_a_refused_client_can_come_back(a: Site) -> None:
    """It is its connection that is closed, not its session that ends."""
    jar = await a.visitor(note="kept")
    async with a.client("websocket", jar) as client:
        await client.connect()
        await client.send_raw("42{}")
        await client.wait_transport_closed()
    assert await status_of(a.client("polling", jar)) == 200
    async with a.client("websocket", jar) as client:
        await client.connect()
        assert await client.emit("get") == "kept"
