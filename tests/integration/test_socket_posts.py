"""What Engine.IO itself closes: a POST it rejects, and its own disconnect()."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.sites import Site, not_polling, requests, until


@pytest.mark.parametrize("poll_pending", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"2", id="2"),
        pytest.param(b"6", id="6"),
        pytest.param(b"0", id="0"),
        pytest.param(b'42["get"]\x1e2', id="batch"),
        pytest.param(b"1\x1e2", id="close"),
        pytest.param(b"4" * 2_000_000, id="long"),
    ],
)
async def test_a_post_that_engine_io_rejects_is_answered_and_closes(
    a: Site, body: bytes, poll_pending: bool
) -> None:
    """400 within a second, whether or not a poll waits, and nothing of the request stays."""
    async with a.client("polling", await a.visitor()) as client:
        await client.connect()
        if not poll_pending:
            await not_polling(a, client)
        async with asyncio.timeout(1):
            assert (await client.engine._http("POST", body)).status == 400
        await a.empty()
    await until(lambda: not requests())


async def test_engine_ios_own_disconnect_returns(a: Site, transport: str) -> None:
    """It closes the transport, of one client or of all, and waits for none to fetch anything
    (F5).
    """
    async with a.client(transport, await a.visitor()) as one:
        async with a.client(transport, await a.visitor()) as another:
            await asyncio.gather(one.connect(), another.connect())
            if transport == "polling":
                await not_polling(a, one)
            async with asyncio.timeout(1):
                await a.sio.eio.disconnect(one.eio_sid)
                assert await another.emit("get") == ""
                await a.sio.eio.disconnect()
            await another.wait_transport_closed()
            await a.empty()
    assert len(a.shared.heard("disconnect")) == 2
