"""Redis refused, deaf or half-open: handshakes are refused, open sockets stay."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import site, status_of, until
from tornado_shared_session.testing import CookieJar, RedisServer

FAULTS = ("refused", "black hole", "half-open")


async def inject(proxy: FaultProxy, fault: str) -> None:
    """Break the wire."""
    if fault == "refused":
        await proxy.refuse()
    elif fault == "black hole":
        proxy.black_hole()
    else:
        proxy.hold_replies()


@pytest.mark.expects_log("503")
@pytest.mark.parametrize("fault", FAULTS)
async def test_handshakes_are_refused_and_open_sockets_stay(
    redis_server: RedisServer, prefix: str, transport: str, fault: str
) -> None:
    """503 with Retry-After within two seconds, cookie unchanged; back within five when Redis is
    (S48, C20, I6, I7, R1, R2, R3).
    """
    async with FaultProxy(redis_server.port) as proxy, site(redis=proxy.url, prefix=prefix) as a:
        jar = await a.visitor()
        kept = CookieJar(jar)
        async with a.client(transport, jar) as client:
            await client.connect()
            await inject(proxy, fault)
            started = time.monotonic()
            for cookies in (jar, CookieJar()):
                refused = a.client(transport, cookies)
                assert await status_of(refused) == 503
                assert refused.handshake_headers["Retry-After"]
                assert "Set-Cookie" not in refused.handshake_headers
            assert time.monotonic() - started < 4  # two of them, one after the other
            assert jar == kept
            assert not client.closed
            assert len(a.manager.connections) == 1
            await proxy.normal()
            back = time.monotonic()
            async with asyncio.timeout(5):
                while await status_of(a.client(transport, jar)) == 503:
                    await asyncio.sleep(0.05)  # between a client's tries
                assert await client.emit("set", "note", "back") == "saved"
            await until(lambda: a.watcher.health()["notices"], 5)
            assert time.monotonic() - back < 5


@pytest.mark.expects_log("503", required=False)
async def test_an_upgrade_is_refused_and_polling_goes_on(
    redis_server: RedisServer, prefix: str
) -> None:
    """A connection whose upgrade cannot be checked stays where it is (R1)."""
    async with FaultProxy(redis_server.port) as proxy, site(redis=proxy.url, prefix=prefix) as a:
        async with a.client("polling", await a.visitor()) as client:
            await client.connect()
            await proxy.refuse()
            with pytest.raises(Exception, match="HTTP 503"):
                await client.upgrade()
            await proxy.normal()
            assert await client.emit("get") == ""
