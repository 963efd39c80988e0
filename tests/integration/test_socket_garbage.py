"""A socket leaves nothing behind that only the garbage collector can free.

It is a matter of speed: with a cycle for each WebSocket the collector took
60 us more for each connect, in pauses of 20 ms.
"""

from __future__ import annotations

import gc

import pytest
from tornado.websocket import WebSocketHandler

from tests.support.sites import session_id, site, until
from tests.support.streams import Socket
from tests.support.streams import site as plain_site
from tornado_shared_session.connections import Connection
from tornado_shared_session.testing import CookieJar

pytestmark = pytest.mark.usefixtures("no_collector")


def alive() -> list[object]:
    """Return what there still is of sockets: handlers of requests, and connections."""
    kinds = (WebSocketHandler, Connection)
    # Not isinstance(): it asks what a weak proxy stands for, which may be dead.
    return [one for one in gc.get_objects() if issubclass(type(one), kinds)]


@pytest.mark.parametrize("ending", ["client", "cut", "malformed", "server", "session"])
async def test_a_socket_is_freed_as_soon_as_it_has_gone(
    redis_url: str, prefix: str, transport: str, ending: str
) -> None:
    """Its handlers, with their requests, and its connection go by themselves, though a task of
    Engine.IO sleeps on for a ping interval.
    """
    before = alive()  # of a test that failed, whose frames are kept
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        client = a.client(transport, CookieJar(jar))
        sid = await client.connect()
        assert await client.emit("get") == ""
        assert len(alive()) > len(before)
        if ending == "malformed":
            await client.send_raw("what?")
        elif ending == "server":
            await a.sio.eio.disconnect(a.sio.manager.eio_sid_from_sid(sid, "/"))
        elif ending == "session":
            await a.manager.destroy(session_id(jar))
        elif ending == "client" or transport == "polling":  # where a cut is not noticed at once
            await client.close()
        await client.abort()
        await a.empty()
        await until(lambda: len(alive()) <= len(before))


@pytest.mark.parametrize("ending", ["client", "session"])
async def test_a_plain_websocket_is_freed_as_soon_as_it_has_gone(
    redis_url: str, prefix: str, ending: str
) -> None:
    """As one of Tornado's own is."""
    before = alive()
    async with plain_site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Socket.connect(a.url, "/ws", jar) as socket:
            assert await socket.ask("get note") == '""'
            assert len(alive()) > len(before)
            if ending == "session":
                await a.manager.destroy(session_id(jar))
                assert await socket.ended() == (1008, "revoked")
        await a.empty()
        await until(lambda: len(alive()) <= len(before))
