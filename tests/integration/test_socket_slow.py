"""Who does not read what Socket.IO sends is closed at a number of bytes."""

from __future__ import annotations

import pytest

from tests.integration.test_socket_limits import dropped
from tests.support.sites import Site, between_polls, not_polling, site


async def test_a_client_that_does_not_read_is_closed_at_a_byte_cap(
    redis_url: str, prefix: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """On polling and WebSocket; one line, nothing kept, the others hear all of it
    (F14, R19, W21).
    """
    settings = {"max_queued": 1_000_000}
    async with site(redis=redis_url, prefix=prefix, server=settings) as a:
        async with (
            a.client(transport, await a.visitor()) as slow,
            a.client("websocket", await a.visitor()) as quick,
        ):
            await slow.connect()
            await quick.connect()
            if transport == "polling":
                await not_polling(a, slow)
                await quick.wait_for("pause")
            slow.pause_reading()
            (socket,) = [s for sid, s in a.sio.eio.sockets.items() if sid == slow.eio_sid]
            most = sent = 0
            while slow.eio_sid in a.sio.eio.sockets:
                assert sent < 200
                await a.sio.emit("news", "x" * 100_000)
                await quick.wait_for("news")
                most, sent = max(most, socket.queue.waiting), sent + 1
            assert most < 1_200_000
            assert socket.queue.waiting == 0
            assert sent > 10
            assert len(a.manager.connections) == 1
        await a.empty()
    (line,) = dropped(caplog)
    assert line.startswith("(too_slow: ")


async def test_a_message_larger_than_the_cap_reaches_who_reads(
    redis_url: str, prefix: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What counts is what waits already (R19)."""
    async with site(redis=redis_url, prefix=prefix, server={"max_queued": 1000}) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            for _ in range(3):
                await a.sio.emit("news", "x" * 500_000)
                assert len(await client.wait_for("news")) == 500_000
    assert dropped(caplog) == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5", id="5"),
        pytest.param(b'42["set","note",1]\x1e5', id="after an event"),
        pytest.param(b"\x1e".join([b"5"] * 15 + [b"3"]), id="many"),
    ],
)
async def test_an_upgrade_packet_in_a_post_is_400_and_closes(
    a: Site, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """Engine.IO answers each with a packet of no bytes, which would wait beyond every cap."""
    async with between_polls(a, await a.visitor()) as client:
        assert (await client.engine._http("POST", body)).status == 400
        await a.empty()
    assert dropped(caplog) == ["(malformed: a POST)"]
    assert not a.shared.heard("set")
