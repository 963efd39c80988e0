"""What is emitted to a client while its connect handler takes its time: kept, up to a number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.sites import Site, until
from tornado_shared_session.testing import SocketIOTestClient

MOST = 256  # packets of Engine.IO's, at which no other begins


@asynccontextmanager
async def connecting(a: Site, transport: str) -> AsyncIterator[SocketIOTestClient]:
    """A client whose connect handler agrees at the end of the block."""
    async with a.client(transport, await a.visitor()) as client:
        await client.open()
        if transport == "upgrade":
            await client.upgrade()
        task = asyncio.create_task(client.connect(auth="slow"))
        await until(lambda: a.shared.heard("connect"))
        try:
            yield client
        finally:
            a.shared.go.set()
            await asyncio.wait_for(task, 3)
        await a.sio.emit("after", "all")
        assert await client.wait_for("after") == "all"


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    """Count the lines that say that something is dropped."""
    return sum("takes its time" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("before", [0, 1])
async def test_a_binary_packet_is_kept_whole_or_not_at_all(
    a: Site, transport: str, caplog: pytest.LogCaptureFixture, before: int
) -> None:
    """Of half of one the JavaScript client makes a "parse error", and leaves."""
    caplog.set_level(logging.WARNING)
    async with connecting(a, transport) as client:
        for number in range(before):
            await a.sio.emit("text", number)
        for number in range(MOST):
            await a.sio.emit("frame", (b"a%d" % number, b"b%d" % number))
        assert warnings(caplog) == 1
    first = next(n for n, one in enumerate(client.packets) if str(one).startswith("452-"))
    packets = client.packets[first:-1]
    headers = packets[::3]
    assert set(headers) == {headers[0]}
    whole = -(-(MOST - before) // 3)  # the last of them begins below the limit, and ends above it
    numbers = range(whole)
    assert packets[1::3] == [b"a%d" % number for number in numbers]
    assert packets[2::3] == [b"b%d" % number for number in numbers]


async def test_no_more_is_kept_than_a_number(
    a: Site, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first ones, in order; the log says that others were dropped once one was."""
    caplog.set_level(logging.WARNING)
    async with connecting(a, transport) as client:
        for number in range(MOST):
            await a.sio.emit("text", number)
        assert warnings(caplog) == 0
        await a.sio.emit("text", "one too many")
        await a.sio.emit("frame", b"that is dropped whole")
        assert warnings(caplog) == 1
    heard = [(event.name, *event.args) for event in client.events]
    assert heard == [("text", number) for number in range(MOST)] + [("after", "all")]
