"""No end takes longer than what is promised: not for polls, mute clients, or slow handlers."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.support.openings import opened_after_its_end
from tests.support.sites import Site, not_polling, session_id, site, until
from tests.support.streams import Stream


@pytest.mark.parametrize("many", [1, 8])
async def test_all_polls_of_a_client_end_with_its_session(a: Site, many: int) -> None:
    """Though only one of them can be told why, none waits for Engine.IO's time to be up (I8)."""
    jar = await a.visitor()
    async with a.client("polling", jar) as client:
        await client.connect()
        await not_polling(a, client)
        target = client.engine._target("polling")
        polls = [await Stream.begin(a.url, target, jar) for _ in range(many)]
        socket = a.sio.eio.sockets[client.eio_sid]
        await until(lambda: len(socket.queue._getters) == many)
        started = time.monotonic()
        await a.manager.destroy(session_id(jar))
        await asyncio.gather(*(poll.read_head(5) for poll in polls))
        assert time.monotonic() - started < 2
        assert {poll.status for poll in polls} <= {200, 400}
        for poll in polls:
            poll.writer.close()
    await a.empty()


async def test_a_manager_closes_though_handlers_take_their_time(a: Site) -> None:
    """Each namespace's disconnect handler is cut, though python-socketio goes on with the next."""
    begun = []
    for namespace in ("/a", "/b", "/c"):

        @a.sio.on("disconnect", namespace=namespace)
        async def disconnect(sid: str, reason: str, namespace: str = namespace) -> None:
            begun.append(namespace)
            await asyncio.sleep(30)  # longer than anybody waits

    async with a.client("websocket", await a.visitor()) as client:
        for namespace in ("/a", "/b", "/c"):
            await client.connect(namespace)
        started = time.monotonic()
        await a.manager.close()
        assert time.monotonic() - started < 4
        assert sorted(begun) == ["/a", "/b", "/c"]
        assert not any(a.shared.counts().values())


async def test_a_mute_websocket_that_engine_io_closes_is_cut_off(
    redis_url: str, prefix: str
) -> None:
    """It has not answered a ping, nor the close that followed; then its session ends (I4)."""
    pings = {"ping_interval": 0.3, "ping_timeout": 0.3}
    async with site(redis=redis_url, prefix=prefix, server=pings) as a:
        go = asyncio.Event()

        @a.sio.on("disconnect", namespace="/slow")
        async def disconnect(sid: str, reason: str) -> None:
            a.shared.tell(slow=1)
            await go.wait()

        jar = await a.visitor()
        async with a.client("websocket", jar) as client:
            await client.connect("/slow")
            connection: Any = a.connection
            stream = connection.handlers[0].session_stream
            client.mute = True
            await until(lambda: a.shared.heard("slow"), 5)
            client.pause_reading()
            started = time.monotonic()
            await a.manager.destroy(session_id(jar))
            await until(stream.closed, 6)
            assert time.monotonic() - started < 2
            go.set()
            await a.empty()


async def test_a_mute_websocket_that_opens_after_its_end_is_cut_off(
    a: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session ended while it was judged; it has no connection that could be ended (I4)."""
    async with opened_after_its_end(a, monkeypatch) as (wire, _):
        started = time.monotonic()
        while await asyncio.wait_for(wire.reader.read(100), 6):
            pass
        assert time.monotonic() - started < 2
    await a.empty()
