"""What a plain WebSocket may send, and what it must read."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.sites import until
from tests.support.streams import Socket, site


async def test_a_client_that_does_not_read_is_closed_at_a_byte_cap(
    redis_url: str, prefix: str
) -> None:
    """The write raises WebSocketClosedError, which is no error in the log (F14, R19)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with await Socket.connect(a.url, "/ws", await a.visitor()) as socket:
            await a.heard("open")
            for _ in range(4):
                await socket.send("spill")  # 10 MB each; the kernel takes some
            await until(lambda: not len(a.manager.connections), 10)
            (event,) = [e for e in a.streams.events if e.kind == "client_dropped"]
            assert event.detail.startswith("too_slow: ")
            assert 4_000_000 < int(event.detail.split()[1]) < 4_300_000
            await a.heard("closed")


@pytest.mark.expects_log("WebSocketClosedError")  # when the test hangs up
async def test_who_reads_and_is_waited_for_is_sent_any_amount(redis_url: str, prefix: str) -> None:
    """A handler that awaits its writes never meets the cap (R19)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with await Socket.connect(a.url, "/ws", await a.visitor()) as socket:
            await socket.send("flood")
            async with asyncio.timeout(20):
                for _ in range(200):  # 20 MB
                    assert len(await socket.receive() or "") == 100_000
            assert "client_dropped" not in {event.kind for event in a.streams.events}


@pytest.mark.parametrize("setting", [None, 2_000_000])
async def test_a_message_that_is_too_large_closes_with_1009(
    redis_url: str, prefix: str, setting: int | None
) -> None:
    """1 MB rather than Tornado's 10, unless the Application says otherwise (T12, W14)."""
    settings = {} if setting is None else {"websocket_max_message_size": setting}
    async with site(redis=redis_url, prefix=prefix, settings=settings) as a:
        async with await Socket.connect(a.url, "/ws", await a.visitor()) as socket:
            assert await socket.ask("get note " + "x" * 999_000) == '""'
            if setting is not None:
                assert await socket.ask("get note " + "x" * 1_500_000) == '""'
            await socket.send("get note " + "x" * 2_000_000)
            assert (await socket.ended())[0] == 1009
        await a.empty()
